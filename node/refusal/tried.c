/* A reason, a time and a flag for each hope; the nearest decides the status. */
#include "refusal/tried.h"

enum { RETRY_MS = 1000, NANOS_PER_MS = 1000000 }; /* when nothing is known to free at a time */

static void note(struct tried *tried, enum hope hope, uint64_t retry_ms, uint64_t now_ns,
                 struct slice reason)
{
    uint64_t at_ns = retry_ms > 0 ? now_ns + retry_ms * NANOS_PER_MS : 0;
    bool is_earlier = at_ns > 0 && (tried->at_ns[hope] == 0 || at_ns < tried->at_ns[hope]);
    if (reason.len > 0 && (!tried->has[hope] || is_earlier))
        tried->reason[hope] = reason;
    if (is_earlier)
        tried->at_ns[hope] = at_ns;
    tried->has[hope] = true;
}

void tried_note(struct tried *tried, enum hope hope, uint64_t retry_ms, struct slice reason,
                uint64_t now_ns)
{
    note(tried, hope, retry_ms, now_ns, reason);
    tried->count[hope]++;
}

/* What is left to hope of one that stands so. Of those that were tried, it was noted then; one that
 * is disabled gives none. */
static bool hope_of(enum standing standing, enum hope *hope)
{
    static const struct {
        bool is_hope;
        enum hope hope;
    } hopes[] = {
        [STANDING_LIMITED] = {true, HOPE_LIMITED}, [STANDING_CLOSED] = {true, HOPE_LIMITED},
        [STANDING_REFUSED] = {true, HOPE_REFUSED}, [STANDING_BROKEN] = {true, HOPE_BROKEN},
        [STANDING_BURST] = {true, HOPE_BUSY},      [STANDING_BUSY] = {true, HOPE_BUSY},
        [STANDING_CEILING] = {true, HOPE_LIMITED},
    };
    if (standing >= sizeof(hopes) / sizeof(hopes[0]) || !hopes[standing].is_hope)
        return false;
    *hope = hopes[standing].hope;
    return true;
}

static bool has_any(const struct tried *tried)
{
    for (enum hope hope = HOPE_REFUSED; hope <= HOPE_BUSY; hope++)
        if (tried->has[hope])
            return true;
    return false;
}

/* The pool says nothing of any subscription: either it knows of none that this node has told of,
 * which is for us to mend, or it cannot lend at the moment, whoever asks. */
static void note_nothing_told(struct tried *tried, const struct refusal *refusal, uint64_t now_ns)
{
    bool is_ours = slice_eq(refusal->reason, SLICE("none"));
    if (refusal->candidates == 0 && !has_any(tried))
        note(tried, is_ours ? HOPE_REFUSED : HOPE_BUSY, refusal->retry_ms, now_ns, SLICE_NONE);
}

void tried_note_refusal(struct tried *tried, const struct refusal *refusal, uint64_t now_ns,
                        struct arena *arena)
{
    enum hope hope;
    tried->is_restoring = slice_eq(refusal->reason, SLICE("restoring")) && !has_any(tried);
    tried->has_pool = true;
    tried->pool = refusal_copy(refusal, arena);
    tried->pool_ns = now_ns;
    for (enum standing s = 0; s < STANDINGS; s++)
        if (refusal->of[s].count > 0 && hope_of(s, &hope))
            note(tried, hope, refusal->of[s].ms, now_ns, SLICE_NONE);
    note_nothing_told(tried, refusal, now_ns);
}

static const int statuses[] = {
    [HOPE_REFUSED] = 503, [HOPE_LIMITED] = 429, [HOPE_BROKEN] = 529,
    [HOPE_PASSED] = 0,    [HOPE_BUSY] = 529,
};

/* When any of them may be free; 0: nobody said, so soon. */
static uint64_t earliest(const struct tried *tried, enum hope nearest)
{
    uint64_t at_ns = 0;
    if (nearest == HOPE_BUSY && tried->at_ns[nearest] == 0)
        return 0;
    for (enum hope hope = HOPE_REFUSED; hope <= HOPE_BUSY; hope++)
        if (tried->at_ns[hope] > 0 && (at_ns == 0 || tried->at_ns[hope] < at_ns))
            at_ns = tried->at_ns[hope];
    return at_ns;
}

static struct own_words words_restoring(const struct refusal *refusal)
{
    return (struct own_words){
        .status = 503,
        .retry_ms = refusal->retry_ms > 0 ? refusal->retry_ms : RETRY_MS,
        .text = SLICE("the node's Redis has lost data, and what runs is registered again first; "
                      "try again after the time given in retry-after"),
    };
}

struct own_words tried_words(const struct tried *tried, struct slice model, struct tried_time time,
                             struct arena *arena)
{
    enum hope hope = HOPE_BUSY;
    if (tried->is_restoring)
        return words_restoring(&tried->pool);
    while (hope > HOPE_REFUSED && !tried->has[hope])
        hope--;
    struct own_words own = {.status = statuses[hope]};
    if (own.status == 0)
        return own;
    bool is_unknown = tried->has_pool && tried->pool.candidates == 0;
    uint64_t at_ns = hope == HOPE_REFUSED ? 0 : earliest(tried, hope);
    own.text = tried_sentence(tried, model, at_ns, time, arena);
    if (hope == HOPE_REFUSED && !is_unknown)
        return own; /* nothing that waiting mends */
    uint64_t soonest_ns = time.now_ns + RETRY_MS * (uint64_t)NANOS_PER_MS;
    own.retry_ms = at_ns > soonest_ns ? (at_ns - time.now_ns) / NANOS_PER_MS : RETRY_MS;
    return own;
}
