/* Once a second: this node is seen by the others, and whatever nobody renews is given back. Here
 * the pool's subscriptions are declared too: at the start, after a reload, and whenever Redis has
 * lost them. */
#include "base/log.h"
#include "base/metrics.h"
#include "run/node_priv.h"
#include "state/pool.h"
#include "state/state.h"

enum { PULSE_MS = 1000 };

static void on_second(void *arg);

static void on_declared(enum err err, struct slice message, void *arg)
{
    struct node *n = arg;
    if (err == ERR_REPLY)
        log_message(LOG_ERROR, "Redis refused this node's subscriptions: %.*s", SLICE_ARG(message));
    n->is_declared = err == OK; /* else on_second tries again */
    if (err != OK || n->phase != PHASE_STARTING)
        return;
    on_second(n); /* be seen by the others at once */
    for (unsigned i = 0; i < n->shared.worker_count; i++)
        worker_pool_declared(n->workers[i]);
}

void pulse_declare(struct node *n)
{
    state_declare(n->state, n->config, on_declared, n);
}

static void on_state_change(bool is_up, void *arg)
{
    struct node *n = arg;
    if (is_up && !n->is_declared) /* else another node's newer configuration would be undone */
        pulse_declare(n);
}

static void on_pulse(enum err err, const struct pool_pulse *pulse, void *arg)
{
    struct node *n = arg;
    if (err != OK)
        return;
    if (pulse->subscriptions == 0 && n->config->subscription_count > 0) {
        log_message(LOG_WARN, "Redis has lost the pool: its subscriptions are declared again");
        pulse_declare(n);
    }
    if (pulse->is_node_id_taken && !n->was_id_conflict_logged)
        log_message(
            LOG_ERROR,
            "another running node uses the id %s: give each its own (node.id); they drop each "
            "other's slots when they start",
            n->identity.id);
    if (pulse->do_configs_differ && !n->was_digest_difference_logged)
        log_message(LOG_WARN, "the nodes of this pool have different configurations; the last one "
                              "that was read holds for all");
    if (pulse->leases_expired > 0)
        log_message(LOG_WARN, "%u slots whose lease had run out were given back",
                    pulse->leases_expired);
    n->was_id_conflict_logged = pulse->is_node_id_taken;
    n->was_digest_difference_logged = pulse->do_configs_differ;
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
    uint64_t active =
        (uint64_t)metrics_gauge(n->shared.metrics, n->shared.worker_count, GAUGE_EXCHANGES_ACTIVE);
    reload_if_changed(n);
    if (!n->is_declared && state_is_up(n->state))
        pulse_declare(n);
    struct node_report report = {SLICE(WEIR_VERSION), slice_of(n->config->digest), active};
    state_sweep(n->state, &report, on_pulse, n);
}

void pulse_start(struct node *n)
{
    struct state_options options = {
        .redis_url = n->shared.redis_url,
        .prefix = slice_of(n->config->redis.prefix),
        .pool = slice_of(n->config->redis.pool),
        .node = &n->identity,
        .worker = n->shared.worker_count, /* the slot behind the workers' */
        .metrics = &n->shared.metrics[n->shared.worker_count],
        .on_change = on_state_change,
        .arg = n,
    };
    n->state = state_new(n->loop, &options);
    n->pulse_timer = loop_every(n->loop, PULSE_MS, on_second, n);
}
