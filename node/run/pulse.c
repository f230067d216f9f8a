/* A node among others: first a name, taken or waited for, then, once a second, a beat. The beat is
 * answered with what holds in the pool now; what follows from that is done here: subscriptions
 * declared (again), the workers told of a new epoch, and words for /ready and the log, each said
 * once per change. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "run/node_priv.h"
#include "state/pool.h"
#include "state/state.h"

enum {
    PULSE_MS = 1000,
    /* For a name: longer than a node's silence is doubted (3 s). Without Redis the node goes on
     * with the name it wanted; nothing but what people read depends on it. */
    JOIN_MS = 6000,
    JOIN_WITHOUT_REDIS_MS = 3000,
    JOIN_AGAIN_MS = 300,
    /* Redis was away for whoever is waited for as well: it comes back and beats first. */
    JOIN_AFTER_OUTAGE_MS = 4000
};

/* ---- a name ---- */

static void end_join(struct node *n)
{
    if (n->join.is_over)
        return;
    n->join.is_over = true;
    deadline_clear(&n->join.again);
    deadline_clear(&n->join.deadline);
    loop_stop(n->loop);
}

static void on_join_late(void *arg)
{
    struct node *n = arg;
    if (!state_is_up(n->state)) {
        end_join(n);
        return;
    }
    log_message(LOG_WARN, "Redis does not say whether another node is called %s: going on with it",
                n->identity.id);
    end_join(n);
}

static void take_name(struct node *n, struct slice name)
{
    if (!slice_eq(name, slice_of(n->identity.id))) {
        log_message(LOG_WARN,
                    "a living node of this pool is called %s (the same node.id, or one that is "
                    "still draining): this one is %.*s",
                    n->identity.id, SLICE_ARG(name));
        snprintf(n->identity.id, sizeof(n->identity.id), "%.*s", SLICE_ARG(name));
        log_set_node(n->identity.id, n->identity.boot);
        state_rename(n->state);
    }
    end_join(n);
}

static bool waits_for_name(const struct node *n)
{
    return n->config_at_start->node.taken_name == TAKEN_NAME_WAIT;
}

/* However long it takes, also while Redis is away: nothing could be admitted then. */
static void wait_for_name(struct node *n)
{
    deadline_clear(&n->join.deadline);
    if (!n->join.was_wait_logged)
        log_message(LOG_WARN,
                    "a node of this pool is called %s, and lives or did a moment ago: this one "
                    "waits until it has gone (node.taken_name)",
                    n->identity.id);
    n->join.was_wait_logged = true;
}

static void on_joined(enum err err, struct slice name, uint64_t wait_ms, void *arg)
{
    struct node *n = arg;
    n->join.is_asking = false;
    if (n->join.is_over)
        return;
    if (err == OK && name.len > 0) {
        take_name(n, name);
        return;
    }
    if (err == OK && waits_for_name(n))
        wait_for_name(n);
    else if (err == ERR_REPLY && !deadline_is_set(&n->join.deadline))
        deadline_set(n->loop, &n->join.deadline, JOIN_MS);
    deadline_set(n->loop, &n->join.again, wait_ms > 0 ? wait_ms : JOIN_AGAIN_MS);
}

static void ask_name(void *arg)
{
    struct node *n = arg;
    if (n->join.is_over || n->join.is_asking || !state_is_up(n->state))
        return;
    if (n->private_redis != NULL) {
        end_join(n); /* nobody else is there */
        return;
    }
    if (n->join.since_ms == 0) {
        n->join.since_ms = clock_ms();
        deadline_set(n->loop, &n->join.deadline, JOIN_MS);
    }
    n->join.is_asking = true;
    const struct join_wish wish = {.name = slice_of(n->identity.id),
                                   .is_waiting = waits_for_name(n),
                                   .asked_for_ms = clock_ms() - n->join.since_ms};
    state_join(n->state, &wish, on_joined, n);
}

/* ---- subscriptions ---- */

/* Redis is there and refuses: said once, shown at /ready until a pulse is answered again. */
static void note_error(struct node *n, struct slice message)
{
    bool is_too_old = slice_starts(message, SLICE("SCHEMA "));
    atomic_store(&n->shared.trouble, is_too_old ? "too old for this pool: upgrade it"
                                                : "redis refuses the pool's calls");
    if (!n->pulse.was_error_logged && log_begin(LOG_ERROR, "redis refuses this node's calls")) {
        log_text("reason", message);
        log_end();
    }
    n->pulse.was_error_logged = true;
}

static void on_second(void *arg);

static void on_declared(enum err err, struct slice message, void *arg)
{
    struct node *n = arg;
    if (err == ERR_REPLY)
        note_error(n, message);
    n->is_declared = err == OK; /* else the next pulse tries again */
    if (err != OK || n->phase != PHASE_STARTING)
        return;
    on_second(n); /* be seen by the others at once */
    for (unsigned i = 0; i < n->shared.worker_count; i++)
        worker_pool_declared(n->workers[i]);
}

static uint64_t edited_ms(const struct node *n)
{
    const struct timespec *at = &n->config_file.seen.changed;
    if (!n->config->is_from_file || at->tv_sec < 0)
        return 0;
    return (uint64_t)at->tv_sec * 1000 + (uint64_t)at->tv_nsec / 1000000;
}

void pulse_declare(struct node *n)
{
    if (n->has_said_farewell)
        return; /* or it would be heard of again */
    const struct declaration_source source = {.edited_ms = edited_ms(n),
                                              .is_alone = n->private_redis != NULL};
    state_declare(n->state, n->config, &source, on_declared, n);
}

static void on_state_change(bool is_up, void *arg)
{
    struct node *n = arg;
    if (!is_up)
        return;
    if (n->join.was_wait_logged && !n->join.is_over)
        deadline_set(n->loop, &n->join.again, JOIN_AFTER_OUTAGE_MS);
    else if (!n->join.is_over)
        ask_name(n);
    else if (!n->is_declared && n->workers[0] != NULL)
        pulse_declare(n);
}

/* ---- the second ---- */

static void say_what_changed(struct node *n, const struct pool_pulse *pulse)
{
    if (pulse->do_configs_differ && !n->pulse.was_difference_logged)
        log_message(LOG_WARN, "the nodes of this pool have different configurations; of what "
                              "several declare, the one that was written last holds for all");
    if (pulse->is_behind && !n->pulse.was_behind_logged)
        log_message(LOG_WARN, "this node is behind: the pool has subscriptions or settings that "
                              "its configuration has not; weir_status shows which");
    if (pulse->leases_expired > 0)
        log_message(LOG_WARN, "%u slots whose lease had run out were given back",
                    pulse->leases_expired);
    n->pulse.was_difference_logged = pulse->do_configs_differ;
    n->pulse.was_behind_logged = pulse->is_behind;
}

static void spread_epoch(struct node *n, uint64_t epoch)
{
    state_meet_epoch(n->state, epoch);
    if (epoch == n->pulse.epoch)
        return;
    n->pulse.epoch = epoch;
    for (unsigned i = 0; i < n->shared.worker_count; i++)
        worker_meet_epoch(n->workers[i], epoch);
}

static void beat(struct node *n);

static void on_pulse(enum err err, const struct pool_pulse *pulse, struct slice message, void *arg)
{
    struct node *n = arg;
    if (n->has_said_farewell)
        return; /* or it would be heard of again */
    if (err == ERR_REPLY)
        note_error(n, message);
    else if (err != OK)
        atomic_store(&n->shared.trouble, NULL); /* nobody knows; that Redis is away says enough */
    if (err != OK)
        return;
    n->pulse.was_error_logged = false;
    atomic_store(&n->shared.trouble, pulse->closed_ms > 0 ? "restoring" : NULL);
    n->pulse.generation = pulse->generation;
    spread_epoch(n, pulse->epoch);
    if (!pulse->is_declared && n->is_declared) {
        log_message(LOG_WARN,
                    "Redis does not know this node's subscriptions: they are declared again");
        pulse_declare(n);
    }
    say_what_changed(n, pulse);
    if (pulse->has_more)
        beat(n);
}

static void beat(struct node *n)
{
    struct node_report report = {
        .version = SLICE(WEIR_VERSION),
        .config_digest = slice_of(n->config->digest),
        .active = (uint64_t)metrics_gauge(n->shared.metrics, n->shared.worker_count,
                                          GAUGE_EXCHANGES_ACTIVE),
        .workers = n->shared.worker_count,
        .is_alone = n->private_redis != NULL,
    };
    state_beat(n->state, &report, on_pulse, n);
}

static void count_lost_lines(struct node *n)
{
    uint64_t lost = log_lines_lost();
    metrics_add(&n->shared.metrics[n->shared.worker_count], COUNT_LOG_LINES_LOST,
                lost - n->log_lines_lost);
    n->log_lines_lost = lost;
}

static void on_second(void *arg)
{
    struct node *n = arg;
    count_lost_lines(n);
    reload_if_changed(n);
    if (!n->is_declared && state_is_up(n->state))
        pulse_declare(n);
    beat(n);
}

/* ---- the part ---- */

void pulse_start(struct node *n)
{
    struct state_options options = {
        .redis_url = n->shared.redis_url,
        .prefix = slice_of(n->config->redis.prefix),
        .pool = slice_of(n->config->redis.pool),
        .node = &n->identity,
        .worker = n->shared.worker_count, /* the number behind the workers' */
        .metrics = &n->shared.metrics[n->shared.worker_count],
        .on_change = on_state_change,
        .arg = n,
    };
    deadline_init(&n->join.again, ask_name, n);
    deadline_init(&n->join.deadline, on_join_late, n);
    deadline_set(n->loop, &n->join.deadline, JOIN_WITHOUT_REDIS_MS);
    n->state = state_new(n->loop, &options);
}

void pulse_run(struct node *n)
{
    n->pulse_timer = loop_every(n->loop, PULSE_MS, on_second, n);
    if (state_is_up(n->state))
        pulse_declare(n);
}

void pulse_now(struct node *n)
{
    if (n->pulse_timer != NULL)
        beat(n);
}

void pulse_stop(struct node *n)
{
    loop_timer_free(n->pulse_timer);
    n->pulse_timer = NULL;
    deadline_clear(&n->join.again);
    deadline_clear(&n->join.deadline);
}
