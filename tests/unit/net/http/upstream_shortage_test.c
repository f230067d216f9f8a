/* When descriptors run out, and how idle connections give theirs. */
#include <signal.h>
#include <sys/resource.h>

#include "net/http/upstream_fixture.h"

#define OK_EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define GET "GET /x HTTP/1.1\r\n\r\n"

enum { AT_ONCE = 3 };

static struct asked calls[AT_ONCE];
static struct rlimit limit;

static int64_t idle(void)
{
    return metrics_gauge(&metrics, 1, GAUGE_UPSTREAM_IDLE);
}

static void leave_idle(unsigned count)
{
    start_over();
    for (unsigned i = 0; i < count; i++) {
        ask(&calls[i], GET, SLICE_NONE);
        request_at(i);
    }
    for (unsigned i = 0; i < count; i++) {
        peer_send(&peers[i], OK_EMPTY);
        RUN_UNTIL(loop, is_over(&calls[i]));
    }
    CHECK(idle() == count);
}

static void no_more_descriptors(void)
{
    int lowest = dup(0);
    close(lowest);
    struct rlimit none = {.rlim_cur = (rlim_t)lowest, .rlim_max = limit.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
}

/* The same provider under another name, so that no connection to it is there yet. */
static void ask_elsewhere(struct asked *a)
{
    static char name[] = "localhost";
    static struct origin other;
    struct upstream_request request = request_of(GET, SLICE_NONE);
    other = origin;
    other.host = name;
    request.origin = &other;
    ask_with(a, &request);
}

static void test_drop_idle(void)
{
    PROMISE("idle connections are dropped when asked, those not used for longest first")
    {
        leave_idle(AT_ONCE);
        CHECK(upstream_drop_idle(upstream, 2) == 2 && idle() == 1);
        RUN_UNTIL(loop, peer_is_over(&peers[0]) && peer_is_over(&peers[1]));
        CHECK(!peer_is_over(&peers[2]));
        CHECK(upstream_drop_idle(upstream, 10) == 1 && idle() == 0);
        CHECK(upstream_drop_idle(upstream, 10) == 0);
    }
}

static void test_shortage(void)
{
    PROMISE("without a descriptor left, idle connections are closed and the request goes on")
    {
        leave_idle(AT_ONCE);
        no_more_descriptors();
        ask_elsewhere(&calls[0]);
        peer_send(request_at(AT_ONCE), OK_EMPTY);
        RUN_UNTIL(loop, is_over(&calls[0]));
        setrlimit(RLIMIT_NOFILE, &limit);
        CHECK(calls[0].ends == 1 && idle() == 1);
    }
    PROMISE("where none is idle the request fails for a shortage of ours")
    {
        start_over();
        no_more_descriptors();
        ask_elsewhere(&calls[0]);
        RUN_UNTIL(loop, is_over(&calls[0]));
        setrlimit(RLIMIT_NOFILE, &limit);
        CHECK(calls[0].err == ERR_SHORTAGE && err_status(ERR_SHORTAGE) == 503);
    }
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &limit);
    upstream_open();
    test_drop_idle();
    test_shortage();
    for (unsigned i = 0; i < AT_ONCE; i++)
        asked_fini(&calls[i]);
    upstream_close();
    return check_done();
}
