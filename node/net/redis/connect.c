/* The way from nowhere to a Redis that can be worked with: DIAL, then GREET (link.c draws it). Read
 * from the end to the beginning, it is in the order of events. The greeting leaves at once as a
 * whole; its last command is INFO, or SSUBSCRIBE on a link that listens, and the answer to that is
 * the last word. */
#include <assert.h>
#include <stdio.h>

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
    if (!redis_reply_is_fit(reply, why))
        redis_lose(redis, why);
    else if (redis->channel == NULL)
        redis_come_up(redis);
}

/* One of several; the last one's answer is waited for. */
static void on_one_subscribed(enum err err, const struct redis_value *reply, void *arg)
{
    struct redis *redis = arg;
    char why[REDIS_WHY_MAX];
    struct slice words = redis_value_slice(reply);
    if (err != ERR_REPLY)
        return;
    if (!redis_reply_is_away(reply, why))
        snprintf(why, sizeof(why), "Redis answered SSUBSCRIBE with: %.*s",
                 (int)(words.len < 160 ? words.len : 160), words.at);
    redis_lose(redis, why);
}

static void on_subscribed(enum err err, const struct redis_value *reply, void *arg)
{
    on_one_subscribed(err, reply, arg);
    if (err == OK)
        redis_come_up(arg);
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
    redis_go(redis, REDIS_GREET);
    deadline_set(redis->loop, &redis->greeting, REDIS_CONNECT_TIMEOUT_MS);
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
    for (struct slice rest = slice_of(redis->channel != NULL ? redis->channel : "");
         rest.len > 0;) {
        args[0] = SLICE("SSUBSCRIBE");
        rest = slice_cut(rest, ' ', &args[1]);
        send_greeting(redis, args, 2, rest.len > 0 ? on_one_subscribed : on_subscribed);
    }
    wire_set_reading(&redis->wire, true);
}

/* ---- DIAL ---- */

static void on_dialed(enum err err, const struct dialed *dialed, void *arg)
{
    struct redis *redis = arg;
    redis->dial = NULL;
    if (err != OK) {
        redis_lose(redis, dialed->why);
        return;
    }
    wire_init(&redis->wire, redis->loop, dialed->fd, &redis_wire_events, redis);
    wire_set_tls(&redis->wire, dialed->ssl);
    greet(redis);
}

void redis_connect(void *arg)
{
    struct redis *redis = arg;
    struct dial_target target = {.host = redis->url.host,
                                 .port = redis->url.port,
                                 .path = redis->url.is_unix ? redis->url.path : NULL,
                                 .trust = redis->trust,
                                 .deadline_ms = REDIS_CONNECT_TIMEOUT_MS};
    redis_go(redis, REDIS_DIAL);
    redis->dial = dial(redis->loop, redis->resolver, &target, on_dialed, redis);
}
