/* A worker: one thread, one loop, one listener, one Redis connection, one upstream pool. What the
 * control thread asks of it while it runs and leaves stands in orders.c. */
#include "run/worker.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "auth/client.h"
#include "base/log.h"
#include "base/mem.h"
#include "dialect/dialect.h"
#include "loop/loop.h"
#include "net/http/server.h"
#include "net/http/upstream.h"
#include "net/resolve.h"
#include "proxy/proxy.h"
#include "run/look.h"
#include "run/node_priv.h"
#include "run/operator.h"
#include "run/worker_priv.h"
#include "state/history.h"

enum {
    READY_WAIT_MS = 3000,    /* for Redis, before serving without it */
    IDLE_DROPPED_AT_ONCE = 8 /* of the upstream's connections, when a caller finds no descriptor */
};

/* A base URL that ends in a slash: "//v1/messages" is meant as "/v1/messages". */
static void drop_extra_slashes(struct http1_request *r)
{
    while (slice_starts(r->path, SLICE("//"))) {
        r->path = slice_from(r->path, 1);
        r->target = slice_from(r->target, 1);
    }
}

/* Everything under a dialect's paths is for a provider, the rest is ours. */
static struct http_refusal on_head(struct http_message *m, const struct sockaddr *peer, void *arg)
{
    struct worker *w = arg;
    drop_extra_slashes(&m->request);
    const struct dialect *dialect = dialect_of_path(m->request.path);
    struct access access = access_of(w->config, peer, &m->request);
    m->is_vital = dialect == NULL;
    if (access
            .is_local) /* behind one address many may call: each that says who it is has a share */
        m->caller = client_name(&m->request, m->peer, &m->arena);
    return dialect != NULL ? proxy_head(w->proxy, m, dialect, &access)
                           : admin_head(w->admin, m, &access);
}

static void on_request(struct connection *call, struct http_message *message, void *arg)
{
    struct worker *w = arg;
    if (dialect_of_path(message->request.path) != NULL)
        proxy_handle(w->proxy, call, message);
    else
        admin_handle(w->admin, call, message);
}

static bool on_descriptors_short(void *arg)
{
    const struct worker *w = arg;
    return upstream_drop_idle(w->upstream, IDLE_DROPPED_AT_ONCE) > 0;
}

static struct http_server_options server_options(struct worker *w)
{
    const struct config *c = w->config;
    struct http_server_options options = {
        .budget = w->shared->budget,
        .body_bytes_max = c->server.max_body_bytes,
        .connections_max = w->shared->connections_max,
        .reserve_max = w->shared->reserve_max,
        .is_listener_shared = w->shared->is_listener_shared,
        .client_ms = c->timeouts.client_ms,
        .proxies = c->server.proxy_protocol ? &c->server.trusted_networks : NULL,
        .metrics = w->metrics,
        .write_error = dialect_default()->write_error,
        .on_head = on_head,
        .on_request = on_request,
        .on_descriptors_short = on_descriptors_short,
        .arg = w,
    };
    return options;
}

/* The control thread has checked it a moment ago; the file may be another one by now. */
static bool make_tls(const struct config *c, SSL_CTX **tls)
{
    char why[TLS_WHY_MAX];
    *tls = c->server.tls_cert != NULL
               ? tls_server_context(c->server.tls_cert, c->server.tls_key, why)
               : NULL;
    if (*tls != NULL || c->server.tls_cert == NULL)
        return true;
    log_message(LOG_ERROR, "the TLS certificate cannot be used: %s", why);
    return false;
}

static void serve(struct worker *w)
{
    if (w->server != NULL || atomic_load(&w->shared->is_draining))
        return;
    deadline_clear(&w->ready_deadline);
    struct http_server_options options = server_options(w);
    if (!make_tls(w->config, &options.tls))
        return; /* rather nobody than plain text where TLS was meant */
    w->is_tls = options.tls != NULL;
    w->server = http_server_new(w->loop, w->listener, &options);
    w->listener = -1;
    loop_post(w->shared->control, w->shared->on_worker_ready, w->shared->node);
}

static void on_ready_late(void *arg)
{
    serve(arg);
}

static void serve_if_ready(struct worker *w)
{
    if (w->is_pool_declared && state_is_up(w->state))
        serve(w);
}

static void on_state_change(bool is_up, void *arg)
{
    (void)is_up;
    serve_if_ready(arg);
}

bool worker_is_ready(void *arg)
{
    const struct worker *w = arg;
    const struct node_shared *shared = w->shared;
    return w->server != NULL && !atomic_load(&shared->is_draining) &&
           atomic_load(&shared->trouble) == NULL && state_can_admit(w->state);
}

struct loop *worker_loop(struct worker *w)
{
    return w->loop;
}

struct proxy *worker_proxy(struct worker *w)
{
    return w->proxy;
}

static void on_turn_end(void *arg)
{
    (void)arg;
    log_flush();
}

/* ---- orders of the control thread ---- */

struct order {
    struct worker *worker;
    struct config *config;
};

static void take_config(void *arg)
{
    struct order *order = arg;
    struct worker *w = order->worker;
    config_release(w->config);
    w->config = order->config;
    free(order);
    proxy_use_config(w->proxy, w->config);
    admin_use_config(w->admin, w->config);
    if (w->server != NULL) {
        struct http_server_options options = server_options(w);
        if (w->is_tls) /* plain stays plain until a restart; a bad certificate leaves the old one */
            (void)make_tls(w->config, &options.tls);
        http_server_update(w->server, &options);
    } else {
        serve_if_ready(w); /* it may have been this config's certificate that could not be read */
    }
}

void worker_use_config(struct worker *w, struct config *config)
{
    struct order *order = mem_new(sizeof(*order));
    *order = (struct order){w, config_hold(config)};
    loop_post(w->loop, take_config, order);
}

static void pool_declared(void *arg)
{
    struct worker *w = arg;
    w->is_pool_declared = true;
    serve_if_ready(w);
}

void worker_pool_declared(struct worker *w)
{
    loop_post(w->loop, pool_declared, w);
}

static void stop(void *arg)
{
    struct worker *w = arg;
    loop_stop(w->loop);
}

/* ---- the thread ---- */

static struct state *make_state(struct worker *w)
{
    struct state_options options = {
        .redis_url = w->shared->redis_url,
        .prefix = slice_of(w->config->redis.prefix),
        .pool = slice_of(w->config->redis.pool),
        .node = w->shared->identity,
        .worker = w->number,
        .metrics = w->metrics,
        .on_change = on_state_change,
        .arg = w,
    };
    return state_new(w->loop, &options);
}

static struct admin *make_admin(struct worker *w)
{
    struct admin_options options = {
        .loop = w->loop,
        .state = w->state,
        .metrics = w->shared->metrics,
        .metrics_count = w->shared->worker_count + 1,
        .budget = w->shared->budget,
        .node = w->shared->identity,
    };
    operator_serve(&w->operator_desk, &options);
    return admin_new(&options);
}

static struct proxy *make_proxy(struct worker *w)
{
    struct proxy_options options = {
        .loop = w->loop,
        .state = w->state,
        .upstream = w->upstream,
        .metrics = w->metrics,
        .retries = w->shared->retries,
        .node = w->shared->identity,
        .worker = w->number,
        .config = w->config,
    };
    return proxy_new(&options);
}

static void build(struct worker *w)
{
    w->metrics = &w->shared->metrics[w->number];
    deadline_init(&w->ready_deadline, on_ready_late, w);
    deadline_set(w->loop, &w->ready_deadline, READY_WAIT_MS);
    w->resolver = resolver_new(w->loop);
    w->upstream = upstream_new(w->loop, w->resolver, w->metrics);
    w->state = make_state(w);
    w->desk = look_desk_new(w->shared->look, w->loop);
    w->operator_desk =
        (struct operator_desk){.shared = w->shared, .loop = w->loop, .desk = w->desk};
    w->admin = make_admin(w);
    w->proxy = make_proxy(w);
    admin_use_config(w->admin, w->config);
}

/* Connections end first, then Redis, which answers what still asks it. What runs until now was
 * given its time, and cut off and settled by worker_break(): this comes after the last words. */
static void tear_down(struct worker *w)
{
    loop_timer_free(w->drain_timer);
    deadline_clear(&w->ready_deadline);
    http_server_free(w->server);
    look_desk_free(w->desk);
    state_free(w->state);
    upstream_free(w->upstream);
    resolver_free(w->resolver);
    admin_free(w->admin);
    proxy_free(w->proxy);
    config_release(w->config);
    loop_hook_remove(&w->log_hook);
    log_thread_end();
}

static void *run(void *arg)
{
    struct worker *w = arg;
    char name[32];
    snprintf(name, sizeof(name), "worker-%u", w->number);
    log_set_thread_name(name);
    log_gather();
    build(w);
    loop_hook_add(w->loop, &w->log_hook, on_turn_end, w);
    loop_run(w->loop);
    tear_down(w);
    return NULL;
}

struct worker *worker_start(struct node_shared *shared, unsigned number, int listener,
                            struct config *config)
{
    struct worker *w = mem_new(sizeof(*w));
    w->shared = shared;
    w->number = number;
    w->listener = listener;
    w->config = config_hold(config);
    w->loop = loop_new();
    if (pthread_create(&w->thread, NULL, run, w) != 0) {
        log_message(LOG_ERROR, "a worker thread could not be started");
        log_stop(); /* or it would not be heard */
        abort();
    }
    return w;
}

void worker_stop(struct worker *w)
{
    loop_post(w->loop, stop, w);
    pthread_join(w->thread, NULL);
    loop_free(w->loop);
    free(w);
}
