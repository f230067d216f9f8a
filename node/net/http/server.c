/* The listener and the connections as a whole. A request's way through the three files stands in
 * server_priv.h. */
#include "net/http/server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "net/http/server_priv.h"

enum { ACCEPTS_PER_TURN = 64, LISTEN_BACKLOG = 4096, ACCEPT_REST_MS = 100 };

static int try_listen(const struct addrinfo *a, bool is_first, char *why)
{
    int one = 1;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        snprintf(why, HTTP_LISTEN_WHY_MAX, "%s", strerrordesc_np(errno));
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (is_first) { /* without SO_REUSEPORT this fails if another program has the port */
        if (bind(fd, a->ai_addr, a->ai_addrlen) < 0) {
            snprintf(why, HTTP_LISTEN_WHY_MAX, "%s", strerrordesc_np(errno));
            close(fd);
            return -1;
        }
        struct sockaddr_storage bound;
        socklen_t len = sizeof(bound);
        getsockname(fd, (struct sockaddr *)&bound, &len);
        close(fd);
        struct addrinfo again = *a;
        again.ai_addr = (struct sockaddr *)&bound;
        again.ai_addrlen = len;
        return try_listen(&again, false, why);
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, LISTEN_BACKLOG) < 0) {
        snprintf(why, HTTP_LISTEN_WHY_MAX, "%s", strerrordesc_np(errno));
        close(fd);
        return -1;
    }
    return fd;
}

int http_listen(const char *host, uint16_t port, bool is_first, uint16_t *bound, char *why)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
    char service[8];
    snprintf(service, sizeof(service), "%u", port);
    int error = getaddrinfo(host, service, &hints, &found);
    if (error != 0) {
        snprintf(why, HTTP_LISTEN_WHY_MAX, "%s", gai_strerror(error));
        return -1;
    }
    int fd = try_listen(found, is_first, why);
    freeaddrinfo(found);
    if (fd < 0)
        return -1;
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    getsockname(fd, (struct sockaddr *)&address, &len);
    *bound = ntohs(address.ss_family == AF_INET6
                       ? ((const struct sockaddr_in6 *)(const void *)&address)->sin6_port
                       : ((const struct sockaddr_in *)(const void *)&address)->sin_port);
    return fd;
}

static void connection_new(struct http_server *s, int fd, const struct sockaddr *peer,
                           socklen_t len)
{
    int one = 1;
    SSL *ssl = NULL;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (s->options.tls != NULL && (ssl = tls_server_new(s->options.tls, fd)) == NULL) {
        close(fd);
        return;
    }
    struct connection *c = mem_new(sizeof(*c));
    c->server = s;
    c->state = CONNECTION_IDLE;
    wire_init(&c->wire, s->loop, fd, ssl, &connection_wire_events, c);
    buf_init(&c->in, HTTP1_HEAD_MAX + PIPELINE_BYTES_MAX + SCRATCH_BYTES);
    http_message_init(&c->message);
    memcpy(&c->peer, peer, len < sizeof(c->peer) ? len : sizeof(c->peer));
    list_push(&s->connections, &c->link);
    s->connection_count++;
    metrics_add(s->options.metrics, COUNT_CONNECTIONS, 1);
    metrics_move(s->options.metrics, GAUGE_CLIENTS_CONNECTED, 1);
    loop_task_init(&c->again, connection_go_on, c);
    deadline_init(&c->deadline, (loop_fn)NULL, c);
    connection_go_on(c);
    wire_set_reading(&c->wire, true);
}

static void on_rested(void *arg);

/* Out of descriptors, or at the ceiling: the rest waits in the kernel's queue. */
static void rest(struct http_server *s)
{
    event_del(&s->acceptable);
    if (s->retry_accept == NULL)
        s->retry_accept = loop_every(s->loop, ACCEPT_REST_MS, on_rested, s);
}

static bool accept_one(struct http_server *s)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    if (s->connection_count >= s->options.connections_max) {
        rest(s);
        return false;
    }
    int fd = accept4(s->listener, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        connection_new(s, fd, (struct sockaddr *)&peer, len);
        return true;
    }
    if (errno == ECONNABORTED || errno == EINTR)
        return true;
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
        log_message(LOG_ERROR, "accepting connections rests: %s", strerrordesc_np(errno));
        rest(s);
    }
    return false;
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    for (int i = 0; i < ACCEPTS_PER_TURN && accept_one(arg); i++)
        continue;
}

void server_accept_again(struct http_server *s)
{
    if (s->retry_accept == NULL || s->connection_count >= s->options.connections_max)
        return;
    loop_timer_free(s->retry_accept);
    s->retry_accept = NULL;
    if (s->listener >= 0)
        event_add(&s->acceptable, NULL);
}

static void on_rested(void *arg)
{
    server_accept_again(arg);
}

struct http_server *http_server_new(struct loop *loop, int listener,
                                    const struct http_server_options *options)
{
    struct http_server *s = mem_new(sizeof(*s));
    s->loop = loop;
    s->options = *options;
    s->listener = listener;
    list_init(&s->connections);
    event_assign(&s->acceptable, loop_base(loop), listener, EV_READ | EV_PERSIST, on_acceptable, s);
    event_add(&s->acceptable, NULL);
    return s;
}

void http_server_update(struct http_server *s, const struct http_server_options *options)
{
    SSL_CTX *old = s->options.tls;
    assert(options->tls == NULL || old != NULL); /* plain stays plain */
    s->options.body_bytes_max = options->body_bytes_max;
    s->options.held_bytes_max = options->held_bytes_max;
    s->options.client_ms = options->client_ms;
    if (options->tls != NULL) {
        s->options.tls = options->tls;
        tls_context_free(old);
    }
}

static void stop_listening(struct http_server *s)
{
    if (s->listener < 0)
        return;
    event_del(&s->acceptable);
    loop_timer_free(s->retry_accept);
    s->retry_accept = NULL;
    close(s->listener);
    s->listener = -1;
}

void http_server_drain(struct http_server *s)
{
    if (s->is_draining)
        return;
    for (int i = 0; i < LISTEN_BACKLOG && accept_one(s); i++)
        continue; /* who has connected already is served, not reset */
    s->is_draining = true;
    s->drain_ms = loop_now_ms(s->loop);
    stop_listening(s);
    LIST_EACH (link, &s->connections) {
        struct connection *c = LIST_OWNER(link, struct connection, link);
        if (c->state == CONNECTION_IDLE && c->has_asked)
            connection_end(c); /* has had its answer; a fresh one may just be about to ask */
    }
}

unsigned http_server_open(const struct http_server *s)
{
    unsigned open = 0;
    bool is_fresh_time = loop_now_ms(s->loop) < s->drain_ms + FRESH_MS;
    LIST_EACH (link, &s->connections) {
        const struct connection *c = LIST_OWNER(link, struct connection, link);
        enum connection_state state = c->state;
        bool is_fresh = state == CONNECTION_IDLE && !c->has_asked;
        open += (is_fresh && is_fresh_time) || state == CONNECTION_HEAD ||
                state == CONNECTION_BODY || state == CONNECTION_BUSY || state == CONNECTION_FLUSH;
    }
    return open;
}

void http_server_free(struct http_server *s)
{
    if (s == NULL)
        return;
    stop_listening(s);
    LIST_EACH (link, &s->connections)
        connection_end(LIST_OWNER(link, struct connection, link));
    tls_context_free(s->options.tls);
    free(s);
}
