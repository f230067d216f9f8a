/* answer.h - answering a request on the connection it came on: begin, body, end.
 * The connection is the receiver's from on_request until the answer has ended, was cut off or
 * given up, or the caller has left (on_gone). Nothing here calls back before it returns. */
#pragma once
#include "net/http/server.h"

struct connection_events {
    /* The caller took some of what waits: see answer_waiting(). */
    void (*on_drained)(void *arg);
    /* The caller has left; the connection is no longer yours once this returns. */
    void (*on_gone)(void *arg);
};
void connection_bind(struct connection *connection, const struct connection_events *events,
                     void *arg);

struct answer {
    int status;
    struct slice reason;                /* empty: the usual one */
    const struct http1_header *headers; /* no framing, no connection header: the server adds them */
    unsigned header_count;
    enum http1_framing framing; /* SIZED with length; CHUNKED: unknown length, framed as the caller
                                   understands it; NO_BODY: the status has none */
    uint64_t length;
};

/* In this order: begin, any number of body, end. The head leaves with the first body or the end;
 * flush sends it alone. Nothing is sent to a HEAD request but the head. */
void answer_begin(struct connection *connection, const struct answer *answer);
void answer_flush(struct connection *connection);
/* `is_last`: nothing follows but answer_end (saves a write). Borrowed. */
void answer_body(struct connection *connection, const struct slice *pieces, unsigned count,
                 bool is_last);
/* After each of these three the connection is no longer yours. */
void answer_end(struct connection *connection);
void answer_break(struct connection *connection);   /* cut off so that it cannot look whole */
void answer_abandon(struct connection *connection); /* close without any answer */

size_t answer_waiting(const struct connection *connection); /* bytes not taken by the caller yet */
/* As much waits as may: bring no more until on_drained tells that nothing does. */
bool answer_is_full(const struct connection *connection);
/* So many bytes altogether are kept elsewhere for this answer: counted until it ends. False: that
 * is too much now, better keep less. */
bool answer_keep(struct connection *connection, size_t bytes);

/* A whole answer at once: begin, body, end. */
void answer_whole(struct connection *connection, const struct answer *answer, struct slice body);

/* A whole error answer of our own. */
void answer_error(struct connection *connection, http_write_error_fn write_error, int status,
                  struct slice message, struct slice request_id);

/* The same for one refused at its head: with its id, and in its own words. */
void answer_refusal(struct connection *connection, const struct http_message *message,
                    const struct http_refusal *refusal);

const char *http_reason(int status);
