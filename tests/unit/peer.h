/* peer.h - the other end of a connection in a test: on the same loop, does only what it is told,
 * and keeps all that arrives. Plain, or TLS with an SSL of the test's. */
#pragma once
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/wire.h"
#include "run_until.h"

enum { PEER_BYTES_MAX = 64 << 20, PEER_READ_BYTES = 64 * 1024 };

struct peer {
    struct wire wire;
    struct buf in;
    bool has_ended;  /* the other side said that this was all */
    bool has_failed; /* it was reset or cut off */
};

static inline void peer_on_readable(void *arg)
{
    static char scratch[PEER_READ_BYTES];
    struct peer *p = arg;
    size_t got;
    enum wire_read result;
    while ((result = wire_read(&p->wire, scratch, sizeof(scratch), &got)) == WIRE_DATA)
        CHECK(buf_append(&p->in, (struct slice){scratch, got}));
    if (result == WIRE_AGAIN)
        return;
    p->has_ended = result == WIRE_END;
    p->has_failed = result == WIRE_FAILED;
    wire_stop_watching(&p->wire);
}

static inline void peer_on_drained(void *arg)
{
    (void)arg; /* the wire goes on by itself */
}

static inline void peer_on_closed(void *arg)
{
    struct peer *p = arg;
    p->has_failed = true;
    wire_stop_watching(&p->wire);
}

static inline void peer_open(struct peer *p, struct loop *loop, int fd, SSL *ssl)
{
    static const struct wire_events events = {.on_readable = peer_on_readable,
                                              .on_drained = peer_on_drained,
                                              .on_closed = peer_on_closed};
    int one = 1;
    CHECK(fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    *p = (struct peer){.has_ended = false};
    buf_init(&p->in, PEER_BYTES_MAX);
    wire_init(&p->wire, loop, fd, &events, p);
    wire_set_tls(&p->wire, ssl);
    wire_set_reading(&p->wire, true);
}

static inline void peer_close(struct peer *p)
{
    wire_close(&p->wire);
    buf_fini(&p->in);
}

static inline void peer_reset(struct peer *p)
{
    wire_reset(&p->wire);
    buf_fini(&p->in);
}

static inline void peer_send_bytes(struct peer *p, struct slice bytes)
{
    struct iovec piece = {(void *)(uintptr_t)bytes.at, bytes.len};
    wire_write(&p->wire, &piece, 1);
}

static inline void peer_send(struct peer *p, const char *text)
{
    peer_send_bytes(p, slice_of(text));
}

/* How often the text has arrived. */
static inline unsigned peer_count(const struct peer *p, const char *text)
{
    struct slice in = buf_slice(&p->in);
    unsigned count = 0;
    const char *at;
    while (in.len > 0 && (at = memmem(in.at, in.len, text, strlen(text))) != NULL) {
        in = slice_from(in, (size_t)(at - in.at) + strlen(text));
        count++;
    }
    return count;
}

static inline bool peer_has(const struct peer *p, const char *text)
{
    return peer_count(p, text) > 0;
}

static inline bool peer_is_over(const struct peer *p)
{
    return p->has_ended || p->has_failed;
}

/* ---- listening and connecting on loopback ---- */

/* Any free port, which *port gets. */
static inline int peer_listen(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, 64) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    *port = ntohs(address.sin_port);
    return fd;
}

/* A connected socket: the queue of a listener answers, whether it is looked at or not. */
static inline int peer_dial(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}

/* A connected pair, both not blocking. */
static inline void peer_pair(int fds[2])
{
    uint16_t port;
    int listener = peer_listen(&port);
    fds[0] = peer_dial(port);
    fds[1] = accept(listener, NULL, NULL);
    close(listener);
    for (int i = 0; i < 2; i++)
        CHECK(fds[i] >= 0 && fcntl(fds[i], F_SETFL, O_NONBLOCK) == 0);
}
