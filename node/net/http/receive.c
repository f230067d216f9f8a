/* Reading requests: see the states in server_priv.h. */
#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "net/http/server_priv.h"

enum { READS_PER_TURN = 16, DIRECT_READ_MIN = 16 * 1024, DIRECT_READ_MAX = 256 * 1024 };

static void receive_bytes(struct connection *c, struct slice bytes);

static void on_idle_too_long(void *arg)
{
    connection_end(arg);
}

static void on_too_slow(void *arg)
{
    struct connection *c = arg;
    if (c->state == CONNECTION_BODY && c->pace_bytes >= BODY_PACE_BYTES) {
        c->pace_bytes = 0;
        deadline_set(c->server->loop, &c->deadline, c->server->options.client_ms);
        return;
    }
    connection_refuse(c, 408, "the request did not arrive in time");
}

static void set_deadline(struct connection *c, loop_fn on_expired, uint64_t in_ms)
{
    deadline_clear(&c->deadline);
    deadline_init(&c->deadline, on_expired, c);
    deadline_set(c->server->loop, &c->deadline, in_ms);
}

void http_message_init(struct http_message *m)
{
    *m = (struct http_message){0};
    arena_init(&m->arena);
    buf_init(&m->body, 0);
}

void http_message_move(struct http_message *to, struct http_message *from)
{
    *to = *from;
    http_message_init(from);
}

void http_message_drop_body(struct http_message *m)
{
    if (m->held_bytes > 0) {
        m->server->held_bytes -= m->held_bytes;
        metrics_move(m->server->options.metrics, GAUGE_BODY_BYTES_HELD, -(int64_t)m->held_bytes);
    }
    m->held_bytes = 0;
    buf_fini(&m->body);
}

void http_message_fini(struct http_message *m)
{
    http_message_drop_body(m);
    arena_fini(&m->arena);
    arena_init(&m->arena);
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

void connection_refuse(struct connection *c, int status, const char *why)
{
    metrics_add(c->server->options.metrics, COUNT_MALFORMED, 1);
    if (log_begin(LOG_INFO, "request refused")) {
        log_text("peer", peer_text(c));
        log_number("status", (uint64_t)status);
        log_string("reason", why);
        log_end();
    }
    http_message_drop_body(&c->message); /* the head's slices stay until the answer is written */
    c->state = CONNECTION_BUSY;
    c->keep_alive = false;
    c->minor = 1;
    c->is_head_request = slice_eq(c->message.request.method, SLICE("HEAD"));
    buf_release(&c->in);
    deadline_clear(&c->deadline);
    answer_error(c, c->message.write_error, status, slice_of(why), SLICE_NONE);
}

static void hand_over(struct connection *c)
{
    struct http_server *s = c->server;
    c->message.complete_ns = clock_ns();
    c->state = CONNECTION_BUSY;
    deadline_clear(&c->deadline);
    c->minor = c->message.request.minor;
    c->keep_alive = c->message.request.keep_alive && !s->is_draining;
    c->is_head_request = slice_eq(c->message.request.method, SLICE("HEAD"));
    struct http_message message; /* c may have ended, and started anew, when on_request returns */
    http_message_move(&message, &c->message);
    s->options.on_request(c, &message, s->options.arg);
    http_message_fini(&message);
}

/* Count bytes that a body holds, against the ceiling of one request and of all together. */
static bool may_hold(struct connection *c, size_t len)
{
    struct http_server *s = c->server;
    if (buf_len(&c->message.body) + len > s->options.body_bytes_max) {
        connection_refuse(c, 413, "the request body is larger than server.max_body_bytes");
        return false;
    }
    if (s->held_bytes + len > s->options.held_bytes_max) {
        connection_refuse(c, 503, "too many large requests at once; try again");
        return false;
    }
    c->message.held_bytes += len;
    c->pace_bytes += len;
    s->held_bytes += len;
    metrics_add(s->options.metrics, COUNT_BYTES_UP, len);
    metrics_move(s->options.metrics, GAUGE_BODY_BYTES_HELD, (int64_t)len);
    return true;
}

/* The head is understood: is its body one we take, and is it complete without any? */
static void start_body(struct connection *c, bool has_more_input)
{
    static const char proceed[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const struct http1_request *r = &c->message.request;
    struct http_server *s = c->server;
    if (r->framing == HTTP1_SIZED && r->length > s->options.body_bytes_max) {
        connection_refuse(c, 413, "the request body is larger than server.max_body_bytes");
        return;
    }
    buf_init(&c->message.body, s->options.body_bytes_max + 1);
    if (r->framing == HTTP1_NO_BODY || (r->framing == HTTP1_SIZED && r->length == 0)) {
        hand_over(c);
        return;
    }
    c->state = CONNECTION_BODY;
    c->body_left = r->length;
    c->chunked = (struct http1_chunked){0};
    c->pace_bytes = 0;
    set_deadline(c, on_too_slow, s->options.client_ms);
    if (r->expects_continue && !has_more_input) {
        struct iovec out = {(void *)(uintptr_t)proceed, sizeof(proceed) - 1};
        wire_write(&c->wire, &out, 1);
    }
}

static void parse_head(struct connection *c, struct slice head, bool has_more_input)
{
    struct http1_header headers[HTTP1_HEADERS_MAX];
    struct http_message *m = &c->message;
    const char *why = "malformed request";
    m->head_ns = clock_ns();
    head = arena_copy(&m->arena, head);
    int status = http1_parse_request(head, headers, &m->request, &why);
    if (status != 0) {
        m->request.method = SLICE_NONE;
        connection_refuse(c, status, why);
        return;
    }
    size_t bytes = m->request.header_count * sizeof(headers[0]);
    m->request.headers = arena_new(&m->arena, bytes + 1);
    memcpy(m->request.headers, headers, bytes);
    m->peer = peer_text(c);
    const struct http_server_options *options = &c->server->options;
    struct http_refusal refusal = {0};
    if (options->on_head != NULL)
        refusal = options->on_head(m, &c->peer.any, options->arg);
    if (refusal.status != 0)
        connection_refuse(c, refusal.status, refusal.why);
    else
        start_body(c, has_more_input);
}

/* Bytes of a head that is not complete yet are kept in `in`; a head that arrives whole is parsed
 * where it lies. */
static void receive_head(struct connection *c, struct slice *bytes)
{
    size_t head_len;
    int status;
    bool is_kept = buf_len(&c->in) > 0;
    if (is_kept && !buf_append(&c->in, *bytes)) {
        connection_refuse(c, 431, "the request head is too large");
        return;
    }
    struct slice view = is_kept ? buf_slice(&c->in) : *bytes;
    switch (http1_find(&c->finder, view, &head_len, &status)) {
    case HTTP1_BAD:
        c->message.request.method = SLICE_NONE;
        connection_refuse(c, status,
                          status == 414   ? "the request line is too long"
                          : status == 431 ? "the request head is too large"
                                          : "a bare LF, a bare CR or a NUL in the request head");
        return;
    case HTTP1_MORE:
        if (!is_kept && !buf_append(&c->in, *bytes))
            connection_refuse(c, 431, "the request head is too large");
        *bytes = SLICE_NONE;
        return;
    case HTTP1_DONE:
        break;
    }
    struct slice head = {view.at, head_len};
    if (!is_kept) {
        *bytes = slice_from(*bytes, head_len);
        parse_head(c, head, bytes->len > 0);
        return;
    }
    struct buf held = c->in; /* what follows the head is fed again, from memory of its own */
    buf_init(&c->in, held.max);
    parse_head(c, head, view.len > head_len);
    receive_bytes(c, slice_from(view, head_len));
    buf_fini(&held);
    *bytes = SLICE_NONE;
}

static void receive_sized(struct connection *c, struct slice *bytes)
{
    struct slice piece = *bytes;
    if (piece.len > c->body_left)
        piece.len = (size_t)c->body_left;
    if (!may_hold(c, piece.len) || !buf_append(&c->message.body, piece))
        return;
    *bytes = slice_from(*bytes, piece.len);
    c->body_left -= piece.len;
    if (c->body_left == 0)
        hand_over(c);
}

static void receive_chunked(struct connection *c, struct slice *bytes)
{
    struct slice data = SLICE_NONE;
    switch (http1_chunked_read(&c->chunked, bytes, &data)) {
    case HTTP1_BAD:
        connection_refuse(c, 400, "malformed chunked body");
        return;
    case HTTP1_DONE:
        hand_over(c);
        return;
    case HTTP1_MORE:
        if (data.len > 0 && may_hold(c, data.len) && !buf_append(&c->message.body, data))
            connection_refuse(c, 413, "the request body is larger than server.max_body_bytes");
        return;
    }
}

static void start_request(struct connection *c)
{
    c->state = CONNECTION_HEAD;
    c->finder = (struct http1_finder){0};
    c->has_asked = true;
    http_message_fini(&c->message);
    http_message_init(&c->message);
    c->message.server = c->server;
    c->message.write_error = c->server->options.write_error;
    set_deadline(c, on_too_slow, c->server->options.client_ms);
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
            if (c->message.request.framing == HTTP1_CHUNKED)
                receive_chunked(c, &bytes);
            else
                receive_sized(c, &bytes);
            break;
        case CONNECTION_BUSY:
        case CONNECTION_FLUSH:
            if (c->keep_alive && !buf_append(&c->in, bytes))
                c->keep_alive = false; /* cannot happen: reading stops long before */
            if (buf_len(&c->in) >= PIPELINE_BYTES_MAX)
                wire_set_reading(&c->wire, false);
            return;
        case CONNECTION_LINGER:
        case CONNECTION_DEAD:
            return;
        }
    }
}

/* A large body of known size is read to where it stays. */
static bool wants_direct_read(const struct connection *c)
{
    return c->state == CONNECTION_BODY && c->message.request.framing == HTTP1_SIZED &&
           c->body_left >= DIRECT_READ_MIN;
}

static enum wire_read read_direct(struct connection *c, size_t *got)
{
    char *to;
    size_t len = c->body_left < DIRECT_READ_MAX ? (size_t)c->body_left : DIRECT_READ_MAX;
    bool fits = buf_reserve(&c->message.body, len, &to);
    assert(fits); /* the length was checked against the ceiling */
    enum wire_read result = wire_read(&c->wire, to, len, got);
    if (result != WIRE_DATA || !may_hold(c, *got))
        return result;
    buf_commit(&c->message.body, *got);
    c->body_left -= *got;
    if (c->body_left == 0)
        hand_over(c);
    return result;
}

void connection_receive(struct connection *c)
{
    struct http_server *s = c->server;
    for (int i = 0; i < READS_PER_TURN; i++) {
        size_t got;
        bool is_direct = wants_direct_read(c);
        enum wire_read result =
            is_direct ? read_direct(c, &got) : wire_read(&c->wire, s->scratch, SCRATCH_BYTES, &got);
        if (result == WIRE_AGAIN)
            return;
        if (result != WIRE_DATA) {
            connection_end(c);
            return;
        }
        if (!is_direct)
            receive_bytes(c, (struct slice){s->scratch, got});
        if (c->state == CONNECTION_DEAD || !c->wire.is_reading)
            return;
        if (c->wire.ssl == NULL && got < DIRECT_READ_MIN)
            return; /* a short read: the socket is empty */
    }
    wire_read_later(&c->wire);
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
    bool is_first = !c->has_asked;
    set_deadline(c, on_idle_too_long, is_first ? c->server->options.client_ms : KEEPALIVE_MS);
    if (buf_len(&c->in) == 0)
        return;
    struct buf held = c->in;
    buf_init(&c->in, held.max);
    receive_bytes(c, buf_slice(&held));
    buf_fini(&held);
    if (c->state != CONNECTION_DEAD && buf_len(&c->in) < PIPELINE_BYTES_MAX)
        wire_set_reading(&c->wire, true);
}
