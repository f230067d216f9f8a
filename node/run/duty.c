/* What the supervisor hears (supervisor.h):
 *   READY       once every worker would say yes at /ready
 *   WATCHDOG    twice a period, when the control loop and all workers' have turned: who is stuck
 *               keeps it from being said, and the supervisor restarts the node
 *   RELOADING   before a reload, and READY again when all workers have taken what was read
 *   STOPPING    with the first order to leave
 *   STATUS      in a line, for people: at once when its word changes, its numbers now and then
 * While it is not ready yet, or leaves, it asks for time (EXTEND_TIMEOUT_USEC): a node that waits
 * for Redis, for a name or for its streams is not hung. One that hangs does not ask. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/metrics.h"
#include "run/node_priv.h"
#include "state/state.h"

enum {
    LOOK_MS = 100, /* until it is ready */
    LOOK_READY_MS = 1000,
    NUMBERS_MS = 5000,
    MORE_TIME_MS = 30000 /* from each time it is told something */
};

static const char *word_of(const struct node *n)
{
    const char *trouble = atomic_load(&n->shared.trouble);
    if (n->phase == PHASE_NOTICE)
        return "leaving: /ready says no, new connections are still taken";
    if (n->phase == PHASE_DRAINING)
        return "leaving: what runs may end";
    if (n->phase == PHASE_BREAKING)
        return "leaving: what ran was cut off and is booked";
    if (n->workers[0] == NULL)
        return n->join.was_wait_logged ? "waiting until its name is free" : "starting";
    if (trouble != NULL)
        return trouble;
    if (!state_is_up(n->state))
        return "redis down";
    return n->duty.is_ready ? "ready" : "starting";
}

static void tell_status(struct node *n, const char *first_lines)
{
    char more_time[64] = "";
    uint64_t running =
        (uint64_t)metrics_gauge(n->shared.metrics, n->shared.worker_count, GAUGE_EXCHANGES_ACTIVE);
    bool is_in_time = n->duty.is_ready && n->phase == PHASE_RUNNING;
    if (!is_in_time)
        snprintf(more_time, sizeof(more_time), "EXTEND_TIMEOUT_USEC=%d000\n", MORE_TIME_MS);
    n->duty.word = word_of(n);
    n->duty.told_ms = loop_now_ms(n->loop);
    supervisor_tell(&n->supervisor, "%s%sSTATUS=%s; %zu subscription%s, %" PRIu64 " running",
                    first_lines, more_time, n->duty.word, n->config->subscription_count,
                    n->config->subscription_count == 1 ? "" : "s", running);
}

static void on_look(void *arg)
{
    struct node *n = arg;
    if (!n->duty.is_ready && n->phase == PHASE_RUNNING)
        (void)roll_call_start(&n->duty.ready); /* or the last still waits for somebody */
    if (n->duty.word == NULL || strcmp(n->duty.word, word_of(n)) != 0 ||
        loop_now_ms(n->loop) >= n->duty.told_ms + NUMBERS_MS)
        tell_status(n, "");
}

static void look_each(struct node *n, uint64_t interval_ms)
{
    loop_timer_free(n->duty.look_timer);
    n->duty.look_timer = loop_every(n->loop, interval_ms, on_look, n);
}

static void on_ready_answered(void *arg)
{
    struct node *n = arg;
    if (!n->duty.ready.are_all_fine || n->duty.is_ready || n->phase != PHASE_RUNNING)
        return;
    n->duty.is_ready = true;
    look_each(n, LOOK_READY_MS);
    tell_status(n, "READY=1\n");
}

/* ---- the watchdog ---- */

static void on_all_alive(void *arg)
{
    struct node *n = arg;
    n->duty.was_silence_logged = false;
    supervisor_tell(&n->supervisor, "WATCHDOG=1");
}

static void on_watchdog(void *arg)
{
    struct node *n = arg;
    if (roll_call_start(&n->duty.alive) || n->duty.was_silence_logged)
        return;
    n->duty.was_silence_logged = true;
    if (log_begin(LOG_ERROR, "a worker does not turn: the watchdog is told nothing")) {
        log_number("worker", roll_call_first_missing(&n->duty.alive));
        log_number("watchdog_ms", n->supervisor.watchdog_ms);
        log_end();
    }
}

/* ---- a reload ---- */

/* By the clock that systemd compares with, which stands still while the machine is suspended. */
void duty_reloading(struct node *n)
{
    struct timespec now;
    if (!n->duty.is_ready || n->phase != PHASE_RUNNING)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    supervisor_tell(&n->supervisor, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
                    (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
}

static void on_reload_taken(void *arg)
{
    struct node *n = arg;
    if (n->phase != PHASE_RUNNING)
        return;
    if (n->duty.is_reload_untaken) {
        n->duty.is_reload_untaken = !roll_call_start(&n->duty.taken);
        return;
    }
    if (n->duty.refusal[0] == '\0')
        tell_status(n, "READY=1\n");
    else
        supervisor_tell(&n->supervisor, "READY=1\nSTATUS=reload refused, nothing was changed: %s",
                        n->duty.refusal);
}

/* A reason quotes the file; a line of its own it must not become. */
static void keep_refusal(struct node *n, const char *error)
{
    snprintf(n->duty.refusal, sizeof(n->duty.refusal), "%s", error != NULL ? error : "");
    for (char *c = n->duty.refusal; *c != '\0'; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
}

void duty_reloaded(struct node *n, const char *error)
{
    if (!n->duty.is_ready || n->phase != PHASE_RUNNING)
        return;
    keep_refusal(n, error);
    n->duty.is_reload_untaken = !roll_call_start(&n->duty.taken);
}

/* ---- the part ---- */

void duty_leaving(struct node *n)
{
    tell_status(n, "STOPPING=1\n");
}

void duty_start(struct node *n)
{
    roll_call_init(&n->duty.ready, n->loop, on_ready_answered, n);
    roll_call_init(&n->duty.taken, n->loop, on_reload_taken, n);
    roll_call_init(&n->duty.alive, n->loop, on_all_alive, n);
    if (n->supervisor.fd >= 0)
        look_each(n, LOOK_MS);
}

void duty_run(struct node *n)
{
    uint64_t half_ms = n->supervisor.watchdog_ms / 2;
    for (unsigned i = 0; i < n->shared.worker_count; i++) {
        struct loop *loop = worker_loop(n->workers[i]);
        roll_call_add(&n->duty.ready, loop, worker_is_ready, n->workers[i]);
        roll_call_add(&n->duty.taken, loop, NULL, NULL);
        roll_call_add(&n->duty.alive, loop, NULL, NULL);
    }
    if (n->supervisor.watchdog_ms == 0)
        return;
    n->duty.watchdog_timer = loop_every(n->loop, half_ms > 0 ? half_ms : 1, on_watchdog, n);
    on_watchdog(n);
}

void duty_stop(struct node *n)
{
    loop_timer_free(n->duty.look_timer);
    loop_timer_free(n->duty.watchdog_timer);
    n->duty.look_timer = n->duty.watchdog_timer = NULL;
}
