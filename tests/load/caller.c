#include "caller.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "run.h"

enum { READ_BYTES = 256 * 1024 };

void caller_close(struct caller *caller)
{
    if (caller->fd >= 0) {
        event_del(&caller->read_event);
        event_del(&caller->write_event);
        close(caller->fd);
    }
    caller->fd = -1;
    caller->state = CALLER_CLOSED;
    reply_fini(&caller->reply);
}

static void end(struct caller *caller, enum outcome outcome)
{
    const struct run *run = caller->run;
    bool is_whole = caller->reply.stage == REPLY_DONE && caller->sent == run->request_len;
    bool is_kept = outcome != OUTCOME_CLOSED && is_whole && caller->reply.is_keep_alive &&
                   run->options->is_keep_alive;
    if (is_kept)
        caller->state = CALLER_IDLE;
    else
        caller_close(caller);
    run_on_end(caller->run, caller, outcome);
}

static void send_request(struct caller *caller)
{
    const struct run *run = caller->run;
    while (caller->sent < run->request_len) {
        ssize_t put = send(caller->fd, run->request + caller->sent, run->request_len - caller->sent,
                           MSG_NOSIGNAL);
        if (put < 0 && errno == EAGAIN) {
            event_add(&caller->write_event, NULL);
            return;
        }
        if (put < 0) {
            end(caller, OUTCOME_CLOSED);
            return;
        }
        caller->sent += (size_t)put;
        caller->active_us = run_now_us();
    }
    event_del(&caller->write_event);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct caller *caller = arg;
    (void)what;
    if (caller->state == CALLER_CONNECTING) {
        int error = 0;
        socklen_t len = sizeof(error);
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error != 0) {
            end(caller, OUTCOME_CONNECT);
            return;
        }
        caller->state = CALLER_WAITING;
        event_add(&caller->read_event, NULL);
    }
    send_request(caller);
}

static enum outcome judge(const struct caller *caller)
{
    const struct options *options = caller->run->options;
    if (caller->reply.status != options->expect_status)
        return OUTCOME_STATUS;
    if (options->expect_bytes >= 0 && caller->reply.body_bytes != (uint64_t)options->expect_bytes)
        return OUTCOME_BYTES;
    return OUTCOME_OK;
}

/* An idle connection that says anything, or ends, is just gone. */
static void on_end_of_stream(struct caller *caller)
{
    if (caller->state == CALLER_IDLE)
        caller_close(caller);
    else if (reply_is_whole_at_close(&caller->reply))
        end(caller, judge(caller));
    else
        end(caller, OUTCOME_CLOSED);
}

static void take(struct caller *caller, const char *at, size_t len, int64_t now_us)
{
    struct reply *reply = &caller->reply;
    uint64_t bytes = reply->body_bytes, events = reply->events;
    if (caller->first_byte_us == 0)
        caller->first_byte_us = now_us;
    caller->active_us = now_us;
    size_t used = reply_feed(reply, at, len, now_us);
    caller->run->body_bytes += reply->body_bytes - bytes;
    caller->run->events += reply->events - events;
    if (bytes == 0 && reply->body_bytes > 0)
        run_on_flow(caller->run);
    if (reply->stage == REPLY_BAD || used < len)
        end(caller, OUTCOME_MALFORMED);
    else if (reply->stage == REPLY_DONE)
        end(caller, judge(caller));
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    static char scratch[READ_BYTES]; /* one thread */
    struct caller *caller = arg;
    (void)what;
    ssize_t got = recv(fd, scratch, sizeof(scratch), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0 || caller->state == CALLER_IDLE)
        on_end_of_stream(caller);
    else
        take(caller, scratch, (size_t)got, run_now_us());
}

static bool open_connection(struct caller *caller)
{
    struct run *run = caller->run;
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    run->connects++;
    if (connect(fd, (const struct sockaddr *)&run->address, sizeof(run->address)) != 0 &&
        errno != EINPROGRESS) {
        close(fd);
        return false;
    }
    caller->fd = fd;
    caller->state = CALLER_CONNECTING;
    event_assign(&caller->read_event, run->base, fd, EV_READ | EV_PERSIST, on_readable, caller);
    event_assign(&caller->write_event, run->base, fd, EV_WRITE | EV_PERSIST, on_writable, caller);
    event_add(&caller->write_event, NULL);
    return true;
}

void caller_start(struct caller *caller, int64_t due_us)
{
    reply_reset(&caller->reply);
    caller->due_us = due_us;
    caller->first_byte_us = 0;
    caller->active_us = run_now_us();
    caller->sent = 0;
    if (caller->state == CALLER_IDLE) {
        caller->state = CALLER_WAITING;
        send_request(caller);
    } else if (!open_connection(caller)) {
        end(caller, OUTCOME_CONNECT);
    }
}

void caller_check_timeout(struct caller *caller, int64_t now_us)
{
    bool is_busy = caller->state == CALLER_CONNECTING || caller->state == CALLER_WAITING;
    int64_t limit_us = (int64_t)caller->run->options->timeout_ms * 1000;
    if (is_busy && now_us - caller->active_us > limit_us) {
        caller_close(caller);
        run_on_end(caller->run, caller, OUTCOME_TIMEOUT);
    }
}

void caller_init(struct caller *caller, struct run *run)
{
    caller->run = run;
    caller->fd = -1;
    caller->reply.is_counting_events = run->options->is_stream;
    caller->reply.delay = &run->event_delay;
}
