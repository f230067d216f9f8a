/* Accepting, and what happens when there are too many. In this order:
 *   below the ceiling       everyone comes in
 *   at the ceiling          one makes room: first who has connected and said nothing for FRESH_MS,
 *                           then who has been idle longest behind its last answer, then who has
 *                           not finished a head for ASKING_MS
 *   all are at work         up to reserve_max come in on the reserve: they have RESERVE_MS for a
 *                           head, and are served if it is vital or the ceiling is not reached any
 *                           more (may_stay in receive.c)
 *   the reserve is full     the rest waits in the kernel's queue
 * Out of descriptors the same is tried, then on_descriptors_short; else accepting rests a moment.
 */
#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/metrics.h"
#include "net/http/server_priv.h"

enum { ACCEPTS_PER_TURN = 64, ACCEPT_REST_MS = 100, CALM_PARTS = 16, SHORT_LOG_MS = 10000 };

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

static struct connection *longest_idle(struct http_server *s)
{
    LIST_EACH (link, &s->idle) {
        struct connection *c = LIST_OWNER(link, struct connection, rest_link);
        if (buf_len(&c->in) == 0) /* else its next request is about to be read */
            return c;
    }
    return NULL;
}

/* The one that is longest in the list, if that is long enough. */
static struct connection *oldest(struct http_server *s, struct list *list, uint64_t least_ms)
{
    if (list_is_empty(list))
        return NULL;
    struct connection *c = LIST_OWNER(list->next, struct connection, rest_link);
    return loop_now_ms(s->loop) >= c->rest_since_ms + least_ms ? c : NULL;
}

bool server_make_room(struct http_server *s)
{
    struct connection *c = oldest(s, &s->silent, FRESH_MS);
    enum counter counter = COUNT_CLOSED_SILENT;
    if (c == NULL) {
        c = longest_idle(s);
        counter = COUNT_CLOSED_IDLE;
    }
    if (c == NULL) {
        c = oldest(s, &s->asking, ASKING_MS);
        counter = COUNT_CLOSED_ASKING;
    }
    if (c == NULL)
        return false;
    metrics_add(s->options.metrics, counter, 1);
    connection_end(c);
    return true;
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
    connection_new(s, fd, (struct sockaddr *)&peer, len);
    return true;
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    for (int i = 0; i < ACCEPTS_PER_TURN && server_accept_one(arg); i++)
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
    close(s->listener);
    s->listener = -1;
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
