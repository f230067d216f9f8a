/* access.h - may this caller do this: the one place where it is decided.
 * A caller is local if its address is in server.trusted_networks and nothing in the request shows
 * that it came through a tunnel or a proxy for someone else (behind a tunnel every caller of the
 * internet seems to come from loopback). */
#pragma once
#include <stdbool.h>
#include <sys/socket.h>

#include "base/attr.h"
#include "config/config.h"
#include "format/http1.h"

struct networks; /* parsed server.trusted_networks */

/* NULL: *bad is the entry that is no network. Yours. */
MUST_USE struct networks *networks_new(char *const *texts, const char **bad);
void networks_free(struct networks *networks);
bool networks_have(const struct networks *networks, const struct sockaddr *address);

/* A header that only a tunnel, a CDN or a proxy adds. Such are for us, not for a provider. */
bool access_is_proxy_sign(struct slice header_name);

bool access_is_local(const struct networks *trusted, const struct sockaddr *peer,
                     const struct http1_request *request);

/* Requests that go to a provider. */
bool access_to_proxy(const struct config *config, bool is_local);
/* /status, /metrics, /admin: with admin.token it must come along, from local callers too. */
bool access_to_admin(const struct config *config, bool is_local,
                     const struct http1_request *request);
