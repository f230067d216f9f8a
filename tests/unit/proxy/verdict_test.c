#include "proxy/verdict.h"

#include "check.h"
#include "dialect/dialect.h"

/* Sun, 06 Nov 1994 08:49:37 GMT and a bit */
enum { NOW_S = 784111777 };
static const uint64_t now_ms = NOW_S * 1000ULL + 250;
static const struct config config = {.rate_limit = {.cooldown_seconds = 60}};

static struct verdict answer(int status, const char *name, const char *value)
{
    struct http1_header header = {slice_of(name), slice_of(value)};
    struct http1_response response = {
        .status = status, .headers = &header, .header_count = name != NULL ? 1 : 0};
    return verdict_of(&dialect_anthropic, &response, &config, now_ms);
}

static bool is(struct verdict v, bool is_next, uint64_t cooldown_ms)
{
    return v.is_next == is_next && v.cooldown_ms == cooldown_ms && v.reason != NULL &&
           v.reason[0] != '\0';
}

static void test_table(void)
{
    static const int callers_own[] = {200, 201, 204, 301, 304, 400, 404, 405, 408,
                                      409, 413, 415, 418, 422, 424, 431, 451};
    static const int providers[] = {500, 501, 502, 503, 504, 520, 524, 529, 599};
    PROMISE("an answer that is fine, or the caller's own making, goes to the caller")
    for (size_t i = 0; i < sizeof(callers_own) / sizeof(callers_own[0]); i++) {
        CHECK(is(answer(callers_own[i], NULL, NULL), false, 0));
        CHECK(is(answer(callers_own[i], "retry-after", "5"), false, 0));
    }
    PROMISE("a refused or spent credential: the next subscription, and this one cools as usual")
    {
        CHECK(is(answer(401, NULL, NULL), true, 60000));
        CHECK(is(answer(402, NULL, NULL), true, 60000));
        CHECK(is(answer(401, "retry-after", "5"), true, 60000));
    }
    PROMISE("not permitted: the next subscription, nothing cools")
    CHECK(is(answer(403, NULL, NULL), true, 0));
    PROMISE("a provider's own failure: the next subscription, nothing cools")
    for (size_t i = 0; i < sizeof(providers) / sizeof(providers[0]); i++) {
        CHECK(is(answer(providers[i], NULL, NULL), true, 0));
        CHECK(is(answer(providers[i], "retry-after", "5"), true, 0));
    }
    PROMISE("being overloaded is told apart from failing")
    CHECK(strcmp(answer(529, NULL, NULL).reason, answer(500, NULL, NULL).reason) != 0);
}

static void test_no_answer(void)
{
    PROMISE("no answer at all: the next subscription, nothing cools, and the reason is the error's")
    {
        struct verdict v = verdict_no_answer(ERR_CONNECT);
        CHECK(is(v, true, 0) && strcmp(v.reason, "connect") == 0);
    }
}

static void test_limited(void)
{
    PROMISE("limited: the next subscription; this one cools for as long as it was told")
    {
        CHECK(is(answer(429, "retry-after", "17"), true, 17000));
        CHECK(is(answer(429, "Retry-After-Ms", "250"), true, 250));
        CHECK(is(answer(429, "retry-after", "Sun, 06 Nov 1994 08:49:47 GMT"), true, 9750));
    }
    PROMISE("told nothing that can be read, it cools as configured")
    {
        CHECK(is(answer(429, NULL, NULL), true, 60000));
        CHECK(is(answer(429, "retry-after", "soon"), true, 60000));
        CHECK(is(answer(429, "retry-after-ms", "-1"), true, 60000));
    }
    PROMISE("told to come at once, it does not cool")
    CHECK(is(answer(429, "retry-after", "0"), true, 0));
    PROMISE("however long it was told, it cools no longer than the ceiling")
    {
        CHECK(is(answer(429, "retry-after", "691200"), true, COOLDOWN_MS_MAX));
        CHECK(is(answer(429, "retry-after", "691201"), true, COOLDOWN_MS_MAX));
        CHECK(is(answer(429, "retry-after-ms", "9000000000000000000"), true, COOLDOWN_MS_MAX));
        CHECK(
            is(answer(429, "retry-after", "Fri, 31 Dec 9999 23:59:59 GMT"), true, COOLDOWN_MS_MAX));
    }
}

int main(void)
{
    test_table();
    test_no_answer();
    test_limited();
    return check_done();
}
