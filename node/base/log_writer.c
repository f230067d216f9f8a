/* log_writer.c - two batches of lines: one fills while the other is being written. Who hands lines
 * over copies them into the one that fills; the thread exchanges the two when it has nothing left,
 * so that neither copies or writes while the other waits for the lock. Before it takes a batch it
 * gives it a moment to fill: to be woken for every line would cost a request more than its line.
 *
 * A batch that is full loses what comes then and remembers how many that were; so the line that
 * tells of it is written behind the batch, where the lost ones would have been. What cannot be
 * written (a reader that is gone, a full disk) is lost and told in the same way, once writing works
 * again.
 *
 * The room is never touched beyond what was needed, and costs no memory until then. */
#include "base/log_writer.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH_BYTES_MAX = LOG_WAITING_BYTES_MAX / 2,
    GATHER_MS = 30,
    GATHER_BYTES_MAX = BATCH_BYTES_MAX / 4 /* enough: it is taken at once */
};

struct batch {
    size_t len;
    uint64_t lost; /* behind these bytes */
    char at[BATCH_BYTES_MAX];
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake, ended;
    pthread_t thread;
    struct batch *filling;
    bool is_running;   /* lines go to the thread */
    bool is_asleep;    /* and have to wake it: the first does, */
    bool is_gathering; /* or the one that makes it enough */
    bool is_stopping;
    bool has_ended;

    /* of whoever writes */
    uint64_t untold;
    bool is_torn; /* a line was written in part: what follows begins with a new one */

    _Atomic uint64_t lost;
} writer = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct batch batches[2];

/* ---- writing ---- */

/* How many bytes were written; fewer than there are: nothing can be written any more. */
static size_t write_bytes(struct slice bytes)
{
    size_t written = 0;
    while (written < bytes.len) {
        ssize_t n = write(STDERR_FILENO, bytes.at + written, bytes.len - written);
        if (n > 0) {
            written += (size_t)n;
        } else if (n < 0 && errno == EAGAIN) { /* non-blocking for whom we share it with */
            struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
            poll(&p, 1, -1);
        } else if (n == 0 || errno != EINTR) {
            break;
        }
    }
    return written;
}

/* As many whole lines as a pipe takes at once or not at all, so that other processes that write to
 * the same one do not come between. A longer line goes alone. */
static struct slice next_piece(struct slice lines)
{
    if (lines.len <= PIPE_BUF)
        return lines;
    const char *end = memrchr(lines.at, '\n', PIPE_BUF);
    if (end == NULL)
        end = memchr(lines.at, '\n', lines.len);
    return end == NULL ? lines : (struct slice){lines.at, (size_t)(end - lines.at) + 1};
}

static uint64_t count_lines(struct slice lines)
{
    uint64_t count = 0;
    for (size_t at; slice_find(lines, '\n', &at); count++)
        lines = slice_from(lines, at + 1);
    return count;
}

/* How many of them could not be written, or not to their end. */
static uint64_t write_lines(struct slice lines)
{
    if (lines.len > 0 && writer.is_torn)
        writer.is_torn = write_bytes(SLICE("\n")) == 0;
    while (lines.len > 0 && !writer.is_torn) {
        struct slice piece = next_piece(lines);
        size_t written = write_bytes(piece);
        lines = slice_from(lines, written);
        if (written == piece.len)
            continue;
        writer.is_torn = written > 0 && piece.at[written - 1] != '\n';
        break;
    }
    return count_lines(lines);
}

static void tell(void)
{
    char line[LOG_LOSS_LINE_MAX];
    if (writer.untold == 0)
        return;
    if (write_lines((struct slice){line, log_line_of_loss(writer.untold, line)}) == 0)
        writer.untold = 0;
}

static void write_and_tell(struct slice lines, uint64_t lost_behind)
{
    tell(); /* what could not be told before */
    uint64_t unwritten = write_lines(lines);
    atomic_fetch_add_explicit(&writer.lost, unwritten, memory_order_relaxed);
    writer.untold += unwritten + lost_behind;
    tell();
}

/* ---- the thread ---- */

static bool is_empty(const struct batch *b)
{
    return b->len == 0 && b->lost == 0;
}

static struct timespec moment_in(uint64_t ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (time_t)(ms / 1000);
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

static void gather(void)
{
    struct timespec until = moment_in(GATHER_MS);
    int error = 0;
    writer.is_gathering = true;
    while (!writer.is_stopping && writer.filling->len < GATHER_BYTES_MAX && error == 0)
        error = pthread_cond_timedwait(&writer.wake, &writer.lock, &until);
    writer.is_gathering = false;
}

/* Waits for a batch that is not empty; NULL: there will be none. The former one is empty again. */
static struct batch *take(void)
{
    pthread_mutex_lock(&writer.lock);
    while (is_empty(writer.filling) && !writer.is_stopping) {
        writer.is_asleep = true;
        pthread_cond_wait(&writer.wake, &writer.lock);
    }
    writer.is_asleep = false;
    gather();
    struct batch *taken = writer.filling;
    writer.filling = taken == &batches[0] ? &batches[1] : &batches[0];
    pthread_mutex_unlock(&writer.lock);
    return is_empty(taken) ? NULL : taken;
}

static void *run(void *arg)
{
    struct batch *batch;
    (void)arg;
    while ((batch = take()) != NULL) {
        write_and_tell((struct slice){batch->at, batch->len}, batch->lost);
        batch->len = 0;
        batch->lost = 0;
    }
    pthread_mutex_lock(&writer.lock);
    writer.has_ended = true;
    pthread_cond_signal(&writer.ended);
    pthread_mutex_unlock(&writer.lock);
    return NULL;
}

/* Signals are for the threads that have something to do with them. */
static bool start_thread(void)
{
    sigset_t all, former;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &former);
    bool is_started = pthread_create(&writer.thread, NULL, run, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    return is_started;
}

bool log_writer_start(void)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&writer.ended, &monotonic);
    pthread_cond_init(&writer.wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    writer.filling = &batches[0];
    writer.is_stopping = writer.has_ended = false;
    writer.is_running = start_thread();
    return writer.is_running;
}

static bool await_end(uint64_t at_most_ms)
{
    struct timespec until = moment_in(at_most_ms);
    int error = 0;
    pthread_mutex_lock(&writer.lock);
    writer.is_stopping = true;
    pthread_cond_signal(&writer.wake);
    while (!writer.has_ended && error == 0)
        error = pthread_cond_timedwait(&writer.ended, &writer.lock, &until);
    bool has_ended = writer.has_ended;
    pthread_mutex_unlock(&writer.lock);
    return has_ended;
}

void log_writer_stop(uint64_t at_most_ms)
{
    if (!writer.is_running)
        return;
    if (await_end(at_most_ms)) {
        pthread_join(writer.thread, NULL);
        pthread_cond_destroy(&writer.ended);
        pthread_cond_destroy(&writer.wake);
        pthread_mutex_lock(&writer.lock);
        writer.is_running = false;
        pthread_mutex_unlock(&writer.lock);
    } else {
        pthread_detach(writer.thread); /* lines still go to it, and nobody waits for them */
    }
}

/* ---- handing over ---- */

static void lose(uint64_t count)
{
    atomic_fetch_add_explicit(&writer.lost, count, memory_order_relaxed);
    if (writer.is_running)
        writer.filling->lost += count;
    else
        writer.untold += count;
}

static bool needs_waking(void)
{
    bool needs =
        writer.is_asleep || (writer.is_gathering && writer.filling->len >= GATHER_BYTES_MAX);
    if (needs) /* one signal is enough */
        writer.is_asleep = writer.is_gathering = false;
    return needs;
}

void log_writer_put(struct slice lines, uint64_t count)
{
    pthread_mutex_lock(&writer.lock);
    struct batch *b = writer.filling;
    if (!writer.is_running) {
        write_and_tell(lines, 0);
    } else if (lines.len > BATCH_BYTES_MAX - b->len) {
        lose(count);
    } else {
        memcpy(b->at + b->len, lines.at, lines.len);
        b->len += lines.len;
    }
    bool wakes = needs_waking();
    pthread_mutex_unlock(&writer.lock);
    if (wakes)
        pthread_cond_signal(&writer.wake);
}

void log_writer_lose(uint64_t count)
{
    pthread_mutex_lock(&writer.lock);
    lose(count);
    bool wakes = needs_waking();
    pthread_mutex_unlock(&writer.lock);
    if (wakes)
        pthread_cond_signal(&writer.wake);
}

uint64_t log_writer_lost(void)
{
    return atomic_load_explicit(&writer.lost, memory_order_relaxed);
}
