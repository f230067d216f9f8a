/* Connections at their ceiling: who makes room, who is served on the reserve beyond it. */
#include <sys/resource.h>

#include "net/http/server_priv.h"

#include "net/http/server_fixture.h"

#define GET(target) "GET " target " HTTP/1.1\r\nHost: h\r\n\r\n"

enum { MANY = 8 };

static struct peer caller, other, third, many[MANY];

static struct http_refusal on_head(struct http_message *m, const struct sockaddr *peer, void *arg)
{
    CHECK(arg == &calls && peer->sa_family == AF_INET);
    m->is_vital = slice_starts(m->request.path, SLICE("/now/vital"));
    return (struct http_refusal){.status = 0};
}

static void close_all(struct peer *peers, unsigned count)
{
    while (count > 0)
        peer_close(&peers[--count]);
    RUN_UNTIL(loop, metrics_gauge(&metrics, 1, GAUGE_CLIENTS_CONNECTED) == 0);
}

enum { CONNECTIONS = 4, RESERVE = 2 };

static void open_many(unsigned count, const char *text)
{
    for (unsigned i = 0; i < count; i++) {
        caller_open(&many[i]);
        if (text != NULL)
            peer_send(&many[i], text);
    }
    RUN_UNTIL(loop, server->connection_count == count);
}

static void test_room_for_others(void)
{
    PROMISE("at the ceiling, who has connected and said nothing for a while makes room")
    {
        open_many(CONNECTIONS, NULL);
        uint64_t until_ms = clock_ms() + FRESH_MS + 100;
        RUN_UNTIL(loop, clock_ms() > until_ms);
        caller_open(&caller);
        peer_send(&caller, GET("/now/1"));
        RUN_UNTIL(loop, peer_has(&caller, "/now/1 ;"));
        CHECK(metrics_counter(&metrics, 1, COUNT_CLOSED_SILENT) == 1);
        RUN_UNTIL(loop, many[0].has_ended);
        CHECK(!many[1].has_ended && buf_len(&many[0].in) == 0);
        peer_close(&caller);
        close_all(many, CONNECTIONS);
    }
    PROMISE("then the one that has been idle longest")
    {
        for (unsigned i = 0; i < CONNECTIONS; i++) {
            caller_open(&many[i]);
            peer_send(&many[i], GET("/now/x"));
            RUN_UNTIL(loop, peer_has(&many[i], ";"));
        }
        peer_send(&many[0], GET("/now/y"));
        RUN_UNTIL(loop, peer_has(&many[0], "/now/y ;"));
        caller_open(&caller);
        peer_send(&caller, GET("/now/1"));
        RUN_UNTIL(loop, peer_has(&caller, "/now/1 ;"));
        RUN_UNTIL(loop, many[1].has_ended);
        CHECK(!many[0].has_ended && !many[2].has_ended);
        CHECK(metrics_counter(&metrics, 1, COUNT_CLOSED_IDLE) == 1);
        peer_close(&caller);
        close_all(many, CONNECTIONS);
    }
}

static void test_unfinished(void)
{
    PROMISE("then one that has not finished its head for some time")
    {
        open_many(CONNECTIONS, "GET /now/x HTTP/1.1\r\nHos");
        RUN_UNTIL(loop, list_is_empty(&server->resting[REST_SILENT]));
        uint64_t until_ms = clock_ms() + 5100;
        RUN_UNTIL(loop, clock_ms() > until_ms);
        caller_open(&caller);
        peer_send(&caller, GET("/now/1"));
        RUN_UNTIL(loop, peer_has(&caller, "/now/1 ;"));
        CHECK(metrics_counter(&metrics, 1, COUNT_CLOSED_ASKING) == 1);
        RUN_UNTIL(loop, peer_is_over(&many[0]));
        CHECK(!many[1].has_ended);
        peer_close(&caller);
        close_all(many, CONNECTIONS);
    }
}

static void test_reserve(void)
{
    call_count = 0;
    open_many(CONNECTIONS, GET("/busy"));
    RUN_UNTIL(loop, call_count == CONNECTIONS);
    PROMISE("when all are at work, who asks for something vital is answered")
    {
        caller_open(&caller);
        peer_send(&caller, GET("/now/vital"));
        RUN_UNTIL(loop, caller.has_ended);
        CHECK(peer_has(&caller, "HTTP/1.1 200 ") && peer_has(&caller, "connection: close"));
        peer_close(&caller);
    }
    PROMISE("others are refused, and told to come again")
    {
        caller_open(&caller);
        peer_send(&caller, GET("/now/1"));
        RUN_UNTIL(loop, caller.has_ended);
        CHECK(peer_has(&caller, "HTTP/1.1 503 ") && peer_has(&caller, "\r\nretry-after: "));
        CHECK(metrics_counter(&metrics, 1, COUNT_REFUSED_CONNECTIONS) == 1);
        peer_close(&caller);
        RUN_UNTIL(loop, server->connection_count == CONNECTIONS);
    }
}

static void test_leaving_the_reserve(void)
{
    PROMISE("those who take the reserve and say nothing do not keep it")
    {
        caller_open(&caller);
        caller_open(&other);
        RUN_UNTIL(loop, server->connection_count == CONNECTIONS + RESERVE);
        caller_open(&third);
        peer_send(&third, GET("/now/vital"));
        RUN_UNTIL(loop, peer_has(&third, "HTTP/1.1 200 "));
        peer_close(&third);
        peer_close(&caller);
        peer_close(&other);
    }
    PROMISE(
        "who came on the reserve is served like others once the ceiling is not reached any more")
    {
        RUN_UNTIL(loop, server->connection_count == CONNECTIONS);
        caller_open(&caller);
        RUN_UNTIL(loop, server->connection_count == CONNECTIONS + 1);
        answer_text(&calls[0], "x");
        peer_close(&many[0]);
        RUN_UNTIL(loop, server->connection_count == CONNECTIONS);
        peer_send(&caller, GET("/now/1"));
        RUN_UNTIL(loop, peer_has(&caller, "/now/1 ;"));
        peer_close(&caller);
    }
    for (unsigned i = 1; i < CONNECTIONS; i++)
        answer_text(&calls[i], "x");
    close_all(many + 1, CONNECTIONS - 1);
}

static void test_refused_who_stay(void)
{
    struct peer refused[RESERVE + 2];
    call_count = 0;
    open_many(CONNECTIONS, GET("/busy"));
    RUN_UNTIL(loop, call_count == CONNECTIONS);
    PROMISE("those who were refused and do not go do not keep the reserve either")
    {
        for (unsigned i = 0; i < RESERVE + 2; i++) {
            caller_open(&refused[i]);
            peer_send(&refused[i], GET("/now/1"));
            RUN_UNTIL(loop, peer_has(&refused[i], "HTTP/1.1 503 "));
        }
        caller_open(&caller);
        peer_send(&caller, GET("/now/vital"));
        RUN_UNTIL(loop, peer_has(&caller, "HTTP/1.1 200 "));
        CHECK(metrics_counter(&metrics, 1, COUNT_CLOSED_ANSWERED) > 0);
        peer_close(&caller);
    }
    for (unsigned i = 0; i < RESERVE + 2; i++)
        peer_close(&refused[i]);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        answer_text(&calls[i], "x");
    close_all(many, CONNECTIONS);
}

static void test_judged_on_the_reserve(void)
{
    call_count = 0;
    open_many(CONNECTIONS, GET("/busy"));
    RUN_UNTIL(loop, call_count == CONNECTIONS);
    PROMISE(
        "one who was refused and is closed lets nobody onto the reserve who asks for nothing vital")
    {
        caller_open(&other);
        peer_send(&other, GET("/now/1"));
        RUN_UNTIL(loop, peer_has(&other, "HTTP/1.1 503 "));
        caller_open(&caller);
        peer_send(&caller, "GET /now/1 HTT");
        RUN_UNTIL(loop, server->connection_count == CONNECTIONS + RESERVE);
        uint64_t until_ms = clock_ms() + 300; /* then who has its answer is not spared any more */
        RUN_UNTIL(loop, clock_ms() > until_ms);
        peer_send(&caller, "P/1.1\r\nHost: h\r\n\r\n");
        RUN_UNTIL(loop, peer_has(&caller, "HTTP/1.1 "));
        CHECK(peer_has(&caller, "HTTP/1.1 503 "));
        peer_close(&caller);
        peer_close(&other);
        RUN_UNTIL(loop, server->connection_count == CONNECTIONS);
    }
    PROMISE("who comes to the end of its head, however late, is answered and not closed for itself")
    {
        caller_open(&caller);
        peer_send(&caller, "GET /now/1 HTT");
        RUN_UNTIL(loop, server->connection_count == CONNECTIONS + 1);
        caller_open(&other);
        peer_send(&other, "GET /now/1 HTT");
        RUN_UNTIL(loop, server->connection_count == CONNECTIONS + RESERVE);
        uint64_t until_ms = clock_ms() + 1400; /* then, the reserve full, who asks is not spared */
        RUN_UNTIL(loop, clock_ms() > until_ms);
        peer_send(&caller, "P/1.1\r\nHost: h\r\n\r\n");
        RUN_UNTIL(loop, peer_is_over(&caller));
        CHECK(peer_has(&caller, "HTTP/1.1 503 "));
        peer_close(&caller);
        peer_close(&other);
    }
    for (unsigned i = 0; i < CONNECTIONS; i++)
        answer_text(&calls[i], "x");
    close_all(many, CONNECTIONS);
}

static unsigned times_short;

static bool close_a_descriptor(void *arg)
{
    CHECK(arg == &calls);
    return ++times_short == 1; /* says it did, once */
}

static void set_files_max(rlim_t max)
{
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = max;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void test_descriptors(void)
{
    struct rlimit usual;
    getrlimit(RLIMIT_NOFILE, &usual);
    PROMISE("without a descriptor for a caller, an idle connection is closed for it")
    {
        open_many(2, GET("/now/x"));
        RUN_UNTIL(loop, peer_has(&many[1], ";"));
        caller_open(&caller);
        peer_send(&caller, GET("/now/1"));
        set_files_max((rlim_t)caller.wire.fd + 1);
        RUN_UNTIL(loop, peer_has(&caller, "/now/1 ;"));
        CHECK(many[0].has_ended || peer_is_over(&many[0]));
        CHECK(metrics_counter(&metrics, 1, COUNT_DESCRIPTORS_SHORT) > 0);
        set_files_max(usual.rlim_cur);
        peer_close(&caller);
        close_all(many, 2);
    }
    PROMISE(
        "where there is none the owner is asked for one, and the caller waits until it can come")
    {
        call_count = 0;
        open_many(1, GET("/busy"));
        RUN_UNTIL(loop, call_count == 1);
        caller_open(&caller);
        peer_send(&caller, GET("/now/1"));
        set_files_max((rlim_t)caller.wire.fd + 1);
        RUN_UNTIL(loop, times_short >= 2);
        CHECK(buf_len(&caller.in) == 0);
        set_files_max(usual.rlim_cur);
        RUN_UNTIL(loop, peer_has(&caller, "/now/1 ;"));
        answer_text(&calls[0], "x");
        peer_close(&caller);
        close_all(many, 1);
    }
}

int main(void)
{
    fixture_open();
    options.on_head = on_head;
    options.on_descriptors_short = close_a_descriptor;
    options.connections_max = CONNECTIONS;
    options.reserve_max = RESERVE;
    server_open();
    test_room_for_others();
    test_unfinished();
    test_reserve();
    test_leaving_the_reserve();
    test_refused_who_stay();
    test_judged_on_the_reserve();
    test_descriptors();
    server_close();
    fixture_close();
    return check_done();
}
