/* Reading bodies: from the end of the head to BUSY, see the states in server_priv.h. A body
 * reserves (body_reserve) before it is read; while it waits for that, reading is off: its caller is
 * held back by TCP, and its time does not run. What had come already lies in `in` until then. An
 * unknown length reserves in steps, so this can happen again within the body. */
#include <assert.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/tiny.h"
#include "net/http/server_priv.h"

/* While others wait, a body may take so many client_ms. */
enum { BODY_PERIODS_MAX = 16 };

enum { DIRECT_READ_MIN = TINY(16 * 1024, 64), DIRECT_READ_MAX = TINY(256 * 1024, 1021) };

static const char too_large[] = "the request body is larger than server.max_body_bytes";

/* What has to come in each client_ms. While others wait for room it is a part of what is held: a
 * declared length that trickles in would else keep them out for hours. */
static size_t pace_due(const struct connection *c)
{
    const struct budget_hold *hold = &c->message.hold;
    size_t part = (size_t)(hold->bytes / BODY_PERIODS_MAX);
    bool is_wanted = budget_waiting(c->server->options.budget) > 0;
    return is_wanted && part > BODY_PACE_BYTES ? part : BODY_PACE_BYTES;
}

static void on_body_slow(void *arg)
{
    struct connection *c = arg;
    if (c->pace_bytes < pace_due(c)) {
        connection_refuse(c, 408, "the request did not arrive in time");
        return;
    }
    c->pace_bytes = 0;
    deadline_set(c->server->loop, &c->deadline, c->server->options.client_ms);
}

static void on_no_room(void *arg)
{
    connection_refuse_for_room(arg, COUNT_REFUSED_BODIES,
                               "the node's memory for requests is in use; try again later");
}

static void hand_over(struct connection *c)
{
    struct http_server *s = c->server;
    c->message.complete_ns = clock_ns();
    connection_go(c, CONNECTION_BUSY);
    deadline_clear(&c->deadline);
    c->minor = c->message.request.minor;
    c->keep_alive = c->message.request.keep_alive && !s->is_leaving && !c->is_on_reserve;
    c->is_head_request = slice_eq(c->message.request.method, SLICE("HEAD"));
    budget_shrink(&c->message.hold, buf_len(&c->message.body));
    struct http_message message; /* c may have ended, and started anew, when on_request returns */
    http_message_move(&message, &c->message);
    s->options.on_request(c, &message, s->options.arg);
    http_message_fini(&message);
}

static void count_body(struct connection *c, size_t len)
{
    struct metrics *metrics = c->server->options.metrics;
    c->message.held_bytes += len;
    c->pace_bytes += len;
    metrics_add(metrics, COUNT_BYTES_UP, len);
    metrics_move(metrics, GAUGE_BODY_BYTES_HELD, (int64_t)len);
}

static void wait_for_room(struct connection *c)
{
    struct http_server *s = c->server;
    bool is_chunked_start =
        c->message.hold.bytes == 0 && c->message.request.framing == HTTP1_CHUNKED;
    uint64_t to = body_whole(c);
    if (is_chunked_start && to > BUDGET_SMALL_BYTES)
        to = BUDGET_SMALL_BYTES;
    metrics_add(s->options.metrics, COUNT_BODY_WAITS, 1);
    connection_go(c, CONNECTION_WAIT);
    wire_set_reading(&c->wire, false);
    connection_set_deadline(c, on_no_room, ROOM_WAIT_MS);
    if (!budget_wait(&c->room, &s->queue, &c->message.hold, to))
        on_no_room(c);
}

static void say_continue(struct connection *c)
{
    static const char proceed[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct iovec out = wire_vector((struct slice){proceed, sizeof(proceed) - 1});
    if (c->owes_continue)
        wire_write(&c->wire, &out, 1);
    c->owes_continue = false;
}

static void read_body(struct connection *c)
{
    if (c->state != CONNECTION_BODY)
        connection_go(c, CONNECTION_BODY);
    body_use_room(c);
    c->pace_bytes = 0;
    connection_set_deadline(c, on_body_slow, c->server->options.client_ms);
    say_continue(c);
}

/* Begin with the body, or go on with one that has become larger than it had room for. */
static void go_for_room(struct connection *c)
{
    if (body_reserve(c))
        read_body(c);
    else
        wait_for_room(c);
}

/* The head is understood: is its body one we take, and is it complete without any? */
void body_start(struct connection *c, bool has_more_input)
{
    const struct http1_request *r = &c->message.request;
    if (r->framing == HTTP1_SIZED && r->length > c->server->options.body_bytes_max) {
        connection_refuse(c, 413, too_large);
        return;
    }
    if (r->framing == HTTP1_NO_BODY || (r->framing == HTTP1_SIZED && r->length == 0)) {
        hand_over(c);
        return;
    }
    c->body_left = r->length;
    c->chunked = (struct http1_chunked){0};
    c->owes_continue = r->expects_continue && !has_more_input;
    go_for_room(c);
}

static void receive_sized(struct connection *c, struct slice *bytes)
{
    struct slice piece = *bytes;
    if (piece.len > c->body_left)
        piece.len = (size_t)c->body_left;
    bool fits = buf_append(&c->message.body, piece);
    assert(fits); /* room was made for all of it */
    count_body(c, piece.len);
    *bytes = slice_from(*bytes, piece.len);
    c->body_left -= piece.len;
    if (c->body_left == 0)
        hand_over(c);
}

/* No more is decoded than there is room for; the rest stays in `bytes`. */
static void receive_chunked(struct connection *c, struct slice *bytes)
{
    struct buf *body = &c->message.body;
    struct slice data = SLICE_NONE;
    size_t room = (size_t)c->message.hold.bytes - buf_len(body);
    if (room == 0 && c->message.hold.bytes >= body_whole(c)) { /* what may be has become less */
        connection_refuse(c, 413, too_large);
        return;
    }
    if (room == 0) {
        go_for_room(c);
        return;
    }
    size_t fed = bytes->len < room ? bytes->len : room;
    struct slice part = {bytes->at, fed};
    enum http1_progress result = http1_chunked_read(&c->chunked, &part, &data);
    *bytes = slice_from(*bytes, fed - part.len);
    switch (result) {
    case HTTP1_BAD:
        connection_refuse(c, 400, "malformed chunked body");
        return;
    case HTTP1_DONE:
        hand_over(c);
        return;
    case HTTP1_MORE:
        break;
    }
    if (buf_len(body) + data.len > c->server->options.body_bytes_max) {
        connection_refuse(c, 413, too_large);
        return;
    }
    bool fits = buf_append(body, data);
    assert(fits); /* not more than the room there is */
    count_body(c, data.len);
}

void body_receive(struct connection *c, struct slice *bytes)
{
    if (c->message.request.framing == HTTP1_CHUNKED)
        receive_chunked(c, bytes);
    else
        receive_sized(c, bytes);
}

/* A large body of known size is read to where it stays. */
bool body_wants_direct(const struct connection *c)
{
    return c->state == CONNECTION_BODY && c->message.request.framing == HTTP1_SIZED &&
           c->body_left >= DIRECT_READ_MIN;
}

enum wire_read body_read_direct(struct connection *c, size_t *asked, size_t *got)
{
    char *to;
    *asked = c->body_left < DIRECT_READ_MAX ? (size_t)c->body_left : DIRECT_READ_MAX;
    bool fits = buf_reserve(&c->message.body, *asked, &to);
    assert(fits); /* room was made for all of it */
    enum wire_read result = wire_read(&c->wire, to, *asked, got);
    if (result != WIRE_DATA)
        return result;
    buf_commit(&c->message.body, *got);
    count_body(c, *got);
    c->body_left -= *got;
    if (c->body_left == 0)
        hand_over(c);
    return result;
}

void connection_granted(struct connection *c)
{
    read_body(c);
    connection_receive_kept(c);
}
