/* state.h - the cluster's truth, as verbs. The only user of key names.
 * One `struct state` per worker, on the worker's Redis connection. Every verb is one call of one
 * function of lua/ (docs/redis-keys.md); a server that does not know the functions yet is given
 * them and asked again. What must not be lost (settlements) waits in an outbox, bounded, and is
 * booked when Redis returns; leases are renewed by themselves as long as they are held. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/identity.h"
#include "base/list.h"
#include "base/slice.h"

struct config;
struct loop;
struct metrics;
struct redis_value;
struct state;

enum {
    /* A slot outlives its node by less than 15 s: by this, and the second to the next sweep. */
    LEASE_MS = 13500,
    LEASE_RENEW_MS = 5000, /* every worker renews all it holds, this often */
    LEASE_ID_MAX = 128,
    OUTBOX_MAX = 10000 /* settlements waiting for Redis; beyond, nothing is admitted */
};

struct state_options {
    struct slice redis_url;
    struct slice prefix; /* redis.prefix */
    struct slice pool;   /* redis.pool */
    const struct node_identity *node;
    unsigned worker; /* its number: part of the lease ids it makes */
    struct metrics *metrics;
    void (*on_change)(bool is_up, void *arg); /* may be NULL */
    void *arg;
};

struct state *state_new(struct loop *loop, const struct state_options *options); /* yours */
void state_free(struct state *state);
bool state_is_up(const struct state *state);
struct slice state_last_error(const struct state *state); /* why not; no credentials in it */

/* May something new be admitted: Redis is there, live leases are registered again after it was
 * away, and the outbox has room. */
bool state_can_admit(const struct state *state);

/* ---- leases: one admitted slot each. Embedded in the exchange's attempt. ---- */

/* How admit() answered. */
struct grant {
    struct slice subscription;
    uint32_t active; /* after this admission */
    uint32_t max;
    struct slice how; /* why this one: "headroom 4/5 free" */
};
struct refusal {
    struct slice reason; /* full, cooling, burst, disabled, excluded, none */
    uint64_t retry_ms;   /* earliest time anything is known to become free */
};

/* OK: `grant` is set and the lease is held; it is renewed until settled. ERR_REFUSED: `refusal` is
 * set. ERR_STATE_DOWN, ERR_REPLY: neither; a slot taken unseen expires by itself. Both borrowed. */
typedef void (*state_admit_fn)(enum err err, const struct grant *grant,
                               const struct refusal *refusal, void *arg);

struct lease {
    void (*on_lost)(struct lease *lease, void *arg); /* yours to set, before state_admit() */
    void *arg;
    char id[LEASE_ID_MAX]; /* yours to read, from here on */
    char subscription[65];
    char client[65];
    char model[129];
    bool is_held;
    struct list link; /* private, all below too: use the verbs */
    struct state *state;
    state_admit_fn on_admitted;
    void *admit_arg;
    uint64_t asked_ms;
};

struct admit_request {
    struct slice client;
    struct slice model;
    struct slice excluded; /* names of subscriptions already tried, separated by one space */
};

/* `lease` must stay where it is until the callback has fired, and after that as long as it is held.
 * on_lost fires if the slot turns out to be gone (this node stood still too long and it was given
 * away): no byte more may flow for it; it still wants to be settled. */
void state_admit(struct state *state, struct lease *lease, const struct admit_request *request,
                 state_admit_fn on_admitted, void *arg);

/* Called for every chunk relayed: false if leases may have been given away while this node stood
 * still (their last confirmation is older than LEASE_MS, and Redis was not away in between with
 * this node running). Wait then with state_wait_renewal(): either on_lost fires, or a renewal makes
 * it true again. Cheap: the clock and one comparison. */
bool state_lease_is_fresh(const struct state *state);

/* Asks for a renewal now. on_renewed fires once, when leases are fresh: those that are gone have
 * got their on_lost before. While Redis is away, leases that were fresh stay so; those that were
 * not are given up (on_lost) when no renewal comes through for LEASE_MS more. Zero it before its
 * first use; giving it again while it waits changes nothing. */
struct renewal_wait {
    struct list link;
    void (*on_renewed)(void *arg);
    void *arg;
};
void state_wait_renewal(struct state *state, struct renewal_wait *wait);
void state_wait_cancel(struct renewal_wait *wait);

enum outcome { OUTCOME_OK, OUTCOME_ERROR, OUTCOME_CANCELLED };

struct settlement {
    int status; /* the provider's, 0 if none */
    enum outcome outcome;
    uint64_t cooldown_ms; /* 0: none */
    struct slice cooldown_reason;
    struct slice model; /* as the answer named it; empty: the request's */
    uint64_t input, output, cache_read, cache_write_5m, cache_write_1h;
    uint64_t duration_ms;
};

/* Give the slot back and book, once, even if Redis is away now. Copies everything; the lease's
 * memory is the caller's again at once. A lease that was never held: nothing happens. */
void state_settle(struct state *state, struct lease *lease, const struct settlement *settlement);
size_t
state_outbox_count(const struct state *state); /* waiting or on their way; 0: all is booked */

/* ---- the pool as a whole ---- */

typedef void (*state_done_fn)(enum err err, struct slice message,
                              void *arg); /* message: of an error */

/* Make the config's subscriptions known. Also drops what former boots of this node left behind.
 * on_done may be NULL. */
void state_declare(struct state *state, const struct config *config, state_done_fn on_done,
                   void *arg);

struct pool_pulse { /* what the second's call found */
    unsigned nodes_alive;
    unsigned leases_expired;
    bool is_node_id_taken; /* another running process uses our node id */
    bool do_configs_differ;
    unsigned subscriptions; /* 0: Redis was emptied, and wants them declared again */
};
struct node_report { /* what this node says of itself, for the others to see */
    struct slice version;
    struct slice config_digest;
    uint64_t active; /* requests in progress */
};
/* pulse: NULL unless OK. */
typedef void (*state_pulse_fn)(enum err err, const struct pool_pulse *pulse, void *arg);
/* Heartbeat and sweep: once a second, from the control thread. on_pulse may be NULL. */
void state_sweep(struct state *state, const struct node_report *report, state_pulse_fn on_pulse,
                 void *arg);

/* ---- a look at everything, for /status and /metrics ---- */

struct pool_subscription {
    struct slice name;
    uint32_t active, max, priority;
    bool is_enabled;
    bool is_leaving;      /* in no configuration any more: goes when idle */
    uint64_t cooldown_ms; /* left; 0: not cooling */
    struct slice cooldown_reason;
    uint64_t last_used_ms; /* Redis' clock; 0: never */
    uint64_t requests, errors;
    uint64_t input, output, cache_read, cache_write_5m, cache_write_1h; /* totals */
};
struct pool_node {
    struct slice id, boot, version, config_digest;
    uint64_t seen_ms_ago, active;
};
struct pool_snapshot {
    const struct pool_subscription *subscriptions;
    size_t subscription_count;
    const struct pool_node *nodes;
    size_t node_count;
    uint64_t leases;
    uint64_t now_ms; /* Redis' clock */
};
/* snapshot: borrowed, NULL unless OK. */
typedef void (*state_snapshot_fn)(enum err err, const struct pool_snapshot *snapshot, void *arg);
void state_snapshot(struct state *state, state_snapshot_fn on_snapshot, void *arg);
