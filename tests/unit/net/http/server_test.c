/* Requests that are fine, and how they are answered. */
#include "base/tiny.h"
#include "net/http/server_fixture.h"

#define GET(target) "GET " target " HTTP/1.1\r\nHost: h\r\n\r\n"

static struct peer caller;

static void test_one_request(void)
{
    caller_open(&caller);
    PROMISE("a request is answered, and the connection stays for the next one")
    {
        peer_send(&caller, GET("/now/1?a=b"));
        RUN_UNTIL(loop, peer_has(&caller, ";"));
        CHECK_TEXT(buf_slice(&caller.in), "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"
                                          "content-length: 16\r\n\r\nGET /now/1?a=b ;");
        buf_clear(&caller.in);
        peer_send(&caller, "POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
        RUN_UNTIL(loop, peer_has(&caller, "POST /now hello;"));
        CHECK(!caller.has_ended && metrics_counter(&metrics, 1, COUNT_CONNECTIONS) == 1);
    }
    PROMISE("a request that arrives byte by byte is the same request")
    {
        static const char request[] =
            "POST /now HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
            "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\n\r\n";
        buf_clear(&caller.in);
        for (size_t i = 0; i + 1 < sizeof(request); i++) {
            peer_send_bytes(&caller, (struct slice){request + i, 1});
            run_turn(loop);
        }
        RUN_UNTIL(loop, peer_has(&caller, "POST /now abcde;"));
    }
    PROMISE("a caller that wants the connection closed gets its answer and the end")
    {
        buf_clear(&caller.in);
        peer_send(&caller, "GET /now HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        RUN_UNTIL(loop, caller.has_ended);
        CHECK(peer_has(&caller, "\r\nconnection: close\r\n") && peer_has(&caller, "GET /now ;"));
    }
    peer_close(&caller);
}

static void test_old_callers(void)
{
    PROMISE("an HTTP/1.0 caller gets the end of the connection with its answer")
    {
        caller_open(&caller);
        peer_send(&caller, "GET /now HTTP/1.0\r\n\r\n");
        RUN_UNTIL(loop, caller.has_ended);
        CHECK(peer_has(&caller, "connection: close\r\n") && peer_has(&caller, "GET /now ;"));
        peer_close(&caller);
    }
    PROMISE("unless it asks to keep it, and then it is told so")
    {
        caller_open(&caller);
        peer_send(&caller, "GET /now HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        RUN_UNTIL(loop, peer_has(&caller, ";"));
        CHECK(peer_has(&caller, "\r\nconnection: keep-alive\r\n"));
        peer_send(&caller, "GET /now HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        RUN_UNTIL(loop, peer_count(&caller, ";") == 2);
        peer_close(&caller);
    }
}

static void test_pipelining(void)
{
    PROMISE("requests sent together are answered in order, one after the other")
    {
        call_count = answered_at_once = 0;
        caller_open(&caller);
        peer_send(&caller, GET("/a") GET("/now/b") GET("/c") GET("/now/d"));
        RUN_UNTIL(loop, call_count == 1);
        run_turn(loop);
        CHECK(call_count == 1 && answered_at_once == 0 && strcmp(calls[0].target, "/a") == 0);
        answer_text(&calls[0], "A");
        CHECK(call_count == 1); /* the next one comes from the loop */
        RUN_UNTIL(loop, call_count == 2);
        CHECK(answered_at_once == 1 && strcmp(calls[1].target, "/c") == 0);
        answer_text(&calls[1], "C");
        RUN_UNTIL(loop, peer_has(&caller, "GET /now/d ;"));
        struct slice in = buf_slice(&caller.in);
        const char *a = memmem(in.at, in.len, "\r\n\r\nA", 5);
        const char *b = memmem(in.at, in.len, "/now/b", 6);
        const char *c = memmem(in.at, in.len, "\r\n\r\nC", 5);
        CHECK(a != NULL && b != NULL && c != NULL && a < b && b < c);
        peer_close(&caller);
    }
    PROMISE("a body behind a request that is being answered waits too, as it was")
    {
        call_count = 0;
        caller_open(&caller);
        peer_send(&caller, GET("/a") "POST /now HTTP/1.1\r\nHost: h\r\nContent-Le");
        RUN_UNTIL(loop, call_count == 1);
        peer_send(&caller, "ngth: 5\r\n\r\nhe");
        run_turn(loop);
        answer_text(&calls[0], "A");
        run_turn(loop);
        peer_send(&caller, "llo");
        RUN_UNTIL(loop, peer_has(&caller, "POST /now hello;"));
        peer_close(&caller);
    }
}

static void test_much_pipelining(void)
{
    enum { MANY = TINY(8000, 800) };
    static const char request[] = GET("/now/0123456789/0123456789");
    struct buf all;
    PROMISE("however many requests wait behind one, all are answered, and few are held")
    {
        buf_init(&all, 1 << 20);
        for (int i = 0; i < MANY; i++)
            CHECK(buf_append(&all, SLICE(request)));
        call_count = answered_at_once = 0;
        struct held_call *first = caller_asks(&caller, GET("/first"));
        peer_send_bytes(&caller, buf_slice(&all));
        for (int i = 0; i < 20; i++)
            run_turn(loop);
        CHECK(answered_at_once == 0 && first->gone == 0);
        answer_text(first, "first");
        RUN_UNTIL(loop, peer_count(&caller, ";") == MANY);
        CHECK(answered_at_once == MANY);
        peer_close(&caller);
        buf_fini(&all);
    }
    PROMISE("a caller that leaves while its requests are piled up unread is noticed")
    {
        buf_init(&all, 1 << 20);
        for (int i = 0; i < 2000; i++)
            CHECK(buf_append(&all, SLICE(request)));
        call_count = 0;
        for (int by_reset = 0; by_reset < 2; by_reset++) {
            struct held_call *first = caller_asks(&caller, GET("/first"));
            peer_send_bytes(&caller, buf_slice(&all));
            for (int i = 0; i < 10; i++)
                run_turn(loop);
            if (by_reset)
                peer_reset(&caller);
            else
                peer_close(&caller);
            RUN_UNTIL(loop, first->gone == 1);
        }
        buf_fini(&all);
    }
}

static void test_expectation(void)
{
    PROMISE("who waits for a 100 before its body gets one, once")
    {
        caller_open(&caller);
        peer_send(&caller, "POST /now HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                           "Content-Length: 2\r\n\r\n");
        RUN_UNTIL(loop, peer_has(&caller, "\r\n\r\n"));
        CHECK_TEXT(buf_slice(&caller.in), "HTTP/1.1 100 Continue\r\n\r\n");
        peer_send(&caller, "hi");
        RUN_UNTIL(loop, peer_has(&caller, "POST /now hi;"));
        CHECK(peer_count(&caller, "100 Continue") == 1);
        peer_close(&caller);
    }
    PROMISE("who does not wait gets none")
    {
        caller_open(&caller);
        peer_send(&caller, "POST /now HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                           "Content-Length: 2\r\n\r\nhi");
        RUN_UNTIL(loop, peer_has(&caller, "POST /now hi;"));
        CHECK(!peer_has(&caller, "100 Continue"));
        peer_close(&caller);
    }
}

static void test_message(void)
{
    PROMISE("a request comes with its caller's address")
    {
        struct held_call *held = caller_asks(&caller, GET("/x"));
        CHECK_TEXT(slice_of(held->peer), "127.0.0.1");
        answer_text(held, "x");
        RUN_UNTIL(loop, peer_has(&caller, "\r\n\r\nx"));
        peer_close(&caller);
    }
    PROMISE("a large body arrives as it was sent")
    {
        static char body[BODY_MAX + 1];
        char head[128];
        for (size_t i = 0; i < BODY_MAX; i++)
            body[i] = (char)(i * 31 + i / 253);
        snprintf(head, sizeof(head),
                 "POST /large HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", BODY_MAX);
        call_count = 0;
        caller_open(&caller);
        peer_send(&caller, head);
        peer_send_bytes(&caller, (struct slice){body, BODY_MAX});
        RUN_UNTIL(loop, call_count == 1);
        CHECK(slice_eq(buf_slice(&calls[0].message.body), (struct slice){body, BODY_MAX}));
        CHECK(metrics_gauge(&metrics, 1, GAUGE_BODY_BYTES_HELD) == BODY_MAX);
        http_message_drop_body(&calls[0].message);
        CHECK(metrics_gauge(&metrics, 1, GAUGE_BODY_BYTES_HELD) == 0);
        answer_text(&calls[0], "taken");
        RUN_UNTIL(loop, peer_has(&caller, "taken"));
        peer_close(&caller);
    }
}

static void test_reasons(void)
{
    PROMISE("the usual words go with a status, and some word with any")
    {
        CHECK(strcmp(http_reason(200), "OK") == 0 && strcmp(http_reason(529), "Overloaded") == 0);
        CHECK(http_reason(599)[0] != '\0');
    }
    PROMISE("a provider's own words are kept")
    {
        struct held_call *held = caller_asks(&caller, GET("/x"));
        struct answer answer = {.status = 299, .reason = SLICE("Well Done")};
        struct connection *call = held->call;
        held->call = NULL;
        answer_whole(call, &answer, SLICE_NONE);
        RUN_UNTIL(loop, peer_has(&caller, "\r\n\r\n"));
        CHECK_TEXT(buf_slice(&caller.in), "HTTP/1.1 299 Well Done\r\ncontent-length: 0\r\n\r\n");
        peer_close(&caller);
    }
}

static void test_listen(void)
{
    char why[HTTP_LISTEN_WHY_MAX] = "";
    uint16_t same;
    PROMISE("a port that another program has is refused, and the reason told")
    {
        uint16_t taken;
        int other = peer_listen(&taken);
        CHECK(http_listen("127.0.0.1", taken, true, &same, why) == -1 && why[0] != '\0');
        close(other);
    }
    PROMISE("workers of one program share a port")
    {
        int second = http_listen("127.0.0.1", port, false, &same, why);
        CHECK(second >= 0 && same == port);
        close(second);
    }
    PROMISE("a host that is none is refused, and the reason told")
    {
        why[0] = '\0';
        CHECK(http_listen("256.0.0.1", 0, true, &same, why) == -1 && why[0] != '\0');
    }
}

int main(void)
{
    fixture_open();
    server_open();
    test_one_request();
    test_old_callers();
    test_pipelining();
    test_much_pipelining();
    test_expectation();
    test_message();
    test_reasons();
    test_listen();
    server_close();
    fixture_close();
    return check_done();
}
