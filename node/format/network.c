/* All arithmetic is on 128 bits, with IPv4 mapped (ip.h): one rule for both, and a caller of
 * IPv4 on an IPv6 socket is matched like any other. */
#include "format/network.h"

#include <string.h>

enum { V4_BITS = 32, V6_BITS = 128 };

static bool has_bits_beyond(const struct network *n)
{
    for (unsigned bit = n->bits; bit < V6_BITS; bit++)
        if ((n->first.bytes[bit / 8] & (0x80u >> (bit % 8))) != 0)
            return true;
    return false;
}

bool network_parse(struct network *n, struct slice text, const char **why)
{
    struct slice host, prefix = slice_cut(text, '/', &host);
    bool has_prefix = host.len < text.len;
    *why = "neither a network nor an address";
    if (!ip_parse(&n->first, host))
        return false;
    uint64_t bits_max = n->first.is_v6 ? V6_BITS : V4_BITS, bits = bits_max;
    *why = "the number of bits is not 0 to 32 for IPv4, to 128 for IPv6";
    if (has_prefix && !slice_number(prefix, bits_max, &bits))
        return false;
    n->bits = (unsigned)(bits + V6_BITS - bits_max);
    *why = "the address has bits beyond the network's, which must be zero";
    return !has_bits_beyond(n);
}

static bool has(const struct network *n, const unsigned char bytes[IP_BYTES])
{
    unsigned whole = n->bits / 8, rest = n->bits % 8;
    if (memcmp(n->first.bytes, bytes, whole) != 0)
        return false;
    return rest == 0 || ((n->first.bytes[whole] ^ bytes[whole]) >> (8 - rest)) == 0;
}

static bool have(const struct networks *networks, const unsigned char bytes[IP_BYTES])
{
    for (size_t i = 0; i < networks->count; i++)
        if (has(&networks->items[i], bytes))
            return true;
    return false;
}

bool networks_have(const struct networks *networks, const struct sockaddr *peer)
{
    unsigned char bytes[IP_BYTES];
    return ip_of_peer(peer, bytes) && have(networks, bytes);
}

bool networks_have_ip(const struct networks *networks, const struct ip *ip)
{
    return have(networks, ip->bytes);
}
