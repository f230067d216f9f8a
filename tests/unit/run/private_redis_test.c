#include "run/private_redis.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "format/redis_url.h"
#include "net/redis/link.h"
#include "redis_server.h"
#include "run_until.h"

static struct loop *loop;
static char dir[64];

static struct private_redis *start(const char *state_dir)
{
    char *why = NULL;
    struct private_redis *server = private_redis_start(loop, state_dir, &why);
    if (server == NULL)
        fprintf(stderr, "not started: %s\n", why);
    CHECK(server != NULL);
    if (server == NULL)
        exit(check_done());
    return server;
}

/* A blocking connection of the test's own. */
static redisContext *connect_to(const struct private_redis *server)
{
    struct timeval wait = {.tv_sec = 2};
    redisContext *c = redisConnectUnixWithTimeout(private_redis_url(server)->path, wait);
    CHECK(c != NULL && c->err == 0);
    return c;
}

static long long number_of(redisContext *c, const char *command)
{
    redisReply *reply = redisCommand(c, command); /* a constant of this file */
    return reply == NULL ? -1 : server_number(reply);
}

static pid_t process_of(redisContext *c)
{
    redisReply *reply = redisCommand(c, "INFO server");
    const char *line = strstr(reply->str, "process_id:");
    pid_t pid = (pid_t)strtol(line + strlen("process_id:"), NULL, 10);
    freeReplyObject(reply);
    return pid;
}

static void refuses(const char *state_dir, const char *words)
{
    char *why = NULL;
    struct private_redis *server = private_redis_start(loop, state_dir, &why);
    CHECK(server == NULL);
    CHECK(why != NULL && strstr(why, words) != NULL);
    if (why != NULL && strstr(why, words) == NULL)
        fprintf(stderr, "%s\n", why);
    free(why);
    private_redis_stop(server);
}

/* ---- */

static void keeps_data(void)
{
    char path[96];
    struct stat st;
    struct private_redis *server = start(dir);
    redisContext *c = connect_to(server);
    CHECK(number_of(c, "INCR kept") == 1);
    pid_t pid = process_of(c);
    redisFree(c);
    snprintf(path, sizeof(path), "%s/redis.sock", dir);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0700);
    private_redis_stop(server);
    CHECK(kill(pid, 0) != 0);
    CHECK(stat(path, &st) != 0);

    server = start(dir);
    c = connect_to(server);
    CHECK(number_of(c, "INCR kept") == 2);
    redisFree(c);
    private_redis_stop(server);
}

static void locked(void)
{
    struct private_redis *server = start(dir);
    refuses(dir, "is in use by another node");
    refuses(dir, dir);
    private_redis_stop(server);
}

static void restarted(void)
{
    struct redis_events no_events = {0};
    struct private_redis *server = start(dir);
    redisContext *c = connect_to(server);
    struct redis *redis = redis_new(loop, private_redis_url(server), &no_events, NULL);
    RUN_UNTIL(loop, redis_is_up(redis));
    long long before = number_of(c, "INCR kept");
    kill(process_of(c), SIGKILL);
    redisFree(c);
    RUN_UNTIL(loop, !redis_is_up(redis));
    RUN_UNTIL(loop, redis_is_up(redis));
    c = connect_to(server);
    CHECK(number_of(c, "INCR kept") == before + 1);
    redisFree(c);
    redis_free(redis);
    private_redis_stop(server);
}

/* A node in a process of its own, killed outright. */
static void never_outlives(void)
{
    int ends[2];
    pid_t redis = 0;
    CHECK(pipe(ends) == 0);
    pid_t node = fork();
    if (node == 0) {
        redisContext *c = connect_to(start(dir));
        pid_t pid = process_of(c);
        if (write(ends[1], &pid, sizeof(pid)) == sizeof(pid))
            pause();
        _exit(1);
    }
    CHECK(read(ends[0], &redis, sizeof(redis)) == sizeof(redis) && redis > 0);
    CHECK(kill(redis, 0) == 0);
    kill(node, SIGKILL);
    waitpid(node, NULL, 0);
    struct private_redis *server = start(dir); /* at once, with the same directory */
    redisContext *c = connect_to(server);
    CHECK(process_of(c) != redis);
    redisFree(c);
    private_redis_stop(server);
    close(ends[0]);
    close(ends[1]);
}

static void fake_program(const char *name, const char *output)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    fprintf(file, "#!/bin/sh\necho '%s'\n", output);
    fclose(file);
    chmod(path, 0755);
}

static void explains(void)
{
    const char *set = getenv("PATH");
    char path[4096];
    snprintf(path, sizeof(path), "%s", set != NULL ? set : "");
    char long_dir[192];
    setenv("PATH", "", 1);
    refuses(dir, "install it");
    setenv("PATH", dir, 1);
    fake_program("redis-server", "Redis server v=6.2.7 sha=00000000:0");
    refuses(dir, "is version 6.2.7, but Redis 7 or newer is needed");
    fake_program("redis-server", "hello");
    refuses(dir, "no version of Redis");
    setenv("PATH", path, 1);

    snprintf(long_dir, sizeof(long_dir), "%s/%0100d", dir, 0);
    refuses(long_dir, "too long for a Unix socket");
    refuses("/proc/weir", "cannot make the state directory");
    refuses("", "empty");
}

static void deep_directory(void)
{
    char deep[96];
    struct stat st;
    snprintf(deep, sizeof(deep), "%s/a/b%%c?d", dir);
    struct private_redis *server = start(deep);
    struct redis_events no_events = {0};
    struct redis *redis = redis_new(loop, private_redis_url(server), &no_events, NULL);
    RUN_UNTIL(loop, redis_is_up(redis));
    CHECK(stat(deep, &st) == 0 && (st.st_mode & 0777) == 0700);
    redis_free(redis);
    private_redis_stop(server);
}

int main(void)
{
    loop = loop_new();
    snprintf(dir, sizeof(dir), "/tmp/weir-state-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return EXIT_FAILURE;
    PROMISE("a private server keeps its data over a stop and a start") keeps_data();
    PROMISE("a second node with the same directory is refused, by name") locked();
    PROMISE("a private server that dies is started again, with its data") restarted();
    PROMISE("a private server never outlives its node") never_outlives();
    PROMISE("what is missing is said in words that help") explains();
    PROMISE("the state directory is made, for the owner only") deep_directory();
    if (!remove_all(dir))
        fprintf(stderr, "could not remove %s\n", dir);
    loop_free(loop);
    return check_done();
}
