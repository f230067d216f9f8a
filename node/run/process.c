/* Finding redis-server and starting it as a child. Between fork and exec only what a signal
 * handler may do: so everything the child needs is made before. The child dies with the thread
 * that made it. */
#include "run/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/slice.h"

enum { VERSION_MS = 5000, PROGRAM_PATH_MAX = 4096, MAJOR_MIN = 7, FIRST_FREE_FD = 3 };

static const char *const program_names[] = {"redis-server", "valkey-server"};

char *process_sentence(const char *format, ...)
{
    char *out = NULL;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&out, format, args);
    va_end(args);
    return len < 0 ? mem_string(SLICE("out of memory")) : out;
}

/* Everything behind fork() is restricted to what a signal handler may do: other threads may have
 * held any lock. */
NORETURN static void become(const char *const argv[], int output_fd, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(126); /* it ended before the line above */
    setpgid(0, 0);
    int null = open("/dev/null", O_RDONLY);
    dup2(null, STDIN_FILENO);
    dup2(output_fd, STDOUT_FILENO);
    dup2(output_fd, STDERR_FILENO);
    close_range(FIRST_FREE_FD, ~0U, 0);
    union {
        const char *const *in;
        char *const *out; /* execv never writes there; its type is older than const */
    } arguments = {.in = argv};
    execv(argv[0], arguments.out);
    _exit(127);
}

pid_t process_start(const char *const argv[], int output_fd)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        become(argv, output_fd, parent);
    return pid;
}

bool process_has_ended(pid_t pid)
{
    int status;
    pid_t done;
    do {
        done = waitpid(pid, &status, WNOHANG);
    } while (done < 0 && errno == EINTR);
    return done != 0; /* reaped now, or not there any more */
}

static bool find_in_path(const char *name, char *found)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nothing changes the environment once threads run */
    struct slice dir, rest = slice_of(getenv("PATH"));
    while (rest.len > 0) {
        rest = slice_cut(rest, ':', &dir);
        if (dir.len == 0 || dir.at[0] != '/')
            continue;
        int len = snprintf(found, PROGRAM_PATH_MAX, "%.*s/%s", SLICE_ARG(dir), name);
        if (len < PROGRAM_PATH_MAX && access(found, X_OK) == 0)
            return true;
    }
    return false;
}

/* What `program --version` prints, at most cap - 1 bytes of it. */
static void read_version(const char *program, char *out, size_t cap)
{
    const char *const argv[] = {program, "--version", NULL};
    uint64_t until_ms = clock_ms() + VERSION_MS;
    size_t len = 0;
    int ends[2];
    out[0] = '\0';
    if (pipe2(ends, O_CLOEXEC) != 0)
        return;
    pid_t pid = process_start(argv, ends[1]);
    close(ends[1]);
    struct pollfd p = {.fd = ends[0], .events = POLLIN};
    for (uint64_t now_ms = clock_ms(); pid > 0 && len + 1 < cap && now_ms < until_ms;
         now_ms = clock_ms()) {
        ssize_t n = poll(&p, 1, (int)(until_ms - now_ms)) == 1
                        ? read(ends[0], out + len, cap - 1 - len)
                        : 0;
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    out[len] = '\0';
    close(ends[0]);
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
}

static bool is_new_enough(const char *program, char **why)
{
    char output[512];
    struct slice number, major;
    uint64_t version;
    read_version(program, output, sizeof(output));
    const char *mark = strstr(output, " v=");
    slice_cut(slice_of(mark != NULL ? mark + 3 : ""), ' ', &number);
    slice_cut(number, '.', &major);
    if (!slice_number(major, 1000, &version)) {
        *why = process_sentence("%s --version says '%.60s', which is no version of Redis", program,
                                output);
        return false;
    }
    if (version < MAJOR_MIN) {
        output[(size_t)(number.at - output) + number.len] = '\0';
        *why = process_sentence(
            "%s is version %s, but Redis 7 or newer is needed; install a newer one or set "
            "redis.url",
            program, number.at);
        return false;
    }
    return true;
}

char *process_find_redis(char **why)
{
    char path[PROGRAM_PATH_MAX];
    *why = NULL;
    for (size_t i = 0; i < sizeof(program_names) / sizeof(program_names[0]); i++) {
        if (!find_in_path(program_names[i], path))
            continue;
        free(*why);
        if (is_new_enough(path, why))
            return mem_string(slice_of(path));
    }
    if (*why == NULL)
        *why = mem_string(
            SLICE("redis.url is not set and there is no redis-server here to start: install it "
                  "(Debian, Ubuntu: apt-get install redis-server) or set redis.url"));
    return NULL;
}
