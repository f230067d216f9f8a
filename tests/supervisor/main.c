/* weir-supervisor - starts a program as systemd starts a service, and shows what it is told.
 *
 *     weir-supervisor [--abstract] [--watchdog-usec N] [--pass KIND] [--later] PROGRAM ARGUMENTS...
 *
 *     --abstract   NOTIFY_SOCKET is a name without a file
 *     --pass KIND  passes a socket: listening, bound (but not listening), udp, unix, file, two
 *     --later      starts it with the first SIGUSR1, not at once
 *
 * A line of JSON on standard output for what happens: {"port":N} of the passed socket,
 * {"started":PID}, {"told":"READY=1\n..."} (with "by" where another process than the started one
 * says it), {"ended":STATUS}, {"stuck":TID}, {"freed":TID}.
 *
 *     SIGTERM, SIGINT, SIGHUP   are handed on
 *     SIGUSR1   starts it; or ends it by SIGTERM, and starts it again, on the same socket
 *     SIGUSR2   stops one thread of it that serves callers, and nothing else; again: lets it go on
 *
 * It ends with the program, and as it did. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST_PASSED = 3, PASSED_MAX = 2, KEPT_FROM = 100 };

static struct {
    char **program;
    const char *pass, *watchdog;
    bool is_abstract, is_later;
    char notify[108];
    int told; /* the datagram socket */
    int signals;
    int passed[PASSED_MAX];
    int passed_count;
    pid_t pid; /* 0: it does not run */
    bool is_again;
    pid_t stuck; /* a thread */
} self;

static void die(const char *what)
{
    fprintf(stderr, "weir-supervisor: %s: %s\n", what, strerrordesc_np(errno));
    exit(125);
}

/* ---- sockets ---- */

static int ip_socket(int type, bool is_listening)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 ||
        (is_listening && listen(fd, 4096) < 0) ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        die("a socket to pass");
    printf("{\"port\":%u}\n", ntohs(address.sin_port));
    return fd;
}

static int unix_socket(void)
{
    struct sockaddr_un nameless = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&nameless, sizeof(sa_family_t)) < 0 ||
        listen(fd, 16) < 0)
        die("a Unix socket to pass");
    return fd;
}

static int make_socket(const char *kind)
{
    if (strcmp(kind, "listening") == 0)
        return ip_socket(SOCK_STREAM, true);
    if (strcmp(kind, "bound") == 0)
        return ip_socket(SOCK_STREAM, false);
    if (strcmp(kind, "udp") == 0)
        return ip_socket(SOCK_DGRAM, false);
    if (strcmp(kind, "unix") == 0)
        return unix_socket();
    if (strcmp(kind, "file") == 0)
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    errno = EINVAL;
    die(kind);
    return -1;
}

/* Kept above all numbers that are passed, so that dup2() to these never meets one of them. */
static void keep(int fd)
{
    self.passed[self.passed_count++] = fcntl(fd, F_DUPFD_CLOEXEC, KEPT_FROM);
    close(fd);
}

static void make_passed(void)
{
    if (self.pass == NULL)
        return;
    if (strcmp(self.pass, "two") != 0) {
        keep(make_socket(self.pass));
        return;
    }
    keep(make_socket("listening"));
    keep(make_socket("listening"));
}

static void make_told(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int one = 1;
    snprintf(self.notify, sizeof(self.notify), "%s/notify-%d", self.is_abstract ? "@weir" : "/tmp",
             getpid());
    memcpy(address.sun_path, self.notify, strlen(self.notify));
    if (self.is_abstract)
        address.sun_path[0] = '\0';
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(self.notify));
    self.told = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (self.told < 0 || bind(self.told, (struct sockaddr *)&address, len) < 0)
        die("the socket to be told by");
    setsockopt(self.told, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one));
}

/* ---- what it is told ---- */

static void print_text(const char *at, size_t len)
{
    putchar('"');
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)at[i];
        if (c < ' ' || c == '"' || c == '\\' || c > '~')
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static bool read_told(void)
{
    char text[4096];
    union {
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr aligned;
    } control;
    struct iovec part = {text, sizeof(text)};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof(control.bytes)};
    struct ucred who = {0};
    ssize_t n = recvmsg(self.told, &m, MSG_CMSG_CLOEXEC);
    if (n < 0)
        return false;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c != NULL && c->cmsg_type == SCM_CREDENTIALS)
        memcpy(&who, CMSG_DATA(c), sizeof(who));
    printf("{\"told\":");
    print_text(text, (size_t)n);
    if (who.pid != self.pid)
        printf(",\"by\":%d", who.pid);
    printf("}\n");
    return true;
}

/* ---- the program ---- */

static void become_program(pid_t parent)
{
    char number[16];
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(126);
    for (int i = 0; i < self.passed_count; i++)
        dup2(self.passed[i], FIRST_PASSED + i);
    setenv("NOTIFY_SOCKET", self.notify, 1);
    snprintf(number, sizeof(number), "%d", getpid());
    if (self.watchdog != NULL) {
        setenv("WATCHDOG_USEC", self.watchdog, 1);
        setenv("WATCHDOG_PID", number, 1);
    }
    if (self.passed_count > 0) {
        setenv("LISTEN_PID", number, 1);
        snprintf(number, sizeof(number), "%d", self.passed_count);
        setenv("LISTEN_FDS", number, 1);
        setenv("LISTEN_FDNAMES", self.passed_count == 1 ? "weir.socket" : "one:two", 1);
    }
    execv(self.program[0], self.program);
    die(self.program[0]);
}

static void start(void)
{
    pid_t parent = getpid();
    fflush(stdout);
    self.pid = fork();
    if (self.pid < 0)
        die("fork");
    if (self.pid == 0)
        become_program(parent);
    printf("{\"started\":%d}\n", self.pid);
}

/* ---- one thread that stands still ---- */

/* The last that was made: a node makes those of its workers after all others. */
static pid_t newest_thread(void)
{
    char path[64];
    pid_t newest = 0;
    snprintf(path, sizeof(path), "/proc/%d/task", self.pid);
    DIR *dir = opendir(path);
    if (dir == NULL)
        die(path);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10); /* "." and "..": 0 */
        newest = tid > newest ? tid : newest;
    }
    closedir(dir);
    return newest;
}

static void toggle_stuck(void)
{
    if (self.stuck != 0) {
        ptrace(PTRACE_DETACH, self.stuck, NULL, NULL);
        printf("{\"freed\":%d}\n", self.stuck);
        self.stuck = 0;
        return;
    }
    self.stuck = newest_thread();
    if (ptrace(PTRACE_SEIZE, self.stuck, NULL, NULL) < 0 ||
        ptrace(PTRACE_INTERRUPT, self.stuck, NULL, NULL) < 0 ||
        waitpid(self.stuck, NULL, __WALL) != self.stuck)
        die("ptrace");
    printf("{\"stuck\":%d}\n", self.stuck);
}

/* ---- what happens ---- */

/* False: it is over. */
static bool on_ended(int *status)
{
    if (self.pid == 0 || waitpid(self.pid, status, WNOHANG) != self.pid)
        return true;
    while (read_told())
        continue;
    *status = WIFEXITED(*status) ? WEXITSTATUS(*status) : 128 + WTERMSIG(*status);
    printf("{\"ended\":%d}\n", *status);
    self.pid = 0;
    if (!self.is_again)
        return false;
    self.is_again = false;
    start();
    return true;
}

static bool on_signal(int *status)
{
    struct signalfd_siginfo info;
    if (read(self.signals, &info, sizeof(info)) != sizeof(info))
        return true;
    int signal = (int)info.ssi_signo;
    if (signal == SIGCHLD)
        return on_ended(status);
    if (signal == SIGUSR1 && self.pid == 0) {
        start();
    } else if (signal == SIGUSR1) {
        self.is_again = true;
        kill(self.pid, SIGTERM);
    } else if (signal == SIGUSR2) {
        toggle_stuck();
    } else if (self.pid == 0) {
        return false; /* asked to leave before there was anything */
    } else {
        self.is_again = false;
        kill(self.pid, signal);
    }
    return true;
}

static int look_after(void)
{
    int status = 0;
    struct pollfd on[] = {{.fd = self.told, .events = POLLIN},
                          {.fd = self.signals, .events = POLLIN}};
    bool is_going_on = true;
    while (is_going_on) {
        fflush(stdout);
        if (poll(on, 2, -1) < 0)
            continue;
        while (read_told())
            continue;
        if (on[1].revents != 0)
            is_going_on = on_signal(&status);
    }
    return status;
}

static void take_signals(void)
{
    static const int taken[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        sigaddset(&set, taken[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    self.signals = signalfd(-1, &set, SFD_CLOEXEC);
}

static void read_arguments(char **at)
{
    for (at++; *at != NULL && (*at)[0] == '-'; at++) {
        if (strcmp(*at, "--abstract") == 0)
            self.is_abstract = true;
        else if (strcmp(*at, "--later") == 0)
            self.is_later = true;
        else if (strcmp(*at, "--watchdog-usec") == 0 && at[1] != NULL)
            self.watchdog = *++at;
        else if (strcmp(*at, "--pass") == 0 && at[1] != NULL)
            self.pass = *++at;
    }
    self.program = at;
    errno = EINVAL;
    if (*at == NULL)
        die("no program");
}

int main(int argc, char **argv)
{
    (void)argc;
    read_arguments(argv);
    take_signals();
    make_told();
    make_passed();
    if (!self.is_later)
        start();
    int status = look_after();
    if (!self.is_abstract)
        unlink(self.notify);
    return status;
}
