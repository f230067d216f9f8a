#include "format/delay.h"

#include "check.h"

/* Sun, 06 Nov 1994 08:49:37 GMT and a bit */
enum { NOW_S = 784111777 };
static const uint64_t now_ms = NOW_S * 1000ULL + 250;

/* -1: not readable. */
static long long delay(const char *text)
{
    uint64_t ms = 0;
    return delay_read(slice_of(text), now_ms, &ms) ? (long long)ms : -1;
}

static void test_seconds(void)
{
    PROMISE("seconds may have a fraction; less than a millisecond is rounded up")
    {
        CHECK(delay("0") == 0 && delay("120") == 120000 && delay(" 7 ") == 7000);
        CHECK(delay("1.5") == 1500 && delay("3.") == 3000 && delay("17.1") == 17100);
        CHECK(delay("0.0001") == 1 && delay("0.00000000001") == 1 && delay("2.000") == 2000);
    }
}

static void test_durations(void)
{
    static const struct {
        const char *text;
        long long ms;
    } rows[] = {
        {"5s", 5000},
        {"1m30s", 90000},
        {"6m0s", 360000},
        {"250ms", 250},
        {"1h2m3.5s", 3723500},
        {"1.5h", 5400000},
        {"2 minutes", 120000},
        {"1 min 5 sec", 65000},
        {"1d", 86400000},
        {"900us", 1},
        {"1ns", 1},
        {"12.34ms", 13},
        {"0s", 0},
        {"1 hour", 3600000},
        {"2DAYS", 172800000},
        {"7m30.000000001s", 450001},
    };
    PROMISE("a duration is the sum of its numbers, each in its unit")
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK(delay(rows[i].text) == rows[i].ms);
}

static void test_moments(void)
{
    PROMISE("a number that would be thirty years is a moment, in seconds or milliseconds")
    {
        CHECK(delay("999999999") == 999999999000LL);
        CHECK(delay("1764201600") == 1764201600000LL - (long long)now_ms);
        CHECK(delay("1764201600.5") == 1764201600500LL - (long long)now_ms);
        CHECK(delay("1764201600123") == 1764201600123LL - (long long)now_ms);
    }
    PROMISE("a date is read in the three forms of RFC 9110 and in that of RFC 3339")
    {
        CHECK(delay("Sun, 06 Nov 1994 08:49:47 GMT") == 9750);
        CHECK(delay("Sun, 06 Nov 1994 08:49:47 UTC") == 9750);
        CHECK(delay("Sunday, 06-Nov-94 08:49:47 GMT") == 9750);
        CHECK(delay("Sun Nov  6 08:49:47 1994") == 9750);
        CHECK(delay("1994-11-06T08:49:47Z") == 9750);
        CHECK(delay("1994-11-06T09:49:46.1+01:00") == 9750);
        CHECK(delay("1994-11-06T06:19:47-02:30") == 9750);
    }
    PROMISE("what is past means at once")
    {
        CHECK(delay("Sun, 06 Nov 1994 08:49:37 GMT") == 0 && delay("1970-01-01T00:00:00Z") == 0);
        CHECK(delay("Thu, 01 Jan 1900 00:00:00 GMT") == 0);
    }
}

static void test_garbage(void)
{
    static const char *const garbage[] = {"",
                                          "-1",
                                          "+5",
                                          "soon",
                                          "1e3",
                                          "0x10",
                                          ".5",
                                          "1.5.5",
                                          "1.x",
                                          "5 parsecs",
                                          "1m30",
                                          "s",
                                          "1m s",
                                          "m30s",
                                          "1994-11-06",
                                          "1994-11-06T08:49:37",
                                          "1994-11-06T08:49:37+1",
                                          "Sun, 06 Nov 1994 08:49:37 CET",
                                          "Sun, 06 Nov 1994 08:49:37 GMT+1",
                                          "99999999999999999999999999",
                                          "1000000000h",
                                          "9999999999999999",
                                          "200000000000",
                                          "Sun, 06 Nov 1994 08:49:37 GMT and very much more text"};
    uint64_t ms;
    PROMISE("what is no time is not taken for one")
    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++)
        CHECK(delay(garbage[i]) == -1);
    PROMISE("milliseconds are a plain number")
    {
        CHECK(delay_read_ms(SLICE("1500"), &ms) && ms == 1500);
        CHECK(delay_read_ms(SLICE(" 1500.2 "), &ms) && ms == 1501);
        CHECK(!delay_read_ms(SLICE("1500ms"), &ms) && !delay_read_ms(SLICE(""), &ms));
        CHECK(!delay_read_ms(SLICE("18446744073709551615"), &ms));
    }
}

int main(void)
{
    test_seconds();
    test_durations();
    test_moments();
    test_garbage();
    return check_done();
}
