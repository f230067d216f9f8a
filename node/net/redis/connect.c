/* redis_connect.c - the way from nowhere to a Redis that can be worked with: RESOLVE, CONNECT,
 * SECURE, GREET (redis.c draws it). Read from the end to the beginning, it is in the order of
 * events. */
#include <assert.h>
#include <errno.h>
#include <event2/util.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/redis/link_priv.h"
#include "net/redis/value.h"

enum { GREETING_ARGS_MAX = 3 };

/* ---- GREET ---- */

/* The words of an error reply to AUTH are not repeated: what does not know AUTH quotes its
 * arguments. */
static void on_auth(enum err err, const struct redis_value *reply, void *arg)
{
    char why[REDIS_WHY_MAX];
    if (err != ERR_REPLY)
        return;
    if (!redis_reply_is_away(reply, why))
        snprintf(why, sizeof(why), "Redis refused the user name or password of redis.url");
    redis_lose(arg, why);
}

static void on_select(enum err err, const struct redis_value *reply, void *arg)
{
    struct redis *redis = arg;
    char why[REDIS_WHY_MAX];
    struct slice words = redis_value_slice(reply);
    if (err != ERR_REPLY)
        return;
    if (!redis_reply_is_away(reply, why))
        snprintf(why, sizeof(why), "database %u cannot be used: %.*s", redis->url.database,
                 (int)(words.len < 160 ? words.len : 160), words.at);
    redis_lose(redis, why);
}

static void on_info(enum err err, const struct redis_value *reply, void *arg)
{
    struct redis *redis = arg;
    char why[REDIS_WHY_MAX];
    if (err == ERR_STATE_DOWN)
        return;
    if (redis_reply_is_fit(reply, why))
        redis_come_up(redis);
    else
        redis_lose(redis, why);
}

static void send_greeting(struct redis *redis, const struct slice *args, size_t count, redis_fn fn)
{
    struct redis_waiting waiting = {.on_reply = fn, .arg = redis, .since_ns = clock_ns()};
    bool is_sent = redis_send(redis, args, count, waiting);
    assert(is_sent); /* the first commands of a connection always fit */
}

static void greet(struct redis *redis)
{
    char database[16];
    struct slice args[GREETING_ARGS_MAX];
    redis->step = REDIS_GREET;
    redis->reader = redisReaderCreate();
    assert(redis->reader != NULL);
    if (secret_is_set(&redis->url.password)) {
        size_t n = 0;
        args[n++] = SLICE("AUTH");
        if (redis->url.user[0] != '\0')
            args[n++] = slice_of(redis->url.user);
        args[n++] = secret_reveal(&redis->url.password);
        send_greeting(redis, args, n, on_auth);
    }
    if (redis->url.database != 0) {
        snprintf(database, sizeof(database), "%u", redis->url.database);
        args[0] = SLICE("SELECT");
        args[1] = slice_of(database);
        send_greeting(redis, args, 2, on_select);
    }
    args[0] = SLICE("INFO");
    send_greeting(redis, args, 1, on_info);
    wire_set_reading(&redis->wire, true);
}

/* ---- CONNECT, SECURE ---- */

static void secure(struct redis *redis)
{
    char why[TLS_WHY_MAX];
    redis->step = REDIS_SECURE;
    if (redis->tls == NULL)
        redis->tls =
            tls_client_context(redis->url.ca_file[0] != '\0' ? redis->url.ca_file : NULL, why);
    if (redis->tls == NULL) {
        redis_lose(redis, why);
        return;
    }
    SSL *ssl = tls_client_new(redis->tls, redis->wire.fd, redis->url.host, NULL);
    if (ssl == NULL)
        redis_lose(redis, "a TLS connection could not be made ready");
    else
        wire_start_tls(&redis->wire, ssl);
}

void redis_on_drained(void *arg)
{
    struct redis *redis = arg;
    if (redis->step == REDIS_CONNECT && redis->url.is_tls)
        secure(redis);
    else if (redis->step == REDIS_CONNECT || redis->step == REDIS_SECURE)
        greet(redis);
}

/* -1: errno says why. */
static int open_socket(const struct address *address)
{
    int family = address->storage.ss_family, on = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (family != AF_UNIX) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    }
    if (connect(fd, (const struct sockaddr *)&address->storage, address->len) == 0 ||
        errno == EINPROGRESS)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* Try the addresses that are left; when none is, the attempt has failed for the reason in `why`. */
void redis_connect_next(struct redis *redis)
{
    redis->step = REDIS_CONNECT;
    redis_close_wire(redis);
    while (redis->address_next < redis->address_count) {
        int fd = open_socket(&redis->addresses[redis->address_next++]);
        if (fd >= 0) {
            wire_init(&redis->wire, redis->loop, fd, NULL, &redis_wire_events, redis);
            wire_await_connect(&redis->wire);
            redis->is_wired = true;
            return;
        }
        evutil_snprintf(redis->why, sizeof(redis->why), "cannot connect: %s",
                        evutil_socket_error_to_string(errno));
    }
    char why[REDIS_WHY_MAX];
    memcpy(why, redis->why, sizeof(why));
    redis_lose(redis, why);
}

/* ---- RESOLVE ---- */

static void on_resolved(enum err err, const struct address *addresses, size_t count, void *arg)
{
    struct redis *redis = arg;
    redis->lookup = NULL;
    if (err != OK) {
        redis_lose(redis, "its host name could not be resolved");
        return;
    }
    memcpy(redis->addresses, addresses, count * sizeof(*addresses));
    redis->address_count = count;
    redis->address_next = 0;
    redis_connect_next(redis);
}

void redis_connect(void *arg)
{
    struct redis *redis = arg;
    redis->step = REDIS_RESOLVE;
    deadline_set(redis->loop, &redis->attempt, REDIS_CONNECT_TIMEOUT_MS);
    if (!redis->url.is_unix) {
        redis->lookup = resolver_lookup(redis->resolver, slice_of(redis->url.host), redis->url.port,
                                        on_resolved, redis);
        return;
    }
    struct sockaddr_un *path = (struct sockaddr_un *)&redis->addresses[0].storage;
    *path = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(path->sun_path, redis->url.path, strlen(redis->url.path) + 1);
    redis->addresses[0].len = sizeof(*path);
    redis->address_count = 1;
    redis->address_next = 0;
    redis_connect_next(redis);
}
