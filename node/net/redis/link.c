/* The life of one link.
 *
 *     AWAY --retry--> DIAL --> GREET --> UP
 *      ^               |         |        |
 *      +---------------+---------+--------+    redis_lose(why): from anywhere
 *
 *     DIAL     name, address, TCP or Unix socket, TLS                    redis_connect
 *     GREET    AUTH, SELECT, INFO: is this a server to work with?        greet, on_info
 *              SSUBSCRIBE, if it is to listen                            on_subscribed
 *     UP       calls are taken, or messages                              redis_come_up
 *
 * redis_lose() moves every call on its way to `failed`; those callbacks run later in the turn,
 * because redis_lose() may itself be called from one. Nothing else ends a call but its answer. */
#include "net/redis/link.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/tiny.h"
#include "net/redis/command.h"
#include "net/redis/link_priv.h"
#include "net/redis/value.h"

enum {
    TICK_MS = 250,
    STOOD_STILL_MS = 1000, /* between two ticks: then lateness says nothing about Redis */
    QUIET_TICKS_MAX = 4,
    STEADY_MS = 2000, /* up for so long: the next loss starts with the first backoff again */
    READ_BYTES = TINY(16384, 7),
    REPLY_MIB_MAX = 64,
    MESSAGE_MIB_MAX = 1, /* on a channel, where anybody may publish */
    OUT_BYTES_MAX = 4 << 20,
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MAX_MS = 2000
};

static const struct {
    const char *word;
    unsigned to;
} steps[] = {
#define X(step, word, to) [REDIS_##step] = {word, to},
    REDIS_STEP_TABLE(X)
#undef X
};

void redis_go(struct redis *redis, enum redis_step step)
{
    assert((steps[redis->step].to & (1U << step)) != 0);
    if (log_begin(LOG_DEBUG, "redis link")) {
        log_string("redis", redis->place);
        log_string("from", steps[redis->step].word);
        log_string("to", steps[step].word);
        log_end();
    }
    redis->step = step;
}

/* ---- the end of calls ---- */

static void call_back(struct redis *redis, const struct redis_waiting *waiting, enum err err,
                      const struct redis_value *reply)
{
    bool was_calling_back = redis->is_calling_back;
    if (waiting->on_reply == NULL)
        return;
    redis->is_calling_back = true;
    waiting->on_reply(err, reply, waiting->arg);
    redis->is_calling_back = was_calling_back;
}

static void fail_calls(void *arg)
{
    struct redis *redis = arg;
    struct redis_waiting waiting;
    for (size_t left = redis->failed.count; left > 0; left--)
        if (redis_queue_pop(&redis->failed, &waiting))
            call_back(redis, &waiting, ERR_STATE_DOWN, NULL);
    if (redis->owes_on_down) {
        redis->owes_on_down = false;
        if (redis->events.on_down != NULL)
            redis->events.on_down(redis->events.arg);
    }
    if (redis->failed.count > 0)
        loop_defer(redis->loop, &redis->give_up);
}

/* ---- losing the connection ---- */

static void drop_connection(struct redis *redis)
{
    dial_cancel(redis->dial);
    redis->dial = NULL;
    deadline_clear(&redis->greeting);
    wire_close(&redis->wire);
    if (redis->reader != NULL)
        redisReaderFree(redis->reader);
    redis->reader = NULL;
    buf_fini(&redis->out);
    loop_task_cancel(&redis->flush);
}

static bool log_change(const struct redis *redis, bool is_up)
{
    static const char *const words[][2] = {{"redis is away", "redis is back"},
                                           {"redis channel is away", "redis channel is back"}};
    if (!log_begin(is_up ? LOG_INFO : LOG_WARN, words[redis->channel != NULL][is_up]))
        return false;
    log_string("redis", redis->place);
    return true;
}

static void note_away(struct redis *redis)
{
    if (redis->is_known_away)
        return;
    redis->is_known_away = true;
    redis->owes_on_down = true;
    redis->away_ms = clock_ms();
    loop_defer(redis->loop, &redis->give_up);
    if (redis->metrics != NULL)
        metrics_set(redis->metrics, GAUGE_REDIS_UP, 0);
    if (log_change(redis, false)) {
        log_string("reason", redis->why);
        log_end();
    }
}

/* Half of the backoff is certain, half is chance, so that nodes do not come back in step. */
static uint64_t next_backoff_ms(struct redis *redis)
{
    uint32_t chance = 0;
    if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) < 0)
        chance = (uint32_t)clock_ns();
    uint64_t half_ms = redis->backoff_ms / 2;
    redis->backoff_ms *= 2;
    if (redis->backoff_ms > BACKOFF_MAX_MS)
        redis->backoff_ms = BACKOFF_MAX_MS;
    return half_ms + chance % (half_ms + 1);
}

void redis_come_up(struct redis *redis)
{
    redis_go(redis, REDIS_UP);
    redis->up_ms = clock_ms();
    redis->why[0] = '\0';
    deadline_clear(&redis->greeting);
    if (redis->metrics != NULL)
        metrics_set(redis->metrics, GAUGE_REDIS_UP, 1);
    if (redis->is_known_away && log_change(redis, true)) {
        log_number("away_ms", redis->up_ms - redis->away_ms);
        log_end();
    }
    redis->is_known_away = false;
    if (redis->events.on_up != NULL)
        redis->events.on_up(redis->events.arg);
}

void redis_lose(struct redis *redis, const char *why)
{
    struct redis_waiting waiting;
    snprintf(redis->why, sizeof(redis->why), "%s", why);
    drop_connection(redis);
    while (redis_queue_pop(&redis->sent, &waiting))
        if (!redis_queue_push(&redis->failed, waiting))
            call_back(redis, &waiting, ERR_STATE_DOWN, NULL);
    if (redis->failed.count > 0)
        loop_defer(redis->loop, &redis->give_up);

    if (redis->step == REDIS_UP && clock_ms() - redis->up_ms >= STEADY_MS)
        redis->backoff_ms = BACKOFF_FIRST_MS;
    redis_go(redis, REDIS_AWAY);
    note_away(redis);
    deadline_set(redis->loop, &redis->retry, next_backoff_ms(redis));
}

static void on_greeting_late(void *arg)
{
    char why[REDIS_WHY_MAX];
    snprintf(why, sizeof(why), "Redis did not answer its greeting within %d ms",
             REDIS_CONNECT_TIMEOUT_MS);
    redis_lose(arg, why);
}

/* ---- sending ---- */

static void flush(void *arg)
{
    struct redis *redis = arg;
    struct slice bytes = buf_slice(&redis->out);
    if (bytes.len == 0)
        return;
    struct iovec piece = wire_vector(bytes);
    wire_write(&redis->wire, &piece, 1); /* a failure shows as on_closed, from the loop */
    buf_clear(&redis->out);
}

bool redis_send(struct redis *redis, const struct slice *args, size_t count,
                struct redis_waiting waiting)
{
    if (redis->sent.count >= REDIS_QUEUE_MAX || !redis_command_put(&redis->out, args, count))
        return false;
    loop_defer(redis->loop, &redis->flush);
    redis->quiet_ticks = 0;
    return redis_queue_push(&redis->sent, waiting);
}

void redis_call(struct redis *redis, const struct slice *args, size_t count, redis_fn on_reply,
                void *arg)
{
    struct redis_waiting waiting = {.on_reply = on_reply, .arg = arg, .since_ns = clock_ns()};
    assert(redis->channel == NULL);
    if (redis->metrics != NULL)
        metrics_add(redis->metrics, COUNT_REDIS_CALLS, 1);
    if (redis->step == REDIS_UP && redis_send(redis, args, count, waiting))
        return;
    bool is_queued = redis_queue_push(&redis->failed, waiting);
    assert(is_queued); /* callers bound what they have open far below this */
    loop_defer(redis->loop, &redis->give_up);
}

/* ---- receiving ---- */

static void take_reply(struct redis *redis, const struct redis_value *reply)
{
    struct redis_waiting waiting;
    char why[REDIS_WHY_MAX];
    if (!redis_queue_pop(&redis->sent, &waiting)) {
        redis_lose(redis, "Redis sent a reply nobody asked for");
        return;
    }
    if (redis->metrics != NULL && redis->step == REDIS_UP)
        metrics_observe(redis->metrics, HISTOGRAM_REDIS, clock_ns() - waiting.since_ns);
    if (redis->step == REDIS_UP && redis_reply_is_away(reply, why)) {
        redis_lose(redis, why);
        call_back(redis, &waiting, ERR_STATE_DOWN, NULL);
        return;
    }
    call_back(redis, &waiting, redis_value_is_error(reply) ? ERR_REPLY : OK, reply);
}

/* What comes from the channel answers nothing. False: it is an answer. */
static bool take_message(struct redis *redis, const struct redis_value *message)
{
    struct slice kind = redis_value_slice(redis_value_at(message, 0));
    if (redis->channel == NULL)
        return false;
    if (slice_eq(kind, SLICE("sunsubscribe"))) { /* the channel has moved to another server */
        redis_lose(redis, "Redis has ended the subscription");
        return true;
    }
    if (!slice_eq(kind, SLICE("smessage")))
        return false;
    redis->is_calling_back = true;
    redis->events.on_message(redis_value_slice(redis_value_at(message, 2)), redis->events.arg);
    redis->is_calling_back = false;
    return true;
}

static bool is_too_much(struct redis *redis)
{
    size_t mib_max = redis->channel != NULL ? MESSAGE_MIB_MAX : REPLY_MIB_MAX;
    char why[REDIS_WHY_MAX];
    if (redis->reader->len <= mib_max << 20)
        return false;
    snprintf(why, sizeof(why), "Redis sent a reply larger than %zu MiB", mib_max);
    redis_lose(redis, why);
    return true;
}

/* False: the connection is gone. A callback may lose it, so that is looked at after each. */
static bool take_replies(struct redis *redis)
{
    void *reply;
    while (redis->reader != NULL) {
        if (redisReaderGetReply(redis->reader, &reply) != REDIS_OK) {
            redis_lose(redis, "Redis sent something that is not its protocol");
            return false;
        }
        if (reply == NULL)
            return !is_too_much(redis);
        if (!take_message(redis, redis_value_of(reply)))
            take_reply(redis, redis_value_of(reply));
        freeReplyObject(reply);
    }
    return false;
}

static void on_link_closed(void *arg)
{
    redis_lose(arg, "Redis closed the connection");
}

static void on_link_readable(void *arg)
{
    struct redis *redis = arg;
    char bytes[READ_BYTES];
    size_t got = 0;
    enum wire_read result;
    do {
        result = wire_read(&redis->wire, bytes, sizeof(bytes), &got);
        if (result == WIRE_DATA) {
            redisReaderFeed(redis->reader, bytes, got);
            if (!take_replies(redis))
                return;
        }
    } while (result == WIRE_DATA && wire_may_have_more(&redis->wire, sizeof(bytes), got));
    if (result == WIRE_END || result == WIRE_FAILED)
        on_link_closed(redis);
}

/* What waited has gone: nobody waits for that. */
static void on_link_drained(void *arg)
{
    (void)arg;
}

const struct wire_events redis_wire_events = {
    .on_readable = on_link_readable, .on_drained = on_link_drained, .on_closed = on_link_closed};

/* ---- deadlines of calls ---- */

static bool is_late(const struct redis *redis, uint64_t now_ms)
{
    const struct redis_waiting *oldest = redis_queue_oldest(&redis->sent);
    return redis->step == REDIS_UP && oldest != NULL &&
           now_ms >= oldest->since_ns / 1000000 + REDIS_CALL_TIMEOUT_MS;
}

/* A connection nobody uses is asked now and then, or the next caller would find it dead. */
static void ask_if_quiet(struct redis *redis)
{
    const struct slice ping = SLICE("PING");
    struct redis_waiting waiting = {.since_ns = clock_ns()};
    if (redis->step == REDIS_UP && ++redis->quiet_ticks >= QUIET_TICKS_MAX &&
        !redis_send(redis, &ping, 1, waiting))
        redis_lose(redis, "nothing can be sent any more");
}

/* A process that stood still finds its calls late although the answers have long been there: they
 * are read first, and the first tick after standing still judges nobody. */
static void on_link_tick(void *arg)
{
    struct redis *redis = arg;
    uint64_t now_ms = clock_ms();
    bool stood_still = now_ms - redis->ticked_ms > STOOD_STILL_MS;
    redis->ticked_ms = now_ms;
    ask_if_quiet(redis);
    if (stood_still || !is_late(redis, now_ms))
        return;
    on_link_readable(redis);
    if (is_late(redis, now_ms)) {
        char why[REDIS_WHY_MAX];
        snprintf(why, sizeof(why), "no answer within %d ms", REDIS_CALL_TIMEOUT_MS);
        redis_lose(redis, why);
    }
}

/* ---- the object ---- */

struct redis *redis_new(struct loop *loop, const struct redis_url *url,
                        const struct redis_events *events, struct metrics *metrics)
{
    struct redis *redis = mem_new(sizeof(*redis));
    redis_url_copy(&redis->url, url);
    redis->loop = loop;
    redis->resolver = resolver_new(loop);
    redis->metrics = metrics;
    redis->events = *events;
    redis->channel = events->channel != NULL ? mem_string(slice_of(events->channel)) : NULL;
    redis->backoff_ms = BACKOFF_FIRST_MS;
    redis->ticked_ms = clock_ms();
    snprintf(redis->why, sizeof(redis->why), "not connected yet");
    redis_url_place(&redis->url, redis->place);
    buf_init(&redis->out, OUT_BYTES_MAX);
    loop_task_init(&redis->flush, flush, redis);
    loop_task_init(&redis->give_up, fail_calls, redis);
    if (redis->url.is_tls)
        redis->trust = tls_trust_new(redis->url.ca_file[0] != '\0' ? redis->url.ca_file : NULL);
    deadline_init(&redis->greeting, on_greeting_late, redis);
    deadline_init(&redis->retry, redis_connect, redis);
    redis->ticker = loop_every(loop, TICK_MS, on_link_tick, redis);
    redis_connect(redis);
    return redis;
}

void redis_free(struct redis *redis)
{
    if (redis == NULL)
        return;
    assert(!redis->is_calling_back);
    redis->is_known_away = true; /* leaving is no outage: nothing to log, no on_down */
    redis_lose(redis, "this node is leaving");
    redis->owes_on_down = false;
    while (redis->failed.count > 0)
        fail_calls(redis);
    deadline_clear(&redis->retry);
    loop_task_cancel(&redis->give_up);
    loop_timer_free(redis->ticker);
    resolver_free(redis->resolver);
    redis_queue_fini(&redis->sent);
    redis_queue_fini(&redis->failed);
    tls_trust_free(redis->trust);
    buf_fini(&redis->out);
    redis_url_fini(&redis->url);
    free(redis->channel);
    if (redis->metrics != NULL)
        metrics_set(redis->metrics, GAUGE_REDIS_UP, 0);
    free(redis);
}

bool redis_is_up(const struct redis *redis)
{
    return redis->step == REDIS_UP;
}

struct slice redis_last_error(const struct redis *redis)
{
    return slice_of(redis->why);
}
