/* Reading and writing go to the socket at once; events are only for what must wait. Three of them:
 * one while reading is on, one while something waits to be written (also: to be connected), and one
 * that watches for the peer's end while reading is off. A write that fails does not tell its
 * caller: the wire is broken from then on, and on_closed comes from the loop. */
#include "net/wire.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/tiny.h"

enum {
    RECORD_BYTES = 16384,                 /* the largest record of TLS */
    OFFER_BYTES = TINY(RECORD_BYTES, 101) /* offered to TLS at once */
};

static void on_fd_readable(evutil_socket_t fd, short what, void *arg);
static void on_fd_writable(evutil_socket_t fd, short what, void *arg);
static void on_fd_closed(evutil_socket_t fd, short what, void *arg);
static void look_for_reset(void *arg);

bool wire_is_sane(const struct wire *w)
{
    switch (w->state) {
    case WIRE_CLOSED:
        return w->ssl == NULL && w->out.at == NULL;
    case WIRE_CONNECTING:
        return w->fd >= 0 && w->ssl == NULL && !w->is_reading;
    case WIRE_SECURING:
        return w->fd >= 0 && w->ssl != NULL;
    case WIRE_OPEN:
        return w->fd >= 0;
    case WIRE_BROKEN:
        return w->fd >= 0 && buf_len(&w->out) == 0;
    }
    return false;
}

void wire_init(struct wire *w, struct loop *loop, int fd, const struct wire_events *events,
               void *arg)
{
    assert(fd >= 0);
    *w = (struct wire){.loop = loop, .fd = fd, .events = events, .arg = arg};
    w->state = WIRE_OPEN;
    buf_init(&w->out, WIRE_OUT_MAX);
    event_assign(&w->readable, loop_base(loop), fd, EV_READ | EV_PERSIST, on_fd_readable, w);
    event_assign(&w->writable, loop_base(loop), fd, EV_WRITE, on_fd_writable, w);
    event_assign(&w->closed, loop_base(loop), fd, EV_CLOSED | EV_PERSIST, on_fd_closed, w);
    deadline_init(&w->look, look_for_reset, w);
}

void wire_set_tls(struct wire *w, SSL *ssl)
{
    assert(w->state == WIRE_OPEN && w->ssl == NULL);
    w->ssl = ssl;
}

static void forget_events(struct wire *w)
{
    event_del(&w->readable);
    event_del(&w->writable);
    event_del(&w->closed);
    deadline_clear(&w->look);
}

static bool may_say_goodbye(const struct wire *w)
{
    return w->state == WIRE_OPEN && w->ssl != NULL && SSL_is_init_finished(w->ssl);
}

void wire_close(struct wire *w)
{
    assert(wire_is_sane(w));
    if (w->state == WIRE_CLOSED)
        return;
    forget_events(w);
    if (may_say_goodbye(w))
        SSL_shutdown(w->ssl); /* if there is room; nobody waits for the answer */
    if (w->ssl != NULL) {
        ERR_clear_error();
        SSL_free(w->ssl);
    }
    close(w->fd);
    w->ssl = NULL;
    w->fd = -1;
    w->state = WIRE_CLOSED;
    buf_fini(&w->out);
}

void wire_release(struct wire *w, int *fd, SSL **ssl)
{
    assert(w->state == WIRE_OPEN && wire_waiting(w) == 0);
    forget_events(w);
    *fd = w->fd;
    *ssl = w->ssl;
    w->ssl = NULL;
    w->fd = -1;
    w->state = WIRE_CLOSED;
    buf_fini(&w->out);
}

static void break_wire(struct wire *w)
{
    w->state = WIRE_BROKEN;
    buf_fini(&w->out);
}

void wire_reset(struct wire *w)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    if (w->state == WIRE_CLOSED)
        return;
    break_wire(w); /* no close_notify */
    setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    wire_close(w);
}

void wire_finish_writing(struct wire *w)
{
    assert(wire_is_sane(w));
    if (w->state == WIRE_CLOSED)
        return;
    if (may_say_goodbye(w)) {
        ERR_clear_error();
        SSL_shutdown(w->ssl);
    }
    shutdown(w->fd, SHUT_WR);
}

void wire_await_connect(struct wire *w)
{
    assert(w->state == WIRE_OPEN && w->ssl == NULL && !w->is_reading);
    w->state = WIRE_CONNECTING;
    event_add(&w->writable, NULL);
}

void wire_start_tls(struct wire *w, SSL *ssl)
{
    assert(w->state == WIRE_OPEN && w->ssl == NULL && wire_waiting(w) == 0);
    w->ssl = ssl;
    w->state = WIRE_SECURING;
    event_active(&w->writable, EV_WRITE, 0);
}

/* libevent tells a reset to those who read or write, not to those who wait for EV_CLOSED; and bytes
 * that lie unread hide it from a peek. So the state of the connection itself is asked for. */
static void look_for_reset(void *arg)
{
    struct wire *w = arg;
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    if (getsockopt(w->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_state != TCP_CLOSE)
        deadline_set(w->loop, &w->look, LOOP_TICK_MS);
    else
        w->events->on_closed(w->arg);
}

void wire_set_reading(struct wire *w, bool is_on)
{
    assert(wire_is_sane(w));
    if (w->state == WIRE_CLOSED || w->is_reading == is_on)
        return;
    w->is_reading = is_on;
    if (is_on)
        deadline_clear(&w->look);
    else
        deadline_set(w->loop, &w->look, LOOP_TICK_MS);
    event_del(is_on ? &w->closed : &w->readable);
    event_add(is_on ? &w->readable : &w->closed, NULL);
    if (is_on && w->ssl != NULL && SSL_has_pending(w->ssl))
        event_active(&w->readable, EV_READ,
                     0); /* the socket will not tell: the bytes are ours already */
}

void wire_stop_watching(struct wire *w)
{
    assert(wire_is_sane(w));
    if (w->state == WIRE_CLOSED)
        return;
    w->is_reading = false;
    deadline_clear(&w->look);
    event_del(&w->readable);
    event_del(&w->closed);
}

static enum wire_read receive_plain(struct wire *w, char *to, size_t cap, size_t *got)
{
    ssize_t n;
    do {
        n = recv(w->fd, to, cap, 0);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        *got = (size_t)n;
        return WIRE_DATA;
    }
    if (n == 0)
        return WIRE_END;
    return errno == EAGAIN || errno == EWOULDBLOCK ? WIRE_AGAIN : WIRE_FAILED;
}

static enum wire_read receive_tls(struct wire *w, char *to, size_t cap, size_t *got)
{
    ERR_clear_error();
    if (SSL_read_ex(w->ssl, to, cap, got) == 1)
        return WIRE_DATA;
    switch (SSL_get_error(w->ssl, 0)) {
    case SSL_ERROR_WANT_READ:
        return WIRE_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        w->reads_after_write = true;
        event_add(&w->writable, NULL);
        return WIRE_AGAIN;
    case SSL_ERROR_ZERO_RETURN: /* close_notify: the peer has said all it wanted to */
        return WIRE_END;
    default:
        break_wire(w);
        return WIRE_FAILED;
    }
}

enum wire_read wire_read(struct wire *w, char *to, size_t cap, size_t *got)
{
    assert(wire_is_sane(w));
    *got = 0;
    if (w->state == WIRE_CLOSED)
        return WIRE_FAILED;
    return w->ssl != NULL ? receive_tls(w, to, cap, got) : receive_plain(w, to, cap, got);
}

/* TLS takes what there is from the socket and gives it out record by record. */
bool wire_may_have_more(const struct wire *w, size_t cap, size_t got)
{
    if (w->state == WIRE_CLOSED)
        return false;
    return got == cap || (w->ssl != NULL && (got >= RECORD_BYTES || SSL_has_pending(w->ssl)));
}

bool wire_is_quiet(struct wire *w)
{
    char byte;
    size_t got;
    assert(wire_is_sane(w));
    if (w->state != WIRE_OPEN)
        return false;
    if (w->ssl == NULL)
        return recv(w->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
               (errno == EAGAIN || errno == EWOULDBLOCK);
    ERR_clear_error(); /* tickets are taken in and are not data */
    return SSL_peek_ex(w->ssl, &byte, 1, &got) != 1 &&
           SSL_get_error(w->ssl, 0) == SSL_ERROR_WANT_READ;
}

void wire_read_later(struct wire *w)
{
    if (w->state != WIRE_CLOSED && w->is_reading && w->ssl != NULL && SSL_has_pending(w->ssl))
        event_active(&w->readable, EV_READ, 0);
}

size_t wire_waiting(const struct wire *w)
{
    return buf_len(&w->out);
}

bool wire_is_broken(const struct wire *w)
{
    return w->state == WIRE_BROKEN;
}

/* A write that cannot succeed any more shows as the peer having closed, from the loop. */
static void fail_wire(struct wire *w)
{
    break_wire(w);
    event_active(&w->closed, EV_CLOSED, 0);
}

/* On a broken or closed wire what is written goes nowhere; before it is open there is nobody
 * yet. */
static bool may_write(const struct wire *w)
{
    assert(wire_is_sane(w) && w->state != WIRE_CONNECTING && w->state != WIRE_SECURING);
    return w->state == WIRE_OPEN;
}

void wire_hold(struct wire *w, struct slice bytes)
{
    if (may_write(w) && !buf_append(&w->out, bytes))
        fail_wire(w); /* the owner let far too much pile up: better broken than endless */
}

/* At most `len` bytes of the pieces, from `skip` on. */
static void hold_pieces(struct wire *w, const struct iovec *pieces, unsigned count, size_t skip,
                        size_t len)
{
    for (unsigned i = 0; i < count && len > 0; i++) {
        struct slice piece = {pieces[i].iov_base, pieces[i].iov_len};
        size_t cut = skip < piece.len ? skip : piece.len;
        skip -= cut;
        piece = slice_from(piece, cut);
        if (piece.len > len)
            piece.len = len;
        len -= piece.len;
        wire_hold(w, piece);
    }
}

static size_t total_of(const struct iovec *pieces, unsigned count)
{
    size_t total = 0;
    for (unsigned i = 0; i < count; i++)
        total += pieces[i].iov_len;
    return total;
}

/* What waits, and new pieces behind it, in one sendmsg; *taken of the new ones were. False: the
 * connection is broken. */
static bool send_plain(struct wire *w, const struct iovec *pieces, unsigned count, size_t *taken)
{
    struct iovec all[WIRE_VECTOR_MAX + 1];
    struct slice waiting = buf_slice(&w->out);
    unsigned n = 0;
    *taken = 0;
    if (waiting.len > 0)
        all[n++] = (struct iovec){w->out.at + w->out.start, waiting.len};
    for (unsigned i = 0; i < count; i++)
        all[n++] = pieces[i];
    struct msghdr message = {.msg_iov = all, .msg_iovlen = n};
    ssize_t sent;
    do {
        sent = sendmsg(w->fd, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK;
    size_t of_waiting = (size_t)sent < waiting.len ? (size_t)sent : waiting.len;
    w->sent += (size_t)sent;
    buf_consume(&w->out, of_waiting);
    *taken = (size_t)sent - of_waiting;
    return true;
}

static bool send_tls(struct wire *w)
{
    struct slice waiting;
    while ((waiting = buf_slice(&w->out)).len > 0) {
        size_t taken;
        ERR_clear_error();
        if (SSL_write_ex(w->ssl, waiting.at, waiting.len, &taken) != 1) {
            int error = SSL_get_error(w->ssl, 0);
            return error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ;
        }
        w->sent += taken;
        buf_consume(&w->out, taken);
    }
    return true;
}

/* After an attempt to send: all has gone, or the loop is to say when more can. */
static void settle_write(struct wire *w, bool is_fine, bool has_more)
{
    if (!is_fine && w->state == WIRE_OPEN)
        fail_wire(w);
    if (w->state != WIRE_OPEN)
        return;
    if (wire_waiting(w) == 0)
        buf_fini(&w->out);
    if (wire_waiting(w) == 0 && !has_more)
        return;
    w->owes_drained = true;
    event_add(&w->writable, NULL);
}

void wire_write(struct wire *w, const struct iovec *pieces, unsigned count)
{
    size_t taken = 0;
    bool is_fine = true;
    assert(count <= WIRE_VECTOR_MAX);
    if (!may_write(w) || (count == 0 && wire_waiting(w) == 0))
        return;
    if (w->ssl == NULL)
        is_fine = send_plain(w, pieces, count, &taken);
    if (is_fine)
        hold_pieces(w, pieces, count, taken, SIZE_MAX);
    if (w->ssl != NULL) /* one record for all of them */
        is_fine = w->state == WIRE_OPEN && send_tls(w);
    settle_write(w, is_fine, false);
}

/* TLS copies what it sends in any case: a record after the other passes through `out`. */
static bool offer_tls(struct wire *w, const struct iovec *pieces, unsigned count, size_t *taken)
{
    size_t total = total_of(pieces, count);
    do {
        size_t waiting = wire_waiting(w), len = total - *taken;
        size_t room = waiting < OFFER_BYTES ? OFFER_BYTES - waiting : 0;
        if (len > room)
            len = room;
        hold_pieces(w, pieces, count, *taken, len);
        *taken += len;
        if (!send_tls(w))
            return false;
    } while (wire_waiting(w) == 0 && *taken < total);
    return true;
}

size_t wire_offer(struct wire *w, const struct iovec *pieces, unsigned count)
{
    size_t taken = 0;
    assert(count <= WIRE_VECTOR_MAX);
    if (!may_write(w))
        return 0;
    bool is_fine =
        w->ssl != NULL ? offer_tls(w, pieces, count, &taken) : send_plain(w, pieces, count, &taken);
    settle_write(w, is_fine, taken < total_of(pieces, count));
    return taken;
}

static void finish_connect(struct wire *w)
{
    socklen_t len = sizeof(w->error);
    getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &w->error, &len);
    w->state = w->error == 0 ? WIRE_OPEN : WIRE_BROKEN;
    if (w->state == WIRE_OPEN)
        w->events->on_connected(w->arg);
    else
        w->events->on_closed(w->arg);
}

static void shake_hands(struct wire *w)
{
    ERR_clear_error();
    int done = SSL_do_handshake(w->ssl);
    int want = SSL_get_error(w->ssl, done);
    if (want == SSL_ERROR_WANT_READ) {
        wire_set_reading(w, true);
    } else if (want == SSL_ERROR_WANT_WRITE) {
        event_add(&w->writable, NULL);
    } else if (done == 1) {
        w->state = WIRE_OPEN;
        w->events->on_secured(w->arg);
    } else {
        break_wire(w);
        w->events->on_closed(w->arg);
    }
}

/* The socket can take more. */
static void write_on(struct wire *w)
{
    uint64_t before = w->sent;
    wire_write(w, NULL, 0);
    if (w->state == WIRE_BROKEN)
        return;
    /* What waited may also have gone out with a later write: that is told all the same. */
    bool is_drained = w->owes_drained && (w->sent > before || wire_waiting(w) == 0);
    bool wants_read = w->reads_after_write;
    w->owes_drained = wire_waiting(w) > 0;
    w->reads_after_write = false;
    if (is_drained)
        w->events->on_drained(w->arg);
    if (wants_read && w->state != WIRE_CLOSED)
        w->events->on_readable(w->arg);
}

static void on_fd_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct wire *w = arg;
    if (w->state == WIRE_SECURING)
        shake_hands(w);
    else
        w->events->on_readable(w->arg);
}

static void on_fd_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct wire *w = arg;
    if (w->state == WIRE_CONNECTING)
        finish_connect(w);
    else if (w->state == WIRE_SECURING)
        shake_hands(w);
    else
        write_on(w);
}
static void on_fd_closed(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct wire *w = arg;
    w->events->on_closed(w->arg);
}
