/* upstream_priv.h - what the parts of the upstream client share: calls and pools
 * (upstream.c), making connections (upstream_connect.c), reading answers (upstream_read.c). */
#pragma once
#include "loop/loop.h"
#include "net/http/upstream.h"
#include "net/resolve.h"
#include "net/wire.h"

enum {
    UPSTREAM_SCRATCH_BYTES = 64 * 1024,
    PIECES_MAX = 64,          /* of a body handed on at once */
    UPLOAD_PIECE = 256 * 1024 /* of a request body, written when the one before has gone */
};

/* Where connections go: they are interchangeable within an origin. */
struct origin_pool {
    struct list link;
    struct upstream *upstream;
    bool is_tls;
    uint16_t port;
    char *host;
    char *ca_file; /* NULL: the system's */
    SSL_CTX *tls;
    SSL_SESSION *session; /* of the last handshake, offered to the next */
    struct list idle;     /* connections, the last used first */
    unsigned idle_count;
};

/* A connection's life:
 *   CONNECTING -> SENT   connected, request written   upstream_connected
 *   IDLE -> SENT         taken from the pool          upstream_send
 *   SENT -> BODY         the answer's head            read_head
 *   BODY -> IDLE | freed the answer's end             finish_answer
 *   any -> freed         failed, cancelled            upstream_connection_free */
enum upstream_state { UPSTREAM_CONNECTING, UPSTREAM_SENT, UPSTREAM_BODY, UPSTREAM_IDLE };

struct upstream_connection {
    struct list link; /* in pool->idle or upstream->busy */
    struct origin_pool *pool;
    struct wire wire;
    struct upstream_call *call; /* NULL while idle */
    enum upstream_state state;
    struct deadline deadline;
    struct loop_task free_task;
    bool is_freed;
    bool is_reused;
    bool is_doing_tls;
    uint64_t sent_before; /* wire.sent when this request began */

    /* finding an address */
    struct resolve *lookup;
    struct address *addresses; /* while connecting */
    size_t address_count;
    size_t address_next;

    /* the answer */
    struct buf in; /* of a head that is not complete */
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
    size_t body_written; /* bytes of request.body given to the wire */
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
void upstream_connect(struct upstream_connection *c); /* find addresses, connect, TLS */
void upstream_connect_progress(struct upstream_connection *c);
void upstream_connect_failed(struct upstream_connection *c); /* the next address, or give up */

/* upstream_read.c */
void upstream_read(struct upstream_connection *c);

/* upstream.c */
void upstream_connected(struct upstream_connection *c); /* ready: the request goes out */
void upstream_answered(struct upstream_connection *c);  /* whole: into the pool, or away */
void upstream_fail(struct upstream_connection *c, enum err err, const char *detail);
void upstream_connection_free(struct upstream_connection *c);
