/* Orders of the control thread: each is posted to the worker's loop and done there. How far it is
 * with leaving the worker says in numbers that any thread may read. */
#include <stdlib.h>

#include "base/mem.h"
#include "net/http/server.h"
#include "proxy/proxy.h"
#include "run/worker_priv.h"
#include "state/history.h"
#include "state/lease.h"
#include "state/state.h"

enum {
    DRAIN_LOOK_MS = 50,
    QUIET_LOOKS = 2 /* what came in between is seen by the second */
};

/* An order with a number. */
struct numbered {
    struct worker *worker;
    uint64_t number;
};

static void post_number(struct worker *w, loop_fn run, uint64_t number)
{
    struct numbered *order = mem_new(sizeof(*order));
    *order = (struct numbered){w, number};
    loop_post(w->loop, run, order);
}

static void meet_epoch(void *arg)
{
    struct numbered *order = arg;
    state_meet_epoch(order->worker->state, order->number);
    free(order);
}

void worker_meet_epoch(struct worker *w, uint64_t epoch)
{
    post_number(w, meet_epoch, epoch);
}

static void wake(void *arg)
{
    struct numbered *order = arg;
    if (order->number == 0)
        state_wake_all(order->worker->state);
    else
        state_wake(order->worker->state, order->number);
    free(order);
}

void worker_wake(struct worker *w, uint64_t seq)
{
    post_number(w, wake, seq);
}

static void count_open(void *arg)
{
    struct worker *w = arg;
    unsigned open = w->server != NULL ? http_server_open(w->server) : 0;
    open += (unsigned)proxy_open(w->proxy);
    state_flush_history(w->state);
    atomic_store(&w->unbooked, (unsigned)state_outbox_count(w->state));
    atomic_store(&w->untold, (unsigned)state_history_count(w->state));
    w->quiet_looks = open == 0 ? w->quiet_looks + 1 : 0;
    atomic_store(&w->open, w->quiet_looks >= QUIET_LOOKS ? 0 : open + 1);
}

static void announce(void *arg)
{
    struct worker *w = arg;
    if (w->server != NULL)
        http_server_announce(w->server);
}

void worker_announce(struct worker *w)
{
    loop_post(w->loop, announce, w);
}

static void start_drain(struct worker *w, bool is_hurried)
{
    if (w->server != NULL)
        http_server_drain(w->server, is_hurried);
    count_open(w);
    if (w->drain_timer == NULL)
        w->drain_timer = loop_every(w->loop, DRAIN_LOOK_MS, count_open, w);
}

static void drain(void *arg)
{
    start_drain(arg, false);
}

static void drain_hurried(void *arg)
{
    start_drain(arg, true);
}

void worker_drain(struct worker *w, bool is_hurried)
{
    atomic_store(&w->open, 1); /* until it has looked itself */
    loop_post(w->loop, is_hurried ? drain_hurried : drain, w);
}

static void break_all(void *arg)
{
    struct worker *w = arg;
    proxy_break_all(w->proxy);
    start_drain(w, true);
}

void worker_break(struct worker *w)
{
    loop_post(w->loop, break_all, w);
}

unsigned worker_open(const struct worker *w)
{
    return atomic_load(&w->open);
}

unsigned worker_unbooked(const struct worker *w)
{
    return atomic_load(&w->unbooked);
}

unsigned worker_untold(const struct worker *w)
{
    return atomic_load(&w->untold);
}
