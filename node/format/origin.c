#include "format/origin.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { HOST_MAX = 253, PORT_HTTP = 80, PORT_HTTPS = 443 };

static bool is_host_char(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '.' || c == '_';
}

static bool all_are(struct slice s, bool (*holds)(char c))
{
    for (size_t i = 0; i < s.len; i++)
        if (!holds(s.at[i]))
            return false;
    return s.len > 0;
}

/* What RFC 3986 lets stand in a path, without asking whether escapes are whole. */
static bool is_path_char(char c)
{
    return isalnum((unsigned char)c) || (c != '\0' && strchr("-._~!$&'()*+,;=:@%/", c) != NULL);
}

static char *lower_case(struct slice s)
{
    char *copy = mem_string(s);
    for (char *c = copy; *c != '\0'; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    return copy;
}

static bool is_address(int family, struct slice text)
{
    char copy[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (text.len == 0 || text.len >= sizeof(copy))
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    return inet_pton(family, copy, &address) == 1;
}

/* authority = host [":" port] | "[" IPv6 "]" [":" port]. Leaves host and port text, may be empty.
 */
static bool split_authority(struct slice authority, struct slice *host, struct slice *port)
{
    *port = SLICE_NONE;
    if (!slice_starts(authority, SLICE("["))) {
        size_t colon;
        bool has_port = slice_find(authority, ':', &colon);
        *port = slice_cut(authority, ':', host);
        return all_are(*host, is_host_char) && (!has_port || port->len > 0);
    }
    struct slice rest = slice_cut(slice_from(authority, 1), ']', host);
    if (!is_address(AF_INET6, *host))
        return false;
    bool is_closed = authority.len > host->len + 1;
    if (rest.len == 0)
        return is_closed;
    *port = slice_from(rest, 1);
    return rest.at[0] == ':' && port->len > 0;
}

static bool read_scheme(struct slice url, bool *is_tls, struct slice *rest)
{
    *is_tls = slice_starts_nocase(url, SLICE("https://"));
    if (!*is_tls && !slice_starts_nocase(url, SLICE("http://")))
        return false;
    *rest = slice_from(url, *is_tls ? 8 : 7);
    return true;
}

static bool read_authority(struct origin *origin, struct slice authority, const char **why)
{
    struct slice host, port_text;
    uint64_t port = origin->is_tls ? PORT_HTTPS : PORT_HTTP;
    size_t at;
    *why = "credentials do not belong into the URL; expected https://host[:port][/path]";
    if (slice_find(authority, '@', &at))
        return false;
    *why = "no valid host and port; expected https://host[:port][/path]";
    if (!split_authority(authority, &host, &port_text) || host.len > HOST_MAX)
        return false;
    *why = "no valid port; expected 1 to 65535";
    if (port_text.len > 0 && (!slice_number(port_text, UINT16_MAX, &port) || port == 0))
        return false;
    origin->host = lower_case(host);
    origin->port = (uint16_t)port;
    return true;
}

static bool read_path(struct origin *origin, struct slice path, const char **why)
{
    while (path.len > 0 && path.at[path.len - 1] == '/')
        path.len--;
    *why = "a path may not have blanks, a query or a fragment";
    if (path.len > 0 && !all_are(path, is_path_char))
        return false;
    *why = "ends in /v1, but that is part of every request's path already: leave it out";
    if (path.len >= 3 && slice_eq((struct slice){path.at + path.len - 3, 3}, SLICE("/v1")))
        return false;
    origin->path_prefix = mem_string(path);
    return true;
}

/* As the Host header wants it: brackets around IPv6, the port only if it is not the scheme's own.
 */
static char *make_authority(const struct origin *origin)
{
    char text[HOST_MAX + 16];
    bool is_v6 = strchr(origin->host, ':') != NULL;
    int len = snprintf(text, sizeof(text), is_v6 ? "[%s]" : "%s", origin->host);
    if (origin->port != (origin->is_tls ? PORT_HTTPS : PORT_HTTP))
        snprintf(text + len, sizeof(text) - (size_t)len, ":%u", (unsigned)origin->port);
    return mem_string(slice_of(text));
}

bool origin_parse(struct origin *origin, struct slice url, const char **why)
{
    struct slice rest, authority;
    origin_fini(origin);
    *why = "expected https://host[:port][/path] or http://...";
    if (!read_scheme(url, &origin->is_tls, &rest))
        return false;
    authority = rest;
    for (size_t i = 0; i < rest.len; i++)
        if (strchr("/?#", rest.at[i]) != NULL) {
            authority.len = i;
            break;
        }
    if (!read_authority(origin, authority, why) ||
        !read_path(origin, slice_from(rest, authority.len), why))
        return false;
    origin->authority = make_authority(origin);
    return true;
}

void origin_fini(struct origin *origin)
{
    free(origin->host);
    free(origin->authority);
    free(origin->path_prefix);
    *origin = (struct origin){0};
}

bool host_is_loopback(const char *host)
{
    struct in_addr v4;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
    struct in6_addr v6;
    if (inet_pton(AF_INET6, host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return strcmp(host, "localhost") == 0;
}

bool origin_is_local(const struct origin *origin)
{
    return host_is_loopback(origin->host);
}

char *host_address(struct slice text)
{
    if (slice_eq_nocase(text, SLICE("localhost")))
        return mem_string(SLICE("127.0.0.1"));
    if (text.len > 2 && text.at[0] == '[' && text.at[text.len - 1] == ']')
        text = (struct slice){text.at + 1, text.len - 2};
    if (is_address(AF_INET, text) || is_address(AF_INET6, text))
        return mem_string(text);
    return NULL;
}

static bool has_bits_beyond(const unsigned char *address, unsigned bits, unsigned prefix)
{
    for (unsigned bit = prefix; bit < bits; bit++)
        if ((address[bit / 8] & (0x80u >> (bit % 8))) != 0)
            return true;
    return false;
}

char *network_text(struct slice text, const char **why)
{
    unsigned char address[16];
    char name[INET6_ADDRSTRLEN], out[INET6_ADDRSTRLEN + 8];
    struct slice host;
    uint64_t prefix;
    struct slice length = slice_cut(text, '/', &host);
    bool is_v6 = is_address(AF_INET6, host);
    *why = "expected a network like \"10.0.0.0/8\" or an address";
    if ((!is_v6 && !is_address(AF_INET, host)) || (length.len == 0 && host.len != text.len))
        return NULL;
    uint64_t bits = is_v6 ? 128 : 32;
    prefix = bits;
    *why = "the number of bits is not valid: 0 to 32 for IPv4, to 128 for IPv6";
    if (length.len > 0 && !slice_number(length, bits, &prefix))
        return NULL;
    memcpy(name, host.at, host.len);
    name[host.len] = '\0';
    *why = "the address has bits beyond the network's; those must be zero";
    if (inet_pton(is_v6 ? AF_INET6 : AF_INET, name, address) != 1 ||
        has_bits_beyond(address, (unsigned)bits, (unsigned)prefix))
        return NULL;
    snprintf(out, sizeof(out), "%s/%u", name, (unsigned)prefix);
    return mem_string(slice_of(out));
}
