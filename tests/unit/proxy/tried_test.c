#include "proxy/tried.h"

#include "check.h"

static const uint64_t second_ns = UINT64_C(1000000000);
static struct arena arena;
static struct tried tried;
static uint64_t now_ns;

static void start(void)
{
    tried = (struct tried){0};
    now_ns = 1000 * second_ns;
}

static void say(enum hope hope, uint64_t retry_ms, const char *reason)
{
    const struct verdict verdict = {
        .is_next = true, .hope = hope, .retry_ms = retry_ms, .reason = reason};
    tried_note(&tried, &verdict, now_ns);
}

static void refuse(const char *reason, uint64_t retry_ms)
{
    const struct refusal refusal = {slice_of(reason), retry_ms};
    tried_note_refusal(&tried, &refusal, now_ns, &arena);
}

static bool hears(int status, uint64_t retry_ms, const char *reason)
{
    struct own_words words = tried_words(&tried, now_ns, &arena);
    bool has_reason =
        words.status == 0 || memmem(words.text.at, words.text.len, reason, strlen(reason)) != NULL;
    return words.status == status && words.retry_ms == retry_ms && has_reason;
}

static void test_times(void)
{
    PROMISE("of several limits the caller hears the earliest end, and why")
    {
        start();
        say(HOPE_LIMITED, 2000, "first");
        say(HOPE_LIMITED, 3600000, "second");
        CHECK(hears(429, 2000, "first"));
        start();
        say(HOPE_LIMITED, 3600000, "first");
        say(HOPE_LIMITED, 2000, "second");
        CHECK(hears(429, 2000, "second"));
    }
    PROMISE("time that has passed meanwhile counts")
    {
        now_ns += second_ns / 2;
        CHECK(hears(429, 1500, "second"));
        now_ns += 100 * second_ns;
        CHECK(hears(429, 1000, "second"));
    }
    PROMISE("where none was given it is a second")
    {
        start();
        say(HOPE_BUSY, 0, "overloaded");
        CHECK(hears(529, 1000, "overloaded"));
    }
}

static void test_hopes(void)
{
    PROMISE("the nearest hope counts: busy, the provider's words, a limit, a refusal")
    {
        start();
        say(HOPE_REFUSED, 0, "credential");
        CHECK(hears(503, 0, "no subscription") && !hears(503, 0, "credential"));
        say(HOPE_LIMITED, 7000, "limited");
        CHECK(hears(429, 7000, "limited"));
        say(HOPE_PASSED, 0, "failed");
        CHECK(hears(0, 0, ""));
        say(HOPE_BUSY, 0, "overloaded");
        CHECK(hears(529, 1000, "overloaded"));
    }
}

static void test_pool(void)
{
    PROMISE("a pool that cools is limited, one that is full or quick is busy")
    {
        start();
        refuse("cooling", 9000);
        CHECK(hears(429, 9000, "cooling"));
        start();
        refuse("full", 1000);
        CHECK(hears(529, 1000, "full"));
        start();
        refuse("burst", 200);
        CHECK(hears(529, 1000, "burst"));
        start();
        refuse("disabled", 0);
        CHECK(hears(529, 1000, "disabled"));
    }
    PROMISE("what was tried knows better than a pool that has only those")
    {
        start();
        say(HOPE_LIMITED, 5000, "limited");
        refuse("excluded", 1000);
        CHECK(hears(429, 5000, "limited"));
        refuse("cooling", 3000);
        CHECK(hears(429, 3000, "cooling"));
        refuse("full", 1000);
        CHECK(hears(529, 1000, "full"));
    }
}

int main(void)
{
    arena_init(&arena);
    test_times();
    test_hopes();
    test_pool();
    arena_fini(&arena);
    return check_done();
}
