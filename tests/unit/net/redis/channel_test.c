/* A link that listens to a shard channel of a real server. */
#include "base/metrics.h"
#include "net/redis/link.h"
#include "redis_server.h"
#include "redis_url_of.h"
#include "run_until.h"

static struct loop *loop;
static struct redis_server server;

struct ear {
    struct redis *redis;
    unsigned ups, downs, messages;
    size_t bytes; /* of the last message */
    char last[64];
};

static void on_up(void *arg)
{
    ((struct ear *)arg)->ups++;
}

static void on_down(void *arg)
{
    ((struct ear *)arg)->downs++;
}

static void on_message(struct slice text, void *arg)
{
    struct ear *ear = arg;
    ear->messages++;
    ear->bytes = text.len;
    snprintf(ear->last, sizeof(ear->last), "%.*s", SLICE_ARG(text));
}

static void open_url(struct ear *ear, const char *url, const char *channel)
{
    struct redis_events events = {.on_up = on_up,
                                  .on_down = on_down,
                                  .channel = channel,
                                  .on_message = on_message,
                                  .arg = ear};
    struct redis_url parsed = redis_url_of(url);
    *ear = (struct ear){0};
    ear->redis = redis_new(loop, &parsed, &events, NULL);
    redis_url_fini(&parsed);
}

static void listen_to(struct ear *ear, const char *channel)
{
    char copy[32];
    snprintf(copy, sizeof(copy), "%s", channel);
    open_url(ear, server.url, copy);
    copy[0] = '\0'; /* it has one of its own */
    RUN_UNTIL(loop, redis_is_up(ear->redis));
    CHECK(ear->ups == 1 && ear->downs == 0 && ear->messages == 0);
}

static long long listeners(const char *channel)
{
    redisReply *reply = SERVER_ASK(&server, "PUBSUB", "SHARDNUMSUB", channel);
    long long count = reply->elements == 2 ? reply->element[1]->integer : -1;
    freeReplyObject(reply);
    return count;
}

/* So many times the server has run this command. */
static long long runs_of(const char *command)
{
    char mark[64];
    redisReply *reply = SERVER_ASK(&server, "INFO", "commandstats");
    snprintf(mark, sizeof(mark), "cmdstat_%s:calls=", command);
    const char *at = strstr(reply->str, mark);
    long long count = at != NULL ? strtoll(at + strlen(mark), NULL, 10) : 0;
    freeReplyObject(reply);
    return count;
}

/* ---- */

static void hears(void)
{
    struct ear ear;
    listen_to(&ear, "{a}:here");
    CHECK(listeners("{a}:here") == 1);
    SERVER_DO(&server, "SPUBLISH", "{a}:there", "not for us");
    SERVER_DO(&server, "SPUBLISH", "{a}:here", "first");
    RUN_UNTIL(loop, ear.messages > 0);
    CHECK(ear.messages == 1 && strcmp(ear.last, "first") == 0);
    for (int i = 0; i < 1000; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        SERVER_DO(&server, "SPUBLISH", "{a}:here", text);
    }
    RUN_UNTIL(loop, ear.messages > 1000);
    CHECK(ear.messages == 1001 && strcmp(ear.last, "999") == 0);
    SERVER_DO(&server, "SPUBLISH", "{a}:here", "");
    RUN_UNTIL(loop, ear.messages > 1001);
    CHECK(ear.bytes == 0);
    redis_free(ear.redis);
    CHECK(ear.downs == 0);
    RUN_UNTIL(loop, listeners("{a}:here") == 0);
}

/* It has nothing to say, and still knows whether the server is alive. */
static void asks(void)
{
    struct ear ear;
    listen_to(&ear, "{a}:here");
    long long before = runs_of("ping");
    RUN_UNTIL(loop, runs_of("ping") >= before + 3);
    CHECK(ear.downs == 0 && ear.messages == 0);
    SERVER_DO(&server, "SPUBLISH", "{a}:here", "between");
    RUN_UNTIL(loop, ear.messages > 0);
    server_pause(&server);
    RUN_UNTIL(loop, ear.downs > 0);
    CHECK(!redis_is_up(ear.redis));
    kill(server.pid, SIGCONT);
    RUN_UNTIL(loop, redis_is_up(ear.redis));
    redis_free(ear.redis);
}

static void comes_back(void)
{
    struct ear ear;
    listen_to(&ear, "{a}:here");
    for (unsigned i = 1; i <= 3; i++) {
        SERVER_DO(&server, "CLIENT", "KILL", "TYPE", "pubsub");
        RUN_UNTIL(loop, ear.downs == i);
        RUN_UNTIL(loop, ear.ups == i + 1);
        CHECK(listeners("{a}:here") == 1);
        SERVER_DO(&server, "SPUBLISH", "{a}:here", "again");
        RUN_UNTIL(loop, ear.messages == i);
    }
    redis_free(ear.redis);
}

static void too_large(void)
{
    static char text[(2 << 20) + 1];
    struct ear ear;
    listen_to(&ear, "{a}:here");
    memset(text, 'x', sizeof(text) - 1);
    SERVER_DO(&server, "SPUBLISH", "{a}:here", text);
    RUN_UNTIL(loop, ear.downs == 1);
    RUN_UNTIL(loop, ear.ups == 2);
    CHECK(ear.messages == 0);
    text[512 << 10] = '\0';
    SERVER_DO(&server, "SPUBLISH", "{a}:here", text);
    RUN_UNTIL(loop, ear.messages == 1);
    CHECK(ear.bytes == 512 << 10 && ear.downs == 1);
    redis_free(ear.redis);
}

static void may_not(void)
{
    char url[256], why[256];
    struct ear ear;
    SERVER_DO(&server, "ACL", "SETUSER", "eve", "on", ">hush", "~*", "+@all", "resetchannels");
    snprintf(url, sizeof(url), "unix://eve:hush@%s", server.socket);
    open_url(&ear, url, "{a}:here");
    RUN_UNTIL(loop, ear.downs == 1);
    snprintf(why, sizeof(why), "%.*s", SLICE_ARG(redis_last_error(ear.redis)));
    CHECK(strstr(why, "SSUBSCRIBE") != NULL && strstr(why, "NOPERM") != NULL);
    SERVER_DO(&server, "ACL", "SETUSER", "eve", "&{a}:*");
    RUN_UNTIL(loop, redis_is_up(ear.redis));
    CHECK(ear.ups == 1 && ear.downs == 1);
    redis_free(ear.redis);
}

int main(void)
{
    loop = loop_new();
    server_start(&server, NULL);
    PROMISE("what is published to the channel arrives, in order, and nothing else") hears();
    PROMISE("a link that listens asks every second whether the server is there") asks();
    PROMISE("a link that was cut subscribes again by itself") comes_back();
    PROMISE("a message beyond all measure costs the connection, not the memory") too_large();
    PROMISE("who may not listen hears why, and is let in once it may") may_not();
    server_stop(&server);
    loop_free(loop);
    return check_done();
}
