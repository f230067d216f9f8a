/* redis_url.h - where a Redis is and how to enter it, read from one URL.
 *
 *     redis://[[user]:password@]host[:port][/db]
 *     rediss://[[user]:password@]host[:port][/db][?ca_file=/path]      over TLS
 *     unix://[[user]:password@]/path/of/socket[?db=N]
 *
 * User, password and path may be percent-encoded. Nothing is ignored: what is not understood is an
 * error that says so. A value: whoever holds one frees it with redis_url_fini(). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/secret.h"
#include "base/slice.h"

enum {
    REDIS_URL_MAX = 2048,
    REDIS_PATH_MAX = 107, /* what a sockaddr_un holds, without its NUL */
    REDIS_HOST_MAX = 255,
    REDIS_USER_MAX = 255,
    REDIS_CA_FILE_MAX = 1023,
    REDIS_DATABASE_MAX = 65535
};

struct redis_url {
    bool is_unix;
    bool is_tls;
    char host[REDIS_HOST_MAX + 1]; /* without brackets for IPv6 */
    uint16_t port;
    char path[REDIS_PATH_MAX + 1];
    char user[REDIS_USER_MAX + 1]; /* "": none */
    struct secret password;
    char ca_file[REDIS_CA_FILE_MAX + 1]; /* "": the system's */
    unsigned database;
};

/* False: *why (a static string) says what is wrong, and nothing is held. */
MUST_USE bool redis_url_parse(struct redis_url *url, struct slice text, const char **why);
bool redis_url_is_set(const struct redis_url *url); /* false: a zeroed one, never parsed */
/* *to holds nothing before, and a password of its own afterwards. */
void redis_url_copy(struct redis_url *to, const struct redis_url *from);
void redis_url_fini(struct redis_url *url);

/* "host:port" or the socket's path: fit for logs. */
enum { REDIS_PLACE_MAX = REDIS_HOST_MAX + 16 };
void redis_url_place(const struct redis_url *url, char *out); /* out[REDIS_PLACE_MAX] */
