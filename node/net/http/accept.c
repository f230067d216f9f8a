/* Accepting, and what happens when there are too many. In this order:
 *   below the ceiling       everyone comes in
 *   at the ceiling          one makes room, by REST_TABLE: first who has its last answer and does
 *                           not go, then who has connected and said nothing (preface.c: not even
 *                           for whom), then who has been idle longest behind its answer, then who
 *                           does not finish a head
 *   all are at work         up to reserve_max come in on the reserve: they have RESERVE_MS for a
 *                           head, and are served if it is vital or the ceiling is not reached any
 *                           more (may_stay in receive.c)
 *   the reserve is full     the rest waits in the kernel's queue
 * Out of descriptors the same is tried, then on_descriptors_short; else accepting rests a while. */
#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/metrics.h"
#include "base/tiny.h"
#include "net/http/server_priv.h"

enum {
    ACCEPTS_PER_TURN = TINY(64, 1),
    ACCEPTS_OF_SHARED = 1, /* what is left wakes another worker too */
    ACCEPT_REST_MS = 100,
    CALM_PARTS = 16,
    SHORT_LOG_MS = 10000,
    HURRIED_PARTS = 4
};

static void on_rested(void *arg)
{
    server_accept_again(arg);
}

/* Out of descriptors, or at the ceiling: the rest waits in the kernel's queue. */
static void rest(struct http_server *s)
{
    event_del(&s->acceptable);
    if (s->retry_accept == NULL)
        s->retry_accept = loop_every(s->loop, ACCEPT_REST_MS, on_rested, s);
}

static const struct {
    enum counter counter;
    uint64_t least_ms; /* so long it is left alone */
} rests[] = {
#define X(id, label, least_ms) {COUNT_CLOSED_##id, least_ms},
    REST_TABLE(X)
#undef X
};

/* With the reserve full nobody is spared for long: a probe may be waiting. */
static uint64_t least_ms(const struct http_server *s, enum rest rest)
{
    const struct http_server_options *o = &s->options;
    bool is_full = s->connection_count >= o->connections_max + o->reserve_max;
    return is_full ? rests[rest].least_ms / HURRIED_PARTS : rests[rest].least_ms;
}

static struct connection *longest_resting(struct http_server *s, enum rest rest, uint64_t since_ms)
{
    LIST_EACH (link, &s->resting[rest]) {
        struct connection *c = LIST_OWNER(link, struct connection, rest_link);
        if (c->rest_since_ms > since_ms)
            return NULL;
        if (rest != REST_IDLE ||
            buf_len(&c->in) == 0) /* else its next request is just to be read */
            return c;
    }
    return NULL;
}

static bool close_resting(struct http_server *s, enum rest rest)
{
    uint64_t since_ms = loop_now_ms(s->loop) - least_ms(s, rest);
    if (rest == REST_SILENT && preface_make_room(s, since_ms))
        return true;
    struct connection *c = longest_resting(s, rest, since_ms);
    if (c != NULL)
        connection_end(c);
    return c != NULL;
}

bool server_make_room(struct http_server *s)
{
    for (unsigned rest = 0; rest < RESTS; rest++) {
        if (!close_resting(s, (enum rest)rest))
            continue;
        metrics_add(s->options.metrics, rests[rest].counter, 1);
        return true;
    }
    return false;
}

static void note_ceiling(struct http_server *s)
{
    if (!s->is_at_ceiling)
        log_message(LOG_WARN,
                    "%u connections of callers, as many as there may be: who is silent or idle "
                    "makes room, new requests may be refused",
                    s->connection_count);
    s->is_at_ceiling = true;
}

static void note_calm(struct http_server *s)
{
    unsigned max = s->options.connections_max;
    if (s->connection_count + max / CALM_PARTS < max)
        s->is_at_ceiling = false;
}

static bool is_short_of_descriptors(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static bool free_descriptor(struct http_server *s)
{
    const struct http_server_options *o = &s->options;
    return server_make_room(s) ||
           (o->on_descriptors_short != NULL && o->on_descriptors_short(o->arg));
}

static void note_short(struct http_server *s, int error)
{
    uint64_t now_ms = loop_now_ms(s->loop);
    metrics_add(s->options.metrics, COUNT_DESCRIPTORS_SHORT, 1);
    if (s->short_logged_ms != 0 && now_ms < s->short_logged_ms + SHORT_LOG_MS)
        return;
    s->short_logged_ms = now_ms;
    log_message(LOG_ERROR, "a connection could not be accepted: %s", strerrordesc_np(error));
}

/* True: try again. */
static bool on_accept_failed(struct http_server *s, int error)
{
    if (error == ECONNABORTED || error == EINTR)
        return true;
    if (error == EAGAIN || error == EWOULDBLOCK)
        return false;
    note_short(s, error);
    if (is_short_of_descriptors(error) && free_descriptor(s))
        return true;
    rest(s);
    return false;
}

bool server_accept_one(struct http_server *s)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    unsigned max = s->options.connections_max;
    if (s->connection_count >= max + s->options.reserve_max && !server_make_room(s)) {
        note_ceiling(s);
        rest(s);
        return false;
    }
    int fd = accept4(s->listener, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return on_accept_failed(s, errno);
    if (s->connection_count >= max) {
        note_ceiling(s);
        server_make_room(s);
    }
    if (s->options.proxies != NULL)
        preface_new(s, fd, (struct sockaddr *)&peer, len);
    else
        connection_new(s, fd, (struct sockaddr *)&peer, len);
    return true;
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    const struct http_server *s = arg;
    int most = s->options.is_listener_shared ? ACCEPTS_OF_SHARED : ACCEPTS_PER_TURN;
    (void)fd;
    (void)what;
    for (int i = 0; i < most && server_accept_one(arg); i++)
        continue;
}

void server_accept_start(struct http_server *s)
{
    event_assign(&s->acceptable, loop_base(s->loop), s->listener, EV_READ | EV_PERSIST,
                 on_acceptable, s);
    event_add(&s->acceptable, NULL);
}

void server_accept_stop(struct http_server *s)
{
    if (s->listener < 0)
        return;
    event_del(&s->acceptable);
    loop_timer_free(s->retry_accept);
    s->retry_accept = NULL;
    if (s->options.is_listener_shared)
        s->left_listener = s->listener;
    else
        close(s->listener);
    s->listener = -1;
}

/* epoll forgets a closed descriptor only if it was the last of its socket, and libevent tells it of
 * event_del() with the loop's next turn. If one of a socket that lives on elsewhere were closed
 * sooner, every caller in the queue would wake this loop again and again. */
void server_accept_end(struct http_server *s)
{
    server_accept_stop(s);
    if (s->left_listener >= 0)
        close(s->left_listener);
    s->left_listener = -1;
}

void server_accept_again(struct http_server *s)
{
    note_calm(s);
    if (s->retry_accept == NULL)
        return;
    loop_timer_free(s->retry_accept);
    s->retry_accept = NULL;
    if (s->listener >= 0)
        event_add(&s->acceptable, NULL);
}
