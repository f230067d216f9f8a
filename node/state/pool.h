/* pool.h - the verbs that concern a pool as a whole: which subscriptions, who is alive. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

struct config;
struct state;

/* A node's name. It is the wanted one, or, if a living node bears that, another (<node>~2); or
 * `wait_ms`: ask again then. name: borrowed, empty if it must wait or err is not OK. */
typedef void (*state_joined_fn)(enum err err, struct slice name, uint64_t wait_ms, void *arg);

struct join_wish {
    struct slice name;
    /* A living node bears it: true: wait until that has left, or has been silent for three seconds;
     * false: another name, once it is certain. */
    bool is_waiting;
    uint64_t asked_for_ms; /* so long already */
};
void state_join(struct state *state, const struct join_wish *wish, state_joined_fn on_joined,
                void *arg);

/* message: of an error */
typedef void (*state_done_fn)(enum err err, struct slice message, void *arg);

/* How a node's configuration reached it. */
struct declaration_source {
    uint64_t edited_ms; /* when it was written; the newer one sets what several nodes declare */
    bool is_alone;      /* this Redis is the node's own: all else in it is of a former life */
};
/* Make the config's subscriptions known. on_done may be NULL. */
void state_declare(struct state *state, const struct config *config,
                   const struct declaration_source *source, state_done_fn on_done, void *arg);

struct pool_pulse { /* what the second's call found */
    unsigned leases_expired;
    bool has_more;    /* ask again at once */
    bool is_declared; /* false: Redis does not know what this node has; declare it */
    bool is_behind;   /* others have a newer configuration than this node */
    bool do_configs_differ;
    uint64_t epoch;
    uint64_t closed_ms; /* until admissions begin again, after data was lost */
    uint64_t generation;
    uint64_t reload; /* the last that was asked of all nodes; 0: none was */
};
struct reload_report { /* what came of a node's last reload */
    uint64_t asked;    /* the last that was asked of all and is done; 0: none */
    bool is_taken;
    struct slice words; /* what was read and changed, or why it was refused */
};
struct node_report { /* what this node says of itself, for the others to see */
    struct slice version;
    struct slice config_digest;
    uint64_t active; /* requests in progress */
    unsigned workers;
    bool is_alone;
    const struct reload_report *reload; /* NULL: nothing new of it */
};
/* pulse: NULL unless OK; message: of an error reply, else empty. */
typedef void (*state_pulse_fn)(enum err err, const struct pool_pulse *pulse, struct slice message,
                               void *arg);
/* Heartbeat, and the pool's chores if they are due: once a second, from the control thread. */
void state_beat(struct state *state, const struct node_report *report, state_pulse_fn on_pulse,
                void *arg);

/* The clean end: nobody waits for what this node held. on_done may be NULL. */
void state_leave(struct state *state, state_done_fn on_done, void *arg);
