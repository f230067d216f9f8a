#include "auth/access.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct network {
    unsigned char bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;
};

struct networks {
    size_t count;
    struct network items[];
};

static void map_v4(const void *v4, unsigned char bytes[16])
{
    memset(bytes, 0, 10);
    memset(bytes + 10, 0xff, 2);
    memcpy(bytes + 12, v4, 4);
}

static bool parse(const char *text, struct network *n)
{
    char address[64];
    unsigned char v4[4];
    uint64_t bits;
    struct slice head, tail = slice_cut(slice_of(text), '/', &head);
    if (head.len >= sizeof(address))
        return false;
    memcpy(address, head.at, head.len);
    address[head.len] = '\0';
    bool is_v4 = inet_pton(AF_INET, address, v4) == 1;
    if (is_v4)
        map_v4(v4, n->bytes);
    else if (inet_pton(AF_INET6, address, n->bytes) != 1)
        return false;
    if (head.len == strlen(text)) /* one address */
        bits = is_v4 ? 32 : 128;
    else if (!slice_number(tail, is_v4 ? 32 : 128, &bits))
        return false;
    n->bits = (unsigned)bits + (is_v4 ? 96 : 0);
    return true;
}

struct networks *networks_new(char *const *texts, const char **bad)
{
    size_t count = 0;
    while (texts != NULL && texts[count] != NULL)
        count++;
    struct networks *networks = mem_new(sizeof(*networks) + count * sizeof(networks->items[0]));
    networks->count = count;
    for (size_t i = 0; i < count; i++)
        if (!parse(texts[i], &networks->items[i])) {
            *bad = texts[i];
            free(networks);
            return NULL;
        }
    return networks;
}

void networks_free(struct networks *networks)
{
    free(networks);
}

static bool matches(const struct network *n, const unsigned char address[16])
{
    unsigned whole = n->bits / 8, rest = n->bits % 8;
    if (memcmp(n->bytes, address, whole) != 0)
        return false;
    return rest == 0 || ((n->bytes[whole] ^ address[whole]) >> (8 - rest)) == 0;
}

bool networks_have(const struct networks *networks, const struct sockaddr *address)
{
    unsigned char bytes[16];
    if (address->sa_family == AF_INET6)
        memcpy(bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
    else if (address->sa_family == AF_INET)
        map_v4(&((const struct sockaddr_in *)(const void *)address)->sin_addr, bytes);
    else
        return false;
    for (size_t i = 0; i < networks->count; i++)
        if (matches(&networks->items[i], bytes))
            return true;
    return false;
}

bool access_is_proxy_sign(struct slice header_name)
{
    static const struct slice signs[] = {
        {"cf-*", 4},      {"x-forwarded-*", 13},  {"forwarded", 9}, {"via", 3},
        {"x-real-ip", 9}, {"true-client-ip", 14}, {"cdn-loop", 8},
    };
    return slice_matches(header_name, signs, sizeof(signs) / sizeof(signs[0]));
}

static bool came_through_a_proxy(const struct http1_request *r)
{
    for (unsigned i = 0; i < r->header_count; i++)
        if (access_is_proxy_sign(r->headers[i].name))
            return true;
    return false;
}

bool access_is_local(const struct networks *trusted, const struct sockaddr *peer,
                     const struct http1_request *request)
{
    return networks_have(trusted, peer) && !came_through_a_proxy(request);
}

bool access_to_proxy(const struct config *config, bool is_local)
{
    return is_local || config->is_auth_open;
}

bool access_to_admin(const struct config *config, bool is_local,
                     const struct http1_request *request)
{
    const struct http1_header *h;
    if (!secret_is_set(&config->admin_token))
        return is_local;
    h = http1_header(request->headers, request->header_count, SLICE("x-admin-token"));
    if (h != NULL)
        return secret_equals(&config->admin_token, h->value);
    h = http1_header(request->headers, request->header_count, SLICE("authorization"));
    return h != NULL && slice_starts_nocase(h->value, SLICE("bearer ")) &&
           secret_equals(&config->admin_token, slice_trim(slice_from(h->value, 7)));
}
