/* Malformed answers, time-outs, cancelling, and receivers and providers that are slow. */
#include "net/http/upstream_fixture.h"

#define OK_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define GET "GET /x HTTP/1.1\r\n\r\n"
#define POST "POST /x HTTP/1.1\r\nContent-Length: 12582912\r\n\r\n"

enum { SHORT_MS = 120, LARGE = 12 << 20 };

static struct asked call;
static char large[LARGE];

static bool failed(const struct asked *a, enum err err)
{
    bool is_so = a->failures == 1 && a->err == err && a->detail[0] != '\0';
    if (!is_so)
        fprintf(stderr, "    heads %u ends %u err %s: %s\n", a->heads, a->ends, err_word(a->err),
                a->detail);
    return is_so;
}

static void answer_and_close(const char *answer)
{
    start_over();
    ask(&call, GET, SLICE_NONE);
    peer_send(request_at(0), answer);
    wire_close(&peers[0].wire);
    RUN_UNTIL(loop, is_over(&call));
}

static void test_malformed(void)
{
    static const char *const heads[] = {
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"};
    PROMISE("a malformed or ambiguous head is told, and nothing of it is handed on")
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        start_over();
        ask(&call, GET, SLICE_NONE);
        peer_send(request_at(0), heads[i]);
        RUN_UNTIL(loop, is_over(&call));
        CHECK(failed(&call, ERR_PROTOCOL) && call.heads == 0);
        RUN_UNTIL(loop, peer_is_over(&peers[0])); /* the connection is not used again */
    }
    PROMISE("a head without an end is refused at its limit")
    {
        start_over();
        memset(large, 'a', LARGE);
        ask(&call, GET, SLICE_NONE);
        peer_send(request_at(0), "HTTP/1.1 200 OK\r\nx: ");
        peer_send_bytes(&peers[0], (struct slice){large, HTTP1_HEAD_MAX});
        RUN_UNTIL(loop, is_over(&call));
        CHECK(failed(&call, ERR_PROTOCOL));
    }
    PROMISE("a malformed chunk is told after what was good before it")
    {
        start_over();
        ask(&call, GET, SLICE_NONE);
        peer_send(request_at(0), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 "5\r\nhello\r\nxyz\r\n");
        RUN_UNTIL(loop, is_over(&call));
        CHECK(failed(&call, ERR_PROTOCOL));
        CHECK_TEXT(buf_slice(&call.body), "hello");
    }
}

static void test_interim(void)
{
    PROMISE("interim answers have a ceiling: as many as there may be pass, one more is the end")
    for (unsigned more = 0; more < 2; more++) {
        start_over();
        ask(&call, GET, SLICE_NONE);
        request_at(0);
        for (unsigned i = 0; i < UPSTREAM_INTERIM_MAX + more; i++)
            peer_send(&peers[0], "HTTP/1.1 103 Early Hints\r\n\r\n");
        peer_send(&peers[0], OK_HELLO);
        RUN_UNTIL(loop, is_over(&call));
        CHECK(more == 0 ? call.ends == 1 : failed(&call, ERR_PROTOCOL));
    }
}

static void test_cut_short(void)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"};
    PROMISE("an answer that ends before it said so is told as broken, after what there was")
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        answer_and_close(answers[i]);
        CHECK(failed(&call, ERR_CLOSED) && call.heads == 1);
        CHECK_TEXT(buf_slice(&call.body), "hello");
    }
    PROMISE("a head that breaks off is no answer at all")
    {
        answer_and_close("HTTP/1.1 200 OK\r\nContent-Le");
        CHECK(failed(&call, ERR_CLOSED) && call.heads == 0);
        answer_and_close("HTTP/1.1 100 Continue\r\n\r\n");
        CHECK(failed(&call, ERR_CLOSED) && call.heads == 0);
    }
}

static void test_no_connection(void)
{
    uint16_t port;
    PROMISE("a provider that refuses the connection is told, with its name and port")
    {
        struct origin nobody = origin;
        char text[32];
        close(peer_listen(&port));
        nobody.port = port;
        snprintf(text, sizeof(text), "127.0.0.1:%u", port);
        struct upstream_request request = request_of(GET, SLICE_NONE);
        request.origin = &nobody;
        ask_with(&call, &request);
        RUN_UNTIL(loop, is_over(&call));
        CHECK(failed(&call, ERR_CONNECT) && strstr(call.detail, text) != NULL);
    }
    PROMISE("a CA file that is missing is named")
    {
        struct origin origin_tls = origin;
        origin_tls.is_tls = true;
        struct upstream_request request = request_of(GET, SLICE_NONE);
        request.origin = &origin_tls;
        request.ca_file = "/nowhere/ca.pem";
        ask_with(&call, &request);
        RUN_UNTIL(loop, is_over(&call));
        CHECK(failed(&call, ERR_TLS) && strstr(call.detail, "/nowhere/ca.pem") != NULL);
    }
}

static void test_timeouts(void)
{
    struct upstream_request request = request_of(GET, SLICE_NONE);
    PROMISE("no answer in time is told, and the connection ends")
    {
        start_over();
        request.first_byte_ms = SHORT_MS;
        ask_with(&call, &request);
        request_at(0);
        RUN_UNTIL(loop, is_over(&call));
        CHECK(failed(&call, ERR_TIMEOUT) && call.heads == 0);
        RUN_UNTIL(loop, peer_is_over(&peers[0]));
    }
    PROMISE("an answer that stands still is told, after what there was")
    {
        start_over();
        request.first_byte_ms = PATIENT_MS;
        request.idle_ms = SHORT_MS;
        ask_with(&call, &request);
        peer_send(request_at(0), "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello");
        RUN_UNTIL(loop, is_over(&call));
        CHECK(failed(&call, ERR_TIMEOUT) && buf_len(&call.body) == 5);
    }
    PROMISE("one that goes on slowly is not told: every byte is a new beginning")
    {
        start_over();
        request.idle_ms = 4 * SHORT_MS;
        ask_with(&call, &request);
        peer_send(request_at(0), "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n");
        for (size_t i = 1; i <= 6; i++) {
            uint64_t until_ms = clock_ms() + SHORT_MS;
            RUN_UNTIL(loop, clock_ms() > until_ms);
            peer_send(&peers[0], "x");
            RUN_UNTIL(loop, buf_len(&call.body) == i);
        }
        CHECK(call.ends == 1);
    }
}

static void test_paused(void)
{
    struct upstream_request request = request_of(GET, SLICE_NONE);
    request.idle_ms = SHORT_MS;
    PROMISE("while a receiver pauses nothing comes and no time runs; then it goes on")
    {
        start_over();
        call.pauses = true;
        ask_with(&call, &request);
        peer_send(request_at(0), "HTTP/1.1 200 OK\r\nContent-Length: 12582912\r\n\r\n");
        RUN_UNTIL(loop, call.heads == 1);
        peer_send_bytes(&peers[0], (struct slice){large, 8 << 20});
        uint64_t until_ms = clock_ms() + 4 * (uint64_t)SHORT_MS;
        RUN_UNTIL(loop, clock_ms() > until_ms);
        CHECK(buf_len(&call.body) == 0 && !is_over(&call));
        CHECK(wire_waiting(&peers[0].wire) > 0); /* so the provider feels it */
        upstream_resume(call.call);
        RUN_UNTIL(loop, buf_len(&call.body) > 0);
        size_t came = buf_len(&call.body);
        run_turn(loop);
        CHECK(buf_len(&call.body) == came); /* it pauses with every piece */
        call.pauses = false;
        upstream_resume(call.call);
        upstream_resume(call.call);
        RUN_UNTIL(loop, buf_len(&call.body) == 8 << 20);
        peer_send_bytes(&peers[0], (struct slice){large, 4 << 20});
        RUN_UNTIL(loop, is_over(&call));
        CHECK(call.ends == 1 && metrics_gauge(&metrics, 1, GAUGE_UPSTREAM_IDLE) == 1);
    }
    PROMISE("a provider that closes during a pause is read to its last byte afterwards")
    {
        start_over();
        call.pauses = true;
        ask_with(&call, &request);
        peer_send(request_at(0), "HTTP/1.1 200 OK\r\n\r\n");
        RUN_UNTIL(loop, call.heads == 1);
        peer_send(&peers[0], "hello");
        wire_close(&peers[0].wire);
        run_turn(loop);
        run_turn(loop);
        CHECK(!is_over(&call) && buf_len(&call.body) == 0);
        call.pauses = false;
        upstream_resume(call.call);
        RUN_UNTIL(loop, is_over(&call));
        CHECK(call.ends == 1);
        CHECK_TEXT(buf_slice(&call.body), "hello");
    }
}

static void cancel(struct asked *a)
{
    struct upstream_call *gone = a->call;
    a->call = NULL;
    upstream_cancel(gone);
}

static void test_cancel(void)
{
    start_over();
    PROMISE("a call that is cancelled before it is connected never says a word")
    {
        ask(&call, GET, SLICE_NONE);
        cancel(&call);
        CHECK(metrics_gauge(&metrics, 1, GAUGE_UPSTREAM_BUSY) == 0);
        run_turn(loop);
        run_turn(loop);
        CHECK(call.heads == 0 && !is_over(&call));
        upstream_cancel(NULL);
    }
    PROMISE("cancelled while it waits or within its answer: the connection ends, and not a word")
    for (int has_answer = 0; has_answer < 2; has_answer++) {
        start_over();
        ask(&call, GET, SLICE_NONE);
        request_at(0);
        if (has_answer) {
            peer_send(&peers[0], "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhel");
            RUN_UNTIL(loop, buf_len(&call.body) == 3);
        }
        cancel(&call);
        RUN_UNTIL(loop, peer_is_over(&peers[0]));
        CHECK(!is_over(&call) && metrics_gauge(&metrics, 1, GAUGE_UPSTREAM_IDLE) == 0);
    }
    PROMISE("a call may be cancelled in its own callbacks")
    for (int is_at_head = 0; is_at_head < 2; is_at_head++) {
        start_over();
        call.cancels = is_at_head;
        ask(&call, GET, SLICE_NONE);
        peer_send(request_at(0), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        RUN_UNTIL(loop, call.heads == 1);
        call.cancels = true;
        if (call.call != NULL)
            peer_send(&peers[0], "3\r\nabc\r\n3\r\n");
        RUN_UNTIL(loop, peer_is_over(&peers[0]));
        CHECK(!is_over(&call) && call.call == NULL);
        call.cancels = false;
    }
}

static void test_large_request(void)
{
    start_over();
    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char)(i * 7 + i / 251);
    PROMISE("a large body goes up as fast as the provider takes it, and no time runs meanwhile")
    {
        struct upstream_request request = request_of(POST, (struct slice){large, LARGE});
        request.first_byte_ms = 3 * SHORT_MS;
        ask_with(&call, &request);
        RUN_UNTIL(loop, peer_total == 1 && peer_has(&peers[0], "\r\n\r\n"));
        size_t head = sizeof(POST) - 1;
        RUN_UNTIL(loop, buf_len(&peers[0].in) == head + LARGE && upstream_is_sent(call.call));
        CHECK(memcmp(buf_slice(&peers[0].in).at + head, large, LARGE) == 0);
        peer_send(&peers[0], OK_HELLO);
        RUN_UNTIL(loop, is_over(&call));
        CHECK(call.ends == 1 && metrics_gauge(&metrics, 1, GAUGE_UPSTREAM_IDLE) == 1);
    }
    PROMISE("a request whose slot is lost on the way goes up no further")
    {
        start_over();
        ask(&call, POST, (struct slice){large, LARGE});
        RUN_UNTIL(loop, peer_total == 1 && peer_has(&peers[0], "\r\n\r\n"));
        call.is_lost = true;
        RUN_UNTIL(loop, is_over(&call));
        CHECK(failed(&call, ERR_LOST));
        RUN_UNTIL(loop, peer_is_over(&peers[0]));
        CHECK(buf_len(&peers[0].in) < LARGE);
    }
}

static void test_early_answer(void)
{
    PROMISE("an answer that comes before the whole request is taken; the connection is not")
    {
        start_over();
        ask(&call, POST, (struct slice){large, LARGE});
        RUN_UNTIL(loop, peer_total == 1 && peer_has(&peers[0], "\r\n\r\n"));
        wire_stop_watching(&peers[0].wire);
        CHECK(!upstream_is_sent(call.call));
        peer_send(&peers[0], "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
        RUN_UNTIL(loop, is_over(&call));
        CHECK(call.ends == 1 && call.status == 413);
        CHECK(metrics_gauge(&metrics, 1, GAUGE_UPSTREAM_IDLE) == 0);
    }
    PROMISE("an answer that came before the provider reset a large request is still handed on")
    {
        start_over();
        ask(&call, POST, (struct slice){large, LARGE});
        RUN_UNTIL(loop, peer_total == 1 && peer_has(&peers[0], "\r\n\r\n"));
        wire_stop_watching(&peers[0].wire);
        peer_send(&peers[0], "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
        RUN_UNTIL(loop, is_over(&call));
        CHECK(call.ends + call.failures == 1);
        wire_close(&peers[0].wire); /* with much unread: a reset */
    }
}

int main(void)
{
    upstream_open();
    test_malformed();
    test_interim();
    test_cut_short();
    test_no_connection();
    test_timeouts();
    test_paused();
    test_cancel();
    test_large_request();
    test_early_answer();
    asked_fini(&call);
    upstream_close();
    return check_done();
}
