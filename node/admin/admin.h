/* admin.h - the operator's desk of a worker: health, status, metrics, reload.
 * One table of endpoints; each is a function. /health and /ready answer anyone (balancers ask
 * them); the rest is for whom auth/access.h admits. */
#pragma once
#include <stdbool.h>

#include "auth/access.h"
#include "base/budget.h"
#include "base/metrics.h"
#include "config/config.h"
#include "net/http/answer.h"
#include "state/snapshot.h"
#include "state/state.h"

struct loop;
struct admin;
struct admin_reload;
struct admin_drain;
struct config_reloaded;
struct admin_look;
struct admin_find;

struct admin_options {
    struct loop *loop;
    struct state *state;
    const struct metrics *metrics; /* all workers' slots */
    unsigned metrics_count;
    const struct budget *budget;
    const struct node_identity *node;
    /* Reload the configuration (elsewhere); admin_reload_done() with the same `reload` answers. */
    void (*on_reload)(struct admin_reload *reload, void *arg);
    /* The node is to leave (elsewhere); admin_drain_done() with the same `drain` answers. */
    void (*on_drain)(struct admin_drain *drain, void *arg);
    /* Look at the pool (elsewhere); admin_look_done() with the same `look` answers. */
    void (*on_look)(struct admin_look *look, void *arg);
    /* Look for a request that runs on this node (elsewhere); admin_find_done() with the same `find`
     * answers. False: none of it can have this id, and nothing answers. */
    bool (*on_find)(struct admin_find *find, struct slice id, void *arg);
    bool (*is_draining)(void *arg);
    /* Why not to send requests here, in static text; NULL: nothing. */
    const char *(*trouble)(void *arg);
    void *arg;
};

struct admin *admin_new(const struct admin_options *options); /* yours */
void admin_free(struct admin *admin);
void admin_use_config(struct admin *admin, struct config *config); /* a reference of its own */

/* The head of a request that is for us: which endpoint, and whether this caller may. Sets
 * purpose. */
struct http_refusal admin_head(struct admin *admin, struct http_message *message,
                               const struct access *access);
void admin_handle(struct admin *admin, struct connection *call, const struct http_message *message);

/* On the admin's loop, once per on_reload. error NULL: done, and that is told (borrowed). Frees
 * reload. */
void admin_reload_done(struct admin_reload *reload, const struct config_reloaded *done,
                       const char *error);

/* The same, once per on_drain: so many requests still run here. Frees drain. */
void admin_drain_done(struct admin_drain *drain, uint64_t running, const char *error);

/* The same, once per on_look. snapshot: borrowed; NULL: `why` says what was in the way. Frees
 * look. */
void admin_look_done(struct admin_look *look, const struct pool_snapshot *snapshot,
                     struct slice why);

/* The same, once per on_find that said true. lines: of its log, borrowed; empty: none runs. */
void admin_find_done(struct admin_find *find, struct slice lines);
