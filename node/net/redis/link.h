/* link.h - one connection to Redis on one loop, that mends itself.
 * hiredis reads the protocol; the socket is ours (net/wire.h), so that nothing in it ever blocks,
 * TLS is there with every hiredis, and no callback meets a half-freed context. The read event stays
 * registered, and all commands of a loop turn leave in one write. Commands are answered in order.
 * The link reconnects with backoff (100 ms doubling to 2 s, with jitter); while it is away every
 * call fails with ERR_STATE_DOWN. A call that gets no answer within its deadline ends the
 * connection, because later answers could not be told apart in time; a connection nobody uses is
 * asked every second, so that its death is known before someone needs it. LOADING, READONLY,
 * CLUSTERDOWN, MASTERDOWN and the like mean this is no server to work with: they count as away.
 *
 * A link may listen to shard channels instead of taking calls: it is up while it is subscribed,
 * and subscribes again over each new connection. What was published in between is lost.
 *
 * Every callback of a call fires exactly once, never before the call returns. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/slice.h"

struct loop;
struct metrics;
struct redis;
struct redis_url;
struct redis_value;

enum { REDIS_CALL_TIMEOUT_MS = 2000, REDIS_CONNECT_TIMEOUT_MS = 3000 };

struct redis_events {
    void (*on_up)(void *arg);   /* connected, authenticated, a server to work with */
    void (*on_down)(void *arg); /* lost, or never reached: once per change */
    const char *channel;        /* to listen to; several, one space between; NULL: none */
    void (*on_message)(struct slice text, void *arg); /* with a channel: published there */
    void *arg;
};

/* *url is copied, as is *events with its channel. Connects at once and for ever. metrics may be
 * NULL. */
struct redis *redis_new(struct loop *loop, const struct redis_url *url,
                        const struct redis_events *events, struct metrics *metrics);
/* Pending callbacks fire with ERR_STATE_DOWN first. Not from inside one of its own callbacks. */
void redis_free(struct redis *redis);
bool redis_is_up(const struct redis *redis);
struct slice redis_last_error(const struct redis *redis); /* why it is away; without credentials */

/* reply: borrowed, NULL unless err is OK or ERR_REPLY (an error reply, its text in
 * redis_value_slice()). */
typedef void (*redis_fn)(enum err err, const struct redis_value *reply, void *arg);

/* Send a command; the arguments are copied. on_reply may be NULL. Not on a link that listens. */
void redis_call(struct redis *redis, const struct slice *args, size_t count, redis_fn on_reply,
                void *arg);
