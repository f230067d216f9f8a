/* server_priv.h - what the three parts of the HTTP server share: the listener
 * (server.c), reading requests (receive.c), answering them (answer.c). */
#pragma once
#include <netinet/in.h>

#include "loop/loop.h"
#include "net/http/answer.h"
#include "net/wire.h"

enum {
    SCRATCH_BYTES = 64 * 1024,
    PIPELINE_BYTES_MAX = 64 * 1024, /* kept unread behind the request being answered */
    KEEPALIVE_MS = 150000,          /* longer than any tunnel or balancer in front keeps its side */
    LINGER_MS = 2000,
    FRESH_MS = 1000, /* while draining, who has connected but not asked yet is waited for */
    BODY_PACE_BYTES =
        64 * 1024 /* of a body, at least this much comes or is taken in every client_ms */
};

/* A connection, from one request to the next.
 *   IDLE -> HEAD           first byte of a request            receive_bytes
 *   HEAD -> BODY | BUSY    head complete                      receive_head
 *   BODY -> BUSY           body complete: on_request          hand_over
 *   HEAD, BODY -> FLUSH    refused                            connection_refuse
 *   BUSY -> FLUSH          answered                           answer_end, answer_break
 *   FLUSH -> IDLE | LINGER the caller has taken the answer    connection_answer_taken
 *   any -> DEAD            caller left, deadline, server gone connection_end */
enum connection_state {
    CONNECTION_IDLE,
    CONNECTION_HEAD,
    CONNECTION_BODY,
    CONNECTION_BUSY,
    CONNECTION_FLUSH,
    CONNECTION_LINGER, /* our side is closed; input is thrown away so that no reset eats the answer
                        */
    CONNECTION_DEAD
};

struct connection {
    struct list link;
    struct http_server *server;
    struct wire wire;
    enum connection_state state;
    struct deadline deadline;
    struct loop_task again; /* go on with `in`, or be freed */
    struct buf in;          /* arrived, not understood yet */
    union {
        struct sockaddr any;
        struct sockaddr_in6 in6;
    } peer;

    /* the request being read */
    struct http1_finder finder;
    struct http1_chunked chunked;
    uint64_t body_left; /* SIZED */
    size_t pace_bytes;  /* body bytes since the deadline was set */
    struct http_message message;

    /* the answer being given */
    const struct connection_events *events;
    void *arg;
    uint64_t taken_before; /* wire.sent when the deadline was set */
    enum http1_framing framing;
    uint64_t answer_left; /* SIZED */
    unsigned minor;
    bool has_asked; /* at least the beginning of one request has come */
    bool is_head_request;
    bool keep_alive;
    bool is_broken;
    bool has_ended; /* the last chunk is out */
};

struct http_server {
    struct loop *loop;
    struct http_server_options options;
    int listener; /* -1: closed */
    struct event acceptable;
    struct loop_timer *retry_accept; /* while accepting rests */
    struct list connections;
    unsigned connection_count;
    uint64_t held_bytes;
    bool is_draining;
    uint64_t drain_ms; /* when that began */
    char scratch[SCRATCH_BYTES];
};

extern const struct wire_events connection_wire_events;

void connection_receive(struct connection *c); /* the socket is readable */
void connection_go_on(void *call); /* a loop_task: the next request may be in `in` already */
void connection_refuse(struct connection *c, int status, const char *why);
void connection_answer_taken(
    struct connection *c);                 /* FLUSH and nothing waits: next request or the end */
void connection_end(struct connection *c); /* DEAD; tells the exchange if there is one */
void server_accept_again(struct http_server *s); /* it rests, and a connection has ended */
