/* server.h - HTTP/1.1 for callers: reads whole requests, strictly, and lets one answer at a time
 * flow out on each connection.
 *
 * on_head decides, before a byte of body is read, who may go on. A request is handed over when it
 * is complete, body included: a slow upload holds no slot, and a request can be sent again
 * elsewhere. From then until its answer has ended (answer_end or answer_break, see answer.h) the
 * connection is the receiver's; the message is whoever took it. Whatever follows on the connection
 * waits, up to a ceiling, unread. A caller that leaves is noticed at once in every phase.
 *
 * Memory comes from the node's budget. A body reserves before it is read; where there is no room it
 * is not read, and waits for its turn (its caller's time does not run meanwhile). At the ceiling of
 * connections those that have sent nothing make room, then the longest idle; beyond it a reserve is
 * for requests that on_head calls vital.
 *
 * What is malformed, ambiguous, too large or too slow is answered here (400, 408, 411, 413, 414,
 * 417, 431, 501, 505, in words of write_error) and the connection closed; so is what finds no room
 * for too long (503 with retry-after). */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/budget.h"
#include "base/buf.h"
#include "crypto/tls.h"
#include "format/http1.h"
#include "format/network.h"

struct connection;
struct http_server;
struct loop;
struct metrics;

/* The body of an error answer of ours, in the shape a caller expects; request_id may be empty. It
 * is never longer than that, whatever message and id hold: `out` has no more room. */
enum { HTTP_ERROR_BYTES_MAX = 4096 };
typedef void (*http_write_error_fn)(struct buf *out, int status, struct slice message,
                                    struct slice request_id);

/* A request. From on_request on it is the receiver's, who may http_message_move() it to where it
 * shall live: it can outlive the connection, not the server. What is not moved goes when on_request
 * returns. */
struct http_message {
    struct http1_request request; /* slices of arena */
    struct arena arena;
    struct buf body;
    uint64_t head_ns;     /* clock_ns() when the head was complete */
    uint64_t complete_ns; /* and when the body was */
    struct slice peer;    /* the caller's address in text, without the port */
    /* What on_head leaves for later. */
    http_write_error_fn write_error; /* the server's, unless on_head knows better */
    struct slice id;                 /* for our own answers; of arena; empty: none */
    const void *purpose;
    struct slice caller; /* whose share of the budget it takes; empty: the peer's */
    bool is_vital; /* an operator's or a probe's: served when connections are at their ceiling */
    /* private */
    struct http_server *server; /* which counts the body while it is held */
    struct budget_hold hold;    /* of the body */
    size_t held_bytes;          /* of it, arrived */
    size_t head_bytes;          /* counted, beyond an ordinary head */
    bool is_body_warm;          /* its memory goes back to the server's store */
};
void http_message_init(struct http_message *message);
void http_message_move(struct http_message *to,
                       struct http_message *from);         /* from: as after init */
void http_message_drop_body(struct http_message *message); /* not needed any more: memory back */
void http_message_fini(struct http_message *message);      /* twice is fine */

/* Why a request goes no further; status 0: it does. Whoever refuses counts and logs it. What was
 * refused without a body leaves the connection usable, unless is_last. */
struct http_refusal {
    int status;
    const char *why;            /* static, or of the message's arena */
    struct http1_header header; /* one more of the answer; of static strings; name empty: none */
    bool is_last;               /* where the next request begins is not to be trusted */
};

struct http_server_options {
    SSL_CTX *tls;            /* NULL: plain; the server takes it */
    struct budget *budget;   /* outlives the server */
    uint64_t body_bytes_max; /* of one request */
    /* Connections begin with a PROXY protocol header, which says who calls; only peers in these
     * networks may make one. NULL: they do not. Borrowed until the next update. */
    const struct networks *proxies;
    unsigned connections_max; /* beyond, room is made, or only what is vital is served */
    unsigned reserve_max;     /* connections beyond that, for what is vital */
    bool is_listener_shared;  /* others accept from the same queue, or keep it open */
    uint32_t client_ms;       /* for a head, for every 64 KiB of a body, for taking an answer */
    struct metrics *metrics;
    http_write_error_fn write_error;
    /* The head is understood, of the body nothing is read yet: may it be? Everything of `message`
     * but body is there; what it leaves for later has its defaults. May be NULL: everyone may. */
    struct http_refusal (*on_head)(struct http_message *message, const struct sockaddr *peer,
                                   void *arg);
    /* Every request must be answered, now or later. Runs in the server's callback. */
    void (*on_request)(struct connection *connection, struct http_message *message, void *arg);
    /* There is no descriptor for a caller, and no idle connection of one to close: close another.
     * False: there is none. May be NULL. */
    bool (*on_descriptors_short)(void *arg);
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
/* The node is about to leave: answers that begin from now on say that their connection closes. */
void http_server_announce(struct http_server *server);
/* That, and: accept what has queued, then nothing more. Who was not told by an answer is served
 * once more, or closed after some seconds of silence; if it is_hurried at once. Twice is fine. */
void http_server_drain(struct http_server *server, bool is_hurried);
/* Connections with a request or an answer on its way, or that one may come on. Walks them all: for
 * the time of draining. */
unsigned http_server_open(const struct http_server *server);
