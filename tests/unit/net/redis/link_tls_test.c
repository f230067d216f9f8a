#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include "certificate.h"
#include "net/redis/link.h"
#include "net/redis/value.h"
#include "redis_server.h"
#include "redis_url_of.h"
#include "run_until.h"

static struct loop *loop;
static struct redis_server server;
static struct certificate certificate;
static char port[16];

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

/* False: this redis-server was built without TLS. */
static bool listen_with_tls(void)
{
    snprintf(port, sizeof(port), "%d", free_port());
    const char *const settings[][2] = {{"tls-cert-file", certificate.cert_file},
                                       {"tls-key-file", certificate.key_file},
                                       {"tls-ca-cert-file", certificate.cert_file},
                                       {"tls-auth-clients", "no"},
                                       {"tls-port", port}};
    redisReply *reply = server_ask(
        &server, (const char *const[]){"CONFIG", "SET", settings[0][0], settings[0][1],
                                       settings[1][0], settings[1][1], settings[2][0],
                                       settings[2][1], settings[3][0], settings[3][1],
                                       settings[4][0], settings[4][1], "bind", "127.0.0.1", NULL});
    bool is_listening = reply->type == REDIS_REPLY_STATUS;
    if (!is_listening)
        printf("skipped: %s\n", reply->str);
    freeReplyObject(reply);
    return is_listening;
}

static struct redis *open_url(const char *host, const char *scheme, const char *query)
{
    struct redis_events no_events = {0};
    char url[256];
    snprintf(url, sizeof(url), "%s://%s:%s%s", scheme, host, port, query);
    struct redis_url parsed = redis_url_of(url);
    struct redis *redis = redis_new(loop, &parsed, &no_events, NULL);
    redis_url_fini(&parsed);
    return redis;
}

static unsigned answered;

static void on_reply(enum err err, const struct redis_value *reply, void *arg)
{
    (void)arg;
    CHECK(err == OK && redis_value_slice(reply).len == 300000);
    answered++;
}

static void works(const char *query)
{
    static char value[300000];
    struct redis *redis = open_url("127.0.0.1", "rediss", query);
    const struct slice args[] = {SLICE("ECHO"), {value, sizeof(value)}};
    memset(value, 'x', sizeof(value));
    RUN_UNTIL(loop, redis_is_up(redis));
    for (int i = 0; i < 10; i++)
        redis_call(redis, args, 2, on_reply, NULL);
    RUN_UNTIL(loop, answered == 10);
    redis_free(redis);
}

static void refused(struct redis *redis, const char *words)
{
    RUN_UNTIL(loop, strstr(redis_last_error(redis).at, words) != NULL);
    CHECK(!redis_is_up(redis));
    if (strstr(redis_last_error(redis).at, words) == NULL)
        fprintf(stderr, "%s\n", redis_last_error(redis).at);
    redis_free(redis);
}

int main(void)
{
    char query[160];
    signal(SIGPIPE, SIG_IGN);
    loop = loop_new();
    server_start(&server, NULL);
    certificate_make(&certificate, "IP:127.0.0.1");
    snprintf(query, sizeof(query), "?ca_file=%s", certificate.cert_file);
    if (listen_with_tls()) {
        PROMISE("rediss:// speaks TLS, large answers included") works(query);
        PROMISE("a certificate nobody vouches for is refused")
        refused(open_url("127.0.0.1", "rediss", ""), "certificate refused");
        PROMISE("a certificate for another name is refused")
        refused(open_url("localhost", "rediss", query), "certificate refused");
        PROMISE("a missing CA file is named")
        refused(open_url("127.0.0.1", "rediss", "?ca_file=/nowhere/ca.pem"), "/nowhere/ca.pem");
        PROMISE("a server that wants TLS is not spoken to without")
        refused(open_url("127.0.0.1", "redis", ""), "closed");
    }
    server_stop(&server);
    certificate_remove(&certificate);
    loop_free(loop);
    return check_done();
}
