/* node_priv.h - what the control thread (node.c) and the workers (worker.c) share.
 * The control thread has signals, the heartbeat, reloads and the private Redis; workers have the
 * traffic. They speak through loop_post() and a few atomics, nothing else. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/metrics.h"
#include "config/config.h"
#include "state/state.h"

struct admin_reload;
struct budget;
struct loop;
struct node;
struct worker;

enum { WORKERS_MAX = 64 };

struct worker_reload { /* POST /admin/reload on its way to the control thread and back */
    struct node *node;
    struct worker *worker;
    struct admin_reload *reload;
    bool is_done;
    size_t subscriptions;
    char error[1024];
};

/* What workers need of the node: set before they start, and constant. */
struct node_shared {
    struct node *node;
    struct loop *control;
    const struct node_identity *identity;
    struct metrics *metrics; /* one slot each, and the last for the control thread */
    unsigned worker_count;
    struct budget *budget;    /* of all workers together */
    unsigned connections_max; /* of one worker */
    unsigned reserve_max;     /* beyond that, for probes */
    const char *redis_url;
    _Atomic bool is_draining;
    void (*on_worker_ready)(void *node);    /* posted to the control loop */
    void (*on_reload)(void *worker_reload); /* posted to the control loop */
};

struct worker *worker_start(struct node_shared *shared, unsigned number, int listener,
                            struct config *config);
/* All from the control thread. */
void worker_pool_declared(struct worker *worker); /* requests can be admitted: serve */
void worker_use_config(struct worker *worker, struct config *config);
void worker_drain(struct worker *worker); /* no new connections; the count below becomes true */
void worker_break(struct worker *worker); /* cut off what runs */
void worker_stop(struct worker *worker);  /* ends the loop and waits for the thread; frees */
unsigned
worker_open(const struct worker *worker); /* requests and answers in progress, as of lately */
struct loop *worker_loop(struct worker *worker);

/* loop_post() this back with what on_reload was given, filled in. */
void worker_reload_answer(void *worker_reload);
