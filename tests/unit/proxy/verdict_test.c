#include "proxy/verdict.h"

#include <time.h>

#include "check.h"

/* Sun, 06 Nov 1994 08:49:37 GMT and a bit */
enum { NOW_S = 784111777 };
static const uint64_t now_ms = NOW_S * 1000ULL + 250;
static const struct config config = {.rate_limit = {.cooldown_seconds = 60}};

static struct verdict answer(int status, const char *name, const char *value)
{
    struct http1_header header = {slice_of(name), slice_of(value)};
    struct http1_response response = {
        .status = status, .headers = &header, .header_count = name != NULL ? 1 : 0};
    return verdict_of(&response, &config, now_ms);
}

static bool is(struct verdict v, bool is_next, bool is_error, uint64_t cooldown_ms)
{
    return v.is_next == is_next && v.is_error == is_error && v.cooldown_ms == cooldown_ms &&
           v.reason != NULL && v.reason[0] != '\0';
}

static void test_table(void)
{
    static const int callers_own[] = {200, 201, 204, 301, 304, 400, 404, 405, 408,
                                      409, 413, 415, 418, 422, 424, 431, 451};
    static const int providers[] = {500, 501, 502, 503, 504, 520, 524, 529, 599};
    PROMISE("an answer that is fine, or the caller's own making, goes to the caller")
    for (size_t i = 0; i < sizeof(callers_own) / sizeof(callers_own[0]); i++) {
        CHECK(is(answer(callers_own[i], NULL, NULL), false, false, 0));
        CHECK(is(answer(callers_own[i], "retry-after", "5"), false, false, 0));
    }
    PROMISE("a refused or spent credential: the next subscription, and this one cools as usual")
    {
        CHECK(is(answer(401, NULL, NULL), true, true, 60000));
        CHECK(is(answer(402, NULL, NULL), true, true, 60000));
        CHECK(is(answer(401, "retry-after", "5"), true, true, 60000));
    }
    PROMISE("not permitted: the next subscription, nothing cools")
    CHECK(is(answer(403, NULL, NULL), true, true, 0));
    PROMISE("a provider's own failure: the next subscription, nothing cools")
    for (size_t i = 0; i < sizeof(providers) / sizeof(providers[0]); i++) {
        CHECK(is(answer(providers[i], NULL, NULL), true, true, 0));
        CHECK(is(answer(providers[i], "retry-after", "5"), true, true, 0));
    }
    PROMISE("being overloaded is told apart from failing")
    CHECK(strcmp(answer(529, NULL, NULL).reason, answer(500, NULL, NULL).reason) != 0);
}

static void test_limited(void)
{
    PROMISE("limited: the next subscription; this one cools for as long as it was told")
    {
        CHECK(is(answer(429, "retry-after", "17"), true, true, 17000));
        CHECK(is(answer(429, "Retry-After-Ms", "250"), true, true, 250));
        CHECK(is(answer(429, "retry-after", "Sun, 06 Nov 1994 08:49:47 GMT"), true, true, 9750));
    }
    PROMISE("told nothing that can be read, it cools as configured")
    {
        CHECK(is(answer(429, NULL, NULL), true, true, 60000));
        CHECK(is(answer(429, "retry-after", "soon"), true, true, 60000));
        CHECK(is(answer(429, "retry-after-ms", "-1"), true, true, 60000));
    }
    PROMISE("told to come at once, it does not cool")
    CHECK(is(answer(429, "retry-after", "0"), true, true, 0));
    PROMISE("however long it was told, it cools no longer than the ceiling")
    {
        CHECK(is(answer(429, "retry-after", "691200"), true, true, COOLDOWN_MS_MAX));
        CHECK(is(answer(429, "retry-after", "691201"), true, true, COOLDOWN_MS_MAX));
        CHECK(
            is(answer(429, "retry-after-ms", "9000000000000000000"), true, true, COOLDOWN_MS_MAX));
        CHECK(is(answer(429, "retry-after", "Fri, 31 Dec 9999 23:59:59 GMT"), true, true,
                 COOLDOWN_MS_MAX));
    }
}

/* -1: not readable. */
static long long after(const char *name, const char *value)
{
    uint64_t ms = 0;
    struct http1_header header = {slice_of(name), slice_of(value)};
    return verdict_retry_after(&header, 1, now_ms, &ms) ? (long long)ms : -1;
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
        CHECK(verdict_retry_after(both, 2, now_ms, &ms) && ms == 1500);
        both[1].value = SLICE("x");
        CHECK(verdict_retry_after(both, 2, now_ms, &ms) && ms == 9000);
    }
}

int main(void)
{
    test_table();
    test_limited();
    test_seconds();
    test_dates();
    test_garbage();
    test_both();
    return check_done();
}
