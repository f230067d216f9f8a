/* Calls and pools. A call has a connection from the moment it is sent, perhaps one that is still
 * being made (upstream_connect.c); the answer is read in upstream_read.c, which gives the
 * connection back here with upstream_answered(). The states of a connection stand in
 * upstream_priv.h.
 *
 * A request is sent from where it lies: head and body are offered to the socket as one, what it
 * does not take is offered again when there is room. A connection and its call end together, except
 * that an answered connection goes on to the pool; memory of a connection goes later in the turn,
 * because its own callbacks may be on the stack. */
#include "net/http/upstream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "net/http/upstream_priv.h"

static const struct {
    const char *word;
    unsigned to;
} states[] = {
#define X(state, word, to) [UPSTREAM_##state] = {word, to},
    UPSTREAM_STATE_TABLE(X)
#undef X
};

void upstream_go(struct upstream_connection *c, enum upstream_state state)
{
    assert((states[c->state].to & (1U << state)) != 0);
    if (log_begin(LOG_DEBUG, "upstream connection")) {
        log_string("host", c->pool->host);
        log_string("from", states[c->state].word);
        log_string("to", states[state].word);
        log_end();
    }
    c->state = state;
}

static void on_pooled_too_long(void *arg)
{
    upstream_connection_free(arg);
}

static void on_connection_late(void *arg)
{
    struct upstream_connection *c = arg;
    switch (c->state) {
    case UPSTREAM_SENT:
        upstream_fail(c, ERR_TIMEOUT, "no answer within timeouts.first_byte_ms");
        return;
    case UPSTREAM_BODY:
        upstream_fail(c, ERR_TIMEOUT, "the answer stood still for timeouts.idle_ms");
        return;
    case UPSTREAM_CONNECTING:
    case UPSTREAM_IDLE:
    case UPSTREAM_FREED:
        return;
    }
}

static void set_connection_deadline(struct upstream_connection *c, loop_fn on_expired,
                                    uint64_t in_ms)
{
    deadline_clear(&c->deadline);
    c->deadline.on_expired = on_expired;
    deadline_set(c->pool->upstream->loop, &c->deadline, in_ms);
}

static bool is_same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static struct origin_pool *origin_pool_of(struct upstream *u, const struct upstream_request *r)
{
    LIST_EACH (link, &u->pools) {
        struct origin_pool *p = LIST_OWNER(link, struct origin_pool, link);
        if (p->port == r->origin->port && p->is_tls == r->origin->is_tls &&
            is_same_text(p->host, r->origin->host) && is_same_text(p->ca_file, r->ca_file))
            return p;
    }
    struct origin_pool *p = mem_new(sizeof(*p));
    *p = (struct origin_pool){.upstream = u, .is_tls = r->origin->is_tls, .port = r->origin->port};
    p->host = mem_string(slice_of(r->origin->host));
    p->ca_file = r->ca_file != NULL ? mem_string(slice_of(r->ca_file)) : NULL;
    p->trust = p->is_tls ? tls_trust_new(p->ca_file) : NULL;
    list_init(&p->idle);
    list_push(&u->pools, &p->link);
    return p;
}

static void free_connection(void *arg)
{
    free(arg);
}

static struct upstream_connection *connection_new(struct origin_pool *p)
{
    struct upstream_connection *c = mem_new(sizeof(*c));
    c->pool = p;
    c->state = UPSTREAM_CONNECTING;
    buf_init(&c->in, HTTP1_HEAD_MAX + UPSTREAM_SCRATCH_BYTES);
    deadline_init(&c->deadline, on_connection_late, c);
    loop_task_init(&c->free_task, free_connection, c);
    list_init(&c->link);
    return c;
}

void upstream_connection_free(struct upstream_connection *c)
{
    struct upstream *u = c->pool->upstream;
    bool is_given_up = c->call != NULL && c->state != UPSTREAM_CONNECTING;
    if (c->state == UPSTREAM_FREED)
        return;
    dial_cancel(c->dial);
    c->dial = NULL;
    if (c->state == UPSTREAM_IDLE) {
        c->pool->idle_count--;
        metrics_move(u->metrics, GAUGE_UPSTREAM_IDLE, -1);
    } else {
        metrics_move(u->metrics, GAUGE_UPSTREAM_BUSY, -1);
    }
    upstream_go(c, UPSTREAM_FREED);
    deadline_clear(&c->deadline);
    list_remove(&c->link);
    if (is_given_up)
        wire_reset(
            &c->wire); /* an end would come behind what is on its way: the slot is free now */
    else
        wire_close(&c->wire);
    buf_fini(&c->in);
    loop_defer(u->loop, &c->free_task);
}

/* A pooled connection that is still open, the one used last: it is the least likely to be dead. The
 * socket itself is asked: what the loop has heard of it is as old as this turn, and a provider that
 * closes right behind an answer would cost a POST that was written into the void. */
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

unsigned upstream_drop_idle(struct upstream *u, unsigned count)
{
    unsigned dropped = 0, before;
    do {
        before = dropped;
        LIST_EACH (link, &u->pools) {
            struct origin_pool *p = LIST_OWNER(link, struct origin_pool, link);
            if (dropped == count || list_is_empty(&p->idle))
                continue;
            upstream_connection_free(
                LIST_OWNER(p->idle.previous, struct upstream_connection, link));
            dropped++;
        }
    } while (dropped > before && dropped < count);
    return dropped;
}

static size_t left_to_write(const struct upstream_call *call)
{
    return call->request.head.len + call->request.body.len - call->written;
}

static void write_more(struct upstream_connection *c)
{
    struct upstream_call *call = c->call;
    size_t head_len = call->request.head.len;
    size_t of_body = call->written > head_len ? call->written - head_len : 0;
    struct iovec out[2];
    unsigned count = 0;
    if (call->written < head_len)
        out[count++] = wire_vector(slice_from(call->request.head, call->written));
    if (call->request.body.len > of_body)
        out[count++] = wire_vector(slice_from(call->request.body, of_body));
    if (count > 0)
        call->written += wire_offer(&c->wire, out, count);
}

static void write_request(struct upstream_connection *c)
{
    struct upstream_call *call = c->call;
    upstream_go(c, UPSTREAM_SENT);
    c->finder = (struct http1_finder){0};
    c->interim_count = 0;
    c->sent_before = c->wire.sent;
    c->has_spoken = false;
    call->sent_ns = clock_ns();
    call->written = 0;
    write_more(c);
    wire_set_reading(&c->wire, true);
    set_connection_deadline(c, on_connection_late, call->request.first_byte_ms);
}

static bool may_still_send(struct upstream_connection *c)
{
    if (c->call->events->may_send(c->call->arg))
        return true;
    upstream_fail(c, ERR_LOST, "the slot may be someone else's by now");
    return false;
}

void upstream_connected(struct upstream_connection *c)
{
    if (may_still_send(c))
        write_request(c);
}

/* The dial has a deadline of its own. */
static void connect_new(struct upstream_call *call, struct origin_pool *p)
{
    struct upstream_connection *c = connection_new(p);
    c->call = call;
    call->connection = c;
    list_push(&p->upstream->busy, &c->link);
    metrics_move(p->upstream->metrics, GAUGE_UPSTREAM_BUSY, 1);
    metrics_add(p->upstream->metrics, COUNT_UPSTREAM_OPENED, 1);
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

/* A dying connection from the pool costs the request nothing, where sending again is safe. */
static bool may_send_again(const struct upstream_connection *c)
{
    const struct upstream_call *call = c->call;
    uint64_t since_ms = (clock_ns() - call->sent_ns) / 1000000;
    return c->state == UPSTREAM_SENT && c->is_reused && !call->was_sent_again && !c->has_spoken &&
           (c->wire.sent == c->sent_before || call->request.is_safe ||
            since_ms < UPSTREAM_DYING_MS);
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
        if (call->events->on_sent_again != NULL)
            call->events->on_sent_again(call->arg);
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
    bool is_reusable = c->keep_alive && c->idle_ms > 0 && upstream_is_sent(c->call) &&
                       wire_waiting(&c->wire) == 0 && !wire_is_broken(&c->wire) &&
                       c->pool->idle_count < UPSTREAM_IDLE_MAX;
    free(c->call);
    c->call = NULL;
    if (!is_reusable) {
        upstream_connection_free(c);
        return;
    }
    upstream_go(c, UPSTREAM_IDLE);
    c->is_reused = false;
    list_remove(&c->link);
    list_push_front(&c->pool->idle, &c->link);
    c->pool->idle_count++;
    buf_fini(&c->in);
    wire_set_reading(&c->wire, true);
    set_connection_deadline(c, on_pooled_too_long,
                            c->idle_ms < UPSTREAM_IDLE_MS ? c->idle_ms : UPSTREAM_IDLE_MS);
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
    set_connection_deadline(c, on_connection_late, call->request.idle_ms);
}

bool upstream_is_sent(const struct upstream_call *call)
{
    return call->sent_ns != 0 && left_to_write(call) == 0 &&
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
    if (c->call == NULL)
        return;
    if (left_to_write(c->call) > 0) {
        if (!may_still_send(c))
            return;
        write_more(c);
    }
    if (c->state ==
        UPSTREAM_SENT) /* its body is still on its way: the provider's time starts after it */
        set_connection_deadline(c, on_connection_late, c->call->request.first_byte_ms);
}

static void on_wire_closed(void *arg)
{
    struct upstream_connection *c = arg;
    if (c->call != NULL && c->call->is_paused)
        return; /* a write failed; what was sent to us before that is still to be read */
    if (c->state == UPSTREAM_IDLE)
        upstream_connection_free(c);
    else
        upstream_read(c); /* an answer may have come before the writing failed */
}

const struct wire_events upstream_wire_events = {
    .on_readable = on_wire_readable, .on_drained = on_wire_drained, .on_closed = on_wire_closed};

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
        tls_trust_free(p->trust);
        free(p->host);
        free(p->ca_file);
        free(p);
    }
    free(u);
}
