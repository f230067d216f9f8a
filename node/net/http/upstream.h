/* upstream.h - requests to providers: pooled keep-alive connections per origin, plain or TLS.
 * One per worker. A request is given whole (head as bytes, body) and answered by callbacks. The
 * provider's answer is read only as fast as the receiver wants it.
 *
 * A connection from the pool may be dying while a request meets it. One that ends without a byte of
 * an answer is such a one, if none of the request had reached the wire, or within
 * UPSTREAM_DYING_MS, or whenever the method is safe (GET, HEAD, OPTIONS): then the request is sent
 * again on a new connection, once. Everything else is told. A connection is kept
 * for a second less than its provider says it will be (keep-alive: timeout=N). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "format/http1.h"
#include "format/origin.h"

struct loop;
struct metrics;
struct resolver;
struct upstream;
struct upstream_call;

enum { UPSTREAM_IDLE_MAX = 512, UPSTREAM_IDLE_MS = 30000 }; /* per origin */
enum { UPSTREAM_INTERIM_MAX = 1000 };                       /* 1xx before one answer */
enum { UPSTREAM_DYING_MS = 1000 };

struct upstream *upstream_new(struct loop *loop, struct resolver *resolver,
                              struct metrics *metrics); /* yours */
void upstream_free(struct upstream *upstream);          /* there must be no call any more */

/* Close up to `count` idle connections, those not used for longest first: their descriptors are
 * needed elsewhere. How many were closed. */
unsigned upstream_drop_idle(struct upstream *upstream, unsigned count);

struct upstream_request {
    const struct origin *origin; /* borrowed until the call ends */
    const char *ca_file;         /* NULL: the system's; borrowed likewise */
    struct slice head;           /* request line and headers with the empty line */
    struct slice body;           /* both borrowed, and sent from where they lie, until
                                  * upstream_is_sent() or the call ends */
    bool is_safe;                /* GET, HEAD, OPTIONS */
    bool to_head;                /* HEAD */
    uint32_t connect_ms;         /* name, TCP and TLS together */
    uint32_t first_byte_ms;      /* from the last byte that went up to the answer's head */
    uint32_t idle_ms;            /* between two reads of the answer */
};

struct upstream_events {
    /* A connection is ready, or more of a long body can go: may it still? False: it fails
     * (ERR_LOST). Not asked for what upstream_send() itself can send at once. */
    bool (*may_send)(void *arg);
    /* The answer's head (1xx are skipped). Slices borrowed for the call only. */
    void (*on_head)(const struct http1_response *response, void *arg);
    /* Pieces of the body, framing taken off. With is_end the answer is whole, and the call is no
     * more. */
    void (*on_body)(const struct slice *pieces, unsigned count, bool is_end, void *arg);
    /* A connection of the pool was at its end: the request goes out once more, on a new one.
     * May be NULL. */
    void (*on_sent_again)(void *arg);
    /* It failed, before or after the head; the call is no more. detail: for the log, borrowed.
     * ERR_SHORTAGE: this node has no descriptor left; the provider has not been asked. */
    void (*on_failed)(enum err err, const char *detail, void *arg);
};

/* Yours to cancel until on_failed or the end of the body. Nothing fires before this returns, also
 * where a connection from the pool is used or nothing can be sent at all. *request is copied. */
struct upstream_call *upstream_send(struct upstream *upstream,
                                    const struct upstream_request *request,
                                    const struct upstream_events *events, void *arg);
void upstream_cancel(struct upstream_call *call); /* closes the connection; no callback any more */
void upstream_pause(struct upstream_call *call);  /* read no further: the receiver is full */
void upstream_resume(
    struct upstream_call *call); /* what waited comes from the loop, not from here */
bool upstream_is_sent(const struct upstream_call *call); /* head and body are out of our hands */
/* clock_ns() when the request was handed to a connection that is ready; 0: not yet. */
uint64_t upstream_sent_ns(const struct upstream_call *call);
