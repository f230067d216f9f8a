/* worker.h - one thread with the traffic: a loop, a listener, a Redis link, an upstream pool.
 * Workers know the node only by what stands in struct node_shared; the control thread speaks to
 * them through the calls below, which post to the worker's loop, and they to it by control.h. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct budget;
struct config;
struct look;
struct loop;
struct metrics;
struct node;
struct node_identity;
struct proxy;
struct redis_url;
struct retry_budget;
struct worker;

enum { WORKERS_MAX = 64 };

/* What workers need of the node: set before they start, constant but for the atomics, and there
 * until the last has stopped. */
struct node_shared {
    struct node *node;
    struct loop *control;
    const struct node_identity *identity;
    struct metrics *metrics; /* one slot each, and the last for the control thread */
    unsigned worker_count;
    struct budget *budget; /* of all workers together */
    struct retry_budget *retries;
    unsigned connections_max; /* of one worker */
    unsigned reserve_max;     /* beyond that, for probes */
    bool is_listener_shared;  /* one queue of callers for all workers, kept by the supervisor */
    const struct redis_url *redis_url;
    struct look *look; /* at the pool, for all who ask */
    _Atomic bool is_draining;
    /* Why nobody should send requests here, in a word for /ready; NULL: nothing. Static text. */
    _Atomic(const char *) trouble;
    void (*on_worker_ready)(void *node); /* posted to the control loop */
};

/* Takes the listener; holds a reference of config of its own. */
struct worker *worker_start(struct node_shared *shared, unsigned number, int listener,
                            struct config *config);

/* All from the control thread. */
void worker_pool_declared(struct worker *worker); /* requests can be admitted: serve */
void worker_use_config(struct worker *worker, struct config *config);
void worker_meet_epoch(struct worker *worker, uint64_t epoch); /* of the pool */
/* A request that stands in line has been granted something: which; 0: all are to look. */
void worker_wake(struct worker *worker, uint64_t seq);
void worker_announce(struct worker *worker); /* answers say that their connection closes */
/* No new connections; the counts below become true. Hurried: idle connections are not waited
 * for. */
void worker_drain(struct worker *worker, bool is_hurried);
void worker_break(struct worker *worker); /* cut off what runs */
void worker_stop(struct worker *worker);  /* ends the loop and waits for the thread; frees */

/* Of its loop other threads may use loop_post(), until worker_stop(). */
struct loop *worker_loop(struct worker *worker);
struct proxy *worker_proxy(struct worker *worker); /* its thread */
bool worker_is_ready(void *worker);                /* its thread: it would say yes at /ready */

/* As of lately; any thread. Requests and answers in progress; and, to be asked after that,
 * settlements that Redis has not confirmed, and finished requests it has not been told of. */
unsigned worker_open(const struct worker *worker);
unsigned worker_unbooked(const struct worker *worker);
unsigned worker_untold(const struct worker *worker);
