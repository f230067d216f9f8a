/* ip.h - an IPv4 or IPv6 address: what a node listens on, where callers come from.
 * A value, without memory of its own. IPv4 is kept as ::ffff:a.b.c.d, so that a caller is the same
 * on either kind of socket. */
#pragma once
#include <stdbool.h>

#include "base/attr.h"
#include "base/slice.h"

struct sockaddr;

enum { IP_BYTES = 16, IP_TEXT_MAX = 46 };

struct ip {
    unsigned char bytes[IP_BYTES];
    bool is_v6;             /* it was written as one; ::ffff:1.2.3.4 is */
    char text[IP_TEXT_MAX]; /* as it was written */
};

/* No brackets, no names, no blanks. */
MUST_USE bool ip_parse(struct ip *ip, struct slice text);
/* The same, or in brackets, or `localhost`, which is 127.0.0.1. */
MUST_USE bool ip_parse_host(struct ip *ip, struct slice text);
bool ip_is_loopback(const struct ip *ip);
bool ip_peer_is_loopback(const struct sockaddr *peer);

/* Only the bytes. False: not of the internet, as a Unix socket's. */
MUST_USE bool ip_of_peer(const struct sockaddr *peer, unsigned char bytes[IP_BYTES]);
