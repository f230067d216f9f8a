/* The log has its thread here, and standard error is a pipe that this test reads or leaves alone.
 * Checks speak after it has been put back. */
#include "base/log_writer.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "check.h"

enum { READ_MS = 20000, THREADS = 4, THREAD_LINES = 100, FLOOD_LINES = 60000 };

static int pipe_fds[2];
static int real_stderr;
static char seen[LOG_WAITING_BYTES_MAX * 2];
static size_t seen_len;

static void capture(void)
{
    fflush(stderr);
    if (pipe(pipe_fds) != 0 || dup2(pipe_fds[1], STDERR_FILENO) < 0)
        abort();
    seen_len = 0;
    log_setup(LOG_INFO, LOG_JSON);
    if (!log_start())
        abort();
}

static void restore(void)
{
    log_stop();
    dup2(real_stderr, STDERR_FILENO);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

/* At most `len` bytes more, as soon as there are some. */
static int read_some(size_t len)
{
    struct pollfd p = {.fd = pipe_fds[0], .events = POLLIN};
    if (len > sizeof(seen) - 1 - seen_len)
        len = sizeof(seen) - 1 - seen_len;
    ssize_t n = poll(&p, 1, READ_MS) == 1 ? read(pipe_fds[0], seen + seen_len, len) : 0;
    seen_len += n > 0 ? (size_t)n : 0;
    seen[seen_len] = '\0';
    return n > 0;
}

static void read_until(const char *text, size_t piece)
{
    size_t from = 0, overlap = strlen(text);
    while (seen_len == 0 || seen[seen_len - 1] != '\n' || strstr(seen + from, text) == NULL) {
        from = seen_len > overlap ? seen_len - overlap : 0;
        if (!read_some(piece))
            return;
    }
}

/* How many lines there are; 0 if one of them is not whole. */
static unsigned whole_lines(void)
{
    unsigned count = 0;
    for (const char *line = seen; *line != '\0'; count++) {
        const char *end = strchr(line, '\n');
        if (end == NULL || strncmp(line, "{\"time\":\"", 9) != 0 || end[-1] != '}' ||
            memmem(line + 1, (size_t)(end - line), "{\"time", 6) != NULL)
            return 0;
        line = end + 1;
    }
    return count;
}

/* More than the pipe and the log hold, a turn of a loop each. */
static void flood(void)
{
    log_gather();
    for (int i = 0; i < FLOOD_LINES; i++) {
        log_message(LOG_INFO, "nobody reads this line of some length, that is number %06d.", i);
        log_flush();
    }
}

static void test_standing_still(void)
{
    PROMISE("a reader that stands still stops nobody")
    {
        capture();
        flood();
        CHECK(log_lines_lost() > 0);
    }
    PROMISE(
        "when it goes on it gets whole lines up to the loss, then the loss, then what came later")
    {
        char text[64];
        unsigned lost = (unsigned)log_lines_lost(), kept = FLOOD_LINES - lost;
        read_until("lines were lost", 65536);
        log_message(LOG_INFO, "again");
        log_flush();
        read_until("\"again\"}", 65536);
        restore();
        CHECK(whole_lines() == kept + 2);
        snprintf(text, sizeof(text), "number %06u.\"}\n", kept - 1);
        const char *last = strstr(seen, text);
        snprintf(text, sizeof(text), "\"lines\":%u}\n", lost);
        const char *told = strstr(seen, text), *again = strstr(seen, "\"again\"}\n");
        CHECK(last != NULL && told > last && again > told);
        CHECK(log_lines_lost() == lost);
    }
}

static void test_end(void)
{
    int status = -1;
    PROMISE("a process that ends waits a moment for its log's reader and no longer")
    {
        pid_t child = fork();
        if (child == 0) {
            capture();
            flood();
            log_stop();
            log_message(LOG_INFO, "nor does a line after that wait");
            _exit(7);
        }
        waitpid(child, &status, 0);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    }
    PROMISE("what was logged before the end is written before the end; after that at once")
    {
        capture();
        log_gather();
        log_message(LOG_INFO, "before");
        log_stop();
        read_until("before", 4096);
        log_message(LOG_INFO, "after");
        read_until("after", 4096);
        restore();
        CHECK(whole_lines() == 2);
    }
}

static void *log_long_and_short(void *arg)
{
    static char value[1024];
    memset(value, '=', sizeof(value) - 1);
    log_set_thread_name(arg);
    log_gather();
    for (int i = 0; i < THREAD_LINES; i++) {
        if (!log_begin(LOG_INFO, "many"))
            continue;
        for (int k = 0; k < i % 7; k++)
            log_string("value", value);
        log_end();
        if (i % 3 == 0)
            log_flush();
    }
    log_thread_end();
    return NULL;
}

static void race(void)
{
    pthread_t threads[THREADS];
    static char names[THREADS][16];
    capture();
    for (int i = 0; i < THREADS; i++) {
        snprintf(names[i], sizeof(names[i]), "t%d", i);
        if (pthread_create(&threads[i], NULL, log_long_and_short, names[i]) != 0)
            abort();
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    log_message(LOG_INFO, "over");
    read_until("\"over\"}", 777);
    restore();
}

static void test_threads(void)
{
    uint64_t lost = log_lines_lost();
    PROMISE("lines of several threads never mix, longer ones than a pipe takes at once neither")
    {
        race();
        CHECK(whole_lines() == THREADS * THREAD_LINES + 1);
    }
    PROMISE("nor on a pipe that someone else has made non-blocking")
    {
        int flags = fcntl(real_stderr, F_GETFL);
        capture();
        fcntl(pipe_fds[1], F_SETFL, O_NONBLOCK);
        log_gather();
        for (int i = 0; i < 3000; i++)
            log_message(LOG_INFO, "a line of some length, which is as long as the others are: %d",
                        i);
        log_message(LOG_INFO, "over");
        log_flush();
        read_until("\"over\"}", 4096);
        restore();
        CHECK(whole_lines() == 3001);
        CHECK(fcntl(real_stderr, F_GETFL) == flags);
    }
    CHECK(log_lines_lost() == lost);
}

static void test_reader_gone(void)
{
    uint64_t lost = log_lines_lost();
    PROMISE("a reader that is gone stops nobody, and what it missed is counted")
    {
        capture();
        close(pipe_fds[0]);
        for (int i = 0; i < 3; i++)
            log_message(LOG_INFO, "unread");
        log_stop();
        pipe_fds[0] = dup(pipe_fds[1]); /* for restore() */
        restore();
        CHECK(log_lines_lost() == lost + 3);
    }
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    real_stderr = dup(STDERR_FILENO);
    test_standing_still();
    test_end();
    test_threads();
    test_reader_gone();
    return check_done();
}
