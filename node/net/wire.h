/* wire.h - one TCP connection on a loop, plain or TLS, that never blocks.
 * Reading is into memory of the reader; writing goes straight to the socket, and what does not fit
 * waits here. The owner keeps the amount waiting below a ceiling by asking wire_waiting() before it
 * writes more, or offers its bytes and keeps what is not taken (wire_offer).
 *
 *     CLOSED     no socket; a wire of zeroes is closed                    wire_close
 *     CONNECTING TCP is on its way                                        wire_await_connect
 *     SECURING   a client's TLS handshake is                              wire_start_tls
 *     OPEN       bytes pass                                               wire_init, finish_connect
 *     BROKEN     nothing can be written any more; what came may be read   break_wire
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
    void (*on_readable)(void *arg); /* read as long as wire_may_have_more() */
    void (*on_drained)(void *arg);  /* the socket took some of what waited, or can take more */
    void (*on_closed)(void *arg);   /* closed, reset, not connected, not secured; also with
                                     * reading off */
    /* Of a wire that connects; else NULL. */
    void (*on_connected)(void *arg);
    void (*on_secured)(void *arg);
};

enum wire_state { WIRE_CLOSED, WIRE_CONNECTING, WIRE_SECURING, WIRE_OPEN, WIRE_BROKEN };

struct wire {
    struct loop *loop;
    int fd;   /* -1: closed */
    SSL *ssl; /* NULL: plain */
    const struct wire_events *events;
    void *arg;
    enum wire_state state;
    int error;             /* errno of a connect that failed */
    struct buf out;        /* accepted, not sent yet */
    uint64_t sent;         /* bytes the socket has taken, of what was written */
    struct event readable; /* persistent while reading is on */
    struct event writable;
    struct event closed;  /* persistent while reading is off */
    struct deadline look; /* while reading is off: see look_for_reset() */
    bool is_reading;
    bool owes_drained;      /* something had to wait: on_drained will tell when it has gone */
    bool reads_after_write; /* TLS must write before it can read on */
};

/* Socket, state, TLS and what waits agree. Asserted at every door below. */
bool wire_is_sane(const struct wire *w);

/* Takes fd. Reading starts off. */
void wire_init(struct wire *w, struct loop *loop, int fd, const struct wire_events *events,
               void *arg);
/* Before anything is read or written: takes ssl, of a handshake that is over or (a server's) that
 * goes on with what is read. NULL: the wire stays plain. */
void wire_set_tls(struct wire *w, SSL *ssl);
void wire_close(struct wire *w); /* twice is fine */
void wire_reset(struct wire *w); /* close so that the peer sees a broken connection, not an end */
void wire_finish_writing(struct wire *w); /* tell the peer that this was all; reading goes on */

/* The socket is connecting: on_connected fires once it is, after which wire_start_tls() may follow;
 * or on_closed, with the reason in w->error. */
void wire_await_connect(struct wire *w);
/* Takes ssl, runs a client's handshake: on_secured fires when it is done, on_closed if it fails. */
void wire_start_tls(struct wire *w, SSL *ssl);
/* The socket and its TLS are yours from here on, and w is closed. Nothing may be waiting. */
void wire_release(struct wire *w, int *fd, SSL **ssl);

void wire_set_reading(struct wire *w, bool is_on); /* off: only on_closed is watched for */

/* Neither reading nor closing; wire_set_reading(w, true) goes on. */
void wire_stop_watching(struct wire *w);

MUST_USE enum wire_read wire_read(struct wire *w, char *to, size_t cap, size_t *got);

/* After a read of `got` bytes into `cap`: is it worth another one now? No: the socket is as good as
 * empty, and on_readable comes again if it is not. */
bool wire_may_have_more(const struct wire *w, size_t cap, size_t got);

/* Open, and nothing has come: fit to be used again. */
bool wire_is_quiet(struct wire *w);

/* To be called when a reader stops although more may be there: it is called again. */
void wire_read_later(struct wire *w);

/* Send what waits, then these bytes, now as far as the socket takes them. Borrowed. A connection
 * that fails reports so by on_closed or at the next read, not here. */
void wire_write(struct wire *w, const struct iovec *pieces, unsigned count);
/* Like wire_write(), but what does not fit stays with the caller: how many of the bytes were taken.
 * If not all, on_drained tells when to offer the rest. */
MUST_USE size_t wire_offer(struct wire *w, const struct iovec *pieces, unsigned count);
/* Put in front of the next write, without sending now. */
void wire_hold(struct wire *w, struct slice bytes);

size_t wire_waiting(const struct wire *w);
bool wire_is_broken(const struct wire *w); /* what is written is dropped */

static inline struct iovec wire_vector(struct slice s)
{
    return (struct iovec){(void *)(uintptr_t)s.at, s.len};
}
