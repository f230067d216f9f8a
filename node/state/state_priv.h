/* state_priv.h - what the files of state/ share; each part of struct state belongs to one. */
#pragma once
#include "base/buf.h"
#include "base/list.h"
#include "base/number.h"
#include "base/tiny.h"
#include "loop/loop.h"
#include "net/redis/value.h"
#include "state/fcall.h"
#include "state/lease.h"
#include "state/state.h"

enum {
    STATE_TICK_MS = 1000,
    RENEW_BATCH_MAX = TINY(256, 1), /* leases in one call of renew */
    POOL_KEY_MAX = 160,
    HOLDER_MAX = 96,
    NAME_MAX_BYTES = 128 /* of what lua/ takes as a name */
};

/* One question for a slot, until Redis has answered it for good. What it asked with becomes the
 * caller's lease when it is granted; so the caller may leave before. */
struct admission {
    struct list link; /* in leases.asking, by number, once it is sent; in leases.waiting */
    struct state *state;
    struct lease asked;
    struct lease *lease; /* NULL: cancelled */
    state_admit_fn on_admitted;
    state_queued_fn on_queued;
    void *arg;
    uint64_t asked_ms;
    /* waiting.c */
    struct fcall *kept; /* what it asked with, while it stands in line; else NULL */
    uint64_t ends_ms;   /* it would not wait longer */
    bool has_waited;
    bool was_woken; /* while it was asking */
    bool is_due;    /* asks again with the next tick */
};

enum renewal_stage {
    RENEWAL_COMPARE, /* is the number right */
    RENEWAL_LIST     /* these are held, and no others */
};

/* lease.c, renewal.c */
struct leases {
    struct list asking;  /* struct admission: questions on their way, by number */
    struct list waiting; /* struct admission: those that stand in line */
    size_t waiting_count;
    struct list held; /* granted, not settled, not lost: the ones to renew */
    size_t held_count;
    struct list waits; /* struct renewal_wait */
    struct loop_task wake;
    uint64_t next_seq;
    size_t cancelled_count;    /* admissions nobody waits for, not answered yet */
    bool is_admission_failing; /* Redis answers with errors, and that has been logged */

    /* Bytes may flow for the held leases until this moment of clock_ms(). While Redis has them it
     * is the sending of the last renewal it confirmed + LEASE_MS: Redis cannot have given one away
     * before. While Redis is away every tick moves it on, as long as it was still ahead then: the
     * node was running, not standing still. Once it has passed, only a renewal helps. */
    uint64_t fresh_until_ms;
    unsigned stale_ticks; /* passed without a way to renew */

    struct {
        bool is_running;
        bool has_failed;
        bool is_restoring; /* what is missing is taken again in any case */
        bool is_last;      /* of the list */
        enum renewal_stage stage;
        unsigned lists, epochs; /* in this round */
        unsigned compared;      /* rounds since the last list */
        uint64_t from;          /* where the list goes on */
        uint64_t started_ms;
        uint64_t covers_ms; /* the earliest moment a lease held at its end was last confirmed */
    } renewal;
};

/* outbox.c */
struct outbox {
    struct list waiting; /* struct fcall, oldest first */
    struct list sent;
    size_t count; /* both */
    size_t sent_count;
    bool is_holding_off; /* Redis answered with an error: until the next tick */
};

/* history.c */
enum { HISTORY_BATCH_MAX = TINY(64, 1) }; /* requests in one call of remember */

struct history {
    struct buf gathered; /* for the next call: id, others, lines of each */
    struct {
        uint16_t id, others, lines;
    } lengths[HISTORY_BATCH_MAX];
    size_t gathered_count;
    uint32_t max;
    struct list waiting;  /* struct fcall, oldest first */
    struct fcall *sent;   /* one at a time; NULL: none is on its way */
    size_t count;         /* requests, wherever they are */
    size_t waiting_bytes; /* in calls, the one that is on its way too */
    unsigned strangers;   /* in this second */
    uint64_t lost, told;
    bool was_refusal_logged;
};

struct state {
    struct loop *loop;
    struct redis *redis;
    const struct node_identity *node;
    unsigned worker;
    struct metrics *metrics; /* or NULL */
    void (*on_change)(bool is_up, void *arg);
    void *arg;
    char key[POOL_KEY_MAX];
    char holder[HOLDER_MAX];              /* <node>.<boot>.<worker> */
    uint64_t link;                        /* how often Redis has been reached */
    char link_text[NUMBER_TEXT_MAX];      /* the same */
    uint64_t epoch;                       /* the pool's, as far as we know; 0: not yet */
    char epoch_text[NUMBER_TEXT_MAX + 1]; /* the same */
    struct fcalls calls;
    struct loop_timer *ticker;
    bool is_registered; /* Redis is there and knows the leases we hold */
    char why[256];      /* why it is not, if Redis is there; else "" */
    struct leases leases;
    struct outbox outbox;
    struct history history;
};

/* state.c */
void state_pool_key(struct slice prefix, struct slice pool, char key[POOL_KEY_MAX]);
void state_set_registered(struct state *state, bool is_registered);
/* Copy into to[cap] what lua/ takes as a name: other bytes become '_', nothing becomes "-". */
void state_clean_name(struct slice name, char *to, size_t cap);

/* lease.c */
size_t leases_asking(const struct state *state);             /* questions on their way */
void admission_ask(struct admission *a, struct fcall *call); /* takes the call */

/* waiting.c */
void waiting_keep(struct admission *a, struct fcall *call); /* takes the call, until it is woken */
void waiting_leave(struct admission *a);                    /* its caller has left; frees */
void waiting_again_soon(struct admission *a, struct fcall *call);
void waiting_all_due(struct state *state); /* the line may be gone */
void waiting_tick(struct state *state);
void waiting_fini(struct state *state);
/* The lowest number whose question is not answered; or the next one, if all are. */
uint64_t leases_settled_below(const struct state *state);

/* refusal.c */
enum { REFUSAL_PARTS = 4 }; /* at least */
/* Both borrow of what they read: the reply of admit, and a flat list of names and values. */
struct refusal state_read_refusal(const struct redis_value *reply);
struct refusal state_read_refusal_fields(const struct redis_value *pairs);

/* renewal.c */
void state_set_epoch(struct state *state, uint64_t epoch);
void renewal_init(struct state *state);
void renewal_fini(struct state *state);
void renewal_start(struct state *state); /* unless one is running */
void renewal_tick(struct state *state);
void renewal_on_down(struct state *state);
void renewal_hold(struct state *state, struct lease *lease, uint64_t asked_ms);
void renewal_release(struct state *state, struct lease *lease);

/* outbox.c */
void outbox_init(struct outbox *outbox);
void outbox_fini(struct state *state);
void outbox_add(struct state *state, struct fcall *settlement); /* takes it */
void outbox_send(struct state *state);                          /* what may be sent now */
void outbox_tick(struct state *state);

/* history.c */
void history_init(struct history *history);
void history_fini(struct state *state);
void history_tick(struct state *state);
