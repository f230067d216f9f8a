/* redis_server.h - a real redis-server for one test: in a folder of its own under /tmp, on a Unix
 * socket, killed by its process id when the test ends, however it ends. */
#pragma once
#include "command.h"
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SERVER_OPTIONS_MAX = 16, SERVER_START_MS = 10000 };

struct redis_server {
    char dir[64];
    char socket[96];
    char url[128];
    const char *options[SERVER_OPTIONS_MAX]; /* NULL-terminated, as on a command line */
    pid_t pid;
    redisContext *direct; /* for the test's own questions; blocking */
};

static struct redis_server *server_newest;

static inline void server_kill(struct redis_server *server)
{
    if (server->direct != NULL)
        redisFree(server->direct);
    server->direct = NULL;
    if (server->pid <= 0)
        return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

/* Stopped for sure when this returns; kill(pid, SIGCONT) lets it go on. */
static inline void server_pause(struct redis_server *server)
{
    kill(server->pid, SIGSTOP);
    waitpid(server->pid, NULL, WUNTRACED);
}

static inline void server_at_exit(void)
{
    if (server_newest != NULL)
        server_kill(server_newest);
}

static inline void server_exec(const struct redis_server *server)
{
    const char *argv[16 + SERVER_OPTIONS_MAX] = {
        "redis-server", "--port", "0", "--unixsocket", server->socket, "--dir",
        server->dir,    "--save", "",  "--logfile",    "redis.log",    "--appendfsync",
        "everysec"};
    size_t n = 13;
    for (size_t i = 0; server->options[i] != NULL; i++)
        argv[n++] = server->options[i];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    union {
        const char **in;
        char *const *out;
    } arguments = {.in = argv};
    execvp(argv[0], arguments.out);
    _exit(127);
}

static inline bool server_answers(struct redis_server *server)
{
    struct timeval wait = {.tv_sec = 2};
    redisContext *c = redisConnectUnixWithTimeout(server->socket, wait);
    redisReply *reply = c != NULL && c->err == 0 ? redisCommand(c, "PING") : NULL;
    bool answers = reply != NULL && reply->type != REDIS_REPLY_ERROR;
    bool needs_password =
        reply != NULL && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOAUTH", 6) == 0;
    if (reply != NULL)
        freeReplyObject(reply);
    if (answers)
        server->direct = c;
    else if (c != NULL)
        redisFree(c);
    return answers || needs_password;
}

/* Start it, or start it again with the data it had. */
static inline void server_run(struct redis_server *server)
{
    struct timespec nap = {.tv_nsec = 5000000};
    server->pid = fork();
    if (server->pid == 0)
        server_exec(server);
    for (int left_ms = SERVER_START_MS; left_ms > 0; left_ms -= 5) {
        if (server_answers(server))
            return;
        nanosleep(&nap, NULL);
    }
    fprintf(stderr, "redis-server did not start; see %s/redis.log\n", server->dir);
    exit(EXIT_FAILURE);
}

/* options: up to 15 words, NULL-terminated, borrowed; or NULL. */
static inline void server_start(struct redis_server *server, const char *const *options)
{
    memset(server, 0, sizeof(*server));
    for (size_t i = 0; options != NULL && options[i] != NULL && i + 1 < SERVER_OPTIONS_MAX; i++)
        server->options[i] = options[i];
    snprintf(server->dir, sizeof(server->dir), "/tmp/weir-redis-XXXXXX");
    if (mkdtemp(server->dir) == NULL) {
        perror("mkdtemp");
        exit(EXIT_FAILURE);
    }
    snprintf(server->socket, sizeof(server->socket), "%s/s", server->dir);
    snprintf(server->url, sizeof(server->url), "unix://%s", server->socket);
    if (server_newest == NULL)
        atexit(server_at_exit);
    server_newest = server;
    server_run(server);
}

static inline void server_stop(struct redis_server *server)
{
    server_kill(server);
    server_newest = NULL;
    if (!remove_all(server->dir))
        fprintf(stderr, "could not remove %s\n", server->dir);
}

/* ---- direct questions; a failed one ends the test ---- */

static inline redisReply *server_ask(struct redis_server *server, const char *const *words)
{
    int count = 0;
    union {
        const char *const *in;
        const char **out;
    } arguments = {.in = words};
    while (words[count] != NULL)
        count++;
    redisReply *reply = redisCommandArgv(server->direct, count, arguments.out, NULL);
    if (reply == NULL) {
        fprintf(stderr, "redis-server did not answer %s\n", words[0]);
        exit(EXIT_FAILURE);
    }
    return reply;
}

#define SERVER_ASK(server, ...) server_ask((server), (const char *const[]){__VA_ARGS__, NULL})

/* For commands whose answer does not matter. */
#define SERVER_DO(server, ...) freeReplyObject(SERVER_ASK(server, __VA_ARGS__))

/* An integer, or a decimal string; -1 for nil and all else. */
static inline long long server_number(redisReply *reply)
{
    long long number = -1;
    if (reply->type == REDIS_REPLY_INTEGER)
        number = reply->integer;
    else if (reply->type == REDIS_REPLY_STRING)
        number = strtoll(reply->str, NULL, 10);
    freeReplyObject(reply);
    return number;
}

#define SERVER_NUMBER(server, ...) server_number(SERVER_ASK(server, __VA_ARGS__))
