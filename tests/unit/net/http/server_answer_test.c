/* How answers flow, end and break; callers that leave; draining. */
#include "net/http/server_fixture.h"

#define GET(target) "GET " target " HTTP/1.1\r\nHost: h\r\n\r\n"
#define OLD_GET(target) "GET " target " HTTP/1.0\r\n\r\n"

enum { LARGE = 6 << 20, SHORT_MS = 150 };

static struct peer caller, other;
static char large[LARGE];

static bool got_body(const struct peer *p, const char *expected)
{
    struct slice in = buf_slice(&p->in);
    const char *end = in.len > 0 ? memmem(in.at, in.len, "\r\n\r\n", 4) : NULL;
    if (end == NULL)
        return false;
    return slice_eq(slice_from(in, (size_t)(end - in.at) + 4), slice_of(expected));
}

static void test_framing(void)
{
    struct held_call *held;
    PROMISE("an answer of unknown length is chunked, and ends with the last chunk")
    {
        held = caller_asks(&caller, GET("/x"));
        begin_answer(held, HTTP1_CHUNKED, 0);
        send_body(held, SLICE("hello"), false);
        send_body(held, SLICE(""), false); /* nothing: not an end */
        const struct slice pieces[] = {SLICE("a"), SLICE("bc"), SLICE("0123456789abcdef")};
        answer_body(held->call, pieces, 3, false);
        end_answer(held);
        RUN_UNTIL(loop, peer_has(&caller, "0\r\n\r\n"));
        CHECK(peer_has(&caller, "\r\ntransfer-encoding: chunked\r\n"));
        CHECK(got_body(&caller, "5\r\nhello\r\n13\r\nabc0123456789abcdef\r\n0\r\n\r\n"));
        peer_close(&caller);
    }
    PROMISE("the end that was said with the last piece is not said again")
    {
        held = caller_asks(&caller, GET("/x"));
        begin_answer(held, HTTP1_CHUNKED, 0);
        send_body(held, SLICE("hi"), true);
        end_answer(held);
        peer_send(&caller, GET("/now"));
        RUN_UNTIL(loop, peer_has(&caller, "GET /now ;"));
        CHECK(peer_count(&caller, "\r\n0\r\n\r\n") == 1 &&
              peer_has(&caller, "2\r\nhi\r\n0\r\n\r\nHTTP"));
        peer_close(&caller);
    }
}

static void test_sizes(void)
{
    struct held_call *held;
    PROMISE("an answer of known length comes as it is")
    {
        held = caller_asks(&caller, GET("/x"));
        begin_answer(held, HTTP1_SIZED, 5);
        send_body(held, SLICE("he"), false);
        send_body(held, SLICE("llo"), true);
        end_answer(held);
        RUN_UNTIL(loop, got_body(&caller, "hello"));
        CHECK(peer_has(&caller, "\r\ncontent-length: 5\r\n"));
        peer_close(&caller);
    }
    PROMISE("one that has no body says nothing about one")
    {
        held = caller_asks(&caller, GET("/x"));
        struct answer answer = {.status = 204, .framing = HTTP1_NO_BODY};
        answer_begin(held->call, &answer);
        end_answer(held);
        RUN_UNTIL(loop, peer_has(&caller, "\r\n\r\n"));
        CHECK_TEXT(buf_slice(&caller.in), "HTTP/1.1 204 No Content\r\n\r\n");
        peer_close(&caller);
    }
}

static void test_head_requests(void)
{
    PROMISE("nothing but the head goes to a HEAD request, and the connection stays in step")
    for (int framing = HTTP1_SIZED; framing <= HTTP1_CHUNKED; framing++) {
        struct held_call *held = caller_asks(&caller, "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n");
        begin_answer(held, (enum http1_framing)framing, 5);
        if (framing == HTTP1_CHUNKED)
            send_body(held, SLICE("hello"), true);
        end_answer(held);
        peer_send(&caller, GET("/now"));
        RUN_UNTIL(loop, peer_has(&caller, "GET /now ;"));
        CHECK(peer_count(&caller, "HTTP/1.1 200 ") == 2 && peer_has(&caller, "\r\n\r\nHTTP/1.1"));
        CHECK(peer_has(&caller, framing == HTTP1_SIZED ? "content-length: 5" : "chunked"));
        peer_close(&caller);
    }
}

static void test_flush(void)
{
    PROMISE("a head leaves with the first body, or alone when it is flushed")
    {
        struct held_call *held = caller_asks(&caller, GET("/x"));
        begin_answer(held, HTTP1_CHUNKED, 0);
        run_turn(loop);
        CHECK(buf_len(&caller.in) == 0 && answer_waiting(held->call) > 0);
        answer_flush(held->call);
        CHECK(answer_waiting(held->call) == 0);
        RUN_UNTIL(loop, got_body(&caller, ""));
        end_answer(held);
        RUN_UNTIL(loop, got_body(&caller, "0\r\n\r\n"));
        peer_close(&caller);
    }
}

static void test_breaks(void)
{
    struct held_call *held;
    PROMISE("a chunked answer that breaks has no last chunk, and the connection ends")
    {
        held = caller_asks(&caller, GET("/x"));
        begin_answer(held, HTTP1_CHUNKED, 0);
        send_body(held, SLICE("hello"), false);
        break_answer(held);
        RUN_UNTIL(loop, peer_is_over(&caller));
        CHECK(got_body(&caller, "5\r\nhello\r\n"));
        peer_close(&caller);
    }
    PROMISE("a sized answer that breaks, or is ended too early, stays short, and so on")
    for (int is_ended = 0; is_ended < 2; is_ended++) {
        held = caller_asks(&caller, GET("/x"));
        begin_answer(held, HTTP1_SIZED, 100);
        send_body(held, SLICE("hello"), false);
        if (is_ended)
            end_answer(held);
        else
            break_answer(held);
        RUN_UNTIL(loop, peer_is_over(&caller));
        CHECK(got_body(&caller, "hello"));
        peer_close(&caller);
    }
}

static void test_ends(void)
{
    struct held_call *held;
    PROMISE("to an HTTP/1.0 caller the end of the connection is the end of the answer")
    {
        held = caller_asks(&caller, OLD_GET("/x"));
        begin_answer(held, HTTP1_CHUNKED, 0);
        send_body(held, SLICE("hello"), false);
        end_answer(held);
        RUN_UNTIL(loop, peer_is_over(&caller));
        CHECK(caller.has_ended && got_body(&caller, "hello") && !peer_has(&caller, "chunked"));
        peer_close(&caller);
    }
    PROMISE("so a broken one is reset: it cannot look whole")
    {
        held = caller_asks(&caller, OLD_GET("/x"));
        begin_answer(held, HTTP1_CHUNKED, 0);
        send_body(held, SLICE("hello"), false);
        RUN_UNTIL(loop, got_body(&caller, "hello"));
        break_answer(held);
        RUN_UNTIL(loop, peer_is_over(&caller));
        CHECK(caller.has_failed);
        peer_close(&caller);
    }
    PROMISE("an abandoned call ends without a word")
    {
        held = caller_asks(&caller, GET("/x"));
        answer_abandon(held->call);
        RUN_UNTIL(loop, peer_is_over(&caller));
        CHECK(buf_len(&caller.in) == 0 && held->gone == 0);
        peer_close(&caller);
    }
}

static void leave(struct peer *p, int how)
{
    if (how == 0)
        peer_close(p);
    else if (how == 1)
        peer_reset(p);
    else
        wire_finish_writing(&p->wire); /* looks exactly like leaving */
}

static void test_gone(void)
{
    struct held_call *held;
    PROMISE("a caller that leaves before its answer is told once, however it leaves")
    for (int how = 0; how < 3; how++) {
        held = caller_asks(&caller, GET("/x"));
        leave(&caller, how);
        RUN_UNTIL(loop, held->gone > 0);
        run_turn(loop);
        CHECK(held->gone == 1);
        peer_close(&caller);
    }
    PROMISE("so is one that leaves within it")
    for (int how = 0; how < 3; how++) {
        held = caller_asks(&caller, GET("/x"));
        begin_answer(held, HTTP1_CHUNKED, 0);
        send_body(held, SLICE("hello"), false);
        RUN_UNTIL(loop, peer_has(&caller, "hello"));
        leave(&caller, how);
        RUN_UNTIL(loop, held->gone > 0);
        run_turn(loop);
        CHECK(held->gone == 1);
        peer_close(&caller);
    }
}

static void test_gone_elsewhere(void)
{
    struct held_call *held;
    PROMISE("who leaves after its answer is not told of")
    {
        held = caller_asks(&caller, GET("/x"));
        answer_text(held, "x");
        peer_reset(&caller);
        RUN_UNTIL(loop, metrics_gauge(&metrics, 1, GAUGE_CLIENTS_CONNECTED) == 0);
        CHECK(held->gone == 0);
    }
    PROMISE("who leaves within its request never gets to be a call")
    {
        unsigned before = call_count;
        caller_open(&caller);
        peer_send(&caller, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhel");
        RUN_UNTIL(loop, metrics_gauge(&metrics, 1, GAUGE_BODY_BYTES_HELD) == 3);
        peer_close(&caller);
        RUN_UNTIL(loop, metrics_gauge(&metrics, 1, GAUGE_CLIENTS_CONNECTED) == 0);
        CHECK(call_count == before && metrics_gauge(&metrics, 1, GAUGE_BODY_BYTES_HELD) == 0);
    }
    PROMISE("when the server ends, whoever is held is told once")
    {
        held = caller_asks(&caller, GET("/x"));
        server_close();
        CHECK(held->gone == 1);
        peer_close(&caller);
        server_open();
    }
}

static void test_slow_taking(void)
{
    PROMISE("what a slow caller has not taken waits, and each taking is told")
    {
        struct held_call *held = caller_asks(&caller, GET("/x"));
        wire_set_reading(&caller.wire, false);
        begin_answer(held, HTTP1_SIZED, LARGE);
        send_body(held, (struct slice){large, LARGE}, true);
        CHECK(answer_waiting(held->call) > 0 && held->drained == 0);
        wire_set_reading(&caller.wire, true);
        RUN_UNTIL(loop, answer_waiting(held->call) == 0);
        CHECK(held->drained > 0 && held->gone == 0);
        end_answer(held);
        RUN_UNTIL(loop, buf_len(&caller.in) > LARGE);
        CHECK(memcmp(caller.in.at + caller.in.end - LARGE, large, LARGE) == 0);
        peer_close(&caller);
    }
    PROMISE("an answer that has ended is still taken to its last byte, and then comes the next one")
    {
        struct held_call *held = caller_asks(&caller, GET("/x"));
        wire_set_reading(&caller.wire, false);
        begin_answer(held, HTTP1_CHUNKED, 0);
        send_body(held, (struct slice){large, LARGE}, true);
        end_answer(held);
        peer_send(&caller, GET("/now"));
        for (int i = 0; i < 5; i++)
            run_turn(loop);
        wire_set_reading(&caller.wire, true);
        RUN_UNTIL(loop, peer_has(&caller, "GET /now ;"));
        CHECK(held->drained == 0);
        peer_close(&caller);
    }
}

static void test_not_taking(void)
{
    struct http_server_options hurried = options;
    hurried.client_ms = SHORT_MS;
    http_server_update(server, &hurried);
    PROMISE("a caller that takes nothing for the time it has is given up, and this is told once")
    {
        struct held_call *held = caller_asks(&caller, GET("/x"));
        wire_stop_watching(&caller.wire);
        begin_answer(held, HTTP1_SIZED, LARGE);
        send_body(held, (struct slice){large, LARGE}, true);
        CHECK(answer_waiting(held->call) > 0);
        RUN_UNTIL(loop, held->gone > 0);
        CHECK(held->gone == 1);
        peer_close(&caller);
    }
    PROMISE("one whose answer had ended is given up too")
    {
        struct held_call *held = caller_asks(&caller, GET("/x"));
        wire_stop_watching(&caller.wire);
        begin_answer(held, HTTP1_SIZED, LARGE);
        send_body(held, (struct slice){large, LARGE}, true);
        end_answer(held);
        CHECK(http_server_open(server) == 1);
        RUN_UNTIL(loop, http_server_open(server) == 0);
        CHECK(held->gone == 0);
        peer_close(&caller);
    }
    http_server_update(server, &options);
}

static void test_ceiling_of_connections(void)
{
    PROMISE("beyond the ceiling of connections the next caller waits until one ends")
    {
        server_close();
        options.connections_max = 1;
        server_open();
        struct held_call *held = caller_asks(&caller, GET("/x"));
        caller_open(&other);
        peer_send(&other, GET("/now"));
        for (int i = 0; i < 10; i++)
            run_turn(loop);
        CHECK(buf_len(&other.in) == 0 && metrics_counter(&metrics, 1, COUNT_CONNECTIONS) == 1);
        answer_text(held, "x");
        peer_close(&caller);
        RUN_UNTIL(loop, peer_has(&other, "GET /now ;"));
        peer_close(&other);
        server_close();
        options.connections_max = 100;
        server_open();
    }
}

/* A caller who has had an answer, and keeps his connection. */
static void caller_keeps(struct peer *peer)
{
    caller_open(peer);
    peer_send(peer, GET("/now"));
    RUN_UNTIL(loop, peer_has(peer, ";"));
}

static void nobody_gets_in(void)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0);
    close(fd);
}

static void test_drain(void)
{
    struct peer idle, silent, queued;
    caller_keeps(&silent);
    caller_keeps(&idle);
    struct held_call *held = caller_asks(&caller, GET("/x"));
    CHECK(http_server_open(server) == 3);
    caller_open(&queued);
    http_server_announce(server);
    http_server_drain(server, false);
    http_server_drain(server, false);
    PROMISE("when draining, who has connected already is served, and then the connection ends")
    {
        peer_send(&queued, GET("/now"));
        RUN_UNTIL(loop, queued.has_ended);
        CHECK(peer_has(&queued, "GET /now ;") && peer_has(&queued, "connection: close"));
    }
    PROMISE("who has an answer that did not say it was the last is served once more, and told")
    {
        CHECK(!peer_has(&idle, "connection: close") && !idle.has_ended);
        CHECK(http_server_open(server) == 3);
        peer_send(&idle, GET("/now"));
        RUN_UNTIL(loop, idle.has_ended);
        CHECK(peer_count(&idle, "GET /now ;") == 2 && peer_has(&idle, "connection: close"));
    }
    PROMISE("who is silent then is closed at once when it is hurried")
    {
        CHECK(!silent.has_ended && http_server_open(server) == 2);
        http_server_drain(server, true);
        RUN_UNTIL(loop, silent.has_ended);
    }
    PROMISE("who is waiting for an answer gets it, with the end of the connection")
    {
        CHECK(held->gone == 0 && http_server_open(server) == 1);
        answer_text(held, "at last");
        RUN_UNTIL(loop, caller.has_ended);
        CHECK(peer_has(&caller, "at last") && peer_has(&caller, "connection: close"));
        CHECK(http_server_open(server) == 0);
    }
    PROMISE("nobody else gets in") nobody_gets_in();
    peer_close(&idle);
    peer_close(&silent);
    peer_close(&queued);
    peer_close(&caller);
}

int main(void)
{
    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char)(i * 7 + i / 251);
    fixture_open();
    server_open();
    test_framing();
    test_sizes();
    test_head_requests();
    test_flush();
    test_breaks();
    test_ends();
    test_gone();
    test_gone_elsewhere();
    test_slow_taking();
    test_not_taking();
    test_ceiling_of_connections();
    test_drain();
    server_close();
    fixture_close();
    return check_done();
}
