/* wire.h - one TCP connection on a loop, plain or TLS, that never blocks.
 * Reading is into memory of the reader; writing goes straight to the socket, and what does not fit
 * waits here. The owner keeps the amount waiting below a ceiling by asking wire_waiting() before it
 * writes more.
 *
 * Callbacks come from the loop only, never from inside a call. After wire_close() none comes. */
#pragma once
#include <event2/event_struct.h>
#include <stdbool.h>
#include <sys/uio.h>

#include "base/attr.h"
#include "base/buf.h"
#include "crypto/tls.h"
#include "loop/loop.h"

enum { WIRE_OUT_MAX = 8 << 20, WIRE_VECTOR_MAX = 72 };

enum wire_read { WIRE_DATA, WIRE_AGAIN, WIRE_END, WIRE_FAILED };

struct wire_events {
    void (*on_readable)(void *arg); /* read until WIRE_AGAIN or a short read */
    void (*on_drained)(void *arg); /* the socket took some of what waited; or the connect is done */
    void (*on_closed)(void *arg);  /* the peer closed or reset; seen although reading is off */
};

struct wire {
    struct loop *loop;
    int fd;   /* -1: closed */
    SSL *ssl; /* NULL: plain */
    const struct wire_events *events;
    void *arg;
    struct buf out;        /* accepted, not sent yet */
    uint64_t sent;         /* bytes the socket has taken, of what was written */
    struct event readable; /* persistent while reading is on */
    struct event writable;
    struct event closed;  /* persistent while reading is off */
    struct deadline look; /* while reading is off: see look_for_reset() */
    bool is_reading;
    bool is_connecting;     /* TCP, then TLS handshake of a client */
    bool owes_drained;      /* something had to wait: on_drained will tell when it has gone */
    bool reads_after_write; /* TLS must write before it can read on */
    bool has_failed;        /* a write failed: everything written after that is dropped */
};

/* Takes fd and ssl. Reading starts off. */
void wire_init(struct wire *w, struct loop *loop, int fd, SSL *ssl,
               const struct wire_events *events, void *arg);
void wire_close(struct wire *w); /* twice is fine */
void wire_reset(struct wire *w); /* close so that the peer sees a broken connection, not an end */
void wire_finish_writing(struct wire *w); /* tell the peer that this was all; reading goes on */

/* The socket is connecting (EINPROGRESS): on_drained fires once it is connected (plain), after
 * which wire_start_tls() may follow; a failure shows as on_closed. */
void wire_await_connect(struct wire *w);
/* Takes ssl, runs a client's handshake: on_drained fires when it is done, on_closed if it fails. */
void wire_start_tls(struct wire *w, SSL *ssl);

void wire_set_reading(struct wire *w, bool is_on); /* off: only on_closed is watched for */

void wire_stop_watching(
    struct wire *w); /* neither reading nor closing; set_reading(true) goes on */

MUST_USE enum wire_read wire_read(struct wire *w, char *to, size_t cap, size_t *got);

/* Open, and nothing has come: fit to be used again. */
bool wire_is_quiet(struct wire *w);

/* To be called when a reader stops although more may be there: it is called again. */
void wire_read_later(struct wire *w);

/* Send what waits, then these bytes, now as far as the socket takes them. Borrowed. A connection
 * that fails reports so by on_closed or at the next read, not here. */
void wire_write(struct wire *w, const struct iovec *pieces, unsigned count);
/* Put in front of the next write, without sending now. */
void wire_hold(struct wire *w, struct slice bytes);

size_t wire_waiting(const struct wire *w);
