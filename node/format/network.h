/* network.h - networks, "10.0.0.0/8" or one address, and whether a caller comes from one of a list.
 * Parsed once; asked for each connection. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/slice.h"
#include "format/ip.h"

struct network {
    struct ip first; /* no bit of it is set beyond `bits` */
    unsigned bits;   /* of the 128: a /8 of IPv4 has 104 */
};

struct networks {
    struct network *items; /* the owner's; NULL: none */
    size_t count;
};

/* False: *why (a static string) says what is wrong. */
MUST_USE bool network_parse(struct network *network, struct slice text, const char **why);
/* What is no internet address, as a Unix socket's, is in no network. */
bool networks_have(const struct networks *networks, const struct sockaddr *peer);
bool networks_have_ip(const struct networks *networks, const struct ip *ip);
