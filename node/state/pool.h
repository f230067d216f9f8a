/* pool.h - the verbs that concern a pool as a whole: which subscriptions, who is alive. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

struct config;
struct state;

typedef void (*state_done_fn)(enum err err, struct slice message,
                              void *arg); /* message: of an error */

/* Make the config's subscriptions known. Also drops what former boots of this node left behind.
 * on_done may be NULL. */
void state_declare(struct state *state, const struct config *config, state_done_fn on_done,
                   void *arg);

struct pool_pulse { /* what the second's call found */
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
