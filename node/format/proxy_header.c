/* A connection's first bytes decide which version it is. */
#include "format/proxy_header.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

enum {
    LINE_MAX_BYTES = 107, /* version 1, with its CR LF */
    FIXED_BYTES = 16,     /* version 2, before the addresses */
    VERSION_2 = 0x20,     /* the upper half of a byte; the lower is the command */
    COMMAND_LOCAL = 0,    /* the balancer's own connection: a check */
    COMMAND_PROXY = 1,    /* in a caller's name */
    FAMILY_NONE = 0x00,   /* family and transport, where they matter: */
    FAMILY_TCP4 = 0x11,
    FAMILY_TCP6 = 0x21,
    FAMILY_UNIX = 0x31,
    TCP4_BYTES = 12, /* two addresses, two ports */
    TCP6_BYTES = 36
};

static const struct slice line_start = SLICE_ROW("PROXY ");
static const struct slice signature = SLICE_ROW("\r\n\r\n\0\r\nQUIT\n");

static void set_ipv4(struct proxy_told *told, const void *address, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    memcpy(&in.sin_addr, address, sizeof(in.sin_addr));
    memcpy(&told->peer, &in, sizeof(in));
    told->peer_len = sizeof(in);
    told->has_peer = true;
}

static void set_ipv6(struct proxy_told *told, const void *address, uint16_t port)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    memcpy(&in6.sin6_addr, address, sizeof(in6.sin6_addr));
    memcpy(&told->peer, &in6, sizeof(in6));
    told->peer_len = sizeof(in6);
    told->has_peer = true;
}

/* ---- version 1: "PROXY TCP4 192.0.2.1 192.0.2.9 51000 8080\r\n" ---- */

static bool read_address(int family, struct slice text, unsigned char to[16])
{
    char copy[INET6_ADDRSTRLEN];
    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.at, '\0', text.len) != NULL)
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    return inet_pton(family, copy, to) == 1;
}

static bool read_words(struct slice line, struct proxy_told *told)
{
    unsigned char source[16], target[16];
    uint64_t source_port, target_port;
    struct slice words[5];
    struct slice rest = line;
    for (unsigned i = 0; i < 5; i++)
        rest = slice_cut(rest, ' ', &words[i]);
    if (slice_eq(words[0], SLICE("UNKNOWN")))
        return true;
    bool is_v4 = slice_eq(words[0], SLICE("TCP4"));
    int family = is_v4 ? AF_INET : AF_INET6;
    if ((!is_v4 && !slice_eq(words[0], SLICE("TCP6"))) || rest.len > 0 ||
        !read_address(family, words[1], source) || !read_address(family, words[2], target) ||
        !slice_number(words[3], UINT16_MAX, &source_port) ||
        !slice_number(words[4], UINT16_MAX, &target_port))
        return false;
    if (is_v4)
        set_ipv4(told, source, (uint16_t)source_port);
    else
        set_ipv6(told, source, (uint16_t)source_port);
    return true;
}

static enum proxy_header read_line(struct slice bytes, struct proxy_told *told)
{
    size_t end;
    struct slice window = bytes;
    if (window.len > LINE_MAX_BYTES)
        window.len = LINE_MAX_BYTES;
    if (!slice_find(window, '\n', &end))
        return bytes.len < LINE_MAX_BYTES ? PROXY_HEADER_MORE : PROXY_HEADER_BAD;
    if (end < line_start.len || bytes.at[end - 1] != '\r')
        return PROXY_HEADER_BAD;
    struct slice line = {bytes.at + line_start.len, end - 1 - line_start.len};
    told->len = end + 1;
    return read_words(line, told) ? PROXY_HEADER_DONE : PROXY_HEADER_BAD;
}

/* ---- version 2 ---- */

static uint16_t number_at(const unsigned char *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static bool read_addresses(unsigned family, const unsigned char *at, size_t len,
                           struct proxy_told *told)
{
    switch (family) {
    case FAMILY_TCP4:
        if (len < TCP4_BYTES)
            return false;
        set_ipv4(told, at, number_at(at + 8));
        return true;
    case FAMILY_TCP6:
        if (len < TCP6_BYTES)
            return false;
        set_ipv6(told, at, number_at(at + 32));
        return true;
    case FAMILY_NONE:
    case FAMILY_UNIX:
        return true;
    default:
        return false; /* a datagram, or nothing that is known */
    }
}

static enum proxy_header read_binary(struct slice bytes, struct proxy_told *told)
{
    const unsigned char *at = (const unsigned char *)bytes.at;
    if (bytes.len < FIXED_BYTES)
        return PROXY_HEADER_MORE;
    unsigned command = at[12] & 0x0fU;
    size_t len = number_at(at + 14);
    if ((at[12] & 0xf0U) != VERSION_2 || command > COMMAND_PROXY ||
        len > PROXY_HEADER_MAX - FIXED_BYTES)
        return PROXY_HEADER_BAD;
    if (bytes.len < FIXED_BYTES + len)
        return PROXY_HEADER_MORE;
    told->len = FIXED_BYTES + len;
    if (command == COMMAND_LOCAL)
        return PROXY_HEADER_DONE;
    return read_addresses(at[13], at + FIXED_BYTES, len, told) ? PROXY_HEADER_DONE
                                                               : PROXY_HEADER_BAD;
}

/* Whether it begins so, as far as it goes. */
static bool agrees(struct slice bytes, struct slice start)
{
    size_t len = bytes.len < start.len ? bytes.len : start.len;
    return memcmp(bytes.at, start.at, len) == 0;
}

enum proxy_header proxy_header_read(struct slice bytes, struct proxy_told *told)
{
    *told = (struct proxy_told){0};
    if (bytes.len == 0)
        return PROXY_HEADER_MORE;
    if (agrees(bytes, signature))
        return read_binary(bytes, told);
    if (agrees(bytes, line_start))
        return bytes.len < line_start.len ? PROXY_HEADER_MORE : read_line(bytes, told);
    return PROXY_HEADER_OTHER;
}
