/* A supervisor in this process: a datagram socket of its own, variables as it would set them. */
#include "run/supervisor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "check.h"

static char why[SUPERVISOR_WHY_MAX];
static char text[4096];

static void set(const char *name, const char *value)
{
    setenv(name, value, 1);
}

static void set_pid(const char *name, pid_t pid)
{
    char number[16];
    snprintf(number, sizeof(number), "%d", pid);
    set(name, number);
}

static int listen_as(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, name, strlen(name));
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    CHECK(bind(fd, (struct sockaddr *)&address,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))) == 0);
    return fd;
}

static const char *heard(int fd)
{
    ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* Puts a socket where one that is passed stands. */
static uint16_t pass_listener(int at)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, 8) == 0);
    getsockname(fd, (struct sockaddr *)&address, &len);
    if (fd != at) {
        dup2(fd, at);
        close(fd);
    }
    return ntohs(address.sin_port);
}

static void tells(const char *name)
{
    struct supervisor s;
    int fd = listen_as(name);
    set("NOTIFY_SOCKET", name);
    CHECK(supervisor_meet(&s, why));
    CHECK(getenv("NOTIFY_SOCKET") == NULL);
    CHECK(strcmp(heard(fd), "") == 0);
    supervisor_tell(&s, "READY=1\nSTATUS=%s", "fine");
    CHECK(strcmp(heard(fd), "READY=1\nSTATUS=fine") == 0);
    char *longest = malloc(5000);
    memset(longest, 'x', 4999);
    longest[4999] = '\0';
    supervisor_tell(&s, "STATUS=%s", longest);
    CHECK(strlen(heard(fd)) == SUPERVISOR_TEXT_MAX - 1);
    free(longest);
    supervisor_close(&s);
    supervisor_tell(&s, "READY=1");
    CHECK(strcmp(heard(fd), "") == 0);
    close(fd);
}

static void does_not_wait_long(void)
{
    struct supervisor s;
    int fd = listen_as("@weir-unit-full");
    set("NOTIFY_SOCKET", "@weir-unit-full");
    CHECK(supervisor_meet(&s, why));
    while (!s.is_failing && clock_ms() > 0)
        supervisor_tell(&s, "STATUS=again");
    heard(fd);
    supervisor_tell(&s, "STATUS=there is room");
    CHECK(!s.is_failing);
    supervisor_close(&s);
    close(fd);
}

static uint64_t watchdog(const char *usec, pid_t pid)
{
    struct supervisor s;
    set("NOTIFY_SOCKET", "@weir-unit-nobody");
    set("WATCHDOG_USEC", usec);
    set_pid("WATCHDOG_PID", pid);
    CHECK(supervisor_meet(&s, why));
    CHECK(getenv("WATCHDOG_USEC") == NULL && getenv("WATCHDOG_PID") == NULL);
    uint64_t ms = s.watchdog_ms;
    supervisor_close(&s);
    return ms;
}

static bool passed(struct supervisor *s, const char *count, pid_t pid)
{
    set("LISTEN_FDS", count);
    set_pid("LISTEN_PID", pid);
    set("LISTEN_FDNAMES", "weir.socket:other");
    why[0] = '\0';
    bool is_fine = supervisor_meet(s, why);
    CHECK(getenv("LISTEN_FDS") == NULL && getenv("LISTEN_PID") == NULL &&
          getenv("LISTEN_FDNAMES") == NULL);
    return is_fine;
}

static void telling(void)
{
    struct supervisor s;
    char path[64];
    PROMISE("without a supervisor there is nothing, and nothing happens")
    {
        CHECK(supervisor_meet(&s, why));
        CHECK(s.fd == -1 && s.watchdog_ms == 0 && s.listener == -1);
        supervisor_tell(&s, "READY=1");
        supervisor_close(&s);
    }
    PROMISE("it is told by a path and by an abstract name; the variable is gone")
    {
        snprintf(path, sizeof(path), "/tmp/weir-unit-%d", getpid());
        tells(path);
        unlink(path);
        tells("@weir-unit");
    }
    PROMISE("names that are neither are not used")
    {
        set("NOTIFY_SOCKET", "vsock:2:1234");
        CHECK(supervisor_meet(&s, why) && s.fd == -1);
        char *longest = calloc(1, 200);
        memset(longest, '/', 199);
        set("NOTIFY_SOCKET", longest);
        CHECK(supervisor_meet(&s, why) && s.fd == -1);
        free(longest);
    }
    PROMISE("one that does not read is not waited for, and heard of again when it does")
    {
        does_not_wait_long();
    }
    PROMISE("a watchdog is this process's own, and a time that can be one")
    {
        CHECK(watchdog("30000000", getpid()) == 30000);
        CHECK(watchdog("30000000", getppid()) == 0);
        CHECK(watchdog("999", getpid()) == 0);
        CHECK(watchdog("soon", getpid()) == 0);
        CHECK(watchdog("99999999999999999999", getpid()) == 0);
    }
}

static void taking(void)
{
    struct supervisor s;
    PROMISE("one listening socket is taken, ready for a loop and closed for children")
    {
        uint16_t port = pass_listener(3);
        CHECK(passed(&s, "1", getpid()));
        CHECK(s.listener == 3 && s.port == port);
        CHECK(fcntl(3, F_GETFL) & O_NONBLOCK);
        CHECK(fcntl(3, F_GETFD) & FD_CLOEXEC);
        supervisor_close(&s);
        CHECK(fcntl(3, F_GETFD) < 0);
    }
    PROMISE("sockets of another process are not touched")
    {
        pass_listener(3);
        CHECK(passed(&s, "1", getppid()));
        CHECK(s.listener == -1 && fcntl(3, F_GETFD) == 0);
        supervisor_close(&s);
        close(3);
    }
}

static void refusing(void)
{
    struct supervisor s;
    PROMISE("what cannot be a door is refused in words")
    {
        pass_listener(3);
        pass_listener(4);
        CHECK(!passed(&s, "2", getpid()));
        CHECK(strstr(why, "2 sockets") != NULL && strstr(why, "weir.socket:other") != NULL);
        supervisor_close(&s);
        CHECK(!passed(&s, "many", getpid()));
        CHECK(strstr(why, "'many'") != NULL);
        close(3);
        close(4);
        CHECK(!passed(&s, "1", getpid()));
        CHECK(strstr(why, "is no socket") != NULL);
        CHECK(passed(&s, "0", getpid()) && s.listener == -1);
    }
}

int main(void)
{
    telling();
    taking();
    refusing();
    return check_done();
}
