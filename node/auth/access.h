/* access.h - may this caller do this: the one place where it is decided.
 * A caller is local if its address is in server.trusted_networks, nothing in the request shows
 * that it came through a tunnel or a proxy for someone else (behind a tunnel every caller of the
 * internet seems to come from loopback), and it is no page of another site that a browser near us
 * shows: neither one that says so (Origin, Sec-Fetch-Site) nor one that reaches us by a name of
 * its own (Host, DNS rebinding). What never was a browser's has a Host that is ours, or none. */
#pragma once
#include <stdbool.h>

#include "base/arena.h"
#include "base/slice.h"
#include "format/http1.h"

struct config;
struct sockaddr;

/* A header that only a tunnel, a CDN or a proxy adds. Such are for us, not for a provider. */
bool access_is_proxy_sign(struct slice header_name);

/* Where a request comes from, found out once at its head. Slices are the request's. */
struct access {
    bool is_local;
    bool is_loopback;          /* local, and from this machine */
    bool is_elsewhere;         /* by its address, or by a tunnel's signs */
    struct slice foreign_host; /* what Host says, if that is not ours; else empty */
    bool is_foreign_page;
    struct slice foreign_origin; /* of that page; empty: it does not say */
};
struct access access_of(const struct config *config, const struct sockaddr *peer,
                        const struct http1_request *request);

/* Why not, as an answer: 401 who is from elsewhere, 403 a page that is not ours. status 0: it may.
 * The words are static or the arena's, and say what to set. */
struct access_refusal {
    int status;
    const char *why;
};

/* Requests that go to a provider. */
struct access_refusal access_to_proxy(const struct config *config, const struct access *access,
                                      struct arena *arena);
/* /status, /metrics, /admin: with admin.token it must come along, and is enough; without one only
 * this machine may. */
struct access_refusal access_to_admin(const struct config *config, const struct access *access,
                                      const struct http1_request *request, struct arena *arena);
