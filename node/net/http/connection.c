/* A connection as a whole: its state, written by connection_go() alone, its beginning, its end.
 * One that could make room stands in a list of the server, in order of time, so that
 * the one that is missed least can be closed for another. Ended is not freed: its
 * own callbacks may be on the stack, so connection_go_on() frees it when the turn is over. */
#include <assert.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "net/http/server_priv.h"

#define MOVE(name) (1U << CONNECTION_##name)
static const struct {
    const char *word;
    unsigned moves;
} states[] = {
#define X(name, word, moves) {word, moves},
    CONNECTION_STATE_TABLE(X)
#undef X
};

/* RESTS: it is at work. */
static enum rest rest_of(const struct connection *c)
{
    if (c->state == CONNECTION_IDLE)
        return c->has_asked ? REST_IDLE : REST_SILENT;
    if (c->state == CONNECTION_HEAD)
        return REST_ASKING;
    return c->state == CONNECTION_LINGER ? REST_ANSWERED : RESTS;
}

static void enter_list(struct connection *c)
{
    struct http_server *s = c->server;
    enum rest rest = rest_of(c);
    if (rest == RESTS)
        return;
    c->rest_since_ms = loop_now_ms(s->loop);
    list_push(&s->resting[rest], &c->rest_link);
}

static void trace(const struct connection *c, enum connection_state to)
{
    if (!log_begin(LOG_DEBUG, "connection"))
        return;
    log_number("fd", (uint64_t)c->wire.fd);
    log_string("from", states[c->state].word);
    log_string("to", states[to].word);
    log_end();
}

void connection_go(struct connection *c, enum connection_state to)
{
    assert(states[c->state].moves & (1U << to));
    trace(c, to);
    c->state = to;
    list_remove(&c->rest_link);
    enter_list(c);
}

void connection_sane(const struct connection *c)
{
    assert(c->state != CONNECTION_DEAD && c->wire.fd >= 0);
    assert(list_is_linked(&c->rest_link) == (rest_of(c) != RESTS));
    assert((c->room.queue != NULL) == (c->state == CONNECTION_WAIT));
    assert(c->state != CONNECTION_WAIT || !c->wire.is_reading);
    assert(c->events == NULL || c->state == CONNECTION_BUSY);
}

/* IPv6: a caller has at least a /64 of its own. */
static uint32_t caller_of(const struct http_server *s, const struct connection *c)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&c->peer;
    const struct in6_addr *in6 = &c->peer.in6.sin6_addr;
    struct slice key = {(const char *)&in->sin_addr, sizeof(in->sin_addr)};
    if (c->peer.any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(in6))
        key = (struct slice){(const char *)in6->s6_addr + 12, 4};
    else if (c->peer.any.sa_family == AF_INET6)
        key = (struct slice){(const char *)in6->s6_addr, 8};
    return budget_caller(s->options.budget, key);
}

static void set_up(struct connection *c, struct http_server *s, int fd, SSL *ssl)
{
    c->server = s;
    c->is_on_reserve = s->connection_count >= s->options.connections_max;
    wire_init(&c->wire, s->loop, fd, &connection_wire_events, c);
    wire_set_tls(&c->wire, ssl);
    buf_init(&c->in, HTTP1_HEAD_MAX + PIPELINE_BYTES_MAX + SCRATCH_BYTES);
    http_message_init(&c->message);
    budget_waiter_init(&c->room);
    list_init(&c->rest_link);
    loop_task_init(&c->again, connection_go_on, c);
    deadline_init(&c->deadline, (loop_fn)NULL, c);
    c->state = CONNECTION_IDLE;
    enter_list(c);
}

void connection_new(struct http_server *s, int fd, const struct sockaddr *peer, socklen_t len)
{
    int one = 1;
    SSL *ssl = NULL;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (s->options.tls != NULL && (ssl = tls_server_new(s->options.tls, fd)) == NULL) {
        close(fd);
        return;
    }
    struct connection *c = mem_new(sizeof(*c));
    set_up(c, s, fd, ssl);
    memcpy(&c->peer, peer, len < sizeof(c->peer) ? len : sizeof(c->peer));
    c->peer_caller = caller_of(s, c);
    list_push(&s->connections, &c->link);
    s->connection_count++;
    metrics_add(s->options.metrics, COUNT_CONNECTIONS, 1);
    metrics_move(s->options.metrics, GAUGE_CLIENTS_CONNECTED, 1);
    connection_go_on(c);
    wire_set_reading(&c->wire, true);
}

static void give_back(struct connection *c)
{
    struct budget *budget = c->server->options.budget;
    budget_wait_cancel(&c->room);
    buf_fini(&c->in);
    budget_give(budget, BUDGET_HEADS, c->peer_caller, c->input_bytes);
    budget_give(budget, BUDGET_ANSWERS, c->peer_caller, c->answer_bytes);
    http_message_fini(&c->message);
}

void connection_end(struct connection *c)
{
    struct http_server *s = c->server;
    if (c->state == CONNECTION_DEAD)
        return;
    bool was_busy = c->state == CONNECTION_BUSY;
    connection_go(c, CONNECTION_DEAD);
    deadline_clear(&c->deadline);
    if (was_busy) {
        if (c->events != NULL)
            c->events->on_gone(c->arg);
        c->events = NULL;
    }
    wire_close(&c->wire);
    give_back(c);
    list_remove(&c->link);
    s->connection_count--;
    server_accept_again(s);
    metrics_move(s->options.metrics, GAUGE_CLIENTS_CONNECTED, -1);
    loop_defer(s->loop, &c->again);
}
