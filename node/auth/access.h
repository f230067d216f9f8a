/* access.h - may this caller do this: the one place where it is decided.
 * A caller is local if its address is in server.trusted_networks and nothing in the request shows
 * that it came through a tunnel or a proxy for someone else (behind a tunnel every caller of the
 * internet seems to come from loopback). */
#pragma once
#include <stdbool.h>

#include "base/slice.h"
#include "format/http1.h"

struct config;
struct sockaddr;

/* A header that only a tunnel, a CDN or a proxy adds. Such are for us, not for a provider. */
bool access_is_proxy_sign(struct slice header_name);

bool access_is_local(const struct config *config, const struct sockaddr *peer,
                     const struct http1_request *request);

/* Requests that go to a provider. */
bool access_to_proxy(const struct config *config, bool is_local);
/* /status, /metrics, /admin: with admin.token it must come along, from local callers too. */
bool access_to_admin(const struct config *config, bool is_local,
                     const struct http1_request *request);
