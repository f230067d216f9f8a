/* The time before a connection is one: a balancer says first for whom it is (PROXY protocol).
 * What comes is only looked at in the socket until it is known where the header ends; then so much
 * is taken, and the connection begins, TLS and all, as if its caller had made it.
 *
 * Who may say so is who may be trusted: peers of the trusted networks; all others are let go. Who
 * says nothing of the kind is let go too, for a guess would let callers choose who they are; but
 * this machine itself speaks without a balancer: health checks, `weir status`. */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "format/proxy_header.h"
#include "net/http/server_priv.h"

enum { PREFACE_MS = 5000, LOG_EVERY_MS = 60000 };

struct preface {
    struct list link; /* server->prefaces */
    struct http_server *server;
    int fd;
    struct event readable;
    struct deadline deadline;
    struct sockaddr_storage peer;
    socklen_t peer_len;
};

static void drop(struct preface *p)
{
    deadline_clear(&p->deadline);
    event_del(&p->readable);
    list_remove(&p->link);
    p->server->connection_count--;
    free(p);
}

static void note_refused(struct http_server *s, const char *why)
{
    uint64_t now_ms = loop_now_ms(s->loop);
    metrics_add(s->options.metrics, COUNT_PREFACES_REFUSED, 1);
    if (s->preface_logged_ms != 0 && now_ms < s->preface_logged_ms + LOG_EVERY_MS)
        return;
    s->preface_logged_ms = now_ms;
    log_message(LOG_WARN, "a connection was closed: %s", why);
}

static void refuse(struct preface *p, const char *why)
{
    struct http_server *s = p->server;
    int fd = p->fd;
    note_refused(s, why);
    drop(p);
    close(fd);
    server_accept_again(s);
}

static void begin(struct preface *p, const struct sockaddr *peer, socklen_t len)
{
    struct http_server *s = p->server;
    struct sockaddr_storage copy = {0};
    int fd = p->fd;
    memcpy(&copy, peer, len);
    drop(p);
    connection_new(s, fd, (struct sockaddr *)&copy, len);
}

static const struct sockaddr *own_peer(const struct preface *p)
{
    return (const struct sockaddr *)&p->peer;
}

/* It lies in the socket, so it is there at once. */
static void take(struct preface *p, const struct proxy_told *told)
{
    char header[PROXY_HEADER_MAX];
    if (recv(p->fd, header, told->len, 0) != (ssize_t)told->len)
        refuse(p, "its first bytes changed while they were read");
    else if (told->has_peer)
        begin(p, (const struct sockaddr *)&told->peer, told->peer_len);
    else
        begin(p, own_peer(p), p->peer_len);
}

static void look(struct preface *p)
{
    char bytes[PROXY_HEADER_MAX];
    struct proxy_told told;
    ssize_t got = recv(p->fd, bytes, sizeof(bytes), MSG_PEEK);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (got <= 0) {
        int fd = p->fd;
        struct http_server *s = p->server;
        drop(p); /* it has left without a word: a port check */
        close(fd);
        server_accept_again(s);
        return;
    }
    switch (proxy_header_read((struct slice){bytes, (size_t)got}, &told)) {
    case PROXY_HEADER_MORE:
        break; /* the event is told of what comes anew */
    case PROXY_HEADER_DONE:
        take(p, &told);
        break;
    case PROXY_HEADER_OTHER:
        if (ip_peer_is_loopback(own_peer(p)))
            begin(p, own_peer(p), p->peer_len);
        else
            refuse(p, "server.proxy_protocol is on, and it did not begin with a PROXY header; let "
                      "the balancer send one (HAProxy: send-proxy-v2, check-send-proxy)");
        break;
    case PROXY_HEADER_BAD:
        refuse(p, "its PROXY header is malformed, or longer than 2048 bytes");
        break;
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    look(arg);
}

static void on_late(void *arg)
{
    refuse(arg, "server.proxy_protocol is on, and no PROXY header came in time");
}

void preface_new(struct http_server *s, int fd, const struct sockaddr *peer, socklen_t len)
{
    if (!networks_have(s->options.proxies, peer)) {
        note_refused(s, "server.proxy_protocol is on, and it came from an address that is not in "
                        "server.trusted_networks");
        close(fd);
        return;
    }
    struct preface *p = mem_new(sizeof(*p));
    p->server = s;
    p->fd = fd;
    memcpy(&p->peer, peer, len);
    p->peer_len = len;
    list_push(&s->prefaces, &p->link);
    s->connection_count++;
    deadline_init(&p->deadline, on_late, p);
    deadline_set(s->loop, &p->deadline, PREFACE_MS);
    event_assign(&p->readable, loop_base(s->loop), fd, EV_READ | EV_PERSIST | EV_ET, on_readable,
                 p);
    event_add(&p->readable, NULL);
    look(p);
}

unsigned preface_count(const struct http_server *s)
{
    unsigned count = 0;
    LIST_EACH (link, &s->prefaces)
        count++;
    return count;
}

void preface_end_all(struct http_server *s)
{
    struct list *link;
    while ((link = s->prefaces.next) != &s->prefaces) {
        struct preface *p = LIST_OWNER(link, struct preface, link);
        int fd = p->fd;
        drop(p);
        close(fd);
    }
}
