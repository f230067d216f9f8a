/* The time before a connection is one: a balancer says first for whom it is (PROXY protocol).
 * What comes is only looked at in the socket until it is known where the header ends; then so much
 * is taken, and the connection begins, TLS and all, as if its caller had made it.
 *
 * Who may say so is who may be trusted: peers of the trusted networks; all others are let go. Who
 * says nothing of the kind is let go too, for a guess would let callers choose who they are; but
 * this machine itself, trusted or not, speaks without a balancer: health checks, `weir status`.
 * What another machine calls loopback is that machine: nobody becomes an operator by its word. */
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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
    uint64_t since_ms;
    bool is_trusted; /* to say who calls */
};

static void drop(struct preface *p)
{
    deadline_clear(&p->deadline);
    event_del(&p->readable);
    list_remove(&p->link);
    p->server->connection_count--;
    metrics_move(p->server->options.metrics, GAUGE_CLIENTS_CONNECTED, -1);
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

static void let_go(struct preface *p)
{
    struct http_server *s = p->server;
    int fd = p->fd;
    drop(p);
    close(fd);
    server_accept_again(s);
}

static void refuse(struct preface *p, const char *why)
{
    note_refused(p->server, why);
    let_go(p);
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

/* By loopback, or it has called the very address that it has: what comes over a network cannot, for
 * the kernel drops what claims to be from here. */
static bool is_this_machine(int fd, const struct sockaddr *peer)
{
    struct sockaddr_storage local;
    socklen_t len = sizeof(local);
    unsigned char from[IP_BYTES], to[IP_BYTES];
    if (ip_peer_is_loopback(peer))
        return true;
    return getsockname(fd, (struct sockaddr *)&local, &len) == 0 && ip_of_peer(peer, from) &&
           ip_of_peer((const struct sockaddr *)&local, to) && memcmp(from, to, IP_BYTES) == 0;
}

static const char untrusted[] = "server.proxy_protocol is on, and it came from an address that is "
                                "not in server.trusted_networks";

/* The header lies in the socket, so it is there at once. */
static void take(struct preface *p, const struct proxy_told *told)
{
    char header[PROXY_HEADER_MAX];
    const struct sockaddr *peer = (const struct sockaddr *)&told->peer;
    bool is_other =
        told->has_peer && (!ip_peer_is_loopback(peer) || ip_peer_is_loopback(own_peer(p)));
    if (!p->is_trusted)
        refuse(p, untrusted);
    else if (recv(p->fd, header, told->len, 0) != (ssize_t)told->len)
        refuse(p, "its first bytes changed while they were read");
    else if (is_other)
        begin(p, peer, told->peer_len);
    else
        begin(p, own_peer(p), p->peer_len);
}

/* No more will come. What lies in the socket hides it from who only looks there; and to have
 * EV_CLOSED tell it would leave the descriptor edge-triggered when it is a connection's (libevent
 * merges what is dropped and added in one turn). */
static bool has_ended(const struct preface *p)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    return getsockopt(p->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
           info.tcpi_state == TCP_CLOSE_WAIT;
}

static void look(struct preface *p)
{
    char bytes[PROXY_HEADER_MAX];
    struct proxy_told told;
    ssize_t got = recv(p->fd, bytes, sizeof(bytes), MSG_PEEK);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (got <= 0) {
        let_go(p); /* it has left without a word: a port check */
        return;
    }
    switch (proxy_header_read((struct slice){bytes, (size_t)got}, &told)) {
    case PROXY_HEADER_MORE: /* the event is told of what comes anew, the end too */
        if (has_ended(p))
            let_go(p);
        break;
    case PROXY_HEADER_DONE:
        take(p, &told);
        break;
    case PROXY_HEADER_OTHER:
        if (is_this_machine(p->fd, own_peer(p)))
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

static uint64_t preface_ms(const struct http_server *s)
{
    return s->options.client_ms < PREFACE_MS ? s->options.client_ms : PREFACE_MS;
}

void preface_new(struct http_server *s, int fd, const struct sockaddr *peer, socklen_t len)
{
    bool is_trusted = networks_have(s->options.proxies, peer);
    if (!is_trusted && !is_this_machine(fd, peer)) {
        note_refused(s, untrusted);
        close(fd);
        return;
    }
    struct preface *p = mem_new(sizeof(*p));
    p->server = s;
    p->fd = fd;
    p->is_trusted = is_trusted;
    p->since_ms = loop_now_ms(s->loop);
    memcpy(&p->peer, peer, len);
    p->peer_len = len;
    list_push(&s->prefaces, &p->link);
    s->connection_count++;
    metrics_move(s->options.metrics, GAUGE_CLIENTS_CONNECTED, 1);
    deadline_init(&p->deadline, on_late, p);
    deadline_set(s->loop, &p->deadline, preface_ms(s));
    event_assign(&p->readable, loop_base(s->loop), fd, EV_READ | EV_PERSIST | EV_ET, on_readable,
                 p);
    event_add(&p->readable, NULL);
    look(p);
}

bool preface_make_room(struct http_server *s, uint64_t before_ms)
{
    struct preface *p = LIST_OWNER(s->prefaces.next, struct preface, link);
    if (s->prefaces.next == &s->prefaces || p->since_ms > before_ms)
        return false;
    let_go(p);
    return true;
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
    LIST_EACH (link, &s->prefaces)
        let_go(LIST_OWNER(link, struct preface, link));
}
