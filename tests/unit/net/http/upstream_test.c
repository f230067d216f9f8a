/* Answers of every framing, and connections that are used again. */
#include "net/http/upstream_fixture.h"

#define OK_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Test: v\r\n\r\nhello"
#define GET "GET /x HTTP/1.1\r\n\r\n"
#define POST "POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\n"

static struct asked first, second;

static uint64_t opened(void)
{
    return metrics_counter(&metrics, 1, COUNT_UPSTREAM_OPENED);
}

static int64_t idle(void)
{
    return metrics_gauge(&metrics, 1, GAUGE_UPSTREAM_IDLE);
}

static bool answered(const struct asked *a, int status, const char *body)
{
    return a->heads == 1 && a->ends == 1 && a->failures == 0 && a->status == status &&
           slice_eq(buf_slice(&a->body), slice_of(body));
}

static void test_request(void)
{
    PROMISE("a request goes up as it was given, and its answer comes down")
    {
        ask(&first, POST, SLICE("hi"));
        RUN_UNTIL(loop, peer_total == 1 && peer_has(&peers[0], "hi"));
        CHECK_TEXT(buf_slice(&peers[0].in), POST "hi");
        CHECK(upstream_is_sent(first.call) && upstream_sent_ns(first.call) != 0);
        peer_send(&peers[0], OK_HELLO);
        RUN_UNTIL(loop, is_over(&first));
        CHECK(answered(&first, 200, "hello") && strcmp(first.header, "v") == 0);
    }
    PROMISE("the next request goes over the same connection")
    {
        CHECK(idle() == 1 && opened() == 1);
        buf_clear(&peers[0].in);
        ask_and_answer(&first, 0, OK_HELLO);
        CHECK(answered(&first, 200, "hello") && peer_total == 1 && opened() == 1);
        CHECK(metrics_counter(&metrics, 1, COUNT_UPSTREAM_REUSED) == 1);
    }
}

static void test_pool(void)
{
    PROMISE("two at once need two connections, and both are kept")
    {
        ask(&first, GET, SLICE_NONE);
        ask(&second, GET, SLICE_NONE);
        struct peer *a = request_at(0), *b = request_at(1);
        peer_send(b, OK_HELLO);
        RUN_UNTIL(loop, is_over(&second));
        CHECK(!is_over(&first));
        peer_send(a, OK_HELLO);
        RUN_UNTIL(loop, is_over(&first));
        CHECK(idle() == 2 && opened() == 2);
    }
    PROMISE("the one used last is taken first")
    {
        ask(&first, GET, SLICE_NONE);
        CHECK(peer_total == 2);
        peer_send(request_at(0), OK_HELLO);
        RUN_UNTIL(loop, is_over(&first));
    }
    PROMISE("whoever hears the end may send the next request over that very connection")
    {
        start_over();
        first.then = &second;
        ask(&first, GET, SLICE_NONE);
        peer_send(request_at(0), OK_HELLO);
        peer_send(request_at(0), OK_HELLO);
        RUN_UNTIL(loop, is_over(&second));
        CHECK(answered(&second, 200, "hello") && peer_total == 1);
        first.then = NULL;
    }
}

static void test_framings(void)
{
    static const struct {
        const char *answer, *body;
        int status;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
         "5;x=\"y\"\r\nhello\r\n6\r\n, you.\r\n0\r\nA: b\r\n\r\n",
         "hello, you.", 200},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", 200},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", 200},
        {"HTTP/1.1 204 No Content\r\n\r\n", "", 204},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", "", 304},
        {"HTTP/1.1 429 \r\nContent-Length: 1\r\n\r\nx", "x", 429},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" OK_HELLO, "hello",
         200},
    };
    start_over();
    PROMISE("every framing is taken off, and the connection stays in step")
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ask_and_answer(&first, 0, rows[i].answer);
        CHECK(answered(&first, rows[i].status, rows[i].body) && peer_total == 1 && idle() == 1);
    }
    PROMISE("so it is when the answer comes byte by byte")
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ask(&first, GET, SLICE_NONE);
        struct peer *p = request_at(0);
        for (const char *c = rows[i].answer; *c != '\0'; c++) {
            peer_send_bytes(p, (struct slice){c, 1});
            run_turn(loop);
        }
        RUN_UNTIL(loop, is_over(&first));
        CHECK(answered(&first, rows[i].status, rows[i].body) && peer_total == 1 && idle() == 1);
    }
    PROMISE("the answer to HEAD has no body, whatever it says")
    {
        ask(&first, "HEAD /x HTTP/1.1\r\n\r\n", SLICE_NONE);
        peer_send(request_at(0), "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
        RUN_UNTIL(loop, is_over(&first));
        CHECK(answered(&first, 200, "") && idle() == 1);
    }
}

static void test_until_close(void)
{
    start_over();
    PROMISE("an answer without a length ends with its connection")
    {
        ask(&first, GET, SLICE_NONE);
        struct peer *p = request_at(0);
        peer_send(p, "HTTP/1.1 200 OK\r\n\r\nhel");
        RUN_UNTIL(loop, buf_len(&first.body) == 3);
        peer_send(p, "lo");
        wire_close(&p->wire);
        RUN_UNTIL(loop, is_over(&first));
        CHECK(answered(&first, 200, "hello") && idle() == 0);
    }
    PROMISE("if the connection breaks instead, the answer does not look whole")
    {
        ask(&first, GET, SLICE_NONE);
        struct peer *p = request_at(1);
        peer_send(p, "HTTP/1.1 200 OK\r\n\r\nhel");
        RUN_UNTIL(loop, buf_len(&first.body) == 3);
        wire_reset(&p->wire);
        RUN_UNTIL(loop, is_over(&first));
        CHECK(first.failures == 1 && first.err == ERR_CLOSED);
    }
}

static void test_not_kept(void)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", OK_HELLO "more than it said",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nmore"};
    PROMISE("a connection that is to close, or is out of step, is not used again")
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        start_over();
        ask_and_answer(&first, 0, answers[i]);
        CHECK(answered(&first, 200, "hello") && idle() == 0);
        RUN_UNTIL(loop, peer_is_over(&peers[0]));
    }
    PROMISE("nor is one whose provider speaks out of turn")
    {
        start_over();
        ask_and_answer(&first, 0, OK_HELLO);
        peer_send(&peers[0], "HTTP/1.1 408 Request Timeout\r\n\r\n");
        RUN_UNTIL(loop, idle() == 0);
        start_over();
        ask_and_answer(&first, 0, OK_HELLO);
        peer_send(&peers[0], OK_HELLO); /* in the very moment of the next request */
        ask(&first, GET, SLICE_NONE);
        peer_send(request_at(1), "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
        RUN_UNTIL(loop, is_over(&first));
        CHECK(answered(&first, 201, ""));
    }
    PROMISE("other places have connections of their own")
    {
        static char same_host[] = "127.0.0.1", ca_file[] = "/tmp/other";
        struct origin other = origin;
        other.host = same_host;
        start_over();
        ask_and_answer(&first, 0, OK_HELLO);
        struct upstream_request request = request_of(GET, SLICE_NONE);
        request.ca_file = ca_file;
        request.origin = &other;
        ask_with(&second, &request);
        peer_send(request_at(1), OK_HELLO);
        RUN_UNTIL(loop, is_over(&second));
        request.ca_file = NULL; /* the same place by another pointer is the same */
        ask_with(&second, &request);
        peer_send(request_at(0), OK_HELLO);
        RUN_UNTIL(loop, is_over(&second));
        CHECK(peer_total == 2);
    }
}

static void test_died_while_idle(void)
{
    PROMISE("a connection that its provider closes while idle is forgotten")
    {
        start_over();
        ask_and_answer(&first, 0, OK_HELLO);
        wire_close(&peers[0].wire);
        RUN_UNTIL(loop, idle() == 0);
    }
    PROMISE("one that closed or broke unnoticed costs no request, not even a POST")
    for (int is_reset = 0; is_reset < 2; is_reset++) {
        start_over();
        ask_and_answer(&first, 0, OK_HELLO);
        if (is_reset)
            wire_reset(&peers[0].wire);
        else
            wire_close(&peers[0].wire);
        CHECK(idle() == 1);
        ask(&first, POST, SLICE("hi")); /* before the loop has looked */
        RUN_UNTIL(loop, peer_total == 2 && peer_has(&peers[1], "hi"));
        CHECK_TEXT(buf_slice(&peers[1].in), POST "hi");
        peer_send(&peers[1], OK_HELLO);
        RUN_UNTIL(loop, is_over(&first));
        CHECK(answered(&first, 200, "hello"));
    }
}

static void test_sent_again(void)
{
    PROMISE("a used connection that closes without an answer: what is safe is sent again, once")
    {
        start_over();
        ask_and_answer(&first, 0, OK_HELLO);
        ask(&first, GET, SLICE_NONE);
        request_at(0);
        wire_close(&peers[0].wire);
        struct peer *p = request_at(1);
        CHECK(!is_over(&first));
        wire_close(&p->wire);
        RUN_UNTIL(loop, is_over(&first));
        CHECK(first.err == ERR_CLOSED && first.heads == 0 && peer_total == 2);
    }
    PROMISE("so is a POST that met a connection at its end")
    for (int is_reset = 0; is_reset < 2; is_reset++) {
        start_over();
        ask_and_answer(&first, 0, OK_HELLO);
        ask(&first, POST, SLICE("hi"));
        request_at(0);
        if (is_reset)
            wire_reset(&peers[0].wire);
        else
            wire_close(&peers[0].wire);
        RUN_UNTIL(loop, peer_total == 2 && peer_has(&peers[1], "hi"));
        CHECK_TEXT(buf_slice(&peers[1].in), POST "hi");
        wire_close(&peers[1].wire);
        RUN_UNTIL(loop, is_over(&first));
        CHECK(first.err == ERR_CLOSED && first.heads == 0 && peer_total == 2);
    }
    PROMISE("one that was worked on for a while is told, not sent again")
    for (int is_reset = 0; is_reset < 2; is_reset++) {
        start_over();
        ask_and_answer(&first, 0, OK_HELLO);
        ask(&first, POST, SLICE("hi"));
        request_at(0);
        uint64_t until_ms = clock_ms() + UPSTREAM_DYING_MS;
        RUN_UNTIL(loop, clock_ms() > until_ms);
        if (is_reset)
            wire_reset(&peers[0].wire);
        else
            wire_close(&peers[0].wire);
        RUN_UNTIL(loop, is_over(&first));
        CHECK(first.err == ERR_CLOSED && peer_total == 1);
    }
}

static void test_not_sent_again(void)
{
    PROMISE("after the first byte of an answer nothing is sent again")
    {
        start_over();
        ask_and_answer(&first, 0, OK_HELLO);
        ask(&first, GET, SLICE_NONE);
        request_at(0);
        peer_send(&peers[0], "HTTP/1.1 200");
        wire_close(&peers[0].wire);
        RUN_UNTIL(loop, is_over(&first));
        CHECK(first.err == ERR_CLOSED && peer_total == 1);
    }
    PROMISE("a new connection that closes without an answer is told, whatever the method")
    {
        start_over();
        ask(&first, GET, SLICE_NONE);
        request_at(0);
        wire_close(&peers[0].wire);
        RUN_UNTIL(loop, is_over(&first));
        CHECK(first.err == ERR_CLOSED && first.detail[0] != '\0' && peer_total == 1);
    }
}

int main(void)
{
    upstream_open();
    test_request();
    test_pool();
    test_framings();
    test_until_close();
    test_not_kept();
    test_died_while_idle();
    test_sent_again();
    test_not_sent_again();
    asked_fini(&first);
    asked_fini(&second);
    upstream_close();
    return check_done();
}
