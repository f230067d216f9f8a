/* Read from the left: the scheme's row says which grammar follows. Credentials end at the last '@'
 * before the path. What is kept is decoded; nothing refers to the text it came from. */
#include "format/redis_url.h"

#include <stdio.h>
#include <string.h>

static const struct {
    struct slice scheme;
    const char *why_not; /* NULL: spoken here */
    bool is_unix, is_tls;
} schemes[] = {
    {SLICE("redis://"), NULL, false, false},
    {SLICE("rediss://"), NULL, false, true},
    {SLICE("unix://"), NULL, true, false},
    {SLICE("redis+sentinel://"), "redis+sentinel:// is not supported", false, false},
    {SLICE("redis+cluster://"), "redis+cluster:// is not supported", false, false},
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Percent-decode into out[cap], NUL-terminated. False: bad escape, a NUL, or too long. */
static bool decode(struct slice in, char *out, size_t cap, size_t *len)
{
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        int c = (unsigned char)in.at[i];
        if (c == '%') {
            int high = i + 2 < in.len ? hex_digit(in.at[i + 1]) : -1;
            int low = i + 2 < in.len ? hex_digit(in.at[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = high * 16 + low;
            i += 2;
        }
        if (c == '\0' || n + 1 >= cap)
            return false;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    *len = n;
    return true;
}

/* [user][:password], already without its '@'. */
static bool parse_credentials(struct redis_url *url, struct slice text, const char **why)
{
    char password[1024];
    struct slice user;
    size_t len, colon;
    bool has_password = slice_find(text, ':', &colon);
    struct slice encoded = slice_cut(text, ':', &user);
    if (!has_password || encoded.len == 0) {
        *why = "a password is missing before '@' ([user]:password@)";
        return false;
    }
    if (!decode(user, url->user, sizeof(url->user), &len)) {
        *why = "the user name is too long or holds a bad percent escape";
        return false;
    }
    if (!decode(encoded, password, sizeof(password), &len)) {
        *why = "the password is too long or holds a bad percent escape";
        return false;
    }
    secret_set(&url->password, (struct slice){password, len});
    explicit_bzero(password, sizeof(password));
    return true;
}

/* Takes "credentials@" off the front of `text`. The last '@' counts, so a forgotten escape of one
 * in a password does no harm. */
static bool take_credentials(struct redis_url *url, struct slice *text, const char **why)
{
    const char *at = text->len > 0 ? memrchr(text->at, '@', text->len) : NULL;
    if (at == NULL)
        return true;
    struct slice credentials = {text->at, (size_t)(at - text->at)};
    *text = slice_from(*text, credentials.len + 1);
    return parse_credentials(url, credentials, why);
}

static bool parse_database(struct redis_url *url, struct slice text, const char **why)
{
    uint64_t number;
    if (!slice_number(text, REDIS_DATABASE_MAX, &number)) {
        *why = "the database is not a number from 0 to 65535";
        return false;
    }
    url->database = (unsigned)number;
    return true;
}

static bool parse_unix(struct redis_url *url, struct slice text, const char **why)
{
    struct slice path, query;
    size_t len, mark;
    bool has_query = slice_find(text, '?', &mark);
    query = slice_cut(text, '?', &path);
    size_t slash;
    if (!slice_find(path, '/', &slash)) {
        *why = "the socket's path must be absolute: unix:///path/of/socket";
        return false;
    }
    struct slice front = {path.at, slash};
    if (!take_credentials(url, &front, why))
        return false;
    if (front.len > 0) {
        *why = "the socket's path must be absolute: unix:///path/of/socket";
        return false;
    }
    if (!decode(slice_from(path, slash), url->path, sizeof(url->path), &len)) {
        *why = "the socket's path is longer than 107 bytes or holds a bad percent escape";
        return false;
    }
    if (has_query && !slice_starts(query, SLICE("db="))) {
        *why = "unknown parameter: only ?db=N is known";
        return false;
    }
    return !has_query || parse_database(url, slice_from(query, 3), why);
}

static bool is_host_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '-' || c == '_' || c == ':';
}

static bool set_host(struct redis_url *url, struct slice host, const char **why)
{
    bool is_good = host.len > 0 && host.len <= REDIS_HOST_MAX;
    for (size_t i = 0; i < host.len && is_good; i++)
        is_good = is_host_byte(host.at[i]);
    if (!is_good) {
        *why = host.len == 0 ? "the host name is missing" : "the host name is not valid";
        return false;
    }
    memcpy(url->host, host.at, host.len);
    url->host[host.len] = '\0';
    return true;
}

static bool parse_host(struct redis_url *url, struct slice text, const char **why)
{
    struct slice host, port;
    size_t at;
    bool has_port;
    if (slice_starts(text, SLICE("["))) {
        if (!slice_find(text, ']', &at)) {
            *why = "']' is missing behind the IPv6 address";
            return false;
        }
        host = (struct slice){text.at + 1, at - 1};
        port = slice_from(text, at + 1);
        has_port = port.len > 0;
        if (has_port && port.at[0] != ':') {
            *why = "only a port may follow ']'";
            return false;
        }
        port = slice_from(port, 1);
    } else {
        has_port = slice_find(text, ':', &at);
        port = slice_cut(text, ':', &host);
    }
    uint64_t number = 6379;
    if (has_port && (!slice_number(port, 65535, &number) || number == 0)) {
        *why = "the port is not a number from 1 to 65535";
        return false;
    }
    url->port = (uint16_t)number;
    return set_host(url, host, why);
}

static bool parse_ca_file(struct redis_url *url, struct slice query, const char **why)
{
    size_t len;
    if (!url->is_tls || !slice_starts(query, SLICE("ca_file="))) {
        *why = url->is_tls ? "unknown parameter: only ?ca_file=/path is known"
                           : "parameters are not supported here ('?' in a password: %3F)";
        return false;
    }
    if (!decode(slice_from(query, sizeof("ca_file=") - 1), url->ca_file, sizeof(url->ca_file),
                &len) ||
        url->ca_file[0] != '/') {
        *why = "ca_file is not an absolute path, too long, or holds a bad percent escape";
        return false;
    }
    return true;
}

static bool parse_tcp(struct redis_url *url, struct slice text, const char **why)
{
    struct slice place, database, rest, query;
    size_t mark;
    bool has_query = slice_find(text, '?', &mark);
    query = slice_cut(text, '?', &rest);
    if (has_query && !parse_ca_file(url, query, why))
        return false;
    database = slice_cut(rest, '/', &place);
    if (!take_credentials(url, &place, why) || !parse_host(url, place, why))
        return false;
    return database.len == 0 || parse_database(url, database, why);
}

bool redis_url_parse(struct redis_url *url, struct slice text, const char **why)
{
    *url = (struct redis_url){0};
    if (text.len > REDIS_URL_MAX) {
        *why = "longer than 2048 bytes";
        return false;
    }
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (!slice_starts_nocase(text, schemes[i].scheme))
            continue;
        *why = schemes[i].why_not;
        if (*why != NULL)
            return false;
        struct slice rest = slice_from(text, schemes[i].scheme.len);
        url->is_unix = schemes[i].is_unix;
        url->is_tls = schemes[i].is_tls;
        bool is_good = url->is_unix ? parse_unix(url, rest, why) : parse_tcp(url, rest, why);
        if (!is_good)
            redis_url_fini(url);
        return is_good;
    }
    *why = "does not begin with redis://, rediss:// or unix://";
    return false;
}

void redis_url_fini(struct redis_url *url)
{
    secret_fini(&url->password);
}

void redis_url_place(const struct redis_url *url, char *out)
{
    if (url->is_unix)
        snprintf(out, REDIS_PLACE_MAX, "%s", url->path);
    else
        snprintf(out, REDIS_PLACE_MAX, strchr(url->host, ':') != NULL ? "[%s]:%u" : "%s:%u",
                 url->host, (unsigned)url->port);
}

bool redis_url_is_set(const struct redis_url *url)
{
    return url->host[0] != '\0' || url->path[0] != '\0';
}

void redis_url_copy(struct redis_url *to, const struct redis_url *from)
{
    *to = *from;
    to->password = (struct secret){0};
    if (secret_is_set(&from->password))
        secret_set(&to->password, secret_reveal(&from->password));
}
