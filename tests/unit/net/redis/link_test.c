#include "net/redis/link.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/metrics.h"
#include "net/redis/judge.h"
#include "net/redis/value.h"
#include "redis_server.h"
#include "redis_url_of.h"
#include "run_until.h"

static struct loop *loop;
static struct redis_server server;

struct link {
    struct redis *redis;
    unsigned ups, downs;
};

static void on_up(void *arg)
{
    ((struct link *)arg)->ups++;
}

static void on_down(void *arg)
{
    ((struct link *)arg)->downs++;
}

static void open_url(struct link *link, const char *url, struct metrics *metrics)
{
    struct redis_events events = {.on_up = on_up, .on_down = on_down, .arg = link};
    *link = (struct link){0};
    struct redis_url parsed = redis_url_of(url);
    link->redis = redis_new(loop, &parsed, &events, metrics);
    redis_url_fini(&parsed); /* it has a copy */
}

static void open_link(struct link *link)
{
    open_url(link, server.url, NULL);
    RUN_UNTIL(loop, redis_is_up(link->redis));
}

struct call {
    unsigned fired;
    enum err err;
    bool is_error;
    uint64_t number;
    char text[128];
};

static void on_reply(enum err err, const struct redis_value *reply, void *arg)
{
    struct call *call = arg;
    call->fired++;
    call->err = err;
    call->is_error = redis_value_is_error(reply);
    call->number = redis_value_number(reply);
    snprintf(call->text, sizeof(call->text), "%.*s", SLICE_ARG(redis_value_slice(reply)));
}

static void ask(struct link *link, struct call *call, const char *a, const char *b)
{
    const struct slice args[] = {slice_of(a), slice_of(b)};
    *call = (struct call){0};
    redis_call(link->redis, args, b[0] != '\0' ? 2 : 1, on_reply, call);
    CHECK(call->fired == 0);
}

static void check_failed(const struct call *calls, size_t count)
{
    size_t failed = 0, once = 0;
    for (size_t i = 0; i < count; i++) {
        failed += calls[i].err == ERR_STATE_DOWN;
        once += calls[i].fired == 1;
    }
    CHECK(failed == count);
    CHECK(once == count);
}

static bool says(const struct link *link, const char *words)
{
    char text[512];
    snprintf(text, sizeof(text), "%.*s", SLICE_ARG(redis_last_error(link->redis)));
    return strstr(text, words) != NULL;
}

/* ---- */

static void answers(void)
{
    static struct call calls[20000];
    enum { COUNT = sizeof(calls) / sizeof(calls[0]) };
    struct link link;
    struct metrics metrics = {0};
    size_t right = 0;
    open_url(&link, server.url, &metrics);
    RUN_UNTIL(loop, redis_is_up(link.redis));
    CHECK(link.ups == 1 && link.downs == 0);
    CHECK(metrics_gauge(&metrics, 1, GAUGE_REDIS_UP) == 1);
    for (int i = 0; i < COUNT; i++)
        ask(&link, &calls[i], "INCR", "counter");
    RUN_UNTIL(loop, calls[COUNT - 1].fired > 0);
    for (int i = 0; i < COUNT; i++)
        right += calls[i].fired == 1 && calls[i].err == OK && calls[i].number == (uint64_t)i + 1;
    CHECK(right == COUNT);
    CHECK(metrics_counter(&metrics, 1, COUNT_REDIS_CALLS) == COUNT);
    redis_free(link.redis);
    CHECK(metrics_gauge(&metrics, 1, GAUGE_REDIS_UP) == 0);
}

static void errors(void)
{
    struct link link;
    struct call call;
    open_link(&link);
    ask(&link, &call, "ECHO", "a b\r\nc");
    RUN_UNTIL(loop, call.fired > 0);
    CHECK(call.err == OK && strcmp(call.text, "a b\r\nc") == 0);
    ask(&link, &call, "HGET", "counter");
    RUN_UNTIL(loop, call.fired > 0);
    CHECK(call.err == ERR_REPLY && call.is_error);
    CHECK(redis_is_up(link.redis));
    redis_free(link.redis);
}

/* A callback that asks again from inside: nothing is answered before the call returns. */
struct chain {
    struct link link;
    unsigned left;
    struct call last;
};

static void on_chain(enum err err, const struct redis_value *reply, void *arg)
{
    struct chain *chain = arg;
    const struct slice ping = SLICE("PING");
    (void)reply;
    CHECK(err == OK || err == ERR_STATE_DOWN);
    if (chain->left > 0 && --chain->left > 0)
        redis_call(chain->link.redis, &ping, 1, on_chain, chain);
    else
        ask(&chain->link, &chain->last, "PING", "");
}

static void once_at_the_end(void)
{
    static struct call calls[500], later;
    struct chain chain = {.left = 3};
    open_link(&chain.link);
    server_pause(&server);
    for (int i = 0; i < 500; i++)
        ask(&chain.link, &calls[i], "PING", "");
    redis_call(chain.link.redis, &SLICE("PING"), 1, on_chain, &chain);
    run_turn(loop);
    server_kill(&server);
    RUN_UNTIL(loop, chain.link.downs > 0 && chain.last.fired > 0);
    check_failed(calls, 500);
    CHECK(chain.left == 0 && chain.last.fired == 1);
    CHECK(!redis_is_up(chain.link.redis));
    ask(&chain.link, &later, "PING", "");
    RUN_UNTIL(loop, later.fired > 0);
    check_failed(&later, 1);

    server_run(&server);
    RUN_UNTIL(loop, redis_is_up(chain.link.redis));
    ask(&chain.link, &later, "PING", "");
    RUN_UNTIL(loop, later.fired > 0);
    CHECK(later.err == OK);
    CHECK(chain.link.downs == 1 && chain.link.ups == 2);
    redis_free(chain.link.redis);
}

static void freed_with_calls_open(void)
{
    static struct call calls[100];
    struct link link;
    open_link(&link);
    for (int i = 0; i < 100; i++)
        ask(&link, &calls[i], "PING", "");
    redis_free(link.redis);
    check_failed(calls, 100);
    CHECK(link.downs == 0);
}

static void deadline(void)
{
    static struct call calls[10];
    struct link link;
    open_link(&link);
    server_pause(&server);
    uint64_t since_ms = clock_ms();
    for (int i = 0; i < 10; i++)
        ask(&link, &calls[i], "PING", "");
    RUN_UNTIL(loop, calls[9].fired > 0);
    CHECK(clock_ms() - since_ms >= REDIS_CALL_TIMEOUT_MS);
    check_failed(calls, 10);
    CHECK(link.downs == 1 && says(&link, "no answer within"));
    kill(server.pid, SIGCONT);
    RUN_UNTIL(loop, redis_is_up(link.redis));
    redis_free(link.redis);
}

/* Nobody calls, and still it is noticed. */
static void quiet(void)
{
    struct link link;
    open_link(&link);
    server_pause(&server);
    RUN_UNTIL(loop, link.downs > 0);
    CHECK(says(&link, "no answer within"));
    kill(server.pid, SIGCONT);
    RUN_UNTIL(loop, redis_is_up(link.redis));
    redis_free(link.redis);
}

/* The answer came while this process stood still: that is no reason to drop the connection. */
static void stood_still(void)
{
    struct link link;
    struct call call;
    open_link(&link);
    ask(&link, &call, "PING", "");
    pid_t self = getpid(), child = fork();
    if (child == 0) {
        struct timespec nap = {.tv_sec = 3};
        kill(self, SIGSTOP);
        nanosleep(&nap, NULL);
        kill(self, SIGCONT);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    RUN_UNTIL(loop, call.fired > 0);
    CHECK(call.err == OK && link.downs == 0);
    redis_free(link.redis);
}

static void nobody_there(void)
{
    struct link link;
    struct call call;
    open_url(&link, "unix:///tmp/weir-there-is-nothing-here", NULL);
    RUN_UNTIL(loop, link.downs > 0);
    CHECK(says(&link, "No such file"));
    ask(&link, &call, "PING", "");
    RUN_UNTIL(loop, call.fired > 0);
    check_failed(&call, 1);
    CHECK(link.downs == 1 && link.ups == 0);
    redis_free(link.redis);
}

static void passwords(void)
{
    struct link link;
    char url[256];
    SERVER_DO(&server, "ACL", "SETUSER", "bob", "on", ">hush", "~*", "+@all");
    SERVER_DO(&server, "CONFIG", "SET", "requirepass", "quiet");
    static const struct {
        const char *credentials, *error;
    } cases[] = {{"bob:hush@", NULL},
                 {":quiet@", NULL},
                 {"bob:wrong@", "refused the user name or password"},
                 {":wrong@", "refused the user name or password"},
                 {"", "wants a password"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(url, sizeof(url), "unix://%s%s?db=1", cases[i].credentials, server.socket);
        open_url(&link, url, NULL);
        RUN_UNTIL(loop, link.ups + link.downs > 0);
        CHECK(redis_is_up(link.redis) == (cases[i].error == NULL));
        CHECK(cases[i].error == NULL || says(&link, cases[i].error));
        CHECK(!says(&link, "wrong@") && !says(&link, "hush"));
        redis_free(link.redis);
    }
    SERVER_DO(&server, "CONFIG", "SET", "requirepass", "");
}

static void database(void)
{
    struct link link;
    struct call call;
    char url[256];
    snprintf(url, sizeof(url), "%s?db=7", server.url);
    open_url(&link, url, NULL);
    RUN_UNTIL(loop, redis_is_up(link.redis));
    ask(&link, &call, "INCR", "here");
    RUN_UNTIL(loop, call.fired > 0);
    SERVER_DO(&server, "SELECT", "7");
    CHECK(SERVER_NUMBER(&server, "GET", "here") == 1);
    SERVER_DO(&server, "SELECT", "0");
    redis_free(link.redis);

    snprintf(url, sizeof(url), "%s?db=9999", server.url);
    open_url(&link, url, NULL);
    RUN_UNTIL(loop, link.downs > 0);
    CHECK(says(&link, "database 9999 cannot be used"));
    redis_free(link.redis);
}

static void replica(void)
{
    struct link link;
    struct call call, second;
    open_link(&link);
    SERVER_DO(&server, "REPLICAOF", "127.0.0.1", "1");
    ask(&link, &call, "INCR", "counter");
    ask(&link, &second, "PING", "");
    RUN_UNTIL(loop, link.downs > 0);
    check_failed(&call, 1);
    check_failed(&second, 1);
    RUN_UNTIL(loop, says(&link, "replica, not a master"));
    CHECK(!redis_is_up(link.redis));
    SERVER_DO(&server, "REPLICAOF", "NO", "ONE");
    RUN_UNTIL(loop, redis_is_up(link.redis));
    CHECK(link.downs == 1 && link.ups == 2);
    redis_free(link.redis);
}

static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&address, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        exit(EXIT_FAILURE);
    close(fd);
    return ntohs(address.sin_port);
}

static void over_tcp(void)
{
    struct link link;
    struct call call;
    char port[16], url[64];
    snprintf(port, sizeof(port), "%d", free_port());
    snprintf(url, sizeof(url), "redis://localhost:%s", port);
    open_url(&link, url, NULL);
    RUN_UNTIL(loop, link.downs > 0);
    SERVER_DO(&server, "CONFIG", "SET", "bind", "127.0.0.1");
    SERVER_DO(&server, "CONFIG", "SET", "port", port);
    RUN_UNTIL(loop, redis_is_up(link.redis));
    ask(&link, &call, "PING", "");
    RUN_UNTIL(loop, call.fired > 0);
    CHECK(call.err == OK);
    redis_free(link.redis);
}

static bool is_fit(const char *info, char *why)
{
    char copy[256];
    snprintf(copy, sizeof(copy), "%s", info);
    redisReply reply = {.type = copy[0] == '-' ? REDIS_REPLY_ERROR : REDIS_REPLY_STRING,
                        .str = copy[0] == '-' ? copy + 1 : copy};
    reply.len = strlen(reply.str);
    why[0] = '\0';
    return redis_reply_is_fit(redis_value_of(&reply), why);
}

static void judged(void)
{
    char why[REDIS_WHY_MAX];
    CHECK(is_fit("redis_version:7.0.15\r\nloading:0\r\nrole:master\r\n", why));
    CHECK(is_fit("redis_version:7.2.4\r\nvalkey_version:8.0.1\r\nrole:master\r\n", why));
    CHECK(is_fit("-NOPERM this user has no permissions", why));
    CHECK(!is_fit("redis_version:6.2.7\r\nrole:master\r\n", why));
    CHECK(strstr(why, "Redis 7 or newer is needed") != NULL && strstr(why, "6.2.7") != NULL);
    CHECK(!is_fit("redis_version:7.0.0\r\nloading:1\r\nrole:master\r\n", why));
    CHECK(strstr(why, "loading") != NULL);
    CHECK(!is_fit("redis_version:7.0.0\r\nrole:slave\r\n", why));
    CHECK(!is_fit("-LOADING Redis is loading the dataset in memory", why));
    CHECK(!is_fit("-NOAUTH Authentication required.", why));
    CHECK(strstr(why, "password") != NULL);
}

static void test_calls(void)
{
    PROMISE("calls are answered in order, and never before they return") answers();
    PROMISE("any bytes are sent, and an error is an answer") errors();
    PROMISE("every call is answered exactly once when the server dies, and the link comes back")
    once_at_the_end();
    PROMISE("freeing the link answers what is open") freed_with_calls_open();
    PROMISE("a call without answer ends the connection at its deadline") deadline();
    PROMISE("a server that stopped answering is noticed though nobody calls") quiet();
    PROMISE("a process that stood still does not blame Redis") stood_still();
}

static void test_servers(void)
{
    PROMISE("a server that is not there is told of once") nobody_there();
    PROMISE("user and password are sent, and never repeated in an error") passwords();
    PROMISE("the database of the URL is used") database();
    PROMISE("a replica is no server to work with") replica();
    PROMISE("a host name is resolved, and a port that opens later is found") over_tcp();
    PROMISE("a server is judged by what it says of itself") judged();
}

int main(void)
{
    loop = loop_new();
    server_start(&server, NULL);
    test_calls();
    test_servers();
    server_stop(&server);
    loop_free(loop);
    return check_done();
}
