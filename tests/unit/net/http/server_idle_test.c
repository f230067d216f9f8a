#include "net/http/server_priv.h"

/* The part of the module that reads, with a shorter time and a smaller pace. */
#define KEEPALIVE_MS 300
#define LAST_CALL_MS 100
#define BODY_PACE_BYTES 1000
/* NOLINTNEXTLINE(bugprone-suspicious-include): as said */
#include "net/http/body.c"
/* NOLINTNEXTLINE(bugprone-suspicious-include): as said */
#include "net/http/receive.c"

#include "net/http/server_fixture.h"

#define GET(target) "GET " target " HTTP/1.1\r\nHost: h\r\n\r\n"

enum { HURRIED_MS = 200, STEP_MS = 20 };

static struct peer caller;

static void wait_ms(uint64_t ms)
{
    uint64_t until_ms = clock_ms() + ms;
    RUN_UNTIL(loop, clock_ms() > until_ms);
}

static void test_keepalive(void)
{
    PROMISE("a connection without another request is closed after its time, in order")
    {
        caller_open(&caller);
        peer_send(&caller, GET("/now"));
        RUN_UNTIL(loop, peer_has(&caller, ";"));
        RUN_UNTIL(loop, peer_is_over(&caller));
        CHECK(caller.has_ended && peer_count(&caller, "HTTP/1.1 ") == 1);
        peer_close(&caller);
    }
    PROMISE("every request begins its time anew")
    {
        caller_open(&caller);
        for (unsigned i = 1; i <= 5; i++) {
            peer_send(&caller, GET("/now"));
            RUN_UNTIL(loop, peer_count(&caller, ";") == i);
            wait_ms(KEEPALIVE_MS / 3);
        }
        CHECK(!peer_is_over(&caller));
        peer_close(&caller);
    }
    PROMISE("a request that is being answered may take longer than that")
    {
        struct held_call *held = caller_asks(&caller, GET("/x"));
        wait_ms(2 * KEEPALIVE_MS);
        CHECK(held->gone == 0);
        answer_text(held, "done");
        RUN_UNTIL(loop, peer_has(&caller, "done"));
        peer_close(&caller);
    }
}

static void test_pace(void)
{
    options.client_ms = HURRIED_MS;
    http_server_update(server, &options);
    PROMISE("a body that keeps its pace may take longer than the time for a part of it")
    {
        static char part[BODY_PACE_BYTES];
        memset(part, 'x', sizeof(part));
        answered_at_once = 0;
        caller_open(&caller);
        peer_send(&caller, "POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n");
        for (int i = 0; i < 60; i++) {
            peer_send_bytes(&caller, (struct slice){part, sizeof(part)});
            wait_ms(STEP_MS);
        }
        RUN_UNTIL(loop, peer_has(&caller, "x;"));
        CHECK(answered_at_once == 1 && peer_has(&caller, "HTTP/1.1 200 "));
        peer_close(&caller);
    }
    PROMISE("one that trickles is refused with 408, however regularly")
    {
        caller_open(&caller);
        peer_send(&caller, "POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n");
        for (int i = 0; i < 500 && !peer_is_over(&caller); i++) {
            peer_send(&caller, "x");
            wait_ms(STEP_MS);
        }
        CHECK(peer_has(&caller, "HTTP/1.1 408 "));
        peer_close(&caller);
    }
}

int main(void)
{
    fixture_open();
    server_open();
    test_keepalive();
    test_pace();
    server_close();
    fixture_close();
    return check_done();
}
