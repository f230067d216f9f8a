/* server_priv.h - what the parts of the HTTP server share: the listener (server.c), accepting and
 * making room (accept.c), what a balancer says first (preface.c), a connection's state and end
 * (connection.c), reading requests (receive.c), their bodies (body.c), the memory of those
 * (body_memory.c), answering (answer.c). */
#pragma once
#include <netinet/in.h>

#include "base/metrics.h"
#include "base/tiny.h"
#include "loop/loop.h"
#include "net/http/answer.h"
#include "net/wire.h"

enum {
    SCRATCH_BYTES = 64 * 1024,
    PIPELINE_BYTES_MAX = TINY(64 * 1024, 7), /* kept unread behind the request being answered */
    KEEPALIVE_MS = 150000, /* longer than any tunnel or balancer in front keeps its side */
    LAST_CALL_MS = 5000,   /* the same, once the node leaves: longer than most programs keep an idle
                              connection for their next request */
    LINGER_MS = 2000,
    FRESH_MS = 1000,   /* who has connected but not asked yet is given so long: while draining, and
                          before it makes room for another */
    RESERVE_MS = 2000, /* for a head on a connection of the reserve */
    ROOM_WAIT_MS = 120000,      /* a body waits so long for room */
    ORDINARY_HEAD_BYTES = 4096, /* what is beyond is counted in the budget */
    BODY_PACE_BYTES =
        64 * 1024,        /* of a body, at least this much comes or is taken in every client_ms */
    WARM_BYTES = 1 << 20, /* memory for bodies that is used again */
    WARM_MAX = TINY(8, 1) /* of a server */
};

#define ROOM_RETRY_SECONDS "5" /* then its caller is told to come again after */

/* A connection, from one request to the next. Moves are made by connection_go() alone, which knows
 * which are legal; who makes them:
 *   IDLE -> HEAD           first byte of a request              start_request
 *   HEAD -> BODY | WAIT    head complete, body to come          body_start
 *   HEAD -> BUSY           no body: on_request                  hand_over
 *   BODY -> WAIT           an unknown length became large       wait_for_room
 *   WAIT -> BODY           there is room for it                 connection_granted
 *   BODY -> BUSY           body complete: on_request            hand_over
 *   HEAD, WAIT, BODY -> BUSY  refused, and answered at once     answer_refused
 *   BUSY -> FLUSH          answered                             answer_end, answer_break
 *   FLUSH -> IDLE | LINGER the caller has taken the answer      connection_answer_taken
 *   any -> DEAD            caller left, deadline, server gone   connection_end
 * In WAIT nothing is read. In LINGER our side is closed, and input is thrown away so that no reset
 * eats the answer. X(state, word in the log, legal moves) */
#define CONNECTION_STATE_TABLE(X)                                      \
    X(IDLE, "idle", MOVE(HEAD) | MOVE(DEAD))                           \
    X(HEAD, "head", MOVE(WAIT) | MOVE(BODY) | MOVE(BUSY) | MOVE(DEAD)) \
    X(WAIT, "wait", MOVE(BODY) | MOVE(BUSY) | MOVE(DEAD))              \
    X(BODY, "body", MOVE(WAIT) | MOVE(BUSY) | MOVE(DEAD))              \
    X(BUSY, "busy", MOVE(FLUSH) | MOVE(DEAD))                          \
    X(FLUSH, "flush", MOVE(IDLE) | MOVE(LINGER) | MOVE(DEAD))          \
    X(LINGER, "linger", MOVE(DEAD))                                    \
    X(DEAD, "dead", 0)

enum connection_state {
#define X(name, word, moves) CONNECTION_##name,
    CONNECTION_STATE_TABLE(X)
#undef X
};

/* Who could make room for another, in this order. X(id, label at /metrics, after how many ms) */
#define REST_TABLE(X)                                             \
    X(ANSWERED, "answered", 200)  /* LINGER */                    \
    X(SILENT, "silent", FRESH_MS) /* IDLE, and has never asked */ \
    X(IDLE, "idle", 0)                                            \
    X(ASKING, "asking", 5000) /* HEAD: it does not finish it */

enum rest {
#define X(id, label, least_ms) REST_##id,
    REST_TABLE(X)
#undef X
        RESTS
};

struct connection {
    struct list link;
    struct list rest_link; /* in a list of server->resting, or in none */
    uint64_t rest_since_ms;
    struct http_server *server;
    struct wire wire;
    enum connection_state state;
    struct deadline deadline;
    struct loop_task again; /* go on with `in`, or be freed */
    struct buf in;          /* arrived, not understood yet */
    size_t input_bytes;     /* of it, counted in the budget */
    size_t answer_bytes;    /* waiting for the caller, counted likewise */
    size_t kept_bytes;      /* of those, held by the receiver */
    uint32_t peer_caller;   /* whose shares they are of */
    union {
        struct sockaddr any;
        struct sockaddr_in6 in6;
    } peer;

    /* the request being read */
    struct http1_finder finder;
    struct http1_chunked chunked;
    struct budget_waiter room; /* WAIT */
    uint64_t body_left;        /* SIZED */
    size_t pace_bytes;         /* body bytes since the deadline was set */
    struct http_message message;

    /* the answer being given */
    const struct connection_events *events;
    void *arg;
    uint64_t taken_before; /* wire.sent when the deadline was set */
    enum http1_framing framing;
    uint64_t answer_left; /* SIZED */
    unsigned minor;
    bool has_asked;     /* at least the beginning of one request has come */
    bool is_on_reserve; /* accepted beyond the ceiling */
    bool owes_continue; /* a 100, once the body has room */
    bool is_head_request;
    bool keep_alive;
    bool is_broken;
    bool has_ended; /* the last chunk is out */
};

struct http_server {
    struct loop *loop;
    struct http_server_options options;
    int listener;      /* -1: closed */
    int left_listener; /* one that is shared, after the door was closed; else -1 */
    struct event acceptable;
    struct loop_timer *retry_accept; /* while accepting rests */
    struct list connections;
    struct list prefaces;       /* that will be connections once it is known whose */
    unsigned connection_count;  /* of both */
    struct list resting[RESTS]; /* who could make room, the longest there first */
    bool is_at_ceiling;         /* and that was logged */
    uint64_t short_logged_ms;   /* when it was told last that descriptors are short */
    uint64_t preface_logged_ms; /* and that a header was not as it should be */
    struct budget_queue queue;
    int wake_fd; /* an eventfd: one of the queue is granted */
    struct event woken;
    char *warm[WARM_MAX]; /* memory for bodies, not in use */
    unsigned warm_count;  /* of those */
    unsigned warm_made;   /* with those in use */
    bool is_leaving;      /* every answer says that its connection closes */
    bool is_draining;     /* nobody is accepted any more */
    bool is_hurried;      /* nor waited for, unless it has asked */
    uint64_t drain_ms;    /* when draining began */
    char scratch[SCRATCH_BYTES];
};

extern const struct wire_events connection_wire_events;

/* connection.c */
void connection_new(struct http_server *s, int fd, const struct sockaddr *peer, socklen_t len);
void connection_go(struct connection *c, enum connection_state to); /* the one writer of state */
void connection_sane(const struct connection *c);
void connection_end(struct connection *c); /* DEAD; tells the exchange if there is one */

/* preface.c */
/* The same for one that a balancer has made; takes the fd. */
void preface_new(struct http_server *s, int fd, const struct sockaddr *peer, socklen_t len);
unsigned preface_count(const struct http_server *s);
/* Close the longest there, if it came no later. False: there is none. */
bool preface_make_room(struct http_server *s, uint64_t before_ms);
void preface_end_all(struct http_server *s);

/* receive.c */
void connection_receive(struct connection *c);      /* the socket is readable */
void connection_receive_kept(struct connection *c); /* what is in `in`, then the socket */
void connection_go_on(void *arg); /* a loop_task: the next request may be in `in` already */
void connection_rest(struct connection *c); /* IDLE: how long it may be silent */
void connection_refuse(struct connection *c, int status, const char *why);
void connection_refuse_for_room(struct connection *c, enum counter counter, const char *why);
bool connection_count_input(struct connection *c); /* false: it is too much */
void connection_set_deadline(struct connection *c, loop_fn on_expired, uint64_t in_ms);

/* body.c */
void body_start(struct connection *c, bool has_more_input);   /* the head is understood */
void body_receive(struct connection *c, struct slice *bytes); /* moves *bytes on */
bool body_wants_direct(const struct connection *c);           /* then: */
enum wire_read body_read_direct(struct connection *c, size_t *asked, size_t *got);
void connection_granted(struct connection *c); /* WAIT, and there is room now */

/* body_memory.c: how much a body has reserved, and the memory that it lies in. */
MUST_USE bool body_reserve(struct connection *c); /* for its beginning, or its next step */
uint64_t body_whole(const struct connection *c);  /* the most it can become */
void body_use_room(struct connection *c);         /* what is reserved becomes memory */
void body_store_fini(struct http_server *s);

/* answer.c */
void connection_answer_taken(
    struct connection *c); /* FLUSH and nothing waits: next request or the end */

/* accept.c */
void server_accept_start(struct http_server *s);
bool server_accept_one(struct http_server *s); /* false: none is there, or none may come */
/* Close the connection that is missed least. False: all are at work, or fresh. */
bool server_make_room(struct http_server *s);
void server_accept_stop(struct http_server *s);
void server_accept_end(struct http_server *s);   /* its loop turns no more */
void server_accept_again(struct http_server *s); /* it rests, and a connection has ended */
