/* The protocol is a datagram of text and a few variables, so no library is needed for it. */
#include "run/supervisor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/slice.h"

enum {
    FIRST_PASSED_FD = 3,
    PASSED_MAX = 4096, /* more is no count but junk */
    TELL_WAIT_MS = 500,
    USEC_MAX_DIGITS_S = 366 * 24 * 3600 /* a watchdog of more than a year is none */
};

/* Nobody writes the environment but supervisor_meet(), before there are other threads. */
static struct slice variable(const char *name)
{
    return slice_of(getenv(name)); /* NOLINT(concurrency-mt-unsafe) */
}

/* Meant for this process, not for one that handed its environment on. */
static bool is_for_us(const char *name)
{
    uint64_t pid;
    struct slice text = variable(name);
    return text.len == 0 ||
           (slice_number(text, INT32_MAX, &pid) && (int64_t)pid == (int64_t)getpid());
}

/* ---- what it is told ---- */

/* "/path", or "@name" of Linux' abstract names. Others (vsock) are of virtual machines. */
static void open_telling(struct supervisor *s)
{
    struct slice path = variable("NOTIFY_SOCKET");
    struct timeval wait = {.tv_usec = TELL_WAIT_MS * 1000L};
    if (path.len == 0)
        return;
    if ((path.at[0] != '/' && path.at[0] != '@') || path.len >= sizeof(s->to.sun_path)) {
        log_message(LOG_WARN, "NOTIFY_SOCKET is no path and no abstract name: not used");
        return;
    }
    s->to.sun_family = AF_UNIX;
    memcpy(s->to.sun_path, path.at, path.len);
    if (path.at[0] == '@')
        s->to.sun_path[0] = '\0';
    s->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len);
    s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        return;
    setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
}

static void read_watchdog(struct supervisor *s)
{
    uint64_t usec, max = (uint64_t)USEC_MAX_DIGITS_S * 1000000;
    struct slice text = variable("WATCHDOG_USEC");
    if (s->fd < 0 || text.len == 0 || !is_for_us("WATCHDOG_PID"))
        return;
    if (!slice_number(text, max, &usec) || usec < 1000) {
        log_message(LOG_WARN, "WATCHDOG_USEC is no time that a watchdog can have: not used");
        return;
    }
    s->watchdog_ms = usec / 1000;
}

void supervisor_tell(struct supervisor *s, const char *format, ...)
{
    char text[SUPERVISOR_TEXT_MAX];
    va_list args;
    if (s->fd < 0)
        return;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len < 0)
        return;
    size_t size = (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1;
    ssize_t sent =
        sendto(s->fd, text, size, MSG_NOSIGNAL, (const struct sockaddr *)&s->to, s->to_len);
    bool is_told = sent == (ssize_t)size;
    if (!is_told && !s->is_failing)
        log_message(LOG_WARN,
                    "the supervisor that started this node cannot be told how it goes: %s",
                    strerrordesc_np(errno));
    s->is_failing = !is_told;
}

/* ---- what it passes ---- */

static bool refuse(char *why, const char *format, ...) PRINTF_LIKE(2, 3);
static bool refuse(char *why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, SUPERVISOR_WHY_MAX, format, args);
    va_end(args);
    return false;
}

static int option_of(int fd, int option)
{
    int value = -1;
    socklen_t len = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value : -1;
}

static const char *kind_of(int fd)
{
    int family = option_of(fd, SO_DOMAIN);
    if (family < 0)
        return "no socket";
    if (family == AF_UNIX)
        return "a Unix socket";
    if (family != AF_INET && family != AF_INET6)
        return "a socket of another family than IP";
    if (option_of(fd, SO_TYPE) != SOCK_STREAM)
        return "an IP socket that is not TCP";
    return option_of(fd, SO_ACCEPTCONN) == 1 ? NULL : "a TCP socket that does not listen";
}

static bool take_listener(struct supervisor *s, int fd, struct slice name, char *why)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } address = {.in6 = {0}};
    socklen_t len = sizeof(address);
    const char *kind = kind_of(fd);
    if (kind != NULL)
        return refuse(
            why,
            "the socket that was passed to this node (LISTEN_FDS, descriptor %d%s%.*s) is "
            "%s; it takes one listening TCP socket: ListenStream= with a port, and "
            "Accept=no",
            fd, name.len > 0 ? ", " : "", SLICE_ARG(name), kind);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    getsockname(fd, &address.any, &len);
    s->port =
        ntohs(address.any.sa_family == AF_INET6 ? address.in6.sin6_port : address.in.sin_port);
    s->listener = fd;
    return true;
}

/* All of them are closed for children at once, whether they are of use or not. */
static bool read_passed(struct supervisor *s, char *why)
{
    uint64_t count;
    struct slice text = variable("LISTEN_FDS"), names = variable("LISTEN_FDNAMES"), name;
    if (text.len == 0 || variable("LISTEN_PID").len == 0 || !is_for_us("LISTEN_PID"))
        return true; /* nothing, or for another process */
    if (!slice_number(text, PASSED_MAX, &count))
        return refuse(why, "LISTEN_FDS is '%.40s', which is no number of sockets", text.at);
    for (int fd = FIRST_PASSED_FD; fd < FIRST_PASSED_FD + (int)count; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (count == 0)
        return true;
    if (count > 1)
        return refuse(why,
                      "%u sockets were passed to this node (LISTEN_FDS; %.200s), but it has one "
                      "door: leave one ListenStream= (a port alone is IPv4 and IPv6)",
                      (unsigned)count, names.len > 0 ? names.at : "without names");
    slice_cut(names, ':', &name);
    if (name.len > 64)
        name.len = 64;
    return take_listener(s, FIRST_PASSED_FD, name, why);
}

/* ---- both ---- */

static const char *const variables[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
                                        "LISTEN_FDS",    "LISTEN_PID",    "LISTEN_FDNAMES"};

bool supervisor_meet(struct supervisor *s, char why[SUPERVISOR_WHY_MAX])
{
    *s = (struct supervisor){.fd = -1, .listener = -1};
    bool is_fine = read_passed(s, why);
    open_telling(s);
    read_watchdog(s);
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
        unsetenv(variables[i]); /* NOLINT(concurrency-mt-unsafe): there is no other thread yet */
    return is_fine;
}

void supervisor_close(struct supervisor *s)
{
    if (s->fd >= 0)
        close(s->fd);
    if (s->listener >= 0)
        close(s->listener);
    s->fd = s->listener = -1;
}
