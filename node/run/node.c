/* The composition: everything meets here, and only here. The control thread's story:
 *   start   config, private Redis if none is named, listeners, workers, subscriptions declared
 *   run     a heartbeat and sweep a second; reload on SIGHUP, POST /admin/reload or a changed file
 *   leave   SIGTERM: /ready says no, then (or on a second signal) listeners close, streams end,
 *           leases are settled; at the end of drain_seconds, or on a further signal, what still
 *           runs is cut off and settled */
#include "run/node.h"

#include <event2/event.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "net/http/server.h"
#include "run/host.h"
#include "run/node_priv.h"
#include "run/preflight.h"
#include "run/private_redis.h"

enum {
    SWEEP_MS = 1000,
    DRAIN_NOTICE_MS = 1500, /* between saying no at /ready and closing the door: balancers look
                               once a second */
    DRAIN_LOOK_MS = 50,
    LAST_WORDS_MS = 2000, /* for settlements, after everything was cut off */
};

enum phase { PHASE_STARTING, PHASE_RUNNING, PHASE_NOTICE, PHASE_DRAINING, PHASE_BREAKING };

struct node {
    struct node_shared shared;
    struct node_identity identity;
    struct config *config;
    const char *config_path; /* as given on the command line, or NULL */
    struct timespec config_seen;
    struct timespec
        config_changed; /* a change that was seen once: it must stand still for a second */
    struct loop *loop;
    struct state *state;
    struct private_redis *private_redis;
    struct worker *workers[WORKERS_MAX];
    unsigned ready_count;
    uint16_t port;
    enum phase phase;
    struct deadline phase_deadline;
    struct loop_timer *sweep_timer, *drain_timer;
    struct event *signals[3];
    struct loop_hook log_hook;
    bool is_declared; /* Redis knows the subscriptions of n->config */
    bool was_id_conflict_logged;
    bool was_digest_difference_logged;
};

/* ---- subscriptions ---- */

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

static void declare(struct node *n)
{
    state_declare(n->state, n->config, on_declared, n);
}

static void on_state_change(bool is_up, void *arg)
{
    struct node *n = arg;
    if (is_up && !n->is_declared) /* else another node's newer configuration would be undone */
        declare(n);
}

static void on_pulse(enum err err, const struct pool_pulse *pulse, void *arg)
{
    struct node *n = arg;
    if (err != OK)
        return;
    if (pulse->subscriptions == 0 && n->config->subscription_count > 0) {
        log_message(LOG_WARN, "Redis has lost the pool: its subscriptions are declared again");
        declare(n);
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

/* ---- configuration ---- */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static void warn_fixed(const struct config *old, const struct config *new)
{
    bool is_same =
        same_text(old->server.host, new->server.host) && old->server.port == new->server.port &&
        old->server.workers == new->server.workers &&same_text(old->redis.url, new->redis.url) &&
        same_text(old->redis.prefix, new->redis.prefix) &&
        same_text(old->redis.pool, new->redis.pool) && same_text(old->node.id, new->node.id) &&
        same_text(old->node.state_dir, new->node.state_dir) &&
        (old->server.tls_cert == NULL) == (new->server.tls_cert == NULL);
    if (!is_same)
        log_message(LOG_WARN,
                    "server.host, port, workers, tls on or off, redis and node change only "
                    "with a restart of the node; the rest has been taken over");
}

static void remember_file(struct node *n)
{
    struct stat st;
    if (n->config->is_from_file && stat(n->config->source, &st) == 0)
        n->config_seen = n->config_changed = st.st_mtim;
}

/* All or nothing: a bad file changes nothing. */
static bool reload(struct node *n, const char *cause, char *error, size_t error_len)
{
    struct config *new;
    struct config_error why;
    remember_file(n);
    if (!config_load(n->config_path, &new, &why)) {
        snprintf(error, error_len, "%s", why.text);
    } else if (!preflight(new, error, error_len)) {
        config_release(new);
        new = NULL;
    }
    if (error[0] != '\0') {
        log_message(LOG_ERROR, "reload refused, nothing was changed: %s", error);
        return false;
    }
    warn_fixed(n->config, new);
    config_release(n->config);
    n->config = new;
    log_set_level(new->log_level);
    budget_update(n->shared.budget, new->server.memory_bytes, new->server.max_body_bytes);
    config_log_warnings(new);
    for (unsigned i = 0; i < n->shared.worker_count; i++)
        worker_use_config(n->workers[i], new);
    declare(n);
    if (log_begin(LOG_INFO, "reloaded")) {
        log_string("cause", cause);
        log_string("source", new->source);
        log_number("subscriptions", new->subscription_count);
        log_end();
    }
    return true;
}

static void on_reload_request(void *arg)
{
    struct worker_reload *r = arg;
    struct node *n = r->node;
    r->is_done = reload(n, "POST /admin/reload", r->error, sizeof(r->error));
    r->subscriptions = n->config->subscription_count;
    loop_post(worker_loop(r->worker), worker_reload_answer, r);
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* A file that changed is read once it has stood still from one second to the next. */
static void look_at_file(struct node *n)
{
    struct stat st;
    char error[sizeof(((struct config_error *)NULL)->text)] = "";
    if (!n->config->is_from_file || stat(n->config->source, &st) < 0 ||
        same_time(st.st_mtim, n->config_seen))
        return;
    if (!same_time(st.st_mtim, n->config_changed)) {
        n->config_changed = st.st_mtim;
        return;
    }
    if (n->phase == PHASE_RUNNING)
        reload(n, "the file changed", error, sizeof(error));
}

static void on_second(void *arg)
{
    struct node *n = arg;
    uint64_t active =
        (uint64_t)metrics_gauge(n->shared.metrics, n->shared.worker_count, GAUGE_EXCHANGES_ACTIVE);
    look_at_file(n);
    if (!n->is_declared && state_is_up(n->state))
        declare(n);
    struct node_report report = {SLICE(WEIR_VERSION), slice_of(n->config->digest), active};
    state_sweep(n->state, &report, on_pulse, n);
}

/* ---- leaving ---- */

static void leave(struct node *n)
{
    loop_stop(n->loop);
}

static void on_phase_over(void *arg);

static void enter(struct node *n, enum phase phase, uint64_t at_most_ms)
{
    n->phase = phase;
    deadline_clear(&n->phase_deadline);
    deadline_set(n->loop, &n->phase_deadline, at_most_ms);
}

static void break_off(struct node *n)
{
    for (unsigned i = 0; i < n->shared.worker_count; i++)
        worker_break(n->workers[i]);
    enter(n, PHASE_BREAKING, LAST_WORDS_MS);
}

static void on_drain_look(void *arg)
{
    struct node *n = arg;
    unsigned open = 0;
    for (unsigned i = 0; i < n->shared.worker_count; i++)
        open += worker_open(n->workers[i]);
    if (open + state_outbox_count(n->state) == 0)
        leave(n);
}

static void start_draining(struct node *n)
{
    log_message(LOG_INFO, "draining: no new connections; requests have %u s to end",
                n->config->server.drain_seconds);
    for (unsigned i = 0; i < n->shared.worker_count; i++)
        worker_drain(n->workers[i]);
    enter(n, PHASE_DRAINING, (uint64_t)n->config->server.drain_seconds * 1000);
    n->drain_timer = loop_every(n->loop, DRAIN_LOOK_MS, on_drain_look, n);
}

static void on_phase_over(void *arg)
{
    struct node *n = arg;
    switch (n->phase) {
    case PHASE_NOTICE:
        start_draining(n);
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

static void on_end_signal(evutil_socket_t signal, short what, void *arg)
{
    (void)what;
    struct node *n = arg;
    switch (n->phase) {
    case PHASE_STARTING:
    case PHASE_RUNNING:
        atomic_store(&n->shared.is_draining, true);
        log_message(LOG_INFO, "%s: leaving", signal == SIGINT ? "SIGINT" : "SIGTERM");
        if (signal == SIGINT) /* a person at a terminal, no balancer to wait for */
            start_draining(n);
        else
            enter(n, PHASE_NOTICE, DRAIN_NOTICE_MS);
        return;
    case PHASE_NOTICE:
        start_draining(n);
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

static void on_hangup(evutil_socket_t signal, short what, void *arg)
{
    (void)signal;
    (void)what;
    char error[sizeof(((struct config_error *)NULL)->text)] = "";
    reload(arg, "SIGHUP", error, sizeof(error));
}

/* ---- starting ---- */

static void on_worker_ready(void *arg)
{
    struct node *n = arg;
    char address[300];
    if (++n->ready_count < n->shared.worker_count || n->phase != PHASE_STARTING)
        return;
    n->phase = PHASE_RUNNING;
    bool is_v6 = strchr(n->config->server.host, ':') != NULL;
    snprintf(address, sizeof(address), is_v6 ? "[%.255s]:%u" : "%.255s:%u", n->config->server.host,
             n->port);
    if (log_begin(LOG_INFO, "listening")) {
        log_string("address", address);
        log_number("port", n->port);
        log_string("tls", n->config->server.tls_cert != NULL ? "on" : "off");
        log_number("workers", n->shared.worker_count);
        log_number("subscriptions", n->config->subscription_count);
        log_string("redis", n->private_redis != NULL ? "private" : "shared");
        log_end();
    }
}

static bool listen_all(struct node *n, int *listeners, unsigned count)
{
    char why[HTTP_LISTEN_WHY_MAX];
    n->port = n->config->server.port;
    for (unsigned i = 0; i < count; i++) {
        listeners[i] = http_listen(n->config->server.host, n->port, i == 0, &n->port, why);
        if (listeners[i] < 0) {
            log_message(LOG_ERROR, "cannot listen on %s port %u: %s", n->config->server.host,
                        n->port, why);
            return false;
        }
    }
    return true;
}

static bool start_private_redis(struct node *n)
{
    char *why;
    if (n->config->redis.url != NULL)
        return true;
    n->private_redis = private_redis_start(n->loop, n->config->node.state_dir, &why);
    if (n->private_redis == NULL) {
        log_message(LOG_ERROR, "%s", why);
        free(why);
    }
    return n->private_redis != NULL;
}

static void watch_signals(struct node *n)
{
    struct event_base *base = loop_base(n->loop);
    signal(SIGPIPE, SIG_IGN);
    n->signals[0] = evsignal_new(base, SIGTERM, on_end_signal, n);
    n->signals[1] = evsignal_new(base, SIGINT, on_end_signal, n);
    n->signals[2] = evsignal_new(base, SIGHUP, on_hangup, n);
    for (int i = 0; i < 3; i++)
        event_add(n->signals[i], NULL);
}

static void start_state(struct node *n)
{
    struct state_options options = {
        .redis_url = slice_of(n->shared.redis_url),
        .prefix = slice_of(n->config->redis.prefix),
        .pool = slice_of(n->config->redis.pool),
        .node = &n->identity,
        .worker = n->shared.worker_count, /* the slot behind the workers' */
        .metrics = &n->shared.metrics[n->shared.worker_count],
        .on_change = on_state_change,
        .arg = n,
    };
    n->state = state_new(n->loop, &options);
    n->sweep_timer = loop_every(n->loop, SWEEP_MS, on_second, n);
}

static void on_turn_end(void *arg)
{
    (void)arg;
    log_flush();
}

static void run(struct node *n, const int *listeners)
{
    struct node_shared *s = &n->shared;
    *s = (struct node_shared){
        .node = n,
        .control = n->loop,
        .identity = &n->identity,
        .worker_count = n->config->server.workers,
        .redis_url = n->private_redis != NULL ? private_redis_url(n->private_redis).at
                                              : n->config->redis.url,
        .on_worker_ready = on_worker_ready,
        .on_reload = on_reload_request,
    };
    s->metrics = mem_new((s->worker_count + 1) * sizeof(s->metrics[0]));
    s->connections_max = host_connections(s->worker_count);
    s->reserve_max = host_reserve(s->worker_count);
    s->budget = budget_new(n->config->server.memory_bytes, n->config->server.max_body_bytes);
    deadline_init(&n->phase_deadline, on_phase_over, n);
    log_gather(); /* a reader of the log that stands still must not stop the heartbeat */
    loop_hook_add(n->loop, &n->log_hook, on_turn_end, n);
    start_state(n);
    for (unsigned i = 0; i < s->worker_count; i++)
        n->workers[i] = worker_start(s, i, listeners[i], n->config);
    loop_run(n->loop);
    for (unsigned i = 0; i < s->worker_count; i++)
        worker_stop(n->workers[i]);
    state_free(n->state);
    loop_hook_remove(&n->log_hook);
    free(s->metrics);
    budget_free(s->budget);
}

static int serve(struct node *n)
{
    int listeners[WORKERS_MAX];
    if (!listen_all(n, listeners, n->config->server.workers) || !start_private_redis(n))
        return EXIT_FAILURE;
    host_identity(n->config->node.id, n->port, &n->identity);
    if (log_begin(LOG_INFO, "weir starts")) {
        log_string("version", WEIR_VERSION);
        log_string("node", n->identity.id);
        log_string("config", n->config->source);
        log_end();
    }
    config_log_warnings(n->config);
    watch_signals(n);
    run(n, listeners);
    private_redis_stop(n->private_redis);
    for (int i = 0; i < 3; i++)
        event_free(n->signals[i]);
    loop_timer_free(n->sweep_timer);
    loop_timer_free(n->drain_timer);
    deadline_clear(&n->phase_deadline);
    log_message(LOG_INFO, "weir has left");
    return EXIT_SUCCESS;
}

/* Memory of large bodies goes back when they do: by default the allocator raises the size from
 * which it maps to what was freed last, and then keeps it. */
static void use_memory_plainly(void)
{
#ifdef M_MMAP_THRESHOLD
    enum { MAPPED_FROM_BYTES = 128 * 1024, KEPT_BYTES = 2 << 20 };
    mallopt(M_MMAP_THRESHOLD, MAPPED_FROM_BYTES);
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES); /* of each thread's */
#endif
}

int node_serve(const char *config_path)
{
    struct node n = {.config_path = config_path};
    struct config_error error;
    char why[1024] = "";
    if (!config_load(config_path, &n.config, &error)) {
        fprintf(stderr, "weir: %s\n", error.text);
        return 2;
    }
    if (!preflight(n.config, why, sizeof(why))) {
        fprintf(stderr, "weir: %s\n", why);
        config_release(n.config);
        return 2;
    }
    remember_file(&n);
    log_setup(n.config->log_level, n.config->log_format);
    use_memory_plainly();
    n.loop = loop_new();
    int status = serve(&n);
    loop_free(n.loop);
    config_release(n.config);
    return status;
}
