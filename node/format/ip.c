/* inet_pton() knows the grammar; here are only its surroundings. */
#include "format/ip.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static void map_v4(const void *v4, unsigned char bytes[IP_BYTES])
{
    memset(bytes, 0, 10);
    memset(bytes + 10, 0xff, 2);
    memcpy(bytes + 12, v4, 4);
}

bool ip_parse(struct ip *a, struct slice text)
{
    unsigned char v4[4];
    if (text.len == 0 || text.len >= sizeof(a->text) || memchr(text.at, '\0', text.len) != NULL)
        return false;
    memcpy(a->text, text.at, text.len);
    a->text[text.len] = '\0';
    a->is_v6 = inet_pton(AF_INET6, a->text, a->bytes) == 1;
    if (a->is_v6)
        return true;
    if (inet_pton(AF_INET, a->text, v4) != 1)
        return false;
    map_v4(v4, a->bytes);
    return true;
}

bool ip_parse_host(struct ip *a, struct slice text)
{
    if (slice_eq_nocase(text, SLICE("localhost")))
        text = SLICE("127.0.0.1");
    if (text.len > 2 && text.at[0] == '[' && text.at[text.len - 1] == ']')
        text = (struct slice){text.at + 1, text.len - 2};
    return ip_parse(a, text);
}

static bool is_loopback(const unsigned char bytes[IP_BYTES])
{
    static const unsigned char mapped_127[13] = {[10] = 0xff, 0xff, IN_LOOPBACKNET};
    return memcmp(bytes, mapped_127, sizeof(mapped_127)) == 0 ||
           memcmp(bytes, &in6addr_loopback, IP_BYTES) == 0;
}

bool ip_is_loopback(const struct ip *a)
{
    return is_loopback(a->bytes);
}

bool ip_peer_is_loopback(const struct sockaddr *peer)
{
    unsigned char bytes[IP_BYTES];
    return ip_of_peer(peer, bytes) && is_loopback(bytes);
}

bool ip_of_peer(const struct sockaddr *peer, unsigned char bytes[IP_BYTES])
{
    if (peer->sa_family == AF_INET6)
        memcpy(bytes, &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr, IP_BYTES);
    else if (peer->sa_family == AF_INET)
        map_v4(&((const struct sockaddr_in *)(const void *)peer)->sin_addr, bytes);
    else
        return false;
    return true;
}
