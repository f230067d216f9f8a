/* redis_priv.h - what redis.c (calls, loss, the object) and redis_connect.c (the way up) share. */
#pragma once
#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "crypto/tls.h"
#include "format/redis_url.h"
#include "loop/loop.h"
#include "net/redis/judge.h"
#include "net/redis/link.h"
#include "net/redis/queue.h"
#include "net/resolve.h"
#include "net/wire.h"

enum redis_step { REDIS_AWAY, REDIS_RESOLVE, REDIS_CONNECT, REDIS_SECURE, REDIS_GREET, REDIS_UP };

struct redis {
    struct loop *loop;
    struct resolver *resolver;
    struct metrics *metrics;
    struct redis_events events;
    struct redis_url url;
    char place[REDIS_PLACE_MAX];
    enum redis_step step;

    struct resolve *lookup; /* while RESOLVE */
    struct address addresses[RESOLVE_ADDRESSES_MAX];
    size_t address_count, address_next;

    struct wire wire; /* from CONNECT on */
    bool is_wired;
    SSL_CTX *tls; /* made when first needed */
    redisReader *reader;
    struct buf out; /* commands of this turn */
    struct redis_queue sent, failed;
    bool is_calling_back;

    struct loop_task flush;
    struct loop_task give_up; /* runs the callbacks of `failed`, then on_down */
    struct loop_timer *ticker;
    struct deadline attempt; /* until UP */
    struct deadline retry;
    uint64_t ticked_ms, up_ms, away_ms, backoff_ms;
    unsigned quiet_ticks; /* since a command was sent */

    bool is_known_away; /* it has been logged, and on_down called or about to be */
    bool owes_on_down;
    char why[REDIS_WHY_MAX];
};

/* redis.c */
extern const struct wire_events redis_wire_events;
void redis_come_up(struct redis *redis);
void redis_lose(struct redis *redis, const char *why); /* from any step; copies `why` */
void redis_close_wire(struct redis *redis);
MUST_USE bool redis_send(struct redis *redis, const struct slice *args, size_t count,
                         struct redis_waiting waiting);

/* redis_connect.c */
void redis_connect(void *arg);                /* one attempt, from the beginning */
void redis_connect_next(struct redis *redis); /* the next of its addresses, or the end of it */
void redis_on_drained(void *arg);             /* of the wire */
