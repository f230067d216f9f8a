/* One sentence of counted parts. What the pool says is counted by where each stands; where it was
 * not asked any more (all had been tried), by what those said. Reasons come from a provider's
 * meaning or from Redis, where anyone may have written: they are cut and cleaned. */
#include "format/moment.h"
#include "refusal/tried.h"

enum { NANOS_PER_MS = 1000000, WHY_BYTES_MAX = 96 };

struct sentence {
    struct arena *arena;
    struct tried_time time;
    struct slice text;
    uint64_t candidates; /* 0: not known */
    bool has_parts;
};

/* ---- parts ---- */

static struct slice clean(struct arena *arena, struct slice why)
{
    struct slice cut = {why.at, why.len < WHY_BYTES_MAX ? why.len : WHY_BYTES_MAX};
    char *copy = arena_new(arena, cut.len + 1);
    for (size_t i = 0; i < cut.len; i++)
        copy[i] = why.at[i];
    for (size_t i = 0; i < cut.len; i++)
        if (copy[i] < ' ' || copy[i] > '~')
            copy[i] = '?';
    return (struct slice){copy, cut.len};
}

static struct slice moment(const struct sentence *s, uint64_t at_ns)
{
    char text[MOMENT_TEXT_MAX];
    uint64_t in_ms = at_ns > s->time.now_ns ? (at_ns - s->time.now_ns) / NANOS_PER_MS : 0;
    moment_words(s->time.wall_ms, in_ms, text);
    return arena_copy(s->arena, slice_of(text));
}

/* " (why, until 14:30 UTC)", as far as it is known; of several the first that ends. */
static struct slice details(const struct sentence *s, uint64_t count, struct slice why,
                            uint64_t at_ns)
{
    struct slice reason = clean(s->arena, why), until = SLICE_NONE;
    if (at_ns > s->time.now_ns)
        until = arena_printf(s->arena, "%suntil %.*s", count > 1 ? "the first " : "",
                             SLICE_ARG(moment(s, at_ns)));
    if (reason.len == 0 && until.len == 0)
        return SLICE_NONE;
    return arena_printf(s->arena, " (%.*s%s%.*s)", SLICE_ARG(reason),
                        reason.len > 0 && until.len > 0 ? ", " : "", SLICE_ARG(until));
}

/* "2 of 3 subscriptions are", and for the parts that follow "1 is". */
static struct slice subject(const struct sentence *s, uint64_t count)
{
    unsigned long long n = count, all = s->candidates;
    const char *verb = count == 1 ? "is" : "are";
    if (s->has_parts)
        return arena_printf(s->arena, "%llu %s", n, verb);
    if (all == 0)
        return arena_printf(s->arena, "%llu subscription%s %s", n, count == 1 ? "" : "s", verb);
    if (n == all)
        return all == 1 ? SLICE("the only subscription is")
                        : arena_printf(s->arena, "all %llu subscriptions are", all);
    return arena_printf(s->arena, "%llu of %llu subscriptions %s", n, all, verb);
}

static void add(struct sentence *s, uint64_t count, const char *what, struct slice details)
{
    if (count == 0)
        return;
    s->text =
        arena_printf(s->arena, "%.*s%s%.*s %s%.*s", SLICE_ARG(s->text), s->has_parts ? ", " : "",
                     SLICE_ARG(subject(s, count)), what, SLICE_ARG(details));
    s->has_parts = true;
}

/* ---- where they stand ---- */

static const char *const states[] = {
    [STANDING_LIMITED] = "limited",
    [STANDING_CLOSED] = "limited for such requests",
    [STANDING_REFUSED] = "not usable",
    [STANDING_CEILING] = "at the ceiling that was set for it",
    [STANDING_BROKEN] = "resting after failures",
    [STANDING_BURST] = "at the limit of requests a second",
    [STANDING_BUSY] = "busy",
    [STANDING_DISABLED] = "disabled",
};

/* A refused credential's reason is between that provider, us and the log. */
static struct slice why_of(const struct tried *tried, enum standing standing)
{
    if (standing == STANDING_LIMITED)
        return tried->pool.limited_why;
    if (standing == STANDING_CEILING)
        return tried->pool.ceiling_of;
    return standing == STANDING_CLOSED ? tried->pool.closed_why : SLICE_NONE;
}

static bool has_end(enum standing standing)
{
    return standing == STANDING_LIMITED || standing == STANDING_CLOSED ||
           standing == STANDING_CEILING || standing == STANDING_BROKEN;
}

static const char *state_of(const struct tried *tried, enum standing standing)
{
    bool is_of_model = slice_starts(tried->pool.closed_for, SLICE("model:"));
    return standing == STANDING_CLOSED && is_of_model ? "limited for this model" : states[standing];
}

/* Up to `count` of those that were tried, by what they said. What limits cools as a rule, and then
 * the pool tells of it; so that comes last. */
static void tell_tried(struct sentence *s, const struct tried *tried, uint64_t count)
{
    static const struct {
        enum hope hope;
        const char *state;
    } said[] = {
        {HOPE_BUSY, "overloaded"},
        {HOPE_REFUSED, "not usable"},
        {HOPE_PASSED, "failing"},
        {HOPE_LIMITED, "limited"},
    };
    for (unsigned i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        enum hope hope = said[i].hope;
        uint64_t n = tried->count[hope] < count ? tried->count[hope] : count;
        struct slice more = hope == HOPE_LIMITED
                                ? details(s, n, tried->reason[hope], tried->at_ns[hope])
                                : SLICE_NONE;
        add(s, n, said[i].state, more);
        count -= n;
    }
}

static void tell_pool(struct sentence *s, const struct tried *tried)
{
    for (enum standing i = 0; i < STANDINGS; i++) {
        uint64_t ms = tried->pool.of[i].ms, count = tried->pool.of[i].count;
        uint64_t at_ns = has_end(i) && ms > 0 ? tried->pool_ns + ms * NANOS_PER_MS : 0;
        if (i == STANDING_TRIED)
            tell_tried(s, tried, count);
        else
            add(s, count, state_of(tried, i), details(s, count, why_of(tried, i), at_ns));
    }
}

struct slice tried_sentence(const struct tried *tried, struct slice model, uint64_t at_ns,
                            struct tried_time time, struct arena *arena)
{
    struct sentence s = {.arena = arena,
                         .time = time,
                         .text = SLICE(""),
                         .candidates = tried->has_pool ? tried->pool.candidates : 0};
    if (model.len > 0)
        s.text = arena_printf(arena, "%.*s: ", SLICE_ARG(model));
    if (s.candidates > 0)
        tell_pool(&s, tried);
    else
        tell_tried(&s, tried, UINT64_MAX);
    if (!s.has_parts)
        s.text = arena_printf(arena, "%.*sno subscription can be used now", SLICE_ARG(s.text));
    if (at_ns == 0)
        return s.text;
    return at_ns > time.now_ns ? arena_printf(arena, "%.*s; next free at %.*s", SLICE_ARG(s.text),
                                              SLICE_ARG(moment(&s, at_ns)))
                               : arena_printf(arena, "%.*s; try again now", SLICE_ARG(s.text));
}
