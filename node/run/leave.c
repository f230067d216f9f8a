/* Leaving, from the order to the last word:
 *   NOTICE     /ready says no, answers say that their connection closes; the door stays open,
 *              because a balancer looks only once a second
 *   DRAINING   no new connections; what runs may end, for server.drain_seconds, and who was not
 *              told is served once more
 *   BREAKING   what still runs is cut off and settled
 * When nothing is left but to book (or in BREAKING), that goes on as long as it gets less, and a
 * lease time at most: by then the slots have returned by themselves. Without Redis it gets no less.
 * POST /admin/drain is SIGTERM with a longer notice: until nothing runs, so that whoever asked can
 * ask how far it is. Notice and drain share server.drain_seconds then.
 * SIGINT, from a person at a terminal, leaves out the notice, and idle callers are not waited for.
 * Asked again, it goes on at once. */
#include <inttypes.h>
#include <signal.h>

#include <stdio.h>

#include "base/log.h"
#include "base/metrics.h"
#include "run/control.h"
#include "run/node_priv.h"
#include "state/lease.h"
#include "state/pool.h"
#include "state/state.h"

enum { NOTICE_MS = 1500, DRAIN_LOOK_MS = 50, STALL_MS = 3000, FAREWELL_MS = 500 };

/* Requests that have ended, however. */
static uint64_t ended(const struct node *n)
{
    static const enum counter counters[] = {
        COUNT_REQUESTS_2XX, COUNT_REQUESTS_3XX, COUNT_REQUESTS_4XX, COUNT_REQUESTS_429,
        COUNT_REQUESTS_529, COUNT_REQUESTS_5XX, COUNT_REQUESTS_GONE};
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
        sum += metrics_counter(n->shared.metrics, n->shared.worker_count, counters[i]);
    return sum;
}

static uint64_t running(const struct node *n)
{
    int64_t count =
        metrics_gauge(n->shared.metrics, n->shared.worker_count + 1, GAUGE_EXCHANGES_ACTIVE);
    return count > 0 ? (uint64_t)count : 0;
}

/* What became of the requests, and whether the pool knows: else the others see this node fall
 * silent, and forget it a minute later. */
static void tell_left(const struct node *n)
{
    char said[64];
    uint64_t cut = metrics_counter(n->shared.metrics, n->shared.worker_count, COUNT_CUT_OFF);
    uint64_t all = ended(n) - n->ended_before, lost = cut + running(n);
    uint64_t whole = all > cut ? all - cut : 0;
    snprintf(said, sizeof(said), "left: %" PRIu64 " ended, %" PRIu64 " lost", whole, lost);
    if (!log_begin(lost > 0 ? LOG_WARN : LOG_INFO, said))
        return;
    log_number("ended", whole);
    log_number("lost", lost);
    if (n->private_redis == NULL)
        log_string("pool", n->was_farewell_heard ? "knows" : "could not be told");
    log_end();
}

static void stop(void *arg)
{
    struct node *n = arg;
    deadline_clear(&n->farewell);
    tell_left(n);
    loop_stop(n->loop);
}

static void on_left(enum err err, struct slice message, void *arg)
{
    struct node *n = arg;
    (void)message;
    n->was_farewell_heard = err == OK;
    if (n->has_said_farewell && deadline_is_set(&n->farewell))
        stop(n);
}

/* The others are told, so that nobody waits for what this node may have left. */
static void leave(struct node *n)
{
    loop_timer_free(n->drain_timer);
    n->drain_timer = NULL;
    if (n->has_said_farewell || n->private_redis != NULL || !state_is_up(n->state)) {
        stop(n);
        return;
    }
    n->has_said_farewell = true;
    loop_timer_free(n->pulse_timer); /* or it would come back */
    n->pulse_timer = NULL;
    deadline_init(&n->farewell, stop, n);
    deadline_set(n->loop, &n->farewell, FAREWELL_MS);
    state_leave(n->state, on_left, n);
}

static void break_off(struct node *n)
{
    for (unsigned i = 0; i < n->shared.worker_count; i++)
        worker_break(n->workers[i]);
    node_go(n, PHASE_BREAKING, NODE_FOR_EVER);
}

static void leave_unbooked(struct node *n, unsigned left)
{
    if (left > 0 && log_begin(LOG_ERROR, "leaving with what could not be booked")) {
        log_number("settlements", left);
        log_string("redis", state_is_up(n->state) ? "up" : "down");
        log_end();
    }
    leave(n);
}

/* left: all that is waited for, of which so much is to be booked. */
static void watch_booking(struct node *n, unsigned left, unsigned unbooked)
{
    uint64_t now_ms = loop_now_ms(n->loop);
    if (n->last_words.since_ms == 0) {
        n->last_words.since_ms = n->last_words.progress_ms = now_ms;
        n->last_words.left = left;
    }
    if (left < n->last_words.left) {
        n->last_words.progress_ms = now_ms;
        n->last_words.left = left;
    }
    if (now_ms >= n->last_words.progress_ms + STALL_MS ||
        now_ms >= n->last_words.since_ms + LEASE_MS)
        leave_unbooked(n, unbooked);
}

static void on_drain_look(void *arg)
{
    struct node *n = arg;
    unsigned open = 0, unbooked = 0, untold = 0;
    for (unsigned i = 0; i < n->shared.worker_count; i++)
        open += worker_open(n->workers[i]);
    for (unsigned i = 0; i < n->shared.worker_count; i++)
        unbooked += worker_unbooked(n->workers[i]);
    for (unsigned i = 0; i < n->shared.worker_count; i++)
        untold += worker_untold(n->workers[i]);
    unbooked += (unsigned)state_outbox_count(n->state);
    if (open + unbooked + untold == 0)
        leave(n);
    else if (open == 0 || n->phase == PHASE_BREAKING)
        watch_booking(n, open + unbooked + untold, open + unbooked);
    else
        n->last_words.since_ms = 0;
}

/* Whoever was not told that the door closes is served once more: that takes a moment. */
static uint64_t drain_ms(const struct node *n)
{
    uint64_t now_ms = loop_now_ms(n->loop), usual_ms = n->config->server.drain_seconds * 1000ULL;
    if (n->drain_by_ms == 0)
        return usual_ms;
    return n->drain_by_ms > now_ms + NOTICE_MS ? n->drain_by_ms - now_ms : NOTICE_MS;
}

static void start_draining(struct node *n, bool is_hurried)
{
    uint64_t at_most_ms = drain_ms(n);
    log_message(LOG_INFO, "draining: no new connections; requests have %u s to end",
                (unsigned)(at_most_ms / 1000));
    loop_timer_free(n->drain_timer);
    for (unsigned i = 0; i < n->shared.worker_count; i++)
        worker_drain(n->workers[i], is_hurried);
    node_go(n, PHASE_DRAINING, at_most_ms);
    n->drain_timer = loop_every(n->loop, DRAIN_LOOK_MS, on_drain_look, n);
}

void leave_phase_over(void *arg)
{
    struct node *n = arg;
    switch (n->phase) {
    case PHASE_NOTICE:
        start_draining(n, false);
        return;
    case PHASE_DRAINING:
        log_message(LOG_WARN, "the time to drain is over: what still runs is cut off");
        break_off(n);
        return;
    case PHASE_STARTING:
    case PHASE_RUNNING:
    case PHASE_BREAKING:
        leave(n);
        return;
    }
}

static void announce(struct node *n, const char *cause)
{
    atomic_store(&n->shared.is_draining, true);
    n->ended_before = ended(n);
    log_message(LOG_INFO, "%s: leaving", cause);
    for (unsigned i = 0; i < n->shared.worker_count; i++)
        worker_announce(n->workers[i]);
}

void leave_asked(struct node *n, int signal)
{
    if (n->workers[0] == NULL) { /* not even a name yet */
        node_go(n, PHASE_NOTICE, NODE_FOR_EVER);
        duty_leaving(n);
        loop_stop(n->loop);
        return;
    }
    switch (n->phase) {
    case PHASE_STARTING:
    case PHASE_RUNNING:
        announce(n, signal == SIGINT ? "SIGINT" : "SIGTERM");
        if (signal == SIGINT) /* a person at a terminal, no balancer to wait for */
            start_draining(n, true);
        else
            node_go(n, PHASE_NOTICE, NOTICE_MS);
        duty_leaving(n);
        return;
    case PHASE_NOTICE:
        start_draining(n, true);
        return;
    case PHASE_DRAINING:
        log_message(LOG_WARN, "asked again: what still runs is cut off");
        break_off(n);
        return;
    case PHASE_BREAKING:
        leave(n);
        return;
    }
}

/* ---- by hand ---- */

static void on_notice_look(void *arg)
{
    struct node *n = arg;
    if (loop_now_ms(n->loop) >= n->notice_ends_ms && running(n) == 0)
        start_draining(n, false);
}

static void give_long_notice(struct node *n)
{
    uint64_t now_ms = loop_now_ms(n->loop), at_most_ms = n->config->server.drain_seconds * 1000ULL;
    if (at_most_ms < NOTICE_MS)
        at_most_ms = NOTICE_MS;
    announce(n, "POST /admin/drain");
    n->drain_by_ms = now_ms + at_most_ms;
    n->notice_ends_ms = now_ms + NOTICE_MS;
    node_go(n, PHASE_NOTICE, at_most_ms);
    n->drain_timer = loop_every(n->loop, DRAIN_LOOK_MS, on_notice_look, n);
    duty_leaving(n);
}

void leave_run(struct node *n, struct control_call *call)
{
    call->is_done = n->workers[0] != NULL;
    if (!call->is_done) {
        snprintf(call->error, sizeof(call->error), "this node has no name yet, and does not serve");
        return;
    }
    if (n->phase == PHASE_STARTING || n->phase == PHASE_RUNNING)
        give_long_notice(n);
    call->running = running(n);
}
