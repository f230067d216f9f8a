/* lease.h - one admitted slot, from the question for it to its settlement.
 * Embedded in whoever needs the slot. Only a held lease lets a byte go up; it is renewed by itself
 * until it is settled, and if this node dies it expires by itself in Redis. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "base/slice.h"

struct arena;
struct state;

enum {
    /* A slot outlives its node by less than 15 s: by this, and the second to the next sweep. */
    LEASE_MS = 13500,
    LEASE_RENEW_MS = 5000, /* every worker renews all it holds, this often */
    LEASE_ID_MAX = 128
};

/* How admit() answered. */
struct grant {
    struct slice account; /* whose slot it is: config_account() */
    uint32_t active;      /* after this admission */
    uint32_t max;
    struct slice how; /* why this one: "headroom 4/5 free" */
};

/* What stands in the way of a subscription, and lua/lib/refusal.lua's word for it. */
#define STANDING_TABLE(X)                                                            \
    X(LIMITED, "limited")   /* cools, until a time that somebody named or by hand */ \
    X(CLOSED, "closed")     /* the same, to requests like this one only */           \
    X(REFUSED, "refused")   /* cools: its credential or its credit was refused */    \
    X(CEILING, "ceiling")   /* has used as much of a window as its owner allows */   \
    X(BROKEN, "broken")     /* rests after failures in a row */                      \
    X(BURST, "burst")       /* has had all it may have in this second */             \
    X(BUSY, "busy")         /* has no free slot */                                   \
    X(TRIED, "tried")       /* excluded, and nothing else is known of it */          \
    X(DISABLED, "disabled") /* off, paused, or leaving */

enum standing {
#define X(name, word) STANDING_##name,
    STANDING_TABLE(X)
#undef X
        STANDINGS
};

/* Borrowed from whoever it was read from; refusal_copy() makes one that lives in an arena. */
struct refusal {
    struct slice reason;    /* full, cooling, burst, disabled, excluded, none, restoring, ... */
    uint64_t retry_ms;      /* earliest time anything is known to become free */
    uint64_t candidates;    /* each counts once below; 0: it does not say */
    struct {                /* by enum standing */
        uint64_t count, ms; /* in so many ms the first of them may be over; 0: not known */
    } of[STANDINGS];
    struct slice limited_why, closed_why; /* what the provider said of that first one; or empty */
    struct slice closed_for;              /* to such requests it is closed: a label */
    struct slice ceiling_of;              /* of that first one: the window */
};
struct refusal refusal_copy(const struct refusal *refusal, struct arena *arena);

/* OK: `grant` is set and the lease is held; it is renewed until settled. ERR_REFUSED: `refusal` is
 * set. ERR_STATE_DOWN, ERR_REPLY: neither; a slot taken unseen is given back as soon as Redis can
 * be reached. Both borrowed. */
typedef void (*state_admit_fn)(enum err err, const struct grant *grant,
                               const struct refusal *refusal, void *arg);

/* All is full: the request stands in the pool's line (lua/lib/queue.lua), and the callback above
 * fires when it has come to its turn; not by itself when its time is over. Once at most. */
typedef void (*state_queued_fn)(const struct refusal *why, void *arg);

struct lease {
    void (*on_lost)(struct lease *lease, void *arg); /* yours to set, before state_admit() */
    void *arg;
    char id[LEASE_ID_MAX]; /* yours to read once it is held, from here on */
    uint64_t seq;          /* the end of the id: its number with this holder */
    char account[24];
    char client[65];
    char model[129];
    bool is_held;
    struct list link; /* private: use the verbs */
};

struct admit_request {
    struct slice client;
    struct slice model;
    struct slice excluded; /* accounts already tried, separated by one space */
    struct slice labels;   /* what the request is, for what is closed to such only; the same way */
    uint64_t wait_ms;      /* how long it would stand in line; 0: it is refused instead */
    uint32_t queue_max;    /* not in a line as long as this */
    uint32_t weight;       /* of its client, 0: 1 */
    state_queued_fn on_queued; /* if it would wait */
};

/* `lease` must stay where it is until the callback has fired, and after that as long as it is held.
 * on_lost fires if the slot turns out to be gone (this node stood still too long and it was given
 * away): no byte more may flow for it; it still wants to be settled. What is returned is good for
 * state_admit_cancel() until the callback has fired. */
struct admission;
struct admission *state_admit(struct state *state, struct lease *lease,
                              const struct admit_request *request, state_admit_fn on_admitted,
                              void *arg);
/* One that stands in line has been granted something: it asks for it. All: something may have been
 * missed. */
void state_wake(struct state *state, uint64_t seq);
void state_wake_all(struct state *state);

/* Nobody waits for it any more: the callback does not fire, `lease` is its owner's again at once. A
 * slot that is granted all the same goes back by itself, booked as cancelled. NULL is fine. */
void state_admit_cancel(struct admission *admission);

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

enum outcome {
    OUTCOME_OK,
    OUTCOME_ERROR,
    OUTCOME_CANCELLED,
    OUTCOME_UNUSED /* nothing was asked of the provider: nothing is booked */
};

/* What an answer says of the subscription; lua/lib/health.lua draws the conclusions. */
enum health {
    HEALTH_NONE,   /* nothing */
    HEALTH_GOOD,   /* it works: whatever was held against it is over */
    HEALTH_BAD,    /* it failed */
    HEALTH_SUSPECT /* its credential was refused: believed when a second request hears the same */
};

struct settlement {
    int status; /* the provider's, 0 if none */
    enum outcome outcome;
    enum health health;
    uint64_t cooldown_ms;     /* 0: none */
    bool is_cooldown_default; /* nobody said for how long: doubles while it repeats */
    struct slice scope;       /* the label of requests it is closed for; empty: for all */
    struct slice cooldown_reason;
    struct slice model; /* as the answer named it; empty: the request's */
    uint64_t input, output, cache_read, cache_write_5m, cache_write_1h;
    uint64_t output_estimated; /* tokens of `output` that nobody told */
    uint64_t duration_ms;
    struct slice windows;    /* what the answer's head said of its quotas: quota_text(); or empty */
    uint64_t windows_age_ms; /* for how long that is known */
};

/* Give the slot back and book, once, even if Redis is away now. Copies everything; the lease's
 * memory is the caller's again at once. A lease that was never held: nothing happens. */
void state_settle(struct state *state, struct lease *lease, const struct settlement *settlement);
