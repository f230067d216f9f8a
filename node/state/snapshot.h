/* snapshot.h - a look at everything, for /status and /metrics. Once made it never changes, and it
 * lives as long as someone holds it: any number of threads may read one. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"
#include "state/lease.h"

struct state;

/* How much of a quota is used, as its provider said last. */
struct pool_window {
    struct slice name;
    uint64_t used;     /* in ten-thousandths */
    uint64_t reset_ms; /* Unix time; 0: not known */
    uint64_t seen_ms;
};

/* Why slots may be free and yet no request's: lua/lib/refusal.lua's words. */
#define HOLD_TABLE(X)                                                \
    X(COOLING, "cooling")     /* until a time */                     \
    X(CEILING, "ceiling")     /* as much used as its owner allows */ \
    X(BROKEN, "broken")       /* rests after failures */             \
    X(BURST, "burst")         /* all it may have in this second */   \
    X(TRIAL, "trial")         /* one request tries it first */       \
    X(RESTORING, "restoring") /* Redis lost data */                  \
    X(PAUSED, "paused")       /* by a person */                      \
    X(DISABLED, "disabled")   /* by a configuration */               \
    X(LEAVING, "leaving")     /* declared by nobody, it drains */

enum hold {
#define X(name, word) HOLD_##name,
    HOLD_TABLE(X)
#undef X
        HOLDS
};
extern const char *const hold_words[HOLDS];

/* total is always in_use, free and all of held together. */
struct pool_slots {
    uint64_t total, in_use, free;
    uint64_t held[HOLDS];
    uint64_t above_max; /* in use beyond a max that was lowered, or restored: not in in_use */
};

struct pool_subscription {
    struct slice name, account;
    struct slice state; /* on, off, paused, leaving */
    uint32_t active, max, priority, tier;
    uint32_t available;        /* slots a request would get now */
    uint32_t held_back;        /* the other free ones */
    struct slice held_by;      /* by what: a word of the above; empty: none is */
    uint64_t session_since_ms; /* since when it has the pool's session; 0: it has not */
    bool is_enabled;
    uint64_t cooldown_ms; /* left; 0: not cooling */
    struct slice cooldown_reason;
    struct slice health;  /* what is held against it, in words; empty: nothing */
    struct slice windows; /* for pool_window_next() */
    struct slice limits;  /* its ceilings, window:soft:hard in ten-thousandths, a comma between */
    uint64_t requests, errors;
    uint64_t output_estimated;                                          /* part of output */
    uint64_t input, output, cache_read, cache_write_5m, cache_write_1h; /* totals */
};
struct pool_node {
    struct slice id, boot, version, config_digest;
    uint64_t seen_ms_ago;
    uint64_t leases;            /* slots it holds now */
    uint64_t active;            /* requests in progress, as its last heartbeat said */
    uint64_t reload_asked;      /* the last reload of all nodes that it has done */
    struct slice reload_result; /* of its last one: taken, refused; empty: none since it started */
    struct slice reload_words;  /* what was read and changed, or why not */
    bool is_behind;             /* its configuration is older than what the pool has */
    struct slice lacks;         /* subscriptions it does not know, one space between */
};
/* Who uses the pool: what it holds now, and what was booked for it today. */
struct pool_client {
    struct slice name; /* "(other)": those for whom the day's book had no room */
    uint64_t running;
    uint64_t requests, errors;
    uint64_t input, output, cache_read, cache_write_5m, cache_write_1h;
};
/* What a request would get now, if it came. */
struct pool_request {
    struct slice label;     /* what it is; empty: any that has no label of its own here */
    uint64_t available;     /* slots that are free to it */
    struct refusal refusal; /* what it would hear, if none is */
};
struct pool_snapshot {
    const struct pool_subscription *subscriptions;
    size_t subscription_count;
    const struct pool_node *nodes;
    size_t node_count;
    const struct pool_request *requests; /* the first of any label, then of some that close */
    size_t request_count;
    uint64_t closing; /* labels that close something; more than there are requests above, maybe */
    const struct pool_client *clients; /* the most active first */
    size_t client_count;
    uint64_t clients_today; /* how many there are; more than above, maybe */
    uint64_t leases_unread; /* that no client is shown with, because there were too many */
    struct pool_slots slots;
    uint64_t leases;
    uint64_t now_ms; /* Redis' clock */
    uint64_t epoch;
    uint64_t closed_ms;                 /* until admissions begin again, after data was lost */
    uint64_t generation;                /* of the roster */
    struct slice strategy, strategy_by; /* "round-robin"; "person" or "configuration" */

    struct arena texts; /* private, both */
    _Atomic unsigned references;
};
/* One window after the other: `rest` begins as a subscription's windows. False: no more. */
bool pool_window_next(struct slice *rest, struct pool_window *window);

struct pool_snapshot *snapshot_hold(struct pool_snapshot *snapshot); /* one more reference, yours */
void snapshot_release(struct pool_snapshot *snapshot); /* gives one back; NULL is fine */

/* snapshot: borrowed (hold it to keep it), NULL unless OK. */
typedef void (*state_snapshot_fn)(enum err err, struct pool_snapshot *snapshot, void *arg);
void state_snapshot(struct state *state, state_snapshot_fn on_snapshot, void *arg);
