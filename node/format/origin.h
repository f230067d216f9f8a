/* origin.h - where a provider is, read from one URL; and the hosts and networks such a URL is made of.
 * Values: whoever holds one frees it with origin_fini(). *why is always a static string. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

/* scheme://host[:port][/prefix] */
struct origin {
    bool is_tls;
    char *host; /* without brackets for IPv6 */
    uint16_t port;
    char *authority;   /* as the Host header wants it: port only if not the scheme's own */
    char *path_prefix; /* "" or "/something", without a slash at its end */
};

MUST_USE bool origin_parse(struct origin *origin, struct slice url, const char **why);
void origin_fini(struct origin *origin);
bool origin_is_local(const struct origin *origin); /* never leaves this machine */

/* yours: "10.0.0.0/8" from that or from a plain address; NULL: *why */
char *network_text(struct slice text, const char **why);
/* yours: an address; `localhost` becomes 127.0.0.1; NULL if it is neither */
char *host_address(struct slice text);
bool host_is_loopback(const char *host);
