/* upstream_priv.h - what the parts of the upstream client share: calls and pools
 * (upstream.c), making connections (upstream_connect.c), reading answers (upstream_read.c). */
#pragma once
#include "base/tiny.h"
#include "crypto/tls_trust.h"
#include "loop/loop.h"
#include "net/dial.h"
#include "net/http/upstream.h"
#include "net/wire.h"

enum {
    UPSTREAM_SCRATCH_BYTES = TINY(64 * 1024, 7),
    PIECES_MAX = TINY(64, 1) /* of a body handed on at once */
};

/* Where connections go: they are interchangeable within an origin. */
struct origin_pool {
    struct list link;
    struct upstream *upstream;
    bool is_tls;
    uint16_t port;
    char *host;
    char *ca_file;           /* NULL: the system's */
    struct tls_trust *trust; /* NULL: plain */
    struct list idle;        /* connections, the last used first */
    unsigned idle_count;
};

/* A connection's life, and who moves it on, always through upstream_go():
 *   CONNECTING -> SENT     connected, request written   upstream_connected, write_request
 *   IDLE -> SENT           taken from the pool          upstream_send, write_request
 *   SENT -> BODY           the answer's head            take_head
 *   BODY -> IDLE | FREED   the answer's end             upstream_answered
 *   any -> FREED           failed, cancelled, closed    upstream_connection_free */
#define UPSTREAM_TO(state) (1U << UPSTREAM_##state)
#define UPSTREAM_STATE_TABLE(X)                                         \
    X(CONNECTING, "connecting", UPSTREAM_TO(SENT) | UPSTREAM_TO(FREED)) \
    X(SENT, "sent", UPSTREAM_TO(BODY) | UPSTREAM_TO(FREED))             \
    X(BODY, "body", UPSTREAM_TO(IDLE) | UPSTREAM_TO(FREED))             \
    X(IDLE, "idle", UPSTREAM_TO(SENT) | UPSTREAM_TO(FREED))             \
    X(FREED, "freed", 0U)

enum upstream_state {
#define X(state, word, to) UPSTREAM_##state,
    UPSTREAM_STATE_TABLE(X)
#undef X
};

struct upstream_connection {
    struct list link; /* in pool->idle or upstream->busy */
    struct origin_pool *pool;
    struct wire wire;
    struct upstream_call *call; /* NULL while idle */
    enum upstream_state state;
    struct deadline deadline;
    struct loop_task free_task;
    bool is_reused;
    bool has_spoken;      /* a byte has come since the request was sent */
    uint64_t idle_ms;     /* for so long it may be kept when it is idle */
    bool has_shed;        /* idle ones were closed to make room for it */
    uint64_t sent_before; /* wire.sent when this request began */

    struct dial *dial; /* while CONNECTING */

    /* the answer */
    unsigned interim_count; /* before it */
    struct buf in;          /* of a head that is not complete */
    struct http1_finder finder;
    struct http1_chunked chunked;
    enum http1_framing framing;
    uint64_t left; /* SIZED */
    bool keep_alive;
};

struct upstream_call {
    struct upstream *upstream;
    struct upstream_connection *connection;
    struct upstream_request request;
    const struct upstream_events *events;
    void *arg;
    uint64_t sent_ns;
    size_t written; /* bytes of head and body given to the wire */
    bool was_sent_again;
    bool is_paused;
};

struct upstream {
    struct loop *loop;
    struct resolver *resolver;
    struct metrics *metrics;
    struct list pools;
    struct list busy;
    char scratch[UPSTREAM_SCRATCH_BYTES];
};

extern const struct wire_events upstream_wire_events;

/* upstream_connect.c */
void upstream_connect(struct upstream_connection *c); /* then upstream_connected or _fail */

/* upstream_read.c */
void upstream_read(struct upstream_connection *c);

/* upstream.c */
void upstream_go(struct upstream_connection *c, enum upstream_state state); /* the only way on */
void upstream_connected(struct upstream_connection *c); /* ready: the request goes out */
void upstream_answered(struct upstream_connection *c);  /* whole: into the pool, or away */
void upstream_fail(struct upstream_connection *c, enum err err, const char *detail);
void upstream_connection_free(struct upstream_connection *c);
