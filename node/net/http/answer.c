/* Answering: from BUSY to the next IDLE or LINGER, see the states in server_priv.h.
 *
 * Pieces go to the socket as they come; what it does not take waits in the wire, is counted in the
 * budget, and is told by on_drained. answer_is_full() is when to bring no more: at WAITING_MAX, or
 * sooner while the budget for answers is used up. watch_taking() lets go of a caller that takes
 * less than BODY_PACE_BYTES in client_ms. A connection that is closed with an answer first shuts
 * its sending side and lingers, so that what still comes in does not reset the answer away. */
#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/number.h"
#include "base/tiny.h"
#include "net/http/server_priv.h"

enum {
    WAITING_MAX = TINY(64 * 1024, 7),
    WAITING_SHORT_MAX = TINY(8 * 1024, 0) /* while the budget is used up */
};

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {100, "Continue"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {529, "Overloaded"},
};

const char *http_reason(int status)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Status";
}

static void on_wire_readable(void *arg)
{
    connection_receive(arg);
}

static void on_wire_closed(void *arg)
{
    connection_end(arg);
}

static void on_linger_over(void *arg)
{
    connection_end(arg);
}

static void watch_taking(struct connection *c);

static void count_waiting(struct connection *c)
{
    struct budget *budget = c->server->options.budget;
    size_t before = c->answer_bytes;
    c->answer_bytes = c->kept_bytes + (wire_waiting(&c->wire) > 0 ? c->wire.out.cap : 0);
    if (c->answer_bytes > before)
        budget_force(budget, BUDGET_ANSWERS, c->peer_caller, c->answer_bytes - before);
    else
        budget_give(budget, BUDGET_ANSWERS, c->peer_caller, before - c->answer_bytes);
}

/* A caller that takes its answer, but a byte a minute, holds a slot for ever. */
static void on_answer_not_taken(void *arg)
{
    struct connection *c = arg;
    if (c->wire.sent - c->taken_before < BODY_PACE_BYTES)
        connection_end(c);
    else
        watch_taking(c);
}

static void watch_taking(struct connection *c)
{
    count_waiting(c);
    if (wire_waiting(&c->wire) == 0) {
        deadline_clear(&c->deadline);
    } else if (!deadline_is_set(&c->deadline)) {
        c->taken_before = c->wire.sent;
        deadline_init(&c->deadline, on_answer_not_taken, c);
        deadline_set(c->server->loop, &c->deadline, c->server->options.client_ms);
    }
}

static void on_wire_drained(void *arg)
{
    struct connection *c = arg;
    if (c->state != CONNECTION_BUSY && c->state != CONNECTION_FLUSH)
        return;
    watch_taking(c);
    if (c->state == CONNECTION_BUSY && c->events != NULL)
        c->events->on_drained(c->arg);
    if (c->state == CONNECTION_FLUSH && wire_waiting(&c->wire) == 0)
        connection_answer_taken(c);
}

const struct wire_events connection_wire_events = {
    .on_readable = on_wire_readable, .on_drained = on_wire_drained, .on_closed = on_wire_closed};

void connection_answer_taken(struct connection *c)
{
    struct http_server *s = c->server;
    deadline_clear(&c->deadline);
    if (c->is_broken && c->framing == HTTP1_UNTIL_CLOSE) {
        wire_reset(&c->wire); /* an orderly close would make it look whole */
        connection_end(c);
        return;
    }
    if (c->keep_alive && !s->is_hurried) {
        connection_go(c, CONNECTION_IDLE);
        loop_defer(s->loop, &c->again);
        return;
    }
    connection_go(c, CONNECTION_LINGER);
    buf_fini(&c->in);
    connection_count_input(c);
    wire_finish_writing(&c->wire);
    wire_set_reading(&c->wire, true);
    deadline_init(&c->deadline, on_linger_over, c);
    deadline_set(s->loop, &c->deadline, LINGER_MS);
}

void connection_bind(struct connection *c, const struct connection_events *events, void *arg)
{
    c->events = events;
    c->arg = arg;
}

static void hold_header(struct connection *c, struct slice name, struct slice value)
{
    wire_hold(&c->wire, name);
    wire_hold(&c->wire, SLICE(": "));
    wire_hold(&c->wire, value);
    wire_hold(&c->wire, SLICE("\r\n"));
}

static void hold_framing(struct connection *c, const struct answer *a)
{
    char digits[NUMBER_TEXT_MAX];
    c->framing = a->framing;
    c->answer_left = a->length;
    if (a->framing == HTTP1_SIZED) {
        hold_header(c, SLICE("content-length"), number_decimal(a->length, digits));
    } else if (a->framing != HTTP1_NO_BODY && c->minor == 0) {
        c->framing = HTTP1_UNTIL_CLOSE;
        c->keep_alive = false;
    } else if (a->framing != HTTP1_NO_BODY) {
        c->framing = HTTP1_CHUNKED;
        hold_header(c, SLICE("transfer-encoding"), SLICE("chunked"));
    }
    if (!c->keep_alive || c->server->is_leaving) {
        c->keep_alive = false;
        hold_header(c, SLICE("connection"), SLICE("close"));
    } else if (c->minor == 0) {
        hold_header(c, SLICE("connection"), SLICE("keep-alive"));
    }
}

void answer_begin(struct connection *c, const struct answer *a)
{
    char digits[NUMBER_TEXT_MAX];
    connection_sane(c);
    assert(c->state == CONNECTION_BUSY);
    wire_hold(&c->wire, SLICE("HTTP/1.1 "));
    wire_hold(&c->wire, number_decimal((uint64_t)a->status, digits));
    wire_hold(&c->wire, SLICE(" "));
    wire_hold(&c->wire, a->reason.len > 0 ? a->reason : slice_of(http_reason(a->status)));
    wire_hold(&c->wire, SLICE("\r\n"));
    for (unsigned i = 0; i < a->header_count; i++)
        hold_header(c, a->headers[i].name, a->headers[i].value);
    c->has_ended = false;
    c->is_broken = false;
    hold_framing(c, a);
    wire_hold(&c->wire, SLICE("\r\n"));
    if (c->is_head_request)
        c->framing = HTTP1_NO_BODY;
}

void answer_flush(struct connection *c)
{
    wire_write(&c->wire, NULL, 0);
    watch_taking(c);
}

void answer_body(struct connection *c, const struct slice *pieces, unsigned count, bool is_last)
{
    struct iovec out[WIRE_VECTOR_MAX];
    char size[NUMBER_TEXT_MAX];
    unsigned n = 0;
    size_t total = 0;
    assert(c->state == CONNECTION_BUSY && count + 4 <= WIRE_VECTOR_MAX);
    if (c->framing == HTTP1_CHUNKED)
        n = 2; /* the size and the end of its line, once it is known */
    for (unsigned i = 0; i < count; i++) {
        total += pieces[i].len;
        out[n++] = wire_vector(pieces[i]);
    }
    if (c->framing == HTTP1_NO_BODY || (total == 0 && !is_last))
        return;
    if (c->framing == HTTP1_SIZED) {
        assert(total <= c->answer_left); /* the reader of the provider's answer counts too */
        c->answer_left -= total;
    }
    if (c->framing == HTTP1_CHUNKED && total == 0) {
        n = 0;
    } else if (c->framing == HTTP1_CHUNKED) {
        out[0] = wire_vector(number_hex(total, size));
        out[1] = wire_vector(SLICE("\r\n"));
        out[n++] = wire_vector(SLICE("\r\n"));
    }
    if (c->framing == HTTP1_CHUNKED && is_last) {
        out[n++] = wire_vector(SLICE("0\r\n\r\n"));
        c->has_ended = true;
    }
    metrics_add(c->server->options.metrics, COUNT_BYTES_DOWN, total);
    wire_write(&c->wire, out, n);
    watch_taking(c);
}

static void finish(struct connection *c)
{
    c->events = NULL;
    c->kept_bytes = 0;
    connection_go(c, CONNECTION_FLUSH);
    http_message_fini(&c->message);
    wire_write(&c->wire, NULL, 0);
    watch_taking(c);
    if (wire_waiting(&c->wire) == 0)
        connection_answer_taken(c);
}

void answer_end(struct connection *c)
{
    assert(c->state == CONNECTION_BUSY);
    if (c->framing == HTTP1_CHUNKED && !c->has_ended)
        wire_hold(&c->wire, SLICE("0\r\n\r\n"));
    if (c->framing == HTTP1_SIZED && c->answer_left > 0) {
        answer_break(c); /* fewer bytes than promised */
        return;
    }
    finish(c);
}

void answer_break(struct connection *c)
{
    assert(c->state == CONNECTION_BUSY);
    c->keep_alive = false;
    c->is_broken = true;
    finish(c);
}

void answer_abandon(struct connection *c)
{
    c->events = NULL;
    connection_end(c);
}

bool answer_keep(struct connection *c, size_t bytes)
{
    c->kept_bytes = bytes;
    count_waiting(c);
    return !budget_is_over(c->server->options.budget, BUDGET_ANSWERS, c->peer_caller);
}

bool answer_is_full(const struct connection *c)
{
    const struct budget *budget = c->server->options.budget;
    size_t waiting = wire_waiting(&c->wire);
    return waiting > WAITING_MAX ||
           (waiting > WAITING_SHORT_MAX && budget_is_over(budget, BUDGET_ANSWERS, c->peer_caller));
}

size_t answer_waiting(const struct connection *c)
{
    return wire_waiting(&c->wire);
}

void answer_whole(struct connection *c, const struct answer *answer, struct slice body)
{
    struct answer whole = *answer;
    whole.framing = HTTP1_SIZED;
    whole.length = body.len;
    answer_begin(c, &whole);
    answer_body(c, &body, 1, true);
    answer_end(c);
}

/* Clients try again for minutes what no trying mends, unless they are told. Into to[2]. */
static unsigned put_error_headers(struct http1_header *to, int status)
{
    to[0] = (struct http1_header){SLICE("content-type"), SLICE("application/json")};
    to[1] = (struct http1_header){SLICE("x-should-retry"), SLICE("false")};
    return status == 401 || status == 501 ? 2 : 1;
}

void answer_error(struct connection *c, http_write_error_fn write_error, int status,
                  struct slice message, struct slice request_id)
{
    struct http1_header headers[2];
    struct answer answer = {.status = status, .headers = headers};
    struct buf body;
    answer.header_count = put_error_headers(headers, status);
    buf_init(&body, HTTP_ERROR_BYTES_MAX);
    write_error(&body, status, message, request_id);
    answer_whole(c, &answer, buf_slice(&body));
    buf_fini(&body);
}

void answer_refusal(struct connection *c, const struct http_message *m,
                    const struct http_refusal *refusal)
{
    struct http1_header headers[4];
    struct answer answer = {.status = refusal->status, .headers = headers};
    struct buf body;
    answer.header_count = put_error_headers(headers, refusal->status);
    if (m->id.len > 0)
        headers[answer.header_count++] = (struct http1_header){SLICE("x-weir-request-id"), m->id};
    if (refusal->header.name.len > 0)
        headers[answer.header_count++] = refusal->header;
    buf_init(&body, HTTP_ERROR_BYTES_MAX);
    m->write_error(&body, refusal->status, slice_of(refusal->why), m->id);
    answer_whole(c, &answer, buf_slice(&body));
    buf_fini(&body);
}
