#include "format/retry_after.h"

#include <time.h>

#include "check.h"

/* Sun, 06 Nov 1994 08:49:37 GMT and a bit */
enum { NOW_S = 784111777 };
static const uint64_t now_ms = NOW_S * 1000ULL + 250;

/* -1: not readable. */
static long long after(const char *name, const char *value)
{
    uint64_t ms = 0;
    struct http1_header header = {slice_of(name), slice_of(value)};
    return retry_after_read(&header, 1, now_ms, &ms) ? (long long)ms : -1;
}

static void test_forms(void)
{
    PROMISE("retry-after is read in every form of a delay, its name in any case")
    {
        CHECK(after("Retry-After", "120") == 120000);
        CHECK(after("retry-after", "1.5") == 1500);
        CHECK(after("retry-after", "1m30s") == 90000);
        CHECK(after("retry-after", "Sun, 06 Nov 1994 08:49:38 GMT") == 750);
        CHECK(after("retry-after", "Mon, 07 Nov 1994 08:49:37 GMT") == 86400000 - 250);
    }
    PROMISE("milliseconds are taken as they are")
    {
        CHECK(after("retry-after-ms", "1") == 1);
        CHECK(after("Retry-After-Ms", "65000") == 65000);
    }
    PROMISE("a date is read as GMT, whatever zone this machine is in")
    {
        setenv("TZ", "Pacific/Auckland", 1);
        tzset();
        CHECK(after("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT") == 9750);
        unsetenv("TZ");
        tzset();
    }
    PROMISE("what is no time is not taken for one, nor is another header")
    {
        CHECK(after("retry-after", "soon") == -1 && after("retry-after", "") == -1);
        CHECK(after("retry-after-ms", "-1") == -1 && after("retry-after-ms", "5s") == -1);
        CHECK(after("x-retry-after", "5") == -1);
    }
}

static void test_both(void)
{
    struct http1_header both[] = {{SLICE("retry-after"), SLICE("9")},
                                  {SLICE("retry-after-ms"), SLICE("1500")}};
    uint64_t ms;
    PROMISE("the finer one counts, if both are there and it can be read")
    {
        CHECK(retry_after_read(both, 2, now_ms, &ms) && ms == 1500);
        both[1].value = SLICE("x");
        CHECK(retry_after_read(both, 2, now_ms, &ms) && ms == 9000);
    }
}

int main(void)
{
    test_forms();
    test_both();
    return check_done();
}
