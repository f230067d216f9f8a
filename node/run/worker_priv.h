/* worker_priv.h - what worker.c and orders.c share. Touched on the worker's thread only, but for
 * the atomics. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "loop/loop.h"
#include "run/operator.h"
#include "run/worker.h"

struct admin;
struct http_server;
struct look_desk;
struct proxy;
struct resolver;
struct state;
struct upstream;

struct worker {
    pthread_t thread;
    struct node_shared *shared;
    unsigned number;
    int listener;          /* until the server has it */
    struct config *config; /* a reference */
    struct loop *loop;
    struct loop_hook log_hook;
    struct state *state;
    struct resolver *resolver;
    struct upstream *upstream;
    struct http_server *server; /* NULL until ready */
    struct admin *admin;
    struct look_desk *desk;
    struct operator_desk operator_desk;
    struct proxy *proxy;
    struct metrics *metrics; /* its slot */
    struct deadline ready_deadline;
    bool is_tls;
    bool is_pool_declared; /* Redis knows the subscriptions */
    struct loop_timer *drain_timer;
    unsigned quiet_looks; /* in a row, while draining, at which nothing was open */
    _Atomic unsigned open, unbooked, untold;
};
