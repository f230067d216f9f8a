/* Calls and pools. The states of a connection stand in upstream_priv.h. */
#include "net/http/upstream.h"

#include <assert.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "net/http/upstream_priv.h"

static void on_idle_too_long(void *arg)
{
    upstream_connection_free(arg);
}

static void on_late(void *arg)
{
    struct upstream_connection *c = arg;
    switch (c->state) {
    case UPSTREAM_CONNECTING:
        upstream_fail(c, ERR_TIMEOUT, "no connection within timeouts.connect_ms");
        return;
    case UPSTREAM_SENT:
        upstream_fail(c, ERR_TIMEOUT, "no answer within timeouts.first_byte_ms");
        return;
    case UPSTREAM_BODY:
        upstream_fail(c, ERR_TIMEOUT, "the answer stood still for timeouts.idle_ms");
        return;
    case UPSTREAM_IDLE:
        return;
    }
}

static void set_deadline(struct upstream_connection *c, loop_fn on_expired, uint64_t in_ms)
{
    deadline_clear(&c->deadline);
    c->deadline.on_expired = on_expired;
    deadline_set(c->pool->upstream->loop, &c->deadline, in_ms);
}

static bool same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static struct origin_pool *origin_pool_of(struct upstream *u, const struct upstream_request *r)
{
    LIST_EACH (link, &u->pools) {
        struct origin_pool *p = LIST_OWNER(link, struct origin_pool, link);
        if (p->port == r->origin->port && p->is_tls == r->origin->is_tls &&
            same(p->host, r->origin->host) && same(p->ca_file, r->ca_file))
            return p;
    }
    struct origin_pool *p = mem_new(sizeof(*p));
    *p = (struct origin_pool){.upstream = u, .is_tls = r->origin->is_tls, .port = r->origin->port};
    p->host = mem_string(slice_of(r->origin->host));
    p->ca_file = r->ca_file != NULL ? mem_string(slice_of(r->ca_file)) : NULL;
    list_init(&p->idle);
    list_push(&u->pools, &p->link);
    return p;
}

static void free_now(void *arg)
{
    free(arg);
}

static struct upstream_connection *connection_new(struct origin_pool *p)
{
    struct upstream_connection *c = mem_new(sizeof(*c));
    c->pool = p;
    c->wire.fd = -1;
    c->state = UPSTREAM_CONNECTING;
    buf_init(&c->in, HTTP1_HEAD_MAX + UPSTREAM_SCRATCH_BYTES);
    deadline_init(&c->deadline, on_late, c);
    loop_task_init(&c->free_task, free_now, c);
    list_init(&c->link);
    return c;
}

void upstream_connection_free(struct upstream_connection *c)
{
    struct upstream *u = c->pool->upstream;
    if (c->is_freed)
        return;
    c->is_freed = true;
    if (c->lookup != NULL)
        resolve_cancel(c->lookup);
    if (c->state == UPSTREAM_IDLE) {
        c->pool->idle_count--;
        metrics_move(u->metrics, GAUGE_UPSTREAM_IDLE, -1);
    } else {
        metrics_move(u->metrics, GAUGE_UPSTREAM_BUSY, -1);
    }
    deadline_clear(&c->deadline);
    list_remove(&c->link);
    wire_close(&c->wire);
    buf_fini(&c->in);
    free(c->addresses);
    loop_defer(u->loop, &c->free_task);
}

/* A pooled connection that is still open, the one used last: it is the least likely to be dead. */
static struct upstream_connection *take_idle(struct origin_pool *p)
{
    struct list *link;
    while ((link = p->idle.next) != &p->idle) {
        struct upstream_connection *c = LIST_OWNER(link, struct upstream_connection, link);
        if (!wire_is_quiet(&c->wire)) { /* closed, or speaking out of turn */
            upstream_connection_free(c);
            continue;
        }
        list_remove(link);
        p->idle_count--;
        metrics_move(p->upstream->metrics, GAUGE_UPSTREAM_IDLE, -1);
        return c;
    }
    return NULL;
}

static struct iovec vector_of(struct slice s)
{
    return (struct iovec){(void *)(uintptr_t)s.at, s.len};
}

static struct slice next_piece(struct upstream_call *call)
{
    struct slice piece = slice_from(call->request.body, call->body_written);
    if (piece.len > UPLOAD_PIECE)
        piece.len = UPLOAD_PIECE;
    call->body_written += piece.len;
    return piece;
}

/* The wire keeps what the socket does not take: no more than a piece of a large body. */
static void write_more(struct upstream_connection *c)
{
    while (c->call->body_written < c->call->request.body.len && wire_waiting(&c->wire) == 0 &&
           !c->wire.has_failed) {
        struct iovec out = vector_of(next_piece(c->call));
        wire_write(&c->wire, &out, 1);
    }
}

static void write_request(struct upstream_connection *c)
{
    struct upstream_call *call = c->call;
    c->state = UPSTREAM_SENT;
    c->finder = (struct http1_finder){0};
    c->sent_before = c->wire.sent;
    call->sent_ns = clock_ns();
    call->body_written = 0;
    struct iovec out[2] = {vector_of(call->request.head), vector_of(next_piece(call))};
    wire_write(&c->wire, out, out[1].iov_len > 0 ? 2 : 1);
    write_more(c);
    wire_set_reading(&c->wire, true);
    set_deadline(c, on_late, call->request.first_byte_ms);
}

static bool may_send(struct upstream_connection *c)
{
    if (c->call->events->may_send(c->call->arg))
        return true;
    upstream_fail(c, ERR_LOST, "the slot may be someone else's by now");
    return false;
}

void upstream_connected(struct upstream_connection *c)
{
    free(c->addresses);
    c->addresses = NULL;
    if (may_send(c))
        write_request(c);
}

static void connect_new(struct upstream_call *call, struct origin_pool *p)
{
    struct upstream_connection *c = connection_new(p);
    c->call = call;
    call->connection = c;
    list_push(&p->upstream->busy, &c->link);
    metrics_move(p->upstream->metrics, GAUGE_UPSTREAM_BUSY, 1);
    metrics_add(p->upstream->metrics, COUNT_UPSTREAM_OPENED, 1);
    set_deadline(c, on_late, call->request.connect_ms);
    upstream_connect(c);
}

struct upstream_call *upstream_send(struct upstream *u, const struct upstream_request *request,
                                    const struct upstream_events *events, void *arg)
{
    struct upstream_call *call = mem_new(sizeof(*call));
    *call =
        (struct upstream_call){.upstream = u, .request = *request, .events = events, .arg = arg};
    struct origin_pool *p = origin_pool_of(u, request);
    struct upstream_connection *c = take_idle(p);
    if (c == NULL) {
        connect_new(call, p);
        return call;
    }
    c->call = call;
    c->is_reused = true;
    call->connection = c;
    list_push(&u->busy, &c->link);
    metrics_move(u->metrics, GAUGE_UPSTREAM_BUSY, 1);
    metrics_add(u->metrics, COUNT_UPSTREAM_REUSED, 1);
    write_request(c);
    return call;
}

void upstream_cancel(struct upstream_call *call)
{
    if (call == NULL)
        return;
    upstream_connection_free(call->connection);
    free(call);
}

/* A dead connection from the pool costs the request nothing, where sending again is safe. */
static bool may_send_again(const struct upstream_connection *c)
{
    const struct upstream_call *call = c->call;
    return c->state == UPSTREAM_SENT && c->is_reused && !call->was_sent_again &&
           buf_len(&c->in) == 0 && (c->wire.sent == c->sent_before || call->request.is_safe);
}

void upstream_fail(struct upstream_connection *c, enum err err, const char *detail)
{
    struct upstream_call *call = c->call;
    if (call == NULL) {
        upstream_connection_free(c);
        return;
    }
    if (err == ERR_CLOSED && may_send_again(c)) {
        call->was_sent_again = true;
        struct origin_pool *p = c->pool;
        upstream_connection_free(c);
        connect_new(call, p);
        return;
    }
    const struct upstream_events *events = call->events;
    void *arg = call->arg;
    upstream_connection_free(c);
    free(call);
    events->on_failed(err, detail, arg);
}

void upstream_answered(struct upstream_connection *c)
{
    struct upstream *u = c->pool->upstream;
    bool is_reusable = c->keep_alive && upstream_is_sent(c->call) && wire_waiting(&c->wire) == 0 &&
                       !c->wire.has_failed && c->pool->idle_count < UPSTREAM_IDLE_MAX;
    free(c->call);
    c->call = NULL;
    if (!is_reusable) {
        upstream_connection_free(c);
        return;
    }
    c->state = UPSTREAM_IDLE;
    c->is_reused = false;
    list_remove(&c->link);
    list_push_front(&c->pool->idle, &c->link);
    c->pool->idle_count++;
    buf_release(&c->in);
    wire_set_reading(&c->wire, true);
    set_deadline(c, on_idle_too_long, UPSTREAM_IDLE_MS);
    metrics_move(u->metrics, GAUGE_UPSTREAM_BUSY, -1);
    metrics_move(u->metrics, GAUGE_UPSTREAM_IDLE, 1);
}

void upstream_pause(struct upstream_call *call)
{
    call->is_paused = true;
    wire_stop_watching(&call->connection->wire);
    deadline_clear(&call->connection->deadline); /* it is not the provider who makes us wait */
}

void upstream_resume(struct upstream_call *call)
{
    struct upstream_connection *c = call->connection;
    if (!call->is_paused)
        return;
    call->is_paused = false;
    wire_set_reading(&c->wire, true);
    set_deadline(c, on_late, call->request.idle_ms);
}

bool upstream_is_sent(const struct upstream_call *call)
{
    return call->sent_ns != 0 && call->body_written == call->request.body.len &&
           wire_waiting(&call->connection->wire) == 0;
}

uint64_t upstream_sent_ns(const struct upstream_call *call)
{
    return call->sent_ns;
}

static void on_wire_readable(void *arg)
{
    upstream_read(arg);
}

static void on_wire_drained(void *arg)
{
    struct upstream_connection *c = arg;
    if (c->state == UPSTREAM_CONNECTING)
        upstream_connect_progress(c);
    else if (c->call != NULL)
        write_more(c);
    if (c->state ==
        UPSTREAM_SENT) /* its body is still on its way: the provider's time starts after it */
        set_deadline(c, on_late, c->call->request.first_byte_ms);
}

static void on_wire_closed(void *arg)
{
    struct upstream_connection *c = arg;
    if (c->state == UPSTREAM_CONNECTING)
        upstream_connect_failed(c);
    else if (c->call != NULL && c->call->is_paused)
        return; /* a write failed; what was sent to us before that is still to be read */
    else if (c->state == UPSTREAM_IDLE)
        upstream_connection_free(c);
    else
        upstream_read(c); /* an answer may have come before the writing failed */
}

const struct wire_events upstream_wire_events = {on_wire_readable, on_wire_drained, on_wire_closed};

struct upstream *upstream_new(struct loop *loop, struct resolver *resolver, struct metrics *metrics)
{
    struct upstream *u = mem_new(sizeof(*u));
    u->loop = loop;
    u->resolver = resolver;
    u->metrics = metrics;
    list_init(&u->pools);
    list_init(&u->busy);
    return u;
}

void upstream_free(struct upstream *u)
{
    struct list *link;
    if (u == NULL)
        return;
    assert(list_is_empty(&u->busy));
    while ((link = list_pop(&u->pools)) != NULL) {
        struct origin_pool *p = LIST_OWNER(link, struct origin_pool, link);
        LIST_EACH (idle, &p->idle)
            upstream_connection_free(LIST_OWNER(idle, struct upstream_connection, link));
        SSL_SESSION_free(p->session);
        tls_context_free(p->tls);
        free(p->host);
        free(p->ca_file);
        free(p);
    }
    free(u);
}
