/* mend.h - what a person mends, asked through a node. The rest of it is redis-cli's
 * (docs/redis-keys.md). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

struct state;

/* Borrowed. On an error only `message` may be set. */
struct strategy_change {
    struct slice holds, was; /* strategies, by name */
    bool is_unknown;         /* with ERR_REPLY: there is none of this name */
    struct slice message;    /* of an error reply */
};
typedef void (*state_strategy_fn)(enum err err, const struct strategy_change *change, void *arg);

/* How one is chosen of several subscriptions, on all nodes, whatever their configurations say;
 * "configured": as they say. `who` asks, in words, for the events. Both are copied. */
void state_set_strategy(struct state *state, struct slice strategy, struct slice who,
                        state_strategy_fn on_set, void *arg);

/* asked: the number of this reload, greater than of any before. message: of an error reply. */
typedef void (*state_asked_fn)(enum err err, uint64_t asked, struct slice message, void *arg);

/* Every node of the pool is to read its configuration again. Each hears of it with its next beat
 * (struct pool_pulse), and tells with another what came of it (struct pool_node). `who` asks, in
 * words, for the events; copied. */
void state_ask_reload(struct state *state, struct slice who, state_asked_fn on_asked, void *arg);

/* Borrowed. On an error only `message` may be set. */
struct opening {
    uint64_t left_ms;     /* of a cooldown */
    struct slice lifted;  /* whatever closed it, in words; empty: nothing did */
    bool is_unknown;      /* with ERR_REPLY: there is no subscription of this name */
    struct slice message; /* of an error reply */
};
typedef void (*state_opened_fn)(enum err err, const struct opening *opening, void *arg);

/* Whatever closes a subscription ends now: one request tries it, cluster-wide, before others
 * follow. `who` asks, in words, for the events. Both are copied. */
void state_open(struct state *state, struct slice name, struct slice who, state_opened_fn on_opened,
                void *arg);
