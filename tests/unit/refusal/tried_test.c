#include "refusal/tried.h"

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
    tried_note(&tried, hope, retry_ms, slice_of(reason), now_ns);
}

/* Friday, 2026-11-27 10:00:00 UTC, of which half a second is gone. */
enum { HALF_MS = 500 };
static const uint64_t ten_ms = UINT64_C(1795773600000);

static struct refusal refusal_of(enum standing standing, uint64_t count, uint64_t ms)
{
    struct refusal refusal = {.reason = SLICE("?"), .retry_ms = ms, .candidates = count};
    refusal.of[standing].count = count;
    refusal.of[standing].ms = ms;
    return refusal;
}

static void refuse(enum standing standing, uint64_t count, uint64_t ms)
{
    const struct refusal refusal = refusal_of(standing, count, ms);
    tried_note_refusal(&tried, &refusal, now_ns, &arena);
}

static struct own_words words_now(const char *model)
{
    const struct tried_time time = {now_ns, ten_ms + HALF_MS};
    return tried_words(&tried, slice_of(model), time, &arena);
}

static bool hears(int status, uint64_t retry_ms, const char *reason)
{
    struct own_words words = words_now("m");
    bool has_reason =
        words.status == 0 || memmem(words.text.at, words.text.len, reason, strlen(reason)) != NULL;
    return words.status == status && words.retry_ms == retry_ms && has_reason;
}

static bool reads(const char *text)
{
    struct slice words = words_now("claude-opus-4-5").text;
    bool is_so = slice_eq(words, slice_of(text));
    if (!is_so)
        fprintf(stderr, "%.*s\n", SLICE_ARG(words));
    return is_so;
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
        CHECK(hears(503, 0, "not usable") && !hears(503, 0, "credential"));
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
    PROMISE("a pool that cools is limited, one that is full, quick or failing is busy")
    {
        start();
        refuse(STANDING_LIMITED, 1, 9000);
        CHECK(hears(429, 9000, "limited"));
        start();
        refuse(STANDING_CLOSED, 1, 9000);
        CHECK(hears(429, 9000, "limited"));
        start();
        refuse(STANDING_BUSY, 1, 1000);
        CHECK(hears(529, 1000, "busy"));
        start();
        refuse(STANDING_BURST, 1, 200);
        CHECK(hears(529, 1000, "requests a second"));
        start();
        refuse(STANDING_BROKEN, 1, 30000);
        CHECK(hears(529, 30000, "resting"));
    }
    PROMISE("where nothing is enabled, or all credentials are refused, waiting mends nothing: 503")
    {
        start();
        refuse(STANDING_DISABLED, 2, 0);
        CHECK(hears(503, 0, "disabled"));
        start();
        refuse(STANDING_REFUSED, 2, 60000);
        CHECK(hears(503, 0, "not usable"));
    }
}

static void test_pool_lends_nothing(void)
{
    PROMISE("a pool that restores lends to nobody: 503, and when; who was tried says more")
    {
        const struct refusal restoring = {.reason = SLICE("restoring"), .retry_ms = 4000};
        start();
        tried_note_refusal(&tried, &restoring, now_ns, &arena);
        CHECK(hears(503, 4000, "lost data"));
        start();
        say(HOPE_LIMITED, 7000, "limited");
        tried_note_refusal(&tried, &restoring, now_ns, &arena);
        CHECK(hears(429, 7000, "limited"));
    }
    PROMISE("a node of which the pool knows nothing says so, and when to ask again")
    {
        const struct refusal none = {.reason = SLICE("none"), .retry_ms = 1000};
        const struct refusal ended = {.reason = SLICE("ended"), .retry_ms = 1000};
        start();
        tried_note_refusal(&tried, &none, now_ns, &arena);
        CHECK(hears(503, 1000, "no subscription"));
        start();
        tried_note_refusal(&tried, &ended, now_ns, &arena);
        CHECK(hears(529, 1000, "no subscription"));
    }
}

static void test_both(void)
{
    PROMISE("what was tried knows better than a pool that has only those")
    {
        start();
        say(HOPE_LIMITED, 5000, "limited");
        refuse(STANDING_TRIED, 1, 1000);
        CHECK(hears(429, 5000, "limited"));
        refuse(STANDING_LIMITED, 1, 3000);
        CHECK(hears(429, 3000, "limited"));
        refuse(STANDING_BUSY, 1, 1000);
        CHECK(hears(529, 1000, "busy"));
    }
    PROMISE("others that rest after failures do not hide what the provider said of this request")
    {
        start();
        say(HOPE_PASSED, 0, "failed");
        refuse(STANDING_BROKEN, 1, 30000);
        CHECK(hears(0, 0, ""));
        start();
        say(HOPE_LIMITED, 3600000, "limited");
        refuse(STANDING_BROKEN, 1, 30000);
        CHECK(hears(529, 30000, "resting"));
    }
    PROMISE("limits decide where the rest is disabled or refused; the time is the earliest of all")
    {
        struct refusal refusal = refusal_of(STANDING_LIMITED, 1, 7200000);
        refusal.of[STANDING_REFUSED].count = 1;
        refusal.of[STANDING_REFUSED].ms = 60000;
        refusal.of[STANDING_DISABLED].count = 1;
        start();
        tried_note_refusal(&tried, &refusal, now_ns, &arena);
        CHECK(hears(429, 60000, "limited"));
    }
}

static void test_sentences(void)
{
    PROMISE("the sentence counts the candidates, names their limits and the next free moment")
    {
        struct refusal refusal = refusal_of(STANDING_LIMITED, 2, 16200000);
        refusal.candidates = 3;
        refusal.of[STANDING_DISABLED].count = 1;
        refusal.limited_why = SLICE("its quota is used up: 7d");
        start();
        tried_note_refusal(&tried, &refusal, now_ns, &arena);
        CHECK(reads("claude-opus-4-5: 2 of 3 subscriptions are limited (its quota is used up: 7d, "
                    "the first until 14:31 UTC), 1 is disabled; next free at 14:31 UTC"));
    }
    PROMISE("a limit of the model is called one, and what is near is told to the second")
    {
        struct refusal refusal = refusal_of(STANDING_CLOSED, 1, 90000);
        refusal.closed_for = SLICE("model:claude-opus-4-5");
        start();
        tried_note_refusal(&tried, &refusal, now_ns, &arena);
        CHECK(reads("claude-opus-4-5: the only subscription is limited for this model (until "
                    "10:01:31 UTC); next free at 10:01:31 UTC"));
    }
}

static void test_what_is_not_told(void)
{
    PROMISE("of those that were tried it tells what they said, and nothing of a credential")
    {
        struct refusal refusal = refusal_of(STANDING_TRIED, 2, 1000);
        start();
        say(HOPE_BUSY, 0, "overloaded");
        say(HOPE_REFUSED, 0, "its credential was refused");
        tried_note_refusal(&tried, &refusal, now_ns, &arena);
        CHECK(reads("claude-opus-4-5: 1 of 2 subscriptions is overloaded, 1 is not usable"));
        start();
        say(HOPE_LIMITED, 86400000, "rate limited");
        CHECK(reads("claude-opus-4-5: 1 subscription is limited (rate limited, until 2026-11-28 "
                    "10:01 UTC); next free at 2026-11-28 10:01 UTC"));
    }
    PROMISE("a reason that anyone may have written is cut and harmless, a request without a model")
    {
        struct refusal refusal = refusal_of(STANDING_LIMITED, 1, 0);
        char why[300];
        memset(why, 'x', sizeof(why));
        why[0] = '\n';
        refusal.limited_why = (struct slice){why, sizeof(why)};
        start();
        tried_note_refusal(&tried, &refusal, now_ns, &arena);
        struct slice text = words_now("").text;
        CHECK(slice_starts(text, SLICE("the only subscription is limited (?xxx")));
        CHECK(text.len < 150);
    }
}

int main(void)
{
    arena_init(&arena);
    test_times();
    test_hopes();
    test_pool();
    test_pool_lends_nothing();
    test_both();
    test_sentences();
    test_what_is_not_told();
    arena_fini(&arena);
    return check_done();
}
