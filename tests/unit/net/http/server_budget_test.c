/* Who takes how much memory: bodies that wait for room, callers' shares, unfinished heads. */
#include "base/tiny.h"
#include "net/http/server_priv.h"

/* The part of the module that reads, with a shorter time. */
#define ROOM_WAIT_MS TINY(400, 2000)
/* NOLINTNEXTLINE(bugprone-suspicious-include): as said */
#include "net/http/body.c"

#include "net/http/server_fixture.h"

#define GET(target) "GET " target " HTTP/1.1\r\nHost: h\r\n\r\n"

/* Of 4 MiB, bodies of more than 64 KiB get 2.25, and one caller half of that; heads half a MiB. */
enum { TIGHT_MAX = 4 << 20, HUGE = 1 << 20, LARGE = 900 * 1024, MANY = 40 };

static struct peer caller, other, third, many[MANY];
static char filler[BODY_MAX + 1];

static struct slice header_of(const struct http_message *m, struct slice name)
{
    const struct http1_header *h = http1_header(m->request.headers, m->request.header_count, name);
    return h != NULL ? h->value : SLICE_NONE;
}

static struct http_refusal on_head(struct http_message *m, const struct sockaddr *peer, void *arg)
{
    (void)peer;
    CHECK(arg == &calls);
    m->caller = header_of(m, SLICE("x-caller"));
    if (!slice_starts(m->request.path, SLICE("/no/")))
        return (struct http_refusal){0};
    m->id = SLICE("id-7");
    return (struct http_refusal){
        .status = 405, .why = "not here", .header = {SLICE("allow"), SLICE("GET, HEAD")}};
}

/* The head of a POST, and the first `part` bytes of its body. */
static void post_part(struct peer *p, const char *who, size_t len, size_t part)
{
    char head[200];
    memset(filler, 'b', sizeof(filler));
    snprintf(head, sizeof(head),
             "POST /now/%s HTTP/1.1\r\nHost: h\r\nx-caller: %s\r\nContent-Length: %zu\r\n\r\n", who,
             who, len);
    caller_open(p);
    peer_send(p, head);
    peer_send_bytes(p, (struct slice){filler, part});
}

/* One that has its place, and does not come to its end. */
static void post_stuck(struct peer *p, size_t part)
{
    post_part(p, "a", HUGE, part);
    RUN_UNTIL(loop, budget_used(budget, BUDGET_LARGE_BODIES) >= HUGE);
}

static void send_rest(struct peer *p, size_t len)
{
    peer_send_bytes(p, (struct slice){filler, len});
}

static bool is_answered(const struct peer *p)
{
    return peer_has(p, "HTTP/1.1 200 ") && peer_has(p, "b;");
}

static void turns(unsigned count)
{
    while (count-- > 0)
        run_turn(loop);
}

static void close_all(struct peer *peers, unsigned count)
{
    while (count > 0)
        peer_close(&peers[--count]);
    RUN_UNTIL(loop, metrics_gauge(&metrics, 1, GAUGE_CLIENTS_CONNECTED) == 0);
}

static void test_waiting(void)
{
    PROMISE("an upload that stops one byte short refuses nobody, and nobody's small request waits")
    {
        post_stuck(&caller, HUGE - 1);
        post_part(&other, "a", LARGE, LARGE);
        RUN_UNTIL(loop, budget_waiting(budget) == 1);
        post_part(&third, "a", 1000, 1000);
        RUN_UNTIL(loop, is_answered(&third));
        peer_close(&third);
        turns(5);
        CHECK(buf_len(&other.in) == 0 && budget_waiting(budget) == 1);
        CHECK(metrics_counter(&metrics, 1, COUNT_BODY_WAITS) == 1);
    }
    PROMISE("nor does another caller's large one, who has a share of its own")
    {
        post_part(&third, "b", HUGE, HUGE);
        RUN_UNTIL(loop, is_answered(&third));
        peer_close(&third);
    }
    PROMISE("what waits goes on, whole, as soon as there is room")
    {
        send_rest(&caller, 1);
        RUN_UNTIL(loop, is_answered(&caller) && is_answered(&other));
        CHECK(peer_count(&other, "b") >= LARGE && budget_waiting(budget) == 0);
        peer_close(&caller);
        peer_close(&other);
    }
    CHECK(metrics_counter(&metrics, 1, COUNT_MALFORMED) == 0);
}

static void test_waiting_ends(void)
{
    PROMISE("a caller that leaves while it waits is noticed, and others go on")
    {
        post_stuck(&caller, 10);
        post_part(&other, "a", LARGE, 10);
        RUN_UNTIL(loop, budget_waiting(budget) == 1);
        peer_close(&other);
        RUN_UNTIL(loop, budget_waiting(budget) == 0);
        peer_close(&caller);
        RUN_UNTIL(loop, budget_used(budget, BUDGET_LARGE_BODIES) == 0);
    }
    PROMISE("who has to wait too long is told to come again")
    {
        post_stuck(&caller, 10);
        post_part(&other, "a", LARGE, LARGE);
        RUN_UNTIL(loop, peer_is_over(&other));
        CHECK(peer_has(&other, "HTTP/1.1 503 ") && peer_has(&other, "\r\nretry-after: 5\r\n"));
        CHECK(other.has_ended && metrics_counter(&metrics, 1, COUNT_REFUSED_BODIES) == 1);
        peer_close(&other);
    }
    PROMISE("a caller's own time does not run while it is not read")
    {
        struct http_server_options hurried = options;
        hurried.client_ms = 250;
        http_server_update(server, &hurried);
        post_part(&other, "a", LARGE, LARGE);
        uint64_t until_ms = clock_ms() + 300;
        RUN_UNTIL(loop, clock_ms() > until_ms);
        CHECK(buf_len(&other.in) == 0 && budget_waiting(budget) == 1);
        peer_close(&caller);
        RUN_UNTIL(loop, is_answered(&other));
        peer_close(&other);
        http_server_update(server, &options);
    }
}

static void test_continue(void)
{
    PROMISE("who waits for a 100 gets it when there is room, not before")
    {
        post_stuck(&caller, 10);
        caller_open(&other);
        peer_send(&other, "POST /now HTTP/1.1\r\nHost: h\r\nx-caller: a\r\n"
                          "Expect: 100-continue\r\nContent-Length: 900000\r\n\r\n");
        RUN_UNTIL(loop, budget_waiting(budget) == 1);
        turns(3);
        CHECK(buf_len(&other.in) == 0);
        peer_close(&caller);
        RUN_UNTIL(loop, peer_has(&other, "HTTP/1.1 100 Continue\r\n\r\n"));
        send_rest(&other, 900000);
        RUN_UNTIL(loop, is_answered(&other));
        peer_close(&other);
    }
}

static void post_chunked(struct peer *p, const char *who)
{
    char head[200];
    snprintf(head, sizeof(head),
             "POST /keep HTTP/1.1\r\nHost: h\r\nx-caller: %s\r\nTransfer-Encoding: chunked\r\n\r\n",
             who);
    caller_open(p);
    peer_send(p, head);
}

static void send_chunk(struct peer *p, size_t from, size_t len)
{
    char size[32];
    snprintf(size, sizeof(size), "%zx\r\n", len);
    peer_send(p, size);
    peer_send_bytes(p, (struct slice){filler + from, len});
    peer_send(p, "\r\n");
}

static void test_unknown_length(void)
{
    static const size_t lengths[] = {1, 65535, 65536, 65537, 300000, BODY_MAX - 1, BODY_MAX};
    for (size_t i = 0; i < BODY_MAX; i++)
        filler[i] = (char)(i * 31 + i / 253);
    PROMISE("a body of unknown length arrives as it was sent, and then holds what it needs")
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        call_count = 0;
        post_chunked(&caller, "a");
        for (size_t at = 0; at < lengths[i]; at += 50000)
            send_chunk(&caller, at, lengths[i] - at < 50000 ? lengths[i] - at : 50000);
        peer_send(&caller, "0\r\n\r\n");
        RUN_UNTIL(loop, call_count == 1);
        struct http_message *m = &calls[0].message;
        CHECK(slice_eq(buf_slice(&m->body), (struct slice){filler, lengths[i]}));
        CHECK(m->hold.bytes == lengths[i]);
        answer_text(&calls[0], "x");
        RUN_UNTIL(loop, peer_has(&caller, "\r\n\r\nx"));
        peer_close(&caller);
    }
}

static void test_unknown_length_grows(void)
{
    PROMISE("one that is larger than what may be now is refused, however much could be before")
    {
        struct http_server_options changed = options;
        changed.body_bytes_max = 50000;
        post_chunked(&caller, "a");
        send_chunk(&caller, 0, 60000);
        RUN_UNTIL(loop, metrics_gauge(&metrics, 1, GAUGE_BODY_BYTES_HELD) == 60000);
        http_server_update(server, &changed);
        send_chunk(&caller, 60000, 100000);
        RUN_UNTIL(loop, peer_has(&caller, "HTTP/1.1 413 "));
        http_server_update(server, &options);
        peer_close(&caller);
    }
    PROMISE("one that becomes large waits where it is, and then goes on")
    {
        call_count = 0;
        post_stuck(&other, 10);
        post_chunked(&caller, "a");
        send_chunk(&caller, 0, 60000);
        RUN_UNTIL(loop, metrics_gauge(&metrics, 1, GAUGE_BODY_BYTES_HELD) == 60010);
        send_chunk(&caller, 60000, 100000);
        RUN_UNTIL(loop, budget_waiting(budget) == 1);
        peer_send(&caller, "0\r\n\r\n");
        turns(3);
        CHECK(call_count == 0);
        peer_close(&other);
        RUN_UNTIL(loop, call_count == 1);
        CHECK(buf_len(&calls[0].message.body) == 160000);
        answer_text(&calls[0], "x");
        RUN_UNTIL(loop, peer_has(&caller, "\r\n\r\nx"));
        peer_close(&caller);
    }
}

static void test_memory(void)
{
    PROMISE("memory of a usual upload is kept for the next, up to a few, and counted")
    {
        post_part(&caller, "a", 200000, 200000);
        RUN_UNTIL(loop, is_answered(&caller));
        CHECK(server->warm_made <= 1 && server->warm_count == server->warm_made);
        CHECK(budget_used(budget, BUDGET_WARM) == (uint64_t)server->warm_made * WARM_BYTES);
        peer_close(&caller);
    }
    PROMISE("so is a body's that was reserved whole, and no more than its length")
    {
        call_count = 0;
        char head[200];
        snprintf(head, sizeof(head), "POST /keep HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n",
                 30000);
        caller_open(&caller);
        peer_send(&caller, head);
        RUN_UNTIL(loop, budget_used(budget, BUDGET_SMALL_BODIES) == 30000);
        send_rest(&caller, 30000);
        RUN_UNTIL(loop, call_count == 1);
        CHECK(calls[0].message.body.cap == 30000);
        http_message_drop_body(&calls[0].message);
        CHECK(budget_used(budget, BUDGET_SMALL_BODIES) == 0);
        answer_text(&calls[0], "x");
        RUN_UNTIL(loop, peer_has(&caller, "\r\n\r\nx"));
        peer_close(&caller);
    }
}

static void test_heads(void)
{
    unsigned open = 0;
    PROMISE("a caller with many unfinished heads comes to its share, and is told so")
    {
        memset(filler, 'h', sizeof(filler));
        for (; open < MANY && metrics_counter(&metrics, 1, COUNT_REFUSED_HEADS) == 0; open++) {
            caller_open(&many[open]);
            peer_send(&many[open], "GET /now HTTP/1.1\r\nHost: h\r\nx: ");
            peer_send_bytes(&many[open], (struct slice){filler, 60000});
            uint64_t before = budget_used(budget, BUDGET_HEADS);
            RUN_UNTIL(loop, budget_used(budget, BUDGET_HEADS) >= before + 60000 ||
                                metrics_counter(&metrics, 1, COUNT_REFUSED_HEADS) > 0);
        }
        CHECK(open < 10);
        RUN_UNTIL(loop, peer_is_over(&many[open - 1]));
        CHECK(peer_has(&many[open - 1], "HTTP/1.1 503 "));
        CHECK(peer_has(&many[open - 1], "\r\nretry-after: "));
        CHECK(budget_used(budget, BUDGET_HEADS) <= budget_share(budget, BUDGET_HEADS));
    }
    PROMISE("an ordinary request goes on all the same")
    {
        caller_open(&caller);
        peer_send(&caller, "GET /now/1 HTTP/1.1\r\nHos");
        turns(2);
        peer_send(&caller, "t: h\r\n\r\n");
        RUN_UNTIL(loop, peer_has(&caller, "/now/1 ;"));
        peer_close(&caller);
    }
    close_all(many, open);
    PROMISE("a connection that rests holds no memory for input")
    {
        caller_open(&caller);
        peer_send(&caller, GET("/now/1") "GET /now/2 HTT");
        turns(2);
        peer_send(&caller, "P/1.1\r\nHost: h\r\n\r\n");
        RUN_UNTIL(loop, peer_has(&caller, "/now/2 ;"));
        turns(1);
        CHECK(LIST_OWNER(server->connections.next, struct connection, link)->in.cap == 0);
        CHECK(budget_used(budget, BUDGET_HEADS) == 0);
        peer_close(&caller);
    }
}

static void test_answers(void)
{
    PROMISE("what a slow caller has not taken is counted, and what is kept for an answer elsewhere")
    {
        call_count = 0;
        struct held_call *held = caller_asks(&caller, GET("/keep"));
        wire_set_reading(&caller.wire, false);
        CHECK(answer_keep(held->call, 1000) && budget_used(budget, BUDGET_ANSWERS) == 1000);
        begin_answer(held, HTTP1_CHUNKED, 0);
        do /* until the sockets are full, too */
            send_body(held, (struct slice){filler, BODY_MAX}, false);
        while (!answer_is_full(held->call));
        CHECK(budget_used(budget, BUDGET_ANSWERS) >= answer_waiting(held->call) + 1000);
        wire_set_reading(&caller.wire, true);
        RUN_UNTIL(loop, answer_waiting(held->call) == 0);
        CHECK(!answer_is_full(held->call) && budget_used(budget, BUDGET_ANSWERS) == 1000);
        end_answer(held);
        CHECK(budget_used(budget, BUDGET_ANSWERS) == 0);
        peer_close(&caller);
    }
    PROMISE("when too much is kept for a caller, it is told, and less may wait")
    {
        uint64_t share = budget_share(budget, BUDGET_ANSWERS);
        call_count = 0;
        struct held_call *held = caller_asks(&caller, GET("/keep"));
        CHECK(!answer_keep(held->call, (size_t)share + 1));
        CHECK(answer_keep(held->call, (size_t)share));
        peer_close(&caller);
        RUN_UNTIL(loop, held->gone == 1);
        CHECK(budget_used(budget, BUDGET_ANSWERS) == 0);
    }
}

static void test_refusal(void)
{
    PROMISE("a refusal says what belongs to it, and reaches a caller that is still sending")
    {
        caller_open(&caller);
        peer_send(&caller, "POST /no/ HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n"
                           "Expect: 100-continue\r\n\r\n");
        send_rest(&caller, 500000);
        RUN_UNTIL(loop, peer_is_over(&caller));
        CHECK(caller.has_ended && slice_starts(buf_slice(&caller.in), SLICE("HTTP/1.1 405 ")));
        CHECK(peer_has(&caller, "\r\nallow: GET, HEAD\r\n") &&
              peer_has(&caller, "\r\nx-weir-request-id: id-7\r\n"));
        CHECK(peer_has(&caller, "{\"status\":405,\"message\":\"not here\",\"id\":\"id-7\"}"));
        CHECK(!peer_has(&caller, "100 Continue"));
        peer_close(&caller);
    }
    PROMISE("one without a body leaves the connection to the next request")
    {
        caller_open(&caller);
        peer_send(&caller, GET("/no/") GET("/now/1"));
        RUN_UNTIL(loop, peer_has(&caller, "/now/1 ;"));
        CHECK(peer_has(&caller, "HTTP/1.1 405 ") && !peer_has(&caller, "connection: close"));
        peer_close(&caller);
    }
}

int main(void)
{
    fixture_open();
    budget_update(budget, TIGHT_MAX, BODY_MAX);
    options.on_head = on_head;
    server_open();
    test_waiting();
    test_waiting_ends();
    test_continue();
    test_unknown_length();
    test_unknown_length_grows();
    test_heads();
    test_answers();
    test_refusal();
    server_close();
    budget_update(budget, MEMORY_MAX, BODY_MAX);
    server_open();
    test_memory();
    server_close();
    fixture_close();
    return check_done();
}
