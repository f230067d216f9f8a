/* What is refused, with which status, and the connection closes with it; ceilings; deadlines. */
#include "net/http/server_fixture.h"

enum { SMALL_MAX = 1000, SHORT_MS = 150 };

static struct peer caller;
static char filler[HTTP1_HEAD_MAX + 1000];

/* The caller's connection ends with one answer of that status, in the words of write_error. */
static bool is_refused(struct peer *p, int status)
{
    char line[64], error[96];
    snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
    snprintf(error, sizeof(error), "{\"status\":%d,\"message\":\"", status);
    RUN_UNTIL(loop, peer_is_over(p));
    bool is_so = p->has_ended && slice_starts(buf_slice(&p->in), slice_of(line)) &&
                 peer_count(p, "HTTP/1.1 ") == 1 && peer_has(p, "\r\nconnection: close\r\n") &&
                 peer_has(p, "\r\ncontent-type: application/json\r\n") && peer_has(p, error);
    if (!is_so)
        fprintf(stderr, "    got: %.*s\n", SLICE_ARG(buf_slice(&p->in)));
    return is_so;
}

static bool refuses(const char *request, int status)
{
    caller_open(&caller);
    peer_send(&caller, request);
    bool is_so = is_refused(&caller, status);
    peer_close(&caller);
    return is_so && call_count == 0 && answered_at_once == 0;
}

static void test_refusals(void)
{
    static const char *const malformed[] = {
        "GET /now\r\n\r\n",
        "GET /now HTTP/1.1\r\n\r\n",
        "get /now HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /now HTTP/1.1\nHost: h\n\n",
        "GET /now HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
        "GET /now HTTP/1.1\r\nHost: h\r\n folded: x\r\n\r\n",
        "GET /now HTTP/1.1\r\nHost : h\r\n\r\n",
        "POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        "POST /now HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "POST /now HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n"};
    PROMISE("what is malformed or ambiguous is refused with 400")
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
        CHECK(refuses(malformed[i], 400));
    PROMISE("what is not supported is refused with its own status")
    {
        CHECK(refuses("POST /now HTTP/1.1\r\nHost: h\r\n\r\n", 411));
        CHECK(refuses("POST /now HTTP/1.1\r\nHost: h\r\nExpect: x\r\nContent-Length: 1\r\n\r\n",
                      417));
        CHECK(refuses("POST /now HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 501));
        CHECK(refuses("CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 501));
        CHECK(refuses("GET /now HTTP/2.0\r\nHost: h\r\n\r\n", 505));
    }
    PROMISE("what is refused is counted, unless its owner refused it")
    CHECK(metrics_counter(&metrics, 1, COUNT_MALFORMED) == 16);
}

static void test_large_heads(void)
{
    PROMISE("a request line beyond its limit is refused with 414")
    {
        memset(filler, 'a', sizeof(filler));
        memcpy(filler, "GET /", 5);
        caller_open(&caller);
        peer_send_bytes(&caller, (struct slice){filler, HTTP1_START_LINE_MAX + 10});
        CHECK(is_refused(&caller, 414));
        peer_close(&caller);
    }
    PROMISE("a head beyond its limit is refused with 431, although it goes on")
    {
        static const char start[] = "GET /now HTTP/1.1\r\nHost: h\r\nx: ";
        memcpy(filler, start, sizeof(start) - 1);
        caller_open(&caller);
        peer_send_bytes(&caller, (struct slice){filler, sizeof(filler)});
        CHECK(is_refused(&caller, 431));
        peer_close(&caller);
    }
    PROMISE("many small lines are refused with 431 too")
    {
        struct buf lines;
        buf_init(&lines, 1 << 16);
        CHECK(buf_append(&lines, SLICE("GET /now HTTP/1.1\r\nHost: h\r\n")));
        for (int i = 0; i < HTTP1_HEADERS_MAX; i++)
            CHECK(buf_append(&lines, SLICE("a: b\r\n")));
        CHECK(buf_append(&lines, SLICE("\r\n")));
        caller_open(&caller);
        peer_send_bytes(&caller, buf_slice(&lines));
        CHECK(is_refused(&caller, 431));
        peer_close(&caller);
        buf_fini(&lines);
    }
    PROMISE("a refusal to a HEAD request has no body")
    {
        caller_open(&caller);
        peer_send(&caller, "HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
        RUN_UNTIL(loop, caller.has_ended);
        CHECK(peer_has(&caller, "HTTP/1.1 413 ") && !peer_has(&caller, "{"));
        peer_close(&caller);
    }
}

static void test_refused_among_others(void)
{
    PROMISE("a malformed request behind a good one is refused after that one's answer")
    {
        caller_open(&caller);
        peer_send(&caller, "GET /now HTTP/1.1\r\nHost: h\r\n\r\nrubbish\r\n\r\n");
        RUN_UNTIL(loop, caller.has_ended);
        struct slice in = buf_slice(&caller.in);
        CHECK(slice_starts(in, SLICE("HTTP/1.1 200 ")) && peer_has(&caller, "HTTP/1.1 400 "));
        peer_close(&caller);
        answered_at_once = 0;
    }
    PROMISE("a refusal reaches a caller that is still sending")
    {
        static char much[1 << 20];
        memset(much, 'x', sizeof(much));
        caller_open(&caller);
        peer_send(&caller, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n");
        peer_send_bytes(&caller, (struct slice){much, sizeof(much)});
        CHECK(is_refused(&caller, 413));
        peer_close(&caller);
    }
}

static void test_refused_at_head(void)
{
    uint64_t up = metrics_counter(&metrics, 1, COUNT_BYTES_UP);
    PROMISE("who may not go on is told at the head, with the request's id, and no body is read")
    {
        caller_open(&caller);
        peer_send(&caller, "POST /mine HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\n");
        CHECK(is_refused(&caller, 403) && peer_has(&caller, "\"id\":\"id-1\""));
        CHECK(peer_has(&caller, "\r\nx-weir-request-id: id-1\r\n"));
        CHECK(peer_has(&caller, "\r\nallow: NONE\r\n"));
        CHECK(metrics_counter(&metrics, 1, COUNT_BYTES_UP) == up);
        CHECK(metrics_gauge(&metrics, 1, GAUGE_BODY_BYTES_HELD) == 0 && call_count == 0);
        peer_close(&caller);
    }
    PROMISE("also while it goes on sending, and chunked")
    {
        caller_open(&caller);
        peer_send(&caller, "POST /mine HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                           "3e8\r\nsome of it");
        CHECK(is_refused(&caller, 403));
        CHECK(metrics_counter(&metrics, 1, COUNT_BYTES_UP) == up);
        peer_close(&caller);
    }
    PROMISE("without a body the connection can be used again")
    {
        caller_open(&caller);
        peer_send(&caller,
                  "GET /mine HTTP/1.1\r\nHost: h\r\n\r\nGET /now HTTP/1.1\r\nHost: h\r\n\r\n");
        RUN_UNTIL(loop, peer_count(&caller, "HTTP/1.1 ") == 2);
        CHECK(peer_has(&caller, "HTTP/1.1 403 ") && peer_has(&caller, "HTTP/1.1 200 "));
        peer_send(&caller, "GET /mine HTTP/1.1\r\nHost: h\r\n\r\n");
        RUN_UNTIL(loop, peer_count(&caller, "HTTP/1.1 403 ") == 2);
        CHECK(!caller.has_ended && !peer_has(&caller, "connection: close"));
        peer_close(&caller);
        answered_at_once = 0;
    }
}

/* Sends a body of `len` bytes; `is_chunked` without saying so first. */
static void post_body(struct peer *p, const char *target, size_t len, bool is_chunked)
{
    char head[160];
    memset(filler, 'b', sizeof(filler));
    snprintf(head, sizeof(head),
             is_chunked ? "POST %s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n"
                        : "POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n",
             target, len);
    peer_send(p, head);
    peer_send_bytes(p, (struct slice){filler, len});
    if (is_chunked)
        peer_send(p, "\r\n0\r\n\r\n");
}

static void test_body_limit(void)
{
    PROMISE("a body may be as large as its limit, sized or chunked")
    for (int is_chunked = 0; is_chunked < 2; is_chunked++) {
        caller_open(&caller);
        post_body(&caller, "/now", SMALL_MAX, is_chunked);
        RUN_UNTIL(loop, peer_has(&caller, "b;"));
        CHECK(peer_has(&caller, "HTTP/1.1 200 "));
        peer_close(&caller);
    }
    PROMISE("one byte more is refused with 413, and nothing stays held")
    for (int is_chunked = 0; is_chunked < 2; is_chunked++) {
        caller_open(&caller);
        post_body(&caller, "/now", SMALL_MAX + 1, is_chunked);
        CHECK(is_refused(&caller, 413));
        peer_close(&caller);
        CHECK(metrics_gauge(&metrics, 1, GAUGE_BODY_BYTES_HELD) == 0);
    }
    PROMISE("a limit that was changed holds for what comes now")
    {
        struct http_server_options changed = options;
        changed.body_bytes_max = 10;
        http_server_update(server, &changed);
        caller_open(&caller);
        post_body(&caller, "/now", 11, false);
        CHECK(is_refused(&caller, 413));
        peer_close(&caller);
        http_server_update(server, &options);
    }
}

static void test_slow_callers(void)
{
    static const char *const parts[] = {
        "GET /no", "GET /now HTTP/1.1\r\nHost: h\r\n",
        "POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhel",
        "POST /now HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"};
    struct http_server_options hurried = options;
    hurried.client_ms = SHORT_MS;
    http_server_update(server, &hurried);
    call_count = answered_at_once = 0;
    PROMISE("a head or a body that does not arrive in time is refused with 408")
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        CHECK(refuses(parts[i], 408));
    PROMISE("who connects and says nothing is sent away without a word")
    {
        caller_open(&caller);
        RUN_UNTIL(loop, peer_is_over(&caller));
        CHECK(caller.has_ended && buf_len(&caller.in) == 0);
        peer_close(&caller);
    }
    PROMISE("a request that is being worked on may take its time")
    {
        struct held_call *held = caller_asks(&caller, "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
        uint64_t until_ms = clock_ms() + 3 * (uint64_t)SHORT_MS;
        RUN_UNTIL(loop, clock_ms() > until_ms);
        CHECK(held->gone == 0);
        answer_text(held, "done");
        RUN_UNTIL(loop, peer_has(&caller, "done"));
        peer_close(&caller);
    }
    http_server_update(server, &options);
}

int main(void)
{
    fixture_open();
    options.body_bytes_max = SMALL_MAX;
    server_open();
    test_refusals();
    test_large_heads();
    test_refused_among_others();
    test_refused_at_head();
    test_body_limit();
    test_slow_callers();
    server_close();
    fixture_close();
    return check_done();
}
