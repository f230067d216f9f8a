#include "net/wire.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);
static void on_closed(evutil_socket_t fd, short what, void *arg);
static void look_for_reset(void *arg);

void wire_init(struct wire *w, struct loop *loop, int fd, SSL *ssl,
               const struct wire_events *events, void *arg)
{
    *w = (struct wire){.loop = loop, .fd = fd, .ssl = ssl, .events = events, .arg = arg};
    buf_init(&w->out, WIRE_OUT_MAX);
    event_assign(&w->readable, loop_base(loop), fd, EV_READ | EV_PERSIST, on_readable, w);
    event_assign(&w->writable, loop_base(loop), fd, EV_WRITE, on_writable, w);
    event_assign(&w->closed, loop_base(loop), fd, EV_CLOSED | EV_PERSIST, on_closed, w);
    deadline_init(&w->look, look_for_reset, w);
}

void wire_close(struct wire *w)
{
    if (w->fd < 0)
        return;
    event_del(&w->readable);
    event_del(&w->writable);
    event_del(&w->closed);
    deadline_clear(&w->look);
    if (w->ssl != NULL) {
        if (!w->has_failed && SSL_is_init_finished(w->ssl))
            SSL_shutdown(
                w->ssl); /* says close_notify if there is room; nobody waits for the answer */
        ERR_clear_error();
        SSL_free(w->ssl);
        w->ssl = NULL;
    }
    close(w->fd);
    w->fd = -1;
    buf_fini(&w->out);
}

void wire_reset(struct wire *w)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    if (w->fd < 0)
        return;
    w->has_failed = true; /* no close_notify */
    setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    wire_close(w);
}

void wire_finish_writing(struct wire *w)
{
    if (w->fd < 0)
        return;
    if (w->ssl != NULL && !w->has_failed && SSL_is_init_finished(w->ssl)) {
        ERR_clear_error();
        SSL_shutdown(w->ssl);
    }
    shutdown(w->fd, SHUT_WR);
}

void wire_await_connect(struct wire *w)
{
    w->is_connecting = true;
    event_add(&w->writable, NULL);
}

void wire_start_tls(struct wire *w, SSL *ssl)
{
    w->ssl = ssl;
    w->is_connecting = true;
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
    if (w->is_reading == is_on || w->fd < 0)
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
    if (w->fd < 0)
        return;
    w->is_reading = false;
    deadline_clear(&w->look);
    event_del(&w->readable);
    event_del(&w->closed);
}

static enum wire_read read_plain(struct wire *w, char *to, size_t cap, size_t *got)
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

static enum wire_read read_tls(struct wire *w, char *to, size_t cap, size_t *got)
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
        w->has_failed = true;
        return WIRE_FAILED;
    }
}

enum wire_read wire_read(struct wire *w, char *to, size_t cap, size_t *got)
{
    *got = 0;
    if (w->fd < 0)
        return WIRE_FAILED;
    return w->ssl != NULL ? read_tls(w, to, cap, got) : read_plain(w, to, cap, got);
}

bool wire_is_quiet(struct wire *w)
{
    char byte;
    size_t got;
    if (w->fd < 0 || w->has_failed)
        return false;
    if (w->ssl == NULL)
        return recv(w->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
    ERR_clear_error(); /* tickets are taken in and are not data */
    return SSL_peek_ex(w->ssl, &byte, 1, &got) != 1 &&
           SSL_get_error(w->ssl, 0) == SSL_ERROR_WANT_READ;
}

void wire_read_later(struct wire *w)
{
    if (w->fd >= 0 && w->is_reading && w->ssl != NULL && SSL_has_pending(w->ssl))
        event_active(&w->readable, EV_READ, 0);
}

size_t wire_waiting(const struct wire *w)
{
    return buf_len(&w->out);
}

/* A write that cannot succeed any more shows as the peer having closed, from the loop. */
static void fail(struct wire *w)
{
    w->has_failed = true;
    buf_release(&w->out);
    event_active(&w->closed, EV_CLOSED, 0);
}

void wire_hold(struct wire *w, struct slice bytes)
{
    if (w->fd >= 0 && !w->has_failed && !buf_append(&w->out, bytes))
        fail(w); /* the owner let far too much pile up: better broken than endless */
}

static void hold_pieces(struct wire *w, const struct iovec *pieces, unsigned count, size_t skip)
{
    for (unsigned i = 0; i < count; i++) {
        struct slice piece = {pieces[i].iov_base, pieces[i].iov_len};
        size_t cut = skip < piece.len ? skip : piece.len;
        skip -= cut;
        wire_hold(w, slice_from(piece, cut));
    }
}

/* What waits, and new pieces behind it, in one sendmsg. False: the connection is broken. */
static bool send_plain(struct wire *w, const struct iovec *pieces, unsigned count)
{
    struct iovec all[WIRE_VECTOR_MAX + 1];
    struct slice waiting = buf_slice(&w->out);
    unsigned n = 0;
    assert(count <= WIRE_VECTOR_MAX);
    if (waiting.len > 0)
        all[n++] = (struct iovec){w->out.at + w->out.start, waiting.len};
    for (unsigned i = 0; i < count; i++)
        all[n++] = pieces[i];
    struct msghdr message = {.msg_iov = all, .msg_iovlen = n};
    ssize_t sent;
    do {
        sent = sendmsg(w->fd, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        return false;
    size_t taken = sent > 0 ? (size_t)sent : 0;
    w->sent += taken;
    size_t of_waiting = taken < waiting.len ? taken : waiting.len;
    buf_consume(&w->out, of_waiting);
    hold_pieces(w, pieces, count, taken - of_waiting);
    return !w->has_failed;
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

void wire_write(struct wire *w, const struct iovec *pieces, unsigned count)
{
    if (w->fd < 0 || w->has_failed || (count == 0 && wire_waiting(w) == 0))
        return;
    bool is_fine;
    if (w->ssl != NULL) {
        hold_pieces(w, pieces, count, 0); /* one record for all of them */
        is_fine = !w->has_failed && send_tls(w);
    } else {
        is_fine = send_plain(w, pieces, count);
    }
    if (!is_fine && !w->has_failed)
        fail(w);
    if (w->has_failed)
        return;
    if (wire_waiting(w) == 0) {
        buf_release(&w->out);
    } else {
        w->owes_drained = true;
        event_add(&w->writable, NULL);
    }
}

static void finish_connect(struct wire *w)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (w->ssl != NULL) {
        ERR_clear_error();
        int done = SSL_do_handshake(w->ssl);
        int want = SSL_get_error(w->ssl, done);
        if (want == SSL_ERROR_WANT_READ)
            wire_set_reading(w, true);
        if (want == SSL_ERROR_WANT_WRITE)
            event_add(&w->writable, NULL);
        if (want == SSL_ERROR_WANT_READ || want == SSL_ERROR_WANT_WRITE)
            return;
        w->is_connecting = false;
        if (done == 1)
            w->events->on_drained(w->arg);
        else
            w->events->on_closed(w->arg);
        return;
    }
    getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    w->is_connecting = false;
    if (error == 0)
        w->events->on_drained(w->arg);
    else
        w->events->on_closed(w->arg);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct wire *w = arg;
    if (w->is_connecting)
        finish_connect(w);
    else
        w->events->on_readable(w->arg);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct wire *w = arg;
    if (w->is_connecting) {
        finish_connect(w);
        return;
    }
    uint64_t before = w->sent;
    wire_write(w, NULL, 0);
    if (w->has_failed)
        return;
    /* What waited may also have gone out with a later write: that is told all the same. */
    bool is_drained = w->owes_drained && (w->sent > before || wire_waiting(w) == 0);
    bool wants_read = w->reads_after_write;
    w->owes_drained = wire_waiting(w) > 0;
    w->reads_after_write = false;
    if (is_drained)
        w->events->on_drained(w->arg);
    if (wants_read && w->fd >= 0)
        w->events->on_readable(w->arg);
}

static void on_closed(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct wire *w = arg;
    w->events->on_closed(w->arg);
}
