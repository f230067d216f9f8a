#include "net/http/upstream_priv.h"

/* The module itself, with a shorter time and a smaller pool. */
#define UPSTREAM_IDLE_MS 200
#define UPSTREAM_IDLE_MAX 2
/* NOLINTNEXTLINE(bugprone-suspicious-include): as said */
#include "net/http/upstream.c"

#include "net/http/upstream_fixture.h"

#define OK_EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

enum { AT_ONCE = 4 };

static struct asked calls[AT_ONCE];

static int64_t idle(void)
{
    return metrics_gauge(&metrics, 1, GAUGE_UPSTREAM_IDLE);
}

static void test_told(void)
{
    PROMISE("its provider may say for how long it is kept: it is used a second less")
    {
        static const struct {
            const char *head;
            unsigned kept;
        } cases[] = {
            {"Keep-Alive: timeout=1\r\n", 0},
            {"Keep-Alive: max=9, Timeout=0\r\n", 0},
            {"Keep-Alive: max=9, Timeout=2\r\n", 1},
            {"Keep-Alive: timeout=abc\r\n", 1},
            {"Keep-Alive: max=9\r\n", 1},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            char answer[200];
            start_over();
            snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\n%sContent-Length: 0\r\n\r\n",
                     cases[i].head);
            ask_and_answer(&calls[0], 0, answer);
            CHECK(idle() == cases[i].kept);
        }
    }
}

static void test_idle(void)
{
    PROMISE("a connection that nobody wants for its time is closed")
    {
        ask_and_answer(&calls[0], 0, OK_EMPTY);
        CHECK(idle() == 1);
        RUN_UNTIL(loop, idle() == 0);
        RUN_UNTIL(loop, peers[0].has_ended);
    }
    PROMISE("its time does not run while it is in use")
    {
        start_over();
        ask_and_answer(&calls[0], 0, OK_EMPTY);
        ask(&calls[0], "GET /x HTTP/1.1\r\n\r\n", SLICE_NONE);
        uint64_t until_ms = clock_ms() + 3 * UPSTREAM_IDLE_MS;
        RUN_UNTIL(loop, clock_ms() > until_ms);
        CHECK(calls[0].call != NULL && !peer_is_over(&peers[0]));
        peer_send(request_at(0), OK_EMPTY);
        RUN_UNTIL(loop, is_over(&calls[0]));
        CHECK(calls[0].ends == 1);
    }
    PROMISE("no more than so many are kept for one place")
    {
        start_over();
        for (unsigned i = 0; i < AT_ONCE; i++) {
            ask(&calls[i], "GET /x HTTP/1.1\r\n\r\n", SLICE_NONE);
            request_at(i);
        }
        for (unsigned i = 0; i < AT_ONCE; i++)
            peer_send(&peers[i], OK_EMPTY);
        RUN_UNTIL(loop, metrics_gauge(&metrics, 1, GAUGE_UPSTREAM_BUSY) == 0);
        unsigned ended = 0;
        for (unsigned i = 0; i < AT_ONCE; i++)
            ended += calls[i].ends;
        CHECK(ended == AT_ONCE && idle() <= UPSTREAM_IDLE_MAX);
    }
}

int main(void)
{
    upstream_open();
    test_idle();
    test_told();
    for (unsigned i = 0; i < AT_ONCE; i++)
        asked_fini(&calls[i]);
    upstream_close();
    return check_done();
}
