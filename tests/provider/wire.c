#include "wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READS_A_TURN = 8, TLS_WRITE_BYTES_MAX = 1 << 20 };

enum result { RESULT_OK, RESULT_AGAIN, RESULT_GONE };

static enum result tls_result(struct wire *wire, int code)
{
    int why = SSL_get_error(wire->ssl, code);
    ERR_clear_error();
    if (why == SSL_ERROR_WANT_WRITE && !wire->is_writing) {
        wire->is_writing = true;
        event_add(&wire->write_event, NULL);
    }
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? RESULT_AGAIN : RESULT_GONE;
}

static enum result receive(struct wire *wire, char *at, size_t *len)
{
    if (wire->ssl != NULL) {
        int code = SSL_read_ex(wire->ssl, at, *len, len);
        return code == 1 ? RESULT_OK : tls_result(wire, code);
    }
    ssize_t got = recv(wire->fd, at, *len, 0);
    if (got > 0) {
        *len = (size_t)got;
        return RESULT_OK;
    }
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? RESULT_AGAIN : RESULT_GONE;
}

static enum result transmit(struct wire *wire, size_t *len)
{
    const char *at = buf_slice(&wire->out).at;
    if (wire->ssl != NULL) {
        size_t most = *len < TLS_WRITE_BYTES_MAX ? *len : TLS_WRITE_BYTES_MAX;
        int code = SSL_write_ex(wire->ssl, at, most, len);
        return code == 1 ? RESULT_OK : tls_result(wire, code);
    }
    ssize_t put = send(wire->fd, at, *len, MSG_NOSIGNAL);
    if (put >= 0) {
        *len = (size_t)put;
        return RESULT_OK;
    }
    return errno == EAGAIN || errno == EINTR ? RESULT_AGAIN : RESULT_GONE;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    static char scratch[WIRE_READ_BYTES]; /* one loop, one thread */
    struct wire *wire = arg;
    (void)fd;
    (void)what;
    for (int i = 0; i < READS_A_TURN && wire->fd >= 0 && !wire->is_paused; i++) {
        size_t len = sizeof(scratch);
        enum result result = receive(wire, scratch, &len);
        if (result == RESULT_AGAIN)
            return;
        if (result == RESULT_GONE) {
            wire->user->on_gone(wire->arg);
            return;
        }
        wire->user->on_bytes(wire->arg, (struct slice){scratch, len});
        if (wire->ssl == NULL && len < sizeof(scratch))
            return;
    }
    if (wire->fd >= 0 && wire->ssl != NULL && !wire->is_paused && SSL_pending(wire->ssl) > 0)
        event_active(&wire->read_event, EV_READ, 0);
}

static void arm_write(struct wire *wire, bool is_wanted)
{
    if (wire->is_writing == is_wanted)
        return;
    wire->is_writing = is_wanted;
    if (is_wanted)
        event_add(&wire->write_event, NULL);
    else
        event_del(&wire->write_event);
}

static void arm_drip(struct wire *wire)
{
    struct timeval wait = clock_wait(wire->drip_ms);
    event_add(&wire->drip_event, &wait);
}

void wire_flush(struct wire *wire)
{
    while (wire->fd >= 0 && wire->out.len > 0) {
        size_t len = wire->out.len;
        if (wire->drip_bytes > 0) {
            if (event_pending(&wire->drip_event, EV_TIMEOUT, NULL))
                return;
            len = len < wire->drip_bytes ? len : wire->drip_bytes;
        }
        enum result result = transmit(wire, &len);
        if (result == RESULT_AGAIN) {
            arm_write(wire, true);
            return;
        }
        if (result == RESULT_GONE) {
            wire->is_failed = true;
            buf_skip(&wire->out, wire->out.len);
            shutdown(wire->fd, SHUT_RDWR);
            wire_pause(wire, false); /* reading then finds the end */
            event_active(&wire->read_event, EV_READ, 0);
            return;
        }
        wire->sent_bytes += len;
        buf_skip(&wire->out, len);
        if (wire->drip_bytes > 0)
            arm_drip(wire);
    }
    arm_write(wire, false);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct wire *wire = arg;
    (void)fd;
    (void)what;
    wire_flush(wire);
    if (wire->fd >= 0 && wire->out.len <= WIRE_OUT_LOW)
        wire->user->on_room(wire->arg);
}

void wire_open(struct wire *wire, struct event_base *base, int fd, SSL *ssl)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    wire->fd = fd;
    wire->ssl = ssl;
    event_assign(&wire->read_event, base, fd, EV_READ | EV_PERSIST, on_readable, wire);
    event_assign(&wire->write_event, base, fd, EV_WRITE | EV_PERSIST, on_writable, wire);
    event_assign(&wire->drip_event, base, -1, 0, on_writable, wire);
    event_add(&wire->read_event, NULL);
}

void wire_set_drip(struct wire *wire, size_t bytes, unsigned interval_ms)
{
    wire->drip_bytes = bytes;
    wire->drip_ms = interval_ms;
}

void wire_pause(struct wire *wire, bool is_paused)
{
    if (wire->is_paused == is_paused || wire->fd < 0)
        return;
    wire->is_paused = is_paused;
    if (is_paused) {
        event_del(&wire->read_event);
        return;
    }
    event_add(&wire->read_event, NULL);
    if (wire->ssl != NULL && SSL_pending(wire->ssl) > 0)
        event_active(&wire->read_event, EV_READ, 0);
}

bool wire_is_gone(const struct wire *wire)
{
    struct pollfd poll_fd = {wire->fd, POLLRDHUP, 0};
    return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void wire_close(struct wire *wire, bool is_reset)
{
    if (wire->fd < 0)
        return;
    event_del(&wire->read_event);
    event_del(&wire->write_event);
    event_del(&wire->drip_event);
    if (wire->ssl != NULL) {
        if (!is_reset)
            SSL_shutdown(wire->ssl);
        ERR_clear_error();
        SSL_free(wire->ssl);
    }
    if (is_reset) {
        struct linger linger = {1, 0};
        setsockopt(wire->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    }
    close(wire->fd);
    wire->fd = -1;
    buf_fini(&wire->out);
}
