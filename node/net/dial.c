/* One attempt an address, each a wire of its own, until one of them is connected; the others are
 * closed then and it goes on to TLS. Read from the end to the beginning, it is in the order of
 * events.
 *
 *     RESOLVE  addresses are looked for                     dial
 *     CONNECT  one or more attempts are open                on_resolved, start_at_path
 *     SECURE   the winner shakes hands                      secure
 *
 * Whatever ends it goes through finish_dial(), once; the memory goes later in the turn, because a
 * wire of it may be on the stack. */
#include "net/dial.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "crypto/tls_trust.h"
#include "loop/loop.h"
#include "net/resolve.h"
#include "net/wire.h"

enum { ADDRESS_TEXT_MAX = 128 };

struct attempt {
    struct dial *dial;
    struct address address;
    struct wire wire;
};

enum dial_step { DIAL_RESOLVE, DIAL_CONNECT, DIAL_SECURE };

struct dial {
    struct loop *loop;
    struct resolver *resolver;
    struct dial_target target;
    dial_fn on_done;
    void *arg;
    enum dial_step step;
    struct resolve *lookup; /* while RESOLVE */
    struct loop_task start; /* instead of a lookup */
    struct loop_task free_task;
    struct deadline deadline;
    struct deadline share; /* until the next address is tried */
    uint32_t share_ms;
    size_t count, next, open; /* attempts: all, the next to begin, those under way */
    struct attempt *winner;   /* while SECURE */
    bool has_shortage;        /* an address could not be tried for want of a descriptor */
    char why[DIAL_WHY_MAX];   /* of the last attempt that failed */
    struct attempt attempts[RESOLVE_ADDRESSES_MAX];
};

/* ---- the end ---- */

static void free_dial(void *arg)
{
    free(arg);
}

static void let_go(struct dial *d)
{
    if (d->lookup != NULL)
        resolve_cancel(d->lookup);
    d->lookup = NULL;
    loop_task_cancel(&d->start);
    deadline_clear(&d->deadline);
    deadline_clear(&d->share);
    for (size_t i = 0; i < d->count; i++)
        wire_close(&d->attempts[i].wire);
    loop_defer(d->loop, &d->free_task);
}

void dial_cancel(struct dial *d)
{
    if (d != NULL)
        let_go(d);
}

static void finish_dial(struct dial *d, enum err err)
{
    struct dialed result = {.fd = -1, .why = d->why};
    if (err == OK)
        wire_release(&d->winner->wire, &result.fd, &result.ssl);
    let_go(d);
    d->on_done(err, &result, d->arg);
}

/* ---- words ---- */

static void address_text(const struct address *address, char *text)
{
    const struct sockaddr *any = (const struct sockaddr *)&address->storage;
    char host[INET6_ADDRSTRLEN] = "";
    if (any->sa_family == AF_UNIX) {
        snprintf(text, ADDRESS_TEXT_MAX, "%s",
                 ((const struct sockaddr_un *)(const void *)any)->sun_path);
    } else if (any->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)any;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
        snprintf(text, ADDRESS_TEXT_MAX, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)any;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
        snprintf(text, ADDRESS_TEXT_MAX, "%s:%u", host, ntohs(v4->sin_port));
    }
}

/* What this node has run out of: descriptors, memory, or ports to connect from (where that error
 * means nothing else). */
static bool is_shortage(const struct address *address, int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM ||
           (error == EADDRNOTAVAIL && address->storage.ss_family == AF_INET);
}

static void note_failed_attempt(struct dial *d, const struct attempt *a, int error)
{
    char text[ADDRESS_TEXT_MAX];
    address_text(&a->address, text);
    snprintf(d->why, sizeof(d->why), "cannot connect to %s: %s", text, strerrordesc_np(error));
    d->has_shortage |= is_shortage(&a->address, error);
}

static void on_dial_late(void *arg)
{
    struct dial *d = arg;
    char text[ADDRESS_TEXT_MAX];
    switch (d->step) {
    case DIAL_RESOLVE:
        snprintf(d->why, sizeof(d->why), "no address for %.120s within %u ms", d->target.host,
                 d->target.deadline_ms);
        break;
    case DIAL_CONNECT:
        address_text(&d->attempts[d->next - 1].address, text);
        snprintf(d->why, sizeof(d->why), "no connection to %s within %u ms", text,
                 d->target.deadline_ms);
        break;
    case DIAL_SECURE:
        address_text(&d->winner->address, text);
        snprintf(d->why, sizeof(d->why), "no TLS handshake with %s within %u ms", text,
                 d->target.deadline_ms);
        break;
    }
    finish_dial(d, ERR_TIMEOUT);
}

/* ---- SECURE ---- */

static void secure(struct dial *d)
{
    char why[TLS_WHY_MAX];
    struct wire *wire = &d->winner->wire;
    SSL *ssl;
    d->step = DIAL_SECURE;
    enum err err = tls_trust_secure(d->target.trust, wire->fd, d->target.host, &ssl, why);
    if (err == OK) {
        wire_start_tls(wire, ssl);
        return;
    }
    snprintf(d->why, sizeof(d->why), "%s", why);
    finish_dial(d, err);
}

/* ---- CONNECT ---- */

static void try_next(struct dial *d);

static void on_attempt_connected(void *arg)
{
    struct attempt *winner = arg;
    struct dial *d = winner->dial;
    deadline_clear(&d->share);
    for (size_t i = 0; i < d->count; i++)
        if (&d->attempts[i] != winner)
            wire_close(&d->attempts[i].wire);
    d->winner = winner;
    if (winner != &d->attempts[0])
        resolver_prefer(d->resolver, slice_of(d->target.host), d->target.port, &winner->address);
    if (d->target.trust != NULL)
        secure(d);
    else
        finish_dial(d, OK);
}

static void on_attempt_secured(void *arg)
{
    finish_dial(((struct attempt *)arg)->dial, OK);
}

static void on_attempt_closed(void *arg)
{
    struct attempt *a = arg;
    struct dial *d = a->dial;
    char why[TLS_WHY_MAX], text[ADDRESS_TEXT_MAX];
    if (d->step == DIAL_SECURE) {
        tls_error_text(a->wire.ssl, why);
        address_text(&a->address, text);
        snprintf(d->why, sizeof(d->why), "%.200s (%s)", why, text);
        finish_dial(d, ERR_TLS);
        return;
    }
    note_failed_attempt(d, a, a->wire.error);
    wire_close(&a->wire);
    d->open--;
    try_next(d);
}

static void never(void *arg)
{
    (void)arg;
    assert(false); /* nothing is read or written before the connection is handed over */
}

static const struct wire_events attempt_events = {.on_readable = never,
                                                  .on_drained = never,
                                                  .on_closed = on_attempt_closed,
                                                  .on_connected = on_attempt_connected,
                                                  .on_secured = on_attempt_secured};

/* 0, or why this address cannot even be tried. */
static int begin_attempt(struct attempt *a)
{
    int family = a->address.storage.ss_family, on = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    if (family != AF_UNIX) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    }
    if (connect(fd, (const struct sockaddr *)&a->address.storage, a->address.len) < 0 &&
        errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        return error;
    }
    wire_init(&a->wire, a->dial->loop, fd, &attempt_events, a);
    wire_await_connect(&a->wire);
    return 0;
}

/* Begin at the next address that can be tried; where none is left, those under way decide. */
static void try_next(struct dial *d)
{
    while (d->next < d->count) {
        struct attempt *a = &d->attempts[d->next++];
        int error = begin_attempt(a);
        if (error == 0) {
            d->open++;
            if (d->next < d->count)
                deadline_set(d->loop, &d->share, d->share_ms);
            return;
        }
        note_failed_attempt(d, a, error);
    }
    deadline_clear(&d->share);
    if (d->open == 0)
        finish_dial(d, d->has_shortage ? ERR_SHORTAGE : ERR_CONNECT);
}

static void on_share_over(void *arg)
{
    try_next(arg);
}

/* ---- RESOLVE ---- */

/* The first stays first; from there on the families take turns as long as both have some. */
static void alternate(struct dial *d, const struct address *addresses, size_t count)
{
    bool is_taken[RESOLVE_ADDRESSES_MAX] = {false};
    int last = 0;
    for (d->count = 0; d->count < count; d->count++) {
        size_t pick = count;
        for (size_t i = count; i-- > 0;) {
            bool is_other = addresses[i].storage.ss_family != last;
            if (!is_taken[i] &&
                (pick == count || is_other || addresses[pick].storage.ss_family == last))
                pick = i;
        }
        is_taken[pick] = true;
        last = addresses[pick].storage.ss_family;
        d->attempts[d->count].address = addresses[pick];
        d->attempts[d->count].dial = d;
    }
}

static void connect_all(struct dial *d)
{
    uint32_t fair_ms = d->target.deadline_ms / (uint32_t)(d->count + 1);
    d->step = DIAL_CONNECT;
    d->share_ms = fair_ms < DIAL_SHARE_MS ? fair_ms : DIAL_SHARE_MS;
    try_next(d);
}

static void on_resolved(enum err err, const struct address *addresses, size_t count, void *arg)
{
    struct dial *d = arg;
    d->lookup = NULL;
    if (err != OK) {
        snprintf(d->why, sizeof(d->why), "the name %.200s has no address", d->target.host);
        finish_dial(d, err);
        return;
    }
    alternate(d, addresses, count);
    connect_all(d);
}

static void start_at_path(void *arg)
{
    struct dial *d = arg;
    struct address *address = &d->attempts[0].address;
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    snprintf(path.sun_path, sizeof(path.sun_path), "%s", d->target.path);
    memcpy(&address->storage, &path, sizeof(path));
    address->len = sizeof(path);
    d->attempts[0].dial = d;
    d->count = 1;
    connect_all(d);
}

struct dial *dial(struct loop *loop, struct resolver *resolver, const struct dial_target *target,
                  dial_fn on_done, void *arg)
{
    struct dial *d = mem_new(sizeof(*d));
    d->loop = loop;
    d->resolver = resolver;
    d->target = *target;
    d->on_done = on_done;
    d->arg = arg;
    loop_task_init(&d->start, start_at_path, d);
    loop_task_init(&d->free_task, free_dial, d);
    deadline_init(&d->deadline, on_dial_late, d);
    deadline_init(&d->share, on_share_over, d);
    deadline_set(loop, &d->deadline, target->deadline_ms);
    if (target->path != NULL)
        loop_defer(loop, &d->start);
    else
        d->lookup = resolver_lookup(resolver, slice_of(target->host), target->port, on_resolved, d);
    return d;
}
