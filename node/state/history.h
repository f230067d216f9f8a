/* history.h - what finished requests leave behind, for `weir why`: the lines that their node logged
 * of them. Redis keeps the last history.requests of all nodes (lua/lib/history.lua). A worker gives
 * its own some at a time, at most a second later, and nothing waits for that; what cannot be given
 * while Redis is away waits up to a ceiling. Beyond that it is lost, counted and told: the log has
 * it all the same. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

struct state;

enum {
    HISTORY_LINES_MAX = 12288,     /* bytes of one request's; the same in lua/calls.def */
    HISTORY_WAITING_MAX = 2 << 20, /* bytes of a worker's that wait for Redis */
    HISTORY_OTHERS_MAX = 8,        /* ids that providers gave one request */
    HISTORY_STRANGERS_MAX = 20     /* a worker takes in a second */
};

/* Copied. */
struct finished_request {
    struct slice id;
    struct slice others; /* ids that providers gave it, each history_is_id(), one space between */
    struct slice lines;  /* of the log, as JSON, a newline between */
    bool is_stranger;    /* turned away at its head: such callers cost the others no place */
};
/* max: so many requests are kept, of all nodes' together; 0: none, and this one is not given. */
void state_remember(struct state *state, const struct finished_request *request, uint32_t max);

/* It can be found by it: 1 to 128 of the characters that names have. */
bool history_is_id(struct slice id);

/* Give now what waits for the next second. */
void state_flush_history(struct state *state);
/* Requests that are not given yet, and can be: 0 while Redis is away. */
size_t state_history_count(const struct state *state);

/* Borrowed. */
struct recalled {
    bool is_found;
    struct slice id,
        lines; /* if it is: as in struct finished_request; anyone may have written it */
    /* Else: since when requests are remembered, and Redis' time now; how many; 0: none are. */
    uint64_t since_ms, now_ms, count;
    struct slice node;    /* that gave out the id, if it lives; or empty */
    struct slice message; /* of an error reply */
};
/* id: history_is_id(). */
typedef void (*state_recalled_fn)(enum err err, const struct recalled *recalled, void *arg);
void state_recall(struct state *state, struct slice id, state_recalled_fn on_recalled, void *arg);
