/* private_redis.c - in the state directory: `lock`, `redis.sock`, `redis.log`, and `appendonlydir/`
 * with the data. The server is a child of the thread that calls; it dies with that thread, even if
 * this process is killed outright. It has a process group of its own, so that a terminal's Ctrl-C
 * reaches the node only, whose running requests still want to settle. */
#include "run/private_redis.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "format/redis_url.h"
#include "loop/loop.h"
#include "run/process.h"

enum {
    START_MS = 10000,
    STOP_MS = 10000,
    LEFTOVER_MS = 2000, /* for the server of a node that was just killed to be gone */
    NAP_MS = 10,
    WATCH_MS = 250,
    BACKOFF_FIRST_MS = 250,
    BACKOFF_MAX_MS = 10000,
    STEADY_MS = 60000, /* ran for so long: the next start is without delay again */
    LOG_BYTES_MAX = 10 << 20,
    PATH_BYTES_MAX = 4096
};

struct private_redis {
    char *dir;
    char *program;
    struct redis_url url;
    struct sockaddr_un socket;
    int lock_fd;
    pid_t pid; /* 0: it has ended */
    struct loop_timer *watch;
    uint64_t started_ms, restart_at_ms, backoff_ms;
};

static void nap(void)
{
    struct timespec time = {.tv_nsec = NAP_MS * 1000000L};
    nanosleep(&time, NULL);
}

/* ---- the directory ---- */

static bool make_directories(const char *dir, char **why)
{
    char path[PATH_BYTES_MAX];
    snprintf(path, sizeof(path), "%s", dir);
    for (char *slash = path + 1; slash != NULL; *slash++ = '/') {
        slash = strchr(slash, '/');
        if (slash != NULL)
            *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST) {
            *why = process_sentence("cannot make the state directory %s as user %u: %m", path,
                                    (unsigned)geteuid());
            return false;
        }
        if (slash == NULL)
            break;
    }
    return true;
}

static bool set_paths(struct private_redis *server, const char *state_dir, char **why)
{
    if (state_dir[0] == '\0' || strlen(state_dir) >= PATH_BYTES_MAX) {
        *why = process_sentence("node.state_dir is empty or too long");
        return false;
    }
    if (!make_directories(state_dir, why))
        return false;
    server->dir = realpath(state_dir, NULL);
    if (server->dir == NULL || access(server->dir, R_OK | W_OK | X_OK) != 0) {
        *why = process_sentence("user %u, who runs this, cannot use the state directory %s: %m; "
                                "give it to that user (chown %u), or name another, node.state_dir",
                                (unsigned)geteuid(), state_dir, (unsigned)geteuid());
        return false;
    }
    server->socket.sun_family = AF_UNIX;
    int len = snprintf(server->socket.sun_path, sizeof(server->socket.sun_path), "%s/redis.sock",
                       server->dir);
    if ((size_t)len >= sizeof(server->socket.sun_path)) {
        *why = process_sentence(
            "the state directory's path is too long for a Unix socket (%d bytes, at most "
            "%zu): %s; choose a shorter node.state_dir",
            len, sizeof(server->socket.sun_path) - 1, server->dir);
        return false;
    }
    server->url.is_unix = true;
    memcpy(server->url.path, server->socket.sun_path, (size_t)len + 1);
    return true;
}

static bool lock_directory(struct private_redis *server, char **why)
{
    char path[PATH_BYTES_MAX], owner[32] = "";
    snprintf(path, sizeof(path), "%s/lock", server->dir);
    server->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (server->lock_fd < 0) {
        *why = process_sentence("cannot open %s as user %u: %m", path, (unsigned)geteuid());
        return false;
    }
    if (flock(server->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t len = read(server->lock_fd, owner, sizeof(owner) - 1);
        owner[len > 0 ? len : 0] = '\0';
        *why = process_sentence(
            "the state directory %s is in use by another node (process %s); give this one "
            "its own node.state_dir, or redis.url to share a Redis",
            server->dir, owner[0] != '\0' ? owner : "unknown");
        return false;
    }
    int len = snprintf(owner, sizeof(owner), "%d", (int)getpid());
    if (ftruncate(server->lock_fd, 0) != 0 || write(server->lock_fd, owner, (size_t)len) != len) {
        *why = process_sentence("cannot write %s: %m", path);
        return false;
    }
    return true;
}

/* ---- the server ---- */

static int open_log(const struct private_redis *server)
{
    char path[PATH_BYTES_MAX];
    struct stat st;
    snprintf(path, sizeof(path), "%s/redis.log", server->dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > LOG_BYTES_MAX && ftruncate(fd, 0) != 0)
        log_message(LOG_WARN, "cannot shorten %s: %m", path);
    return fd;
}

/* False: errno says why. What it has to say before its log is open goes into the log, too. */
static bool launch(struct private_redis *server)
{
    const char *const argv[] = {server->program,
                                "--port",
                                "0",
                                "--unixsocket",
                                server->socket.sun_path,
                                "--unixsocketperm",
                                "700",
                                "--dir",
                                server->dir,
                                "--appendonly",
                                "yes",
                                "--save",
                                "",
                                "--daemonize",
                                "no",
                                "--databases",
                                "1",
                                "--maxmemory-policy",
                                "noeviction",
                                "--always-show-logo",
                                "no",
                                NULL};
    int log_fd = open_log(server);
    if (log_fd < 0)
        return false;
    server->pid = process_start(argv, log_fd);
    int error = errno;
    close(log_fd);
    errno = error;
    server->started_ms = clock_ms();
    if (server->pid < 0)
        server->pid = 0;
    return server->pid > 0;
}

enum answer { ANSWER_NONE, ANSWER_SILENT, ANSWER_LOADING, ANSWER_READY };

/* Does someone listen on the socket, and is it a Redis, and done with loading its data? A tenth
 * of a second at most. */
static enum answer ask(const struct private_redis *server)
{
    static const char ping[] = "PING\r\n";
    enum answer answer = ANSWER_NONE;
    char byte;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int result =
        fd < 0 ? -1 : connect(fd, (const struct sockaddr *)&server->socket, sizeof(server->socket));
    if (fd >= 0 && result != 0 && errno == EAGAIN)
        answer = ANSWER_SILENT; /* its queue is full: one that hangs takes nobody from it */
    if (result == 0) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        answer = ANSWER_SILENT;
        if (send(fd, ping, sizeof(ping) - 1, MSG_NOSIGNAL) > 0 && poll(&p, 1, 100) == 1 &&
            recv(fd, &byte, 1, 0) == 1)
            answer = byte == '+' ? ANSWER_READY : ANSWER_LOADING;
    }
    if (fd >= 0)
        close(fd);
    return answer;
}

/* The newest line of the server's log: what it died of. Into line[cap]. */
static void last_log_line(const struct private_redis *server, char *line, size_t cap)
{
    char path[PATH_BYTES_MAX], tail[512];
    line[0] = '\0';
    snprintf(path, sizeof(path), "%s/redis.log", server->dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    off_t size = lseek(fd, 0, SEEK_END);
    off_t from = size > (off_t)sizeof(tail) ? size - (off_t)sizeof(tail) : 0;
    ssize_t len = pread(fd, tail, sizeof(tail), from);
    close(fd);
    while (len > 0 && tail[len - 1] == '\n')
        len--;
    const char *start = len > 0 ? memrchr(tail, '\n', (size_t)len) : NULL;
    start = start == NULL ? tail : start + 1;
    if (len > 0)
        snprintf(line, cap, "%.*s", (int)(tail + len - start), start);
}

static bool await_answer(struct private_redis *server, char **why)
{
    char line[256];
    enum answer answer = ANSWER_NONE;
    uint64_t until_ms = clock_ms() + START_MS;
    while (clock_ms() < until_ms) {
        if (process_has_ended(server->pid)) {
            server->pid = 0;
            last_log_line(server, line, sizeof(line));
            *why = process_sentence("%s ended at once; the last line of %s/redis.log: %s",
                                    server->program, server->dir, line);
            return false;
        }
        answer = ask(server);
        if (answer == ANSWER_READY)
            return true;
        nap();
    }
    if (answer == ANSWER_LOADING)
        return true; /* it has much to load; the connection knows how to wait for that */
    *why = process_sentence("%s did not answer within %d s; see %s/redis.log", server->program,
                            START_MS / 1000, server->dir);
    return false;
}

/* A node that was killed takes its server with it, but the two do not vanish at once. */
static bool await_leftover(struct private_redis *server, char **why)
{
    uint64_t until_ms = clock_ms() + LEFTOVER_MS;
    while (ask(server) != ANSWER_NONE) {
        if (clock_ms() >= until_ms) {
            *why = process_sentence("another Redis listens on %s; stop it first",
                                    server->socket.sun_path);
            return false;
        }
        nap();
    }
    return true;
}

/* ---- keeping it alive ---- */

static void note_end(struct private_redis *server)
{
    uint64_t now_ms = clock_ms();
    char line[256];
    server->pid = 0;
    if (now_ms - server->started_ms >= STEADY_MS)
        server->backoff_ms = BACKOFF_FIRST_MS;
    server->restart_at_ms = now_ms + server->backoff_ms;
    server->backoff_ms *= 2;
    if (server->backoff_ms > BACKOFF_MAX_MS)
        server->backoff_ms = BACKOFF_MAX_MS;
    last_log_line(server, line, sizeof(line));
    if (log_begin(LOG_ERROR, "the private redis-server has ended; it is started again")) {
        log_string("directory", server->dir);
        log_string("last_words", line);
        log_end();
    }
}

static void on_watch(void *arg)
{
    struct private_redis *server = arg;
    if (server->pid > 0 && process_has_ended(server->pid))
        note_end(server);
    if (server->pid == 0 && clock_ms() >= server->restart_at_ms && !launch(server)) {
        log_message(LOG_ERROR, "cannot start %s: %m", server->program);
        server->restart_at_ms = clock_ms() + server->backoff_ms;
    }
}

/* ---- the object ---- */

static void release(struct private_redis *server)
{
    loop_timer_free(server->watch);
    if (server->lock_fd >= 0)
        close(server->lock_fd);
    redis_url_fini(&server->url);
    free(server->program);
    free(server->dir);
    free(server);
}

static void end_process(struct private_redis *server)
{
    uint64_t until_ms = clock_ms() + STOP_MS;
    if (server->pid == 0)
        return;
    kill(server->pid, SIGTERM);
    kill(server->pid, SIGCONT); /* one that is stopped hears it only then */
    while (!process_has_ended(server->pid)) {
        if (clock_ms() >= until_ms) {
            log_message(LOG_ERROR, "the private redis-server does not stop: killing it");
            kill(server->pid, SIGKILL);
            until_ms = UINT64_MAX;
        }
        nap();
    }
    server->pid = 0;
}

static bool start(struct private_redis *server, const char *state_dir, char **why)
{
    server->program = process_find_redis(why);
    if (server->program == NULL || !set_paths(server, state_dir, why) ||
        !lock_directory(server, why) || !await_leftover(server, why))
        return false;
    if (!launch(server)) {
        *why = process_sentence("cannot start %s: %m", server->program);
        return false;
    }
    return await_answer(server, why);
}

struct private_redis *private_redis_start(struct loop *loop, const char *state_dir, char **why)
{
    struct private_redis *server = mem_new(sizeof(*server));
    server->lock_fd = -1;
    server->backoff_ms = BACKOFF_FIRST_MS;
    *why = NULL;
    if (!start(server, state_dir, why)) {
        end_process(server);
        release(server);
        return NULL;
    }
    server->watch = loop_every(loop, WATCH_MS, on_watch, server);
    if (log_begin(LOG_INFO, "started a private redis-server")) {
        log_string("directory", server->dir);
        log_number("process", (uint64_t)server->pid);
        log_end();
    }
    return server;
}

const struct redis_url *private_redis_url(const struct private_redis *server)
{
    return &server->url;
}

void private_redis_stop(struct private_redis *server)
{
    if (server == NULL)
        return;
    end_process(server);
    unlink(server->socket.sun_path);
    release(server);
}
