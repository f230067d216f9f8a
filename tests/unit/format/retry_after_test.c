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

static void test_seconds(void)
{
    PROMISE("whole seconds are taken as they are")
    {
        CHECK(after("retry-after", "0") == 0);
        CHECK(after("Retry-After", "120") == 120000);
        CHECK(after("retry-after", "007") == 7000);
    }
    PROMISE("a fraction of a second is rounded up")
    {
        CHECK(after("retry-after", "1.5") == 2000);
        CHECK(after("retry-after", "0.001") == 1000);
        CHECK(after("retry-after", "3.") == 3000);
    }
    PROMISE("milliseconds are taken as they are")
    {
        CHECK(after("retry-after-ms", "1") == 1);
        CHECK(after("retry-after-ms", "65000") == 65000);
    }
}

static void test_dates(void)
{
    PROMISE("a date is so long from now as it is away, and one that is past is now")
    {
        CHECK(after("retry-after", "Sun, 06 Nov 1994 08:49:38 GMT") == 750);
        CHECK(after("retry-after", "Mon, 07 Nov 1994 08:49:37 GMT") == 86400000 - 250);
        CHECK(after("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT") == 0);
        CHECK(after("retry-after", "Thu, 01 Jan 1970 00:00:00 GMT") == 0);
        CHECK(after("retry-after", "Thu, 01 Jan 1900 00:00:00 GMT") == 0);
    }
    PROMISE("a date is read as GMT, whatever zone this machine is in")
    {
        setenv("TZ", "Pacific/Auckland", 1);
        tzset();
        CHECK(after("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT") == 9750);
        unsetenv("TZ");
        tzset();
    }
}

static void test_garbage(void)
{
    static const char *const garbage[] = {"",
                                          " ",
                                          "-1",
                                          "+5",
                                          "soon",
                                          "5s",
                                          "1e3",
                                          "0x10",
                                          ".5",
                                          "1.5.5",
                                          "1.x",
                                          "Sun, 06 Nov 1994",
                                          "Sun, 06 Nov 1994 08:49:37 GMT+1",
                                          "Sun, 06 Nov 1994 08:49:37 CET",
                                          "Sun, 99 Nov 1994 08:49:37 GMT",
                                          "Sun, 06 Nov 1994 08:49:37 GMT and very much more text",
                                          "99999999999999999999999999999999"};
    PROMISE("what is no time is not taken for one")
    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        CHECK(after("retry-after", garbage[i]) == -1);
        CHECK(after("retry-after-ms", garbage[i]) == -1);
    }
    PROMISE("another header is no retry-after")
    CHECK(after("x-retry-after", "5") == -1);
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
    test_seconds();
    test_dates();
    test_garbage();
    test_both();
    return check_done();
}
