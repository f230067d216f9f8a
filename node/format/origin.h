/* origin.h - where a provider is, read from one URL.
 * A value: whoever holds one frees it with origin_fini(). *why is always a static string. */
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

/* `origin` is zeroed or holds a former value, which stays if this gives false: *why. */
MUST_USE bool origin_parse(struct origin *origin, struct slice url, const char **why);
void origin_fini(struct origin *origin);
bool origin_is_local(const struct origin *origin); /* never leaves this machine */
