/* The listener, and the server as a whole. The parts and a connection's way through them stand in
 * server_priv.h. Those of its connections that wait for room are told by the budget on whatever
 * thread gave it back; that thread only writes to wake_fd; on_woken() goes on with them here. */
#include "net/http/server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "net/http/server_priv.h"

enum { LISTEN_BACKLOG = 4096 };

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
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } address = {.in6 = {0}};
    socklen_t len = sizeof(address);
    getsockname(fd, &address.any, &len);
    *bound = ntohs(address.any.sa_family == AF_INET6 ? address.in6.sin6_port : address.in.sin_port);
    return fd;
}

static void wake(void *arg)
{
    struct http_server *s = arg;
    uint64_t one = 1;
    ssize_t n = write(s->wake_fd, &one, sizeof(one));
    assert(n == sizeof(one)); /* an eventfd takes 2^64 of them */
}

static void on_woken(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct http_server *s = arg;
    struct budget_waiter *w;
    uint64_t count;
    if (read(fd, &count, sizeof(count)) < 0)
        return;
    while ((w = budget_granted(&s->queue)) != NULL)
        connection_granted(LIST_OWNER(w, struct connection, room));
}

static void queue_start(struct http_server *s)
{
    s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert(s->wake_fd >= 0); /* once a worker, before there are callers */
    budget_queue_init(&s->queue, s->options.budget, wake, s);
    event_assign(&s->woken, loop_base(s->loop), s->wake_fd, EV_READ | EV_PERSIST, on_woken, s);
    event_add(&s->woken, NULL);
}

struct http_server *http_server_new(struct loop *loop, int listener,
                                    const struct http_server_options *options)
{
    struct http_server *s = mem_new(sizeof(*s));
    s->loop = loop;
    s->options = *options;
    s->listener = listener;
    s->left_listener = -1;
    list_init(&s->connections);
    list_init(&s->prefaces);
    for (unsigned rest = 0; rest < RESTS; rest++)
        list_init(&s->resting[rest]);
    metrics_set(options->metrics, GAUGE_CLIENTS_MAX, options->connections_max);
    queue_start(s);
    server_accept_start(s);
    return s;
}

void http_server_update(struct http_server *s, const struct http_server_options *options)
{
    SSL_CTX *old = s->options.tls;
    assert(options->tls == NULL || old != NULL); /* plain stays plain */
    s->options.body_bytes_max = options->body_bytes_max;
    s->options.client_ms = options->client_ms;
    s->options.proxies = options->proxies;
    if (options->tls != NULL) {
        s->options.tls = options->tls;
        tls_context_free(old);
    }
}

void http_server_announce(struct http_server *s)
{
    s->is_leaving = true;
}

static void close_door(struct http_server *s)
{
    for (int i = 0; i < LISTEN_BACKLOG && server_accept_one(s); i++)
        continue; /* who has connected already is served, not reset */
    s->is_draining = true;
    s->drain_ms = loop_now_ms(s->loop);
    server_accept_stop(s);
}

/* Idle behind an answer that did not say it was the last: the next request may be on its way, and
 * to close now would reset it. */
void http_server_drain(struct http_server *s, bool is_hurried)
{
    s->is_leaving = true;
    if (!s->is_draining)
        close_door(s);
    s->is_hurried |= is_hurried;
    LIST_EACH (link, &s->connections) {
        struct connection *c = LIST_OWNER(link, struct connection, link);
        if (c->state != CONNECTION_IDLE || !c->has_asked)
            continue;
        if (s->is_hurried)
            connection_end(c);
        else
            connection_rest(c);
    }
}

unsigned http_server_open(const struct http_server *s)
{
    bool is_fresh_time = loop_now_ms(s->loop) < s->drain_ms + FRESH_MS;
    unsigned all = preface_count(s), open = is_fresh_time ? all : 0;
    LIST_EACH (link, &s->connections) {
        const struct connection *c = LIST_OWNER(link, struct connection, link);
        enum connection_state state = c->state;
        bool is_fresh = state == CONNECTION_IDLE && !c->has_asked;
        open += state != CONNECTION_LINGER && (!is_fresh || is_fresh_time);
        all++;
    }
    assert(all == s->connection_count);
    return open;
}

void http_server_free(struct http_server *s)
{
    if (s == NULL)
        return;
    server_accept_end(s);
    preface_end_all(s);
    LIST_EACH (link, &s->connections)
        connection_end(LIST_OWNER(link, struct connection, link));
    assert(s->connection_count == 0);
    event_del(&s->woken);
    close(s->wake_fd);
    body_store_fini(s);
    tls_context_free(s->options.tls);
    free(s);
}
