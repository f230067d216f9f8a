/* Read from the left: scheme, authority (up to the first of /?#), path. What an origin may not have
 * (credentials, a query, the /v1 that every request brings itself) has words of its own. */
#include "format/origin.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/ip.h"

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

/* authority = host [":" port] | "[" IPv6 "]" [":" port]. Leaves host and port as text; they
 * may be empty. */
static bool split_authority(struct slice authority, struct slice *host, struct slice *port)
{
    struct ip ip;
    *port = SLICE_NONE;
    if (!slice_starts(authority, SLICE("["))) {
        size_t colon;
        bool has_port = slice_find(authority, ':', &colon);
        *port = slice_cut(authority, ':', host);
        return all_are(*host, is_host_char) && (!has_port || port->len > 0);
    }
    struct slice rest = slice_cut(slice_from(authority, 1), ']', host);
    if (!ip_parse(&ip, *host) || !ip.is_v6)
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
    *why = "holds credentials, which do not belong into it";
    if (slice_find(authority, '@', &at))
        return false;
    *why = "no valid host and port";
    if (!split_authority(authority, &host, &port_text) || host.len > HOST_MAX)
        return false;
    *why = "the port is not a number from 1 to 65535";
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
    *why = "the path has blanks, a query or a fragment";
    if (path.len > 0 && !all_are(path, is_path_char))
        return false;
    *why = "ends in /v1, which the path of every request brings itself";
    if (path.len >= 3 && slice_eq((struct slice){path.at + path.len - 3, 3}, SLICE("/v1")))
        return false;
    origin->path_prefix = mem_string(path);
    return true;
}

/* As the Host header wants it: brackets around IPv6, the port only if not the scheme's own. */
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
    struct origin made = {0};
    struct slice rest, authority;
    *why = "does not begin with https:// or http://";
    if (!read_scheme(url, &made.is_tls, &rest))
        return false;
    authority = rest;
    for (size_t i = 0; i < rest.len; i++)
        if (strchr("/?#", rest.at[i]) != NULL) {
            authority.len = i;
            break;
        }
    if (!read_authority(&made, authority, why) ||
        !read_path(&made, slice_from(rest, authority.len), why)) {
        origin_fini(&made);
        return false;
    }
    made.authority = make_authority(&made);
    origin_fini(origin);
    *origin = made;
    return true;
}

void origin_fini(struct origin *origin)
{
    free(origin->host);
    free(origin->authority);
    free(origin->path_prefix);
    *origin = (struct origin){0};
}

bool origin_is_local(const struct origin *origin)
{
    struct ip ip;
    return ip_parse_host(&ip, slice_of(origin->host)) && ip_is_loopback(&ip);
}
