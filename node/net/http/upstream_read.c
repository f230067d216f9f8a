/* Reading answers. All connections read into one scratch buffer of the worker: a head that arrives
 * whole is parsed where it lies, one that does not is gathered in c->in; bodies are handed on as
 * slices of the scratch, framing taken off, so nothing of an answer is copied here.
 *
 * Every function that may hand something on says whether the call goes on, because the receiver may
 * have cancelled it; the end of an answer gives the connection back first and tells then. */
#include <string.h>

#include "base/tiny.h"

#include "net/http/upstream_priv.h"

enum { READS_PER_TURN = TINY(8, 2) };

static void restart_idle_deadline(struct upstream_connection *c)
{
    deadline_set(c->pool->upstream->loop, &c->deadline, c->call->request.idle_ms);
}

/* The end of what the provider sends, before the answer said so. */
static void on_end_of_input(struct upstream_connection *c, bool is_orderly)
{
    if (c->state == UPSTREAM_IDLE) {
        upstream_connection_free(c);
        return;
    }
    if (c->state == UPSTREAM_BODY && c->framing == HTTP1_UNTIL_CLOSE && is_orderly) {
        struct upstream_call *call = c->call;
        const struct upstream_events *events = call->events;
        void *arg = call->arg;
        c->keep_alive = false;
        upstream_answered(c);
        events->on_body(NULL, 0, true, arg);
        return;
    }
    upstream_fail(c, ERR_CLOSED,
                  c->state == UPSTREAM_BODY
                      ? "the provider closed the connection within its answer"
                      : "the provider closed the connection without an answer");
}

/* Hand pieces on; with is_end the connection is given back first, so that the receiver may send its
 * next request on it. False: the call has ended. */
static bool hand_on(struct upstream_connection *c, const struct slice *pieces, unsigned count,
                    bool is_end)
{
    const struct upstream_events *events = c->call->events;
    void *arg = c->call->arg;
    if (is_end)
        upstream_answered(c);
    if (count > 0 || is_end)
        events->on_body(pieces, count, is_end, arg);
    return !is_end && c->state != UPSTREAM_FREED;
}

static bool read_sized(struct upstream_connection *c, struct slice bytes)
{
    struct slice piece = bytes;
    if (piece.len >= c->left) {
        piece.len = (size_t)c->left;
        if (bytes.len > piece.len)
            c->keep_alive = false; /* bytes that belong to no answer */
    }
    c->left -= piece.len;
    return hand_on(c, &piece, piece.len > 0 ? 1 : 0, c->left == 0);
}

static bool read_chunked(struct upstream_connection *c, struct slice bytes)
{
    struct slice pieces[PIECES_MAX];
    for (;;) {
        unsigned count = 0;
        enum http1_progress progress = HTTP1_MORE;
        while (count < PIECES_MAX && bytes.len > 0 && progress == HTTP1_MORE) {
            struct slice data = SLICE_NONE;
            progress = http1_chunked_read(&c->chunked, &bytes, &data);
            if (data.len > 0)
                pieces[count++] = data;
        }
        if (progress == HTTP1_BAD) {
            if (hand_on(c, pieces, count, false))
                upstream_fail(c, ERR_PROTOCOL, "the provider sent a malformed chunk");
            return false;
        }
        if (progress == HTTP1_DONE && bytes.len > 0)
            c->keep_alive = false;
        if (!hand_on(c, pieces, count, progress == HTTP1_DONE))
            return false;
        if (bytes.len == 0)
            return true;
    }
}

static bool read_body(struct upstream_connection *c, struct slice bytes)
{
    switch (c->framing) {
    case HTTP1_CHUNKED:
        return bytes.len == 0 || read_chunked(c, bytes);
    case HTTP1_SIZED:
        return read_sized(c, bytes);
    case HTTP1_UNTIL_CLOSE:
        return bytes.len == 0 || hand_on(c, &bytes, 1, false);
    case HTTP1_NO_BODY:
        if (bytes.len > 0)
            c->keep_alive = false;
        return hand_on(c, NULL, 0, true);
    }
    return false;
}

static bool skip_interim(struct upstream_connection *c)
{
    if (++c->interim_count <= UPSTREAM_INTERIM_MAX)
        return true;
    upstream_fail(c, ERR_PROTOCOL, "the provider sent interim answers without end");
    return false;
}

/* For how long the provider keeps an idle connection, less what a request needs to get there:
 * "keep-alive: timeout=5, max=100" (RFC 2068, 19.7.1.1, and in use to this day). */
static uint64_t idle_ms(const struct http1_response *response)
{
    const struct http1_header *h =
        http1_header(response->headers, response->header_count, SLICE("keep-alive"));
    struct slice rest = h != NULL ? h->value : SLICE_NONE, item, word;
    uint64_t seconds;
    while (rest.len > 0) {
        rest = slice_cut(rest, ',', &item);
        item = slice_cut(slice_trim(item), '=', &word);
        if (slice_eq_nocase(word, SLICE("timeout")) &&
            slice_number(item, UPSTREAM_IDLE_MS / 1000, &seconds))
            return seconds > 0 ? (seconds - 1) * 1000 : 0;
    }
    return UPSTREAM_IDLE_MS;
}

/* A head is complete. False: the call has ended. */
static bool take_head(struct upstream_connection *c, struct slice head)
{
    struct http1_header headers[HTTP1_HEADERS_MAX];
    struct http1_response response;
    const char *why = "malformed answer";
    if (!http1_parse_response(head, c->call->request.to_head, headers, &response, &why)) {
        upstream_fail(c, ERR_PROTOCOL, why);
        return false;
    }
    if (response.status == 101) {
        upstream_fail(c, ERR_PROTOCOL, "the provider switched protocols unasked");
        return false;
    }
    c->finder = (struct http1_finder){0};
    if (response.status < 200)
        return skip_interim(c); /* 100, 103: the answer proper is still to come */
    upstream_go(c, UPSTREAM_BODY);
    c->framing = response.framing;
    c->left = response.length;
    c->chunked = (struct http1_chunked){0};
    c->keep_alive = response.keep_alive && c->framing != HTTP1_UNTIL_CLOSE;
    c->idle_ms = idle_ms(&response);
    c->call->events->on_head(&response, c->call->arg);
    return c->state != UPSTREAM_FREED;
}

/* Heads until one is not complete, then the body. False: the call has ended. */
static bool read_head(struct upstream_connection *c, struct slice bytes)
{
    struct buf held;
    size_t head_len;
    int status;
    bool goes_on = true;
    if (buf_len(&c->in) > 0 && !buf_append(&c->in, bytes)) {
        upstream_fail(c, ERR_PROTOCOL, "the answer's head is too large");
        return false;
    }
    held = c->in;
    buf_init(&c->in, held.max);
    struct slice view = buf_len(&held) > 0 ? buf_slice(&held) : bytes;
    while (goes_on && c->state == UPSTREAM_SENT && view.len > 0) {
        enum http1_progress progress = http1_find(&c->finder, view, &head_len, &status);
        if (progress == HTTP1_BAD) {
            upstream_fail(c, ERR_PROTOCOL, "the answer's head is malformed or too large");
            goes_on = false;
        } else if (progress == HTTP1_MORE) {
            goes_on = buf_append(&c->in, view);
            view = SLICE_NONE;
        } else {
            goes_on = take_head(c, (struct slice){view.at, head_len});
            view = slice_from(view, head_len);
        }
    }
    if (goes_on && c->state == UPSTREAM_BODY &&
        (view.len > 0 || c->framing == HTTP1_NO_BODY ||
         (c->framing == HTTP1_SIZED && c->left == 0)))
        goes_on = read_body(c, view);
    buf_fini(&held);
    return goes_on;
}

void upstream_read(struct upstream_connection *c)
{
    struct upstream *u = c->pool->upstream;
    for (int i = 0; i < READS_PER_TURN; i++) {
        size_t got;
        enum wire_read result = wire_read(&c->wire, u->scratch, sizeof(u->scratch), &got);
        if (result == WIRE_AGAIN && !wire_is_broken(&c->wire))
            return;
        if (result != WIRE_DATA) {
            on_end_of_input(c, result == WIRE_END);
            return;
        }
        if (c->state ==
            UPSTREAM_IDLE) { /* speaks out of turn; or a TLS ticket, which is not data */
            upstream_connection_free(c);
            return;
        }
        struct slice bytes = {u->scratch, got};
        c->has_spoken = true;
        bool goes_on = c->state == UPSTREAM_SENT ? read_head(c, bytes) : read_body(c, bytes);
        if (!goes_on || c->state == UPSTREAM_FREED || c->call == NULL)
            return;
        if (c->call->is_paused)
            return;
        if (c->state == UPSTREAM_BODY)
            restart_idle_deadline(c);
        if (!wire_may_have_more(&c->wire, sizeof(u->scratch), got))
            return;
    }
    wire_read_later(&c->wire);
}
