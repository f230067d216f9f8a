/* link_priv.h - what link.c (calls, loss, the object) and connect.c (the way up) share. */
#pragma once
#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "crypto/tls_trust.h"
#include "format/redis_url.h"
#include "loop/loop.h"
#include "net/dial.h"
#include "net/redis/judge.h"
#include "net/redis/link.h"
#include "net/redis/queue.h"
#include "net/resolve.h"
#include "net/wire.h"

/* Drawn at the head of link.c. Only redis_go() moves a link on. */
#define REDIS_TO(step) (1U << REDIS_##step)
#define REDIS_STEP_TABLE(X)                           \
    X(AWAY, "away", REDIS_TO(DIAL) | REDIS_TO(AWAY))  \
    X(DIAL, "dial", REDIS_TO(GREET) | REDIS_TO(AWAY)) \
    X(GREET, "greet", REDIS_TO(UP) | REDIS_TO(AWAY))  \
    X(UP, "up", REDIS_TO(AWAY))

enum redis_step {
#define X(step, word, to) REDIS_##step,
    REDIS_STEP_TABLE(X)
#undef X
};

struct redis {
    struct loop *loop;
    struct resolver *resolver;
    struct metrics *metrics;
    struct redis_events events;
    struct redis_url url;
    char *channel; /* NULL: calls are taken */
    char place[REDIS_PLACE_MAX];
    enum redis_step step;

    struct tls_trust *trust; /* NULL: plain */
    struct dial *dial;       /* while DIAL */
    struct wire wire;        /* open from GREET on */
    redisReader *reader;     /* likewise */
    struct buf out;          /* commands of this turn */
    struct redis_queue sent, failed;
    bool is_calling_back;

    struct loop_task flush;
    struct loop_task give_up; /* runs the callbacks of `failed`, then on_down */
    struct loop_timer *ticker;
    struct deadline greeting; /* while GREET */
    struct deadline retry;
    uint64_t ticked_ms, up_ms, away_ms, backoff_ms;
    unsigned quiet_ticks; /* since a command was sent */

    bool is_known_away; /* it has been logged, and on_down called or about to be */
    bool owes_on_down;
    char why[REDIS_WHY_MAX];
};

/* link.c */
extern const struct wire_events redis_wire_events;
void redis_go(struct redis *redis, enum redis_step step); /* the only way on */
void redis_come_up(struct redis *redis);
void redis_lose(struct redis *redis, const char *why); /* from any step; copies `why` */
MUST_USE bool redis_send(struct redis *redis, const struct slice *args, size_t count,
                         struct redis_waiting waiting);

/* connect.c */
void redis_connect(void *arg); /* one attempt, from the beginning */
