/* http_server.h - HTTP/1.1 for callers: reads whole requests, strictly, and lets one answer at a
 * time flow out on each connection.
 *
 * A request is handed over when it is complete, body included: a slow upload holds no slot, and a
 * request can be sent again elsewhere. From then until its answer has ended (answer_end or
 * answer_break) it is a `struct connection`. Whatever follows on the connection waits, up to a
 * ceiling, unread. A caller that leaves is noticed at once in every phase.
 *
 * What is malformed, ambiguous, too large or too slow is answered here (400, 408, 411, 413, 414,
 * 417, 431, 501, 505, in the Anthropic error shape) and the connection closed. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "crypto/tls.h"
#include "format/http1.h"

struct connection;
struct http_server;
struct loop;
struct metrics;

/* A complete request. The receiver may move `arena`, which holds all the slices, out: copy the
 * struct and arena_init() the old one. What is left is freed with the call; the body always is,
 * unless connection_drop_body() came first. */
struct http_message {
    struct http1_request request;
    struct arena arena;
    struct buf body;
    uint64_t head_ns;                    /* clock_ns() when the head was complete */
    uint64_t complete_ns;                /* and when the body was */
    struct slice peer;                   /* the caller's address in text, without the port */
    const struct sockaddr *peer_address; /* borrowed from the call */
};

struct http_server_options {
    const char *host;
    uint16_t port;
    SSL_CTX *tls;             /* NULL: plain; the server takes it */
    uint64_t body_bytes_max;  /* of one request */
    uint64_t held_bytes_max;  /* of all bodies this server holds together: 503 beyond */
    unsigned connections_max; /* beyond, none is accepted until one ends */
    uint32_t client_ms;       /* for a head, for every 64 KiB of a body, for taking an answer */
    struct metrics *metrics;
    /* A request without any length: refuse it with 411 (true) or take it as one without a body. */
    bool (*needs_length)(const struct http1_request *request);
    /* Every call must be answered, now or later. Runs in the server's callback. */
    void (*on_request)(struct connection *call, struct http_message *message, void *arg);
    void *arg;
};

/* A listening socket with SO_REUSEPORT, one per worker. -1: why says what failed. *port: the port
 * taken. With `is_first` the address must not be in use by another process. */
enum { HTTP_LISTEN_WHY_MAX = 256 };
MUST_USE int http_listen(const char *host, uint16_t port, bool is_first, uint16_t *bound,
                         char *why);

struct http_server *http_server_new(struct loop *loop, int listener,
                                    const struct http_server_options *options); /* takes listener */
void http_server_free(struct http_server *server); /* closes what is open */
/* Limits and time-outs for connections from now on; and the certificate, if options->tls is not
 * NULL (taken then; only where there was one before). */
void http_server_update(struct http_server *server, const struct http_server_options *options);
/* Accept what has queued, then nothing more; connections end with their present request. */
void http_server_drain(struct http_server *server);
/* Connections with a request or an answer on its way. Walks them all: for the time of draining. */
unsigned http_server_open(const struct http_server *server);

/* ---- a call ---- */

struct connection_events {
    void (*on_drained)(void *arg); /* the caller took some of what waits: see answer_waiting() */
    void (*on_gone)(void *arg);    /* the caller has left; the call is no more once this returns */
};
void connection_drop_body(
    struct connection *call); /* it is not needed any more: give the memory back */
void connection_bind(struct connection *call, const struct connection_events *events, void *arg);

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
void answer_begin(struct connection *call, const struct answer *answer);
void answer_flush(struct connection *call);
/* `is_last`: nothing follows but answer_end (saves a write). Borrowed. */
void answer_body(struct connection *call, const struct slice *pieces, unsigned count,
                    bool is_last);
void answer_end(struct connection *call); /* the call is no more */
void answer_break(
    struct connection *call); /* cut it off so that it cannot look whole; is no more */
void answer_abandon(struct connection *call);         /* close without any answer; is no more */
size_t answer_waiting(const struct connection *call); /* bytes the caller has not taken yet */

/* A whole answer at once: begin, body, end. */
void answer_whole(struct connection *call, const struct answer *answer, struct slice body);

/* A whole error answer of our own, in the Anthropic shape. */
void answer_error(struct connection *call, int status, struct slice message,
                            struct slice request_id);

const char *http_reason(int status);
