/* Reading requests, and the way of their heads: see the states in server_priv.h.
 *
 * connection_receive() reads into the server's scratch, or a large body right to where it stays;
 * receive_bytes() takes in what came, state by state, until it is used up. A head that arrives
 * whole is parsed where it lies; an unfinished one is kept in `in`, as is what comes behind a
 * request that is being answered or that waits for room. connection_receive_kept() starts
 * with that again.
 *
 * What the budget is asked for here: input kept beyond an ordinary head, on the peer's account; and
 * a large head, once it is known whose it is. Bodies stand in body.c. */
#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/tiny.h"
#include "format/proxy_header.h"
#include "net/http/server_priv.h"

enum {
    READS_PER_TURN = TINY(16, 2),
    READ_BYTES = TINY(SCRATCH_BYTES, 7) /* of what is understood at once */
};

static void receive_bytes(struct connection *c, struct slice bytes);

void connection_set_deadline(struct connection *c, loop_fn on_expired, uint64_t in_ms)
{
    deadline_clear(&c->deadline);
    deadline_init(&c->deadline, on_expired, c);
    deadline_set(c->server->loop, &c->deadline, in_ms);
}

static void on_idle_too_long(void *arg)
{
    connection_end(arg);
}

static void on_head_late(void *arg)
{
    connection_refuse(arg, 408, "the request did not arrive in time");
}

/* The address in text, mapped IPv4 addresses as IPv4. */
static struct slice peer_text(struct connection *c)
{
    char text[INET6_ADDRSTRLEN] = "?";
    const struct sockaddr_in6 *in6 = &c->peer.in6;
    const void *v4 = &((const struct sockaddr_in *)(const void *)&c->peer)->sin_addr;
    if (c->peer.any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
        inet_ntop(AF_INET, in6->sin6_addr.s6_addr + 12, text, sizeof(text));
    else if (c->peer.any.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
    else
        inet_ntop(AF_INET, v4, text, sizeof(text));
    return arena_copy(&c->message.arena, slice_of(text));
}

/* The answer goes out at once, and no more is read of a body. */
static void answer_refused(struct connection *c, const struct http_refusal *refusal,
                           bool keep_alive)
{
    budget_wait_cancel(&c->room);
    http_message_drop_body(&c->message); /* the head's slices stay until the answer is written */
    connection_go(c, CONNECTION_BUSY);
    c->keep_alive = keep_alive && !c->server->is_leaving && !c->is_on_reserve;
    c->is_head_request = slice_eq(c->message.request.method, SLICE("HEAD"));
    deadline_clear(&c->deadline);
    answer_refusal(c, &c->message, refusal);
}

static void refuse(struct connection *c, const struct http_refusal *refusal)
{
    if (log_begin(LOG_INFO, "request refused")) {
        if (c->message.id.len > 0)
            log_text("id", c->message.id);
        log_text("peer", peer_text(c));
        log_number("status", (uint64_t)refusal->status);
        log_string("reason", refusal->why);
        log_end();
    }
    buf_fini(&c->in);
    connection_count_input(c);
    c->minor = 1;
    answer_refused(c, refusal, false);
}

void connection_refuse(struct connection *c, int status, const char *why)
{
    metrics_add(c->server->options.metrics, COUNT_MALFORMED, 1);
    refuse(c, &(struct http_refusal){.status = status, .why = why});
}

void connection_refuse_for_room(struct connection *c, enum counter counter, const char *why)
{
    struct http1_header retry = {SLICE("retry-after"), SLICE(ROOM_RETRY_SECONDS)};
    metrics_add(c->server->options.metrics, counter, 1);
    refuse(c, &(struct http_refusal){.status = 503, .why = why, .header = retry});
}

/* It was asked who may, and this one may not. */
static void refuse_at_head(struct connection *c, const struct http_refusal *refusal)
{
    const struct http1_request *r = &c->message.request;
    bool has_body = r->framing == HTTP1_CHUNKED || (r->framing == HTTP1_SIZED && r->length > 0);
    c->minor = r->minor;
    answer_refused(c, refusal, r->keep_alive && !has_body && !refusal->is_last);
}

bool connection_count_input(struct connection *c)
{
    struct budget *budget = c->server->options.budget;
    size_t now = c->in.cap > ORDINARY_HEAD_BYTES ? c->in.cap - ORDINARY_HEAD_BYTES : 0;
    size_t before = c->input_bytes;
    c->input_bytes = now;
    if (now > before)
        return budget_force(budget, BUDGET_HEADS, c->peer_caller, now - before);
    budget_give(budget, BUDGET_HEADS, c->peer_caller, before - now);
    return true;
}

/* On the reserve, when the ceiling is still reached: only what is vital. To have closed somebody is
 * not enough, for that one may have been on the reserve as well. */
static bool may_stay(struct connection *c)
{
    struct http_server *s = c->server;
    if (!c->is_on_reserve || c->message.is_vital)
        return true;
    list_remove(&c->rest_link); /* its head is whole: it is not the one to be closed */
    while (s->connection_count > s->options.connections_max)
        if (!server_make_room(s))
            return false;
    return true;
}

/* Whose it is is known: a head far from ordinary is counted from here on. */
static bool count_head(struct connection *c, size_t len)
{
    struct http_message *m = &c->message;
    struct budget *budget = c->server->options.budget;
    uint32_t caller = m->caller.len > 0 ? budget_caller(budget, m->caller) : c->peer_caller;
    size_t beyond = len > ORDINARY_HEAD_BYTES ? len - ORDINARY_HEAD_BYTES : 0;
    budget_hold_init(&m->hold, budget, caller);
    if (beyond > 0 && !budget_take(budget, BUDGET_HEADS, caller, beyond))
        return false;
    m->head_bytes = beyond;
    return true;
}

static void judge_head(struct connection *c, size_t len, bool has_more_input)
{
    const struct http_server_options *options = &c->server->options;
    struct http_refusal refusal = {0};
    if (options->on_head != NULL)
        refusal = options->on_head(&c->message, &c->peer.any, options->arg);
    if (refusal.status != 0)
        refuse_at_head(c, &refusal);
    else if (!may_stay(c))
        connection_refuse_for_room(c, COUNT_REFUSED_CONNECTIONS,
                                   "the node has as many connections as it may; try again later");
    else if (!count_head(c, len))
        connection_refuse_for_room(c, COUNT_REFUSED_HEADS, "too many large request heads at once");
    else
        body_start(c, has_more_input);
}

/* A balancer that nobody told this node of: preface.c takes its headers only where they are
 * expected. Four bytes of version 2 are two empty lines, with which a bad request may begin. */
static const char *why_malformed(const struct connection *c, struct slice came, const char *why)
{
    enum { BLANK_BYTES = 4 };
    struct proxy_told told;
    if (c->server->options.proxies != NULL || came.len <= BLANK_BYTES ||
        proxy_header_read(came, &told) == PROXY_HEADER_OTHER)
        return why;
    return "this looks like the PROXY protocol: where a balancer speaks it, set "
           "server.proxy_protocol to true; else let it send none";
}

/* `came`: the head, and what came with it. */
static void parse_head(struct connection *c, struct slice came, size_t head_len)
{
    struct http1_header headers[HTTP1_HEADERS_MAX];
    struct http_message *m = &c->message;
    const char *why = "malformed request";
    m->head_ns = clock_ns();
    struct slice head = arena_copy(&m->arena, (struct slice){came.at, head_len});
    int status = http1_parse_request(head, headers, &m->request, &why);
    if (status != 0) {
        m->request.method = SLICE_NONE;
        connection_refuse(c, status, why_malformed(c, came, why));
        return;
    }
    size_t bytes = m->request.header_count * sizeof(headers[0]);
    m->request.headers = arena_new(&m->arena, bytes + 1);
    memcpy(m->request.headers, headers, bytes);
    m->peer = peer_text(c);
    judge_head(c, head_len, came.len > head_len);
}

static const char *why_bad_head(int status)
{
    return status == 414   ? "the request line is too long"
           : status == 431 ? "the request head is too large"
                           : "a bare LF, a bare CR or a NUL in the request head";
}

/* False: refused. */
static bool keep_head(struct connection *c, struct slice bytes)
{
    if (!buf_append(&c->in, bytes)) {
        connection_refuse(c, 431, "the request head is too large");
        return false;
    }
    if (connection_count_input(c))
        return true;
    connection_refuse_for_room(c, COUNT_REFUSED_HEADS, "too many unfinished requests at once");
    return false;
}

/* Bytes of a head that is not complete yet are kept in `in`; a head that arrives whole is parsed
 * where it lies. */
static void receive_head(struct connection *c, struct slice *bytes)
{
    size_t head_len;
    int status;
    bool is_kept = buf_len(&c->in) > 0;
    if (is_kept && !keep_head(c, *bytes))
        return;
    struct slice view = is_kept ? buf_slice(&c->in) : *bytes;
    switch (http1_find(&c->finder, view, &head_len, &status)) {
    case HTTP1_BAD:
        c->message.request.method = SLICE_NONE;
        connection_refuse(c, status, why_malformed(c, view, why_bad_head(status)));
        return;
    case HTTP1_MORE:
        if (is_kept || keep_head(c, *bytes))
            *bytes = SLICE_NONE;
        return;
    case HTTP1_DONE:
        break;
    }
    if (!is_kept) {
        *bytes = slice_from(view, head_len);
        parse_head(c, view, head_len);
        return;
    }
    struct buf held = c->in; /* what follows the head is fed again, from memory of its own */
    buf_init(&c->in, held.max);
    connection_count_input(c);
    parse_head(c, view, head_len);
    receive_bytes(c, slice_from(view, head_len));
    buf_fini(&held);
    *bytes = SLICE_NONE;
}

static uint64_t head_ms(const struct connection *c)
{
    uint64_t client_ms = c->server->options.client_ms;
    return c->is_on_reserve && client_ms > RESERVE_MS ? RESERVE_MS : client_ms;
}

static void start_request(struct connection *c)
{
    connection_go(c, CONNECTION_HEAD);
    c->finder = (struct http1_finder){0};
    c->has_asked = true;
    http_message_fini(&c->message);
    http_message_init(&c->message);
    c->message.server = c->server;
    c->message.write_error = c->server->options.write_error;
    connection_set_deadline(c, on_head_late, head_ms(c));
}

/* What belongs to a later request, or to a body that has no room yet. */
static void keep_for_later(struct connection *c, struct slice bytes)
{
    bool is_wanted = c->state == CONNECTION_WAIT || c->keep_alive;
    if (is_wanted && !buf_append(&c->in, bytes))
        c->keep_alive = false; /* cannot happen: reading stops long before */
    bool is_much = buf_len(&c->in) >= PIPELINE_BYTES_MAX;
    if (!connection_count_input(c) || is_much)
        wire_set_reading(&c->wire, false);
}

/* Take in what arrived, as far as one request goes; what follows it waits in `in`. */
static void receive_bytes(struct connection *c, struct slice bytes)
{
    while (bytes.len > 0) {
        switch (c->state) {
        case CONNECTION_IDLE:
            start_request(c);
            break;
        case CONNECTION_HEAD:
            receive_head(c, &bytes);
            break;
        case CONNECTION_BODY:
            body_receive(c, &bytes);
            break;
        case CONNECTION_WAIT:
        case CONNECTION_BUSY:
        case CONNECTION_FLUSH:
            keep_for_later(c, bytes);
            return;
        case CONNECTION_LINGER:
        case CONNECTION_DEAD:
            return;
        }
    }
}

static bool wants_more(const struct connection *c)
{
    return (c->state == CONNECTION_HEAD || c->state == CONNECTION_BODY) && c->wire.is_reading;
}

static enum wire_read read_scratch(struct connection *c, size_t *asked, size_t *got)
{
    struct http_server *s = c->server;
    bool is_awaited = c->state == CONNECTION_IDLE || wants_more(c);
    *asked = is_awaited ? READ_BYTES : SCRATCH_BYTES;
    enum wire_read result = wire_read(&c->wire, s->scratch, *asked, got);
    if (result == WIRE_DATA)
        receive_bytes(c, (struct slice){s->scratch, *got});
    return result;
}

/* Reading ends with the request: what may follow it tells the loop, and to ask the socket would
 * only hear "nothing". The same behind a short read. */
void connection_receive(struct connection *c)
{
    connection_sane(c);
    for (int i = 0; i < READS_PER_TURN; i++) {
        size_t asked, got;
        enum wire_read result = body_wants_direct(c) ? body_read_direct(c, &asked, &got)
                                                     : read_scratch(c, &asked, &got);
        if (result == WIRE_AGAIN)
            return;
        if (result != WIRE_DATA) {
            connection_end(c);
            return;
        }
        if (!wants_more(c))
            break;
        if (!wire_may_have_more(&c->wire, asked, got))
            return;
    }
    wire_read_later(&c->wire);
}

/* Start with what was kept; then read on, unless that is as much as may be kept. */
void connection_receive_kept(struct connection *c)
{
    struct buf held = c->in;
    buf_init(&c->in, held.max);
    connection_count_input(c);
    receive_bytes(c, buf_slice(&held));
    buf_fini(&held);
    if (c->state != CONNECTION_DEAD && c->state != CONNECTION_WAIT &&
        buf_len(&c->in) < PIPELINE_BYTES_MAX)
        wire_set_reading(&c->wire, true);
}

void connection_rest(struct connection *c)
{
    uint64_t ms = !c->has_asked ? head_ms(c) : c->server->is_draining ? LAST_CALL_MS : KEEPALIVE_MS;
    connection_set_deadline(c, on_idle_too_long, ms);
}

/* A loop task: free a dead connection, or start with the next request. */
void connection_go_on(void *arg)
{
    struct connection *c = arg;
    if (c->state == CONNECTION_DEAD) {
        free(c);
        return;
    }
    if (c->state != CONNECTION_IDLE)
        return; /* the next request came in the same read */
    connection_rest(c);
    if (buf_len(&c->in) > 0)
        connection_receive_kept(c);
}
