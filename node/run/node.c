/* The composition: everything meets here, and only here. The control thread's story:
 *   start   config, listeners, private Redis if none is named, a name, workers, subscriptions
 *           declared
 *   run     a heartbeat and sweep a second (pulse.c); the configuration read again (reload.c)
 *   leave   on SIGTERM or SIGINT (leave.c) */
#include "run/node.h"

#include <assert.h>
#include <event2/event.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "net/http/server.h"
#include "run/greet.h"
#include "run/host.h"
#include "run/look.h"
#include "run/node_priv.h"
#include "run/private_redis.h"
#include "state/state.h"

#define PHASE(name) (1U << PHASE_##name)
static const struct {
    const char *word;
    unsigned to;
} phases[] = {
#define X(name, to) [PHASE_##name] = {#name, to},
    PHASE_TABLE(X)
#undef X
};

void node_go(struct node *n, enum phase phase, uint64_t at_most_ms)
{
    assert(phases[n->phase].to & (1U << phase));
    if (log_begin(LOG_DEBUG, "phase")) {
        log_string("from", phases[n->phase].word);
        log_string("to", phases[phase].word);
        log_end();
    }
    n->phase = phase;
    deadline_clear(&n->phase_deadline);
    if (at_most_ms != NODE_FOR_EVER)
        deadline_set(n->loop, &n->phase_deadline, at_most_ms);
}

static void on_end_signal(evutil_socket_t signal, short what, void *arg)
{
    (void)what;
    leave_asked(arg, (int)signal);
}

static void on_hangup(evutil_socket_t signal, short what, void *arg)
{
    struct node *n = arg;
    (void)signal;
    (void)what;
    if (n->is_at_terminal && greet_is_terminal_gone())
        leave_asked(n, SIGINT); /* its window was closed: nobody could end it there any more */
    else
        reload_on_signal(n);
}

static void on_worker_ready(void *arg)
{
    struct node *n = arg;
    char address[IP_TEXT_MAX + 16];
    if (++n->ready_count < n->shared.worker_count || n->phase != PHASE_STARTING)
        return;
    node_go(n, PHASE_RUNNING, NODE_FOR_EVER);
    const struct ip *host = &n->config_at_start->server.host;
    snprintf(address, sizeof(address), host->is_v6 ? "[%s]:%u" : "%s:%u", host->text, n->port);
    if (n->supervisor.port != 0)
        snprintf(address, sizeof(address), "passed socket, port %u", n->port);
    if (log_begin(LOG_INFO, "listening")) {
        log_string("address", address);
        log_number("port", n->port);
        log_string("tls", n->config->server.tls_cert != NULL ? "on" : "off");
        log_number("workers", n->shared.worker_count);
        log_number("subscriptions", n->config->subscription_count);
        log_string("redis", n->private_redis != NULL ? "private" : "shared");
        log_end();
    }
    greet_listening(n->config_at_start, n->port);
}

/* The passed socket is shared by all workers: it outlives the node, and with it those who wait in
 * its queue. Sockets of the workers' own beside it (SO_REUSEPORT) would each have a queue that ends
 * with the node, and what waits there would be reset. */
static bool share_passed(struct node *n, int *listeners, unsigned count)
{
    n->port = n->supervisor.port;
    for (unsigned i = 0; i < count; i++) {
        listeners[i] = fcntl(n->supervisor.listener, F_DUPFD_CLOEXEC, 0);
        if (listeners[i] < 0) {
            log_message(LOG_ERROR, "the passed socket cannot be shared among workers: %m");
            return false;
        }
    }
    log_message(LOG_INFO,
                "a listening socket was passed: server.host and server.port are not used");
    return true;
}

static bool listen_all(struct node *n, int *listeners, unsigned count)
{
    if (n->supervisor.listener >= 0)
        return share_passed(n, listeners, count);
    char why[HTTP_LISTEN_WHY_MAX];
    for (unsigned i = 0; i < count; i++) {
        listeners[i] = http_listen(n->config->server.host.text, n->port, i == 0, &n->port, why);
        if (listeners[i] < 0) {
            greet_refused(n->config, n->port, why);
            return false;
        }
    }
    return true;
}

/* A node that waits for its name listens once it has it: until then its callers are refused, not
 * kept waiting too, and the bearer may have the same port. A port that is part of the name must be
 * known first. Behind a passed socket they wait either way. */
static bool listens_late(const struct node *n)
{
    return n->supervisor.listener < 0 && n->config->node.taken_name == TAKEN_NAME_WAIT &&
           redis_url_is_set(&n->config->redis.url) && n->config->server.port != 0;
}

static bool start_private_redis(struct node *n)
{
    char *why;
    if (redis_url_is_set(&n->config->redis.url))
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
    signal(SIGHUP, SIG_IGN); /* what holds before the event and behind it: it has left by then */
    n->is_at_terminal = greet_is_at_terminal();
    n->signals[0] = evsignal_new(base, SIGTERM, on_end_signal, n);
    n->signals[1] = evsignal_new(base, SIGINT, on_end_signal, n);
    n->signals[2] = evsignal_new(base, SIGHUP, on_hangup, n);
    for (int i = 0; i < 3; i++)
        event_add(n->signals[i], NULL);
}

static void on_turn_end(void *arg)
{
    (void)arg;
    log_flush();
}

static void run_workers(struct node *n, const int *listeners)
{
    struct node_shared *s = &n->shared;
    s->look = look_new(n->loop, n->state);
    for (unsigned i = 0; i < s->worker_count; i++)
        n->workers[i] = worker_start(s, i, listeners[i], n->config);
    pulse_run(n);
    notice_start(n);
    duty_run(n);
    loop_run(n->loop);
    notice_stop(n);
    look_end(s->look);
    for (unsigned i = 0; i < s->worker_count; i++)
        worker_stop(n->workers[i]);
}

/* False: it could not listen. */
static bool run_with_name(struct node *n, int *listeners)
{
    if (n->phase != PHASE_STARTING)
        return true; /* told to leave before it had one */
    if (listens_late(n) && !listen_all(n, listeners, n->shared.worker_count))
        return false;
    run_workers(n, listeners);
    return true;
}

static bool run(struct node *n, int *listeners)
{
    struct node_shared *s = &n->shared;
    *s = (struct node_shared){
        .node = n,
        .control = n->loop,
        .identity = &n->identity,
        .worker_count = n->config->server.workers,
        .is_listener_shared = n->supervisor.listener >= 0,
        .redis_url = n->private_redis != NULL ? private_redis_url(n->private_redis)
                                              : &n->config_at_start->redis.url,
        .on_worker_ready = on_worker_ready,
    };
    s->metrics = mem_new((s->worker_count + 1) * sizeof(s->metrics[0]));
    reload_count(n, true);
    s->connections_max = host_connections(s->worker_count);
    s->reserve_max = host_reserve(s->worker_count);
    retry_budget_init(&n->retries, clock_ms());
    s->retries = &n->retries;
    s->budget = budget_new(n->config->server.memory_bytes, n->config->server.max_body_bytes);
    deadline_init(&n->phase_deadline, leave_phase_over, n);
    log_gather();
    loop_hook_add(n->loop, &n->log_hook, on_turn_end, n);
    duty_start(n);
    pulse_start(n);
    loop_run(n->loop); /* until it has a name: all that it holds will bear it */
    bool is_fine = run_with_name(n, listeners);
    duty_stop(n);
    pulse_stop(n);
    state_free(n->state);
    look_free(s->look);
    loop_hook_remove(&n->log_hook);
    free(s->metrics);
    budget_free(s->budget);
    return is_fine;
}

static int serve(struct node *n)
{
    int listeners[WORKERS_MAX] = {0};
    n->port = n->config->server.port;
    if (!listens_late(n) && !listen_all(n, listeners, n->config->server.workers))
        return EXIT_FAILURE;
    if (!start_private_redis(n))
        return EXIT_FAILURE;
    host_identity(n->config->node.id, n->port, &n->identity);
    log_set_node(n->identity.id, n->identity.boot);
    if (log_begin(LOG_INFO, "weir starts")) {
        log_string("version", WEIR_VERSION);
        log_string("config", n->config->source);
        log_end();
    }
    config_log_warnings(n->config);
    watch_signals(n);
    bool is_fine = run(n, listeners);
    private_redis_stop(n->private_redis);
    for (int i = 0; i < 3; i++)
        event_free(n->signals[i]);
    loop_timer_free(n->drain_timer);
    deadline_clear(&n->phase_deadline);
    log_message(LOG_INFO, "weir has left");
    return is_fine ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Memory of large bodies goes back when they do: by default the allocator raises the size from
 * which it maps to what was freed last, and then keeps it. */
static void use_memory_plainly(void)
{
#ifdef M_MMAP_THRESHOLD
    enum { MAPPED_FROM_BYTES = 128 * 1024, KEPT_BYTES = 2 << 20 };
    /* NOLINTBEGIN(concurrency-mt-unsafe): there is no other thread yet */
    mallopt(M_MMAP_THRESHOLD, MAPPED_FROM_BYTES);
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES); /* of each thread's */
    /* NOLINTEND(concurrency-mt-unsafe) */
#endif
}

static bool meet_supervisor(struct node *n)
{
    char why[SUPERVISOR_WHY_MAX];
    if (supervisor_meet(&n->supervisor, why))
        return true;
    log_message(LOG_ERROR, "%s", why);
    return false;
}

static bool start_log(void)
{
    if (log_start())
        return true;
    log_message(LOG_ERROR, "the log's thread could not be started");
    return false;
}

static void complain(const struct config_error *error)
{
    struct slice rest = slice_of(error->all), line;
    while (rest.len > 0) {
        rest = slice_cut(rest, '\n', &line);
        fprintf(stderr, "weir: %.*s\n", SLICE_ARG(line));
    }
}

int node_serve(const char *config_path)
{
    struct node n = {0};
    struct config_error error;
    if (!config_load(config_path, &n.config, &error)) {
        complain(&error);
        return 2;
    }
    n.config_at_start = config_hold(n.config);
    reload_begin(&n);
    use_memory_plainly();
    log_setup(n.config->log_level, n.config->log_format);
    if (!meet_supervisor(&n) || !start_log()) {
        supervisor_close(&n.supervisor);
        config_release(n.config);
        config_release(n.config_at_start);
        return EXIT_FAILURE;
    }
    n.loop = loop_new();
    int status = serve(&n);
    supervisor_close(&n.supervisor);
    loop_free(n.loop);
    config_release(n.config);
    config_release(n.config_at_start);
    log_stop();
    return status;
}
