/* The reply of a refused admission: four parts by their place, then named fields, of which those
 * that are not known are skipped. Any of them may be missing. A snapshot tells the same of a
 * request that nobody made, all by name. */
#include "base/arena.h"
#include "state/state_priv.h"

static const char *const words[] = {
#define X(name, word) [STANDING_##name] = (word),
    STANDING_TABLE(X)
#undef X
};

/* No longer than anything is closed; whatever a hand has written, sums of it are times too. */
static uint64_t time_of(const struct redis_value *value)
{
    const uint64_t most_ms = 31ULL * 24 * 60 * 60 * 1000;
    uint64_t ms = redis_value_number(value);
    return ms < most_ms ? ms : most_ms;
}

static void read_standing(struct refusal *r, struct slice field, const struct redis_value *value)
{
    for (unsigned i = 0; i < STANDINGS; i++) {
        struct slice word = slice_of(words[i]);
        if (!slice_starts(field, word))
            continue;
        if (field.len == word.len)
            r->of[i].count = redis_value_number(value);
        else if (slice_eq(slice_from(field, word.len), SLICE("_ms")))
            r->of[i].ms = time_of(value);
    }
}

static void read_field(struct refusal *r, struct slice field, const struct redis_value *value)
{
    if (slice_eq(field, SLICE("reason")))
        r->reason = redis_value_slice(value);
    else if (slice_eq(field, SLICE("retry_ms")))
        r->retry_ms = time_of(value);
    else if (slice_eq(field, SLICE("candidates")))
        r->candidates = redis_value_number(value);
    else if (slice_eq(field, SLICE("limited_why")))
        r->limited_why = redis_value_slice(value);
    else if (slice_eq(field, SLICE("closed_why")))
        r->closed_why = redis_value_slice(value);
    else if (slice_eq(field, SLICE("closed_for")))
        r->closed_for = redis_value_slice(value);
    else if (slice_eq(field, SLICE("ceiling_of")))
        r->ceiling_of = redis_value_slice(value);
    else
        read_standing(r, field, value);
}

static void read_fields(struct refusal *r, const struct redis_value *pairs, size_t from)
{
    for (size_t i = from; i + 1 < redis_value_count(pairs); i += 2)
        read_field(r, redis_value_slice(redis_value_at(pairs, i)), redis_value_at(pairs, i + 1));
}

struct refusal refusal_copy(const struct refusal *refusal, struct arena *arena)
{
    struct refusal copy = *refusal;
    copy.reason = arena_copy(arena, refusal->reason);
    copy.limited_why = arena_copy(arena, refusal->limited_why);
    copy.closed_why = arena_copy(arena, refusal->closed_why);
    copy.closed_for = arena_copy(arena, refusal->closed_for);
    copy.ceiling_of = arena_copy(arena, refusal->ceiling_of);
    return copy;
}

struct refusal state_read_refusal(const struct redis_value *reply)
{
    struct refusal r = {.reason = redis_value_slice(redis_value_at(reply, 1)),
                        .retry_ms = time_of(redis_value_at(reply, 2))};
    read_fields(&r, reply, REFUSAL_PARTS);
    return r;
}

struct refusal state_read_refusal_fields(const struct redis_value *pairs)
{
    struct refusal r = {0};
    read_fields(&r, pairs, 0);
    return r;
}
