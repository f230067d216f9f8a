/* A reason, a time and a flag for each hope; what is said is a row of `words`. */
#include "proxy/tried.h"

enum { RETRY_MS = 1000, NANOS_PER_MS = 1000000 }; /* when nothing is known to free at a time */

static void note(struct tried *tried, enum hope hope, uint64_t retry_ms, uint64_t now_ns,
                 struct slice reason)
{
    uint64_t at_ns = retry_ms > 0 ? now_ns + retry_ms * NANOS_PER_MS : 0;
    bool is_earlier = at_ns > 0 && (tried->at_ns[hope] == 0 || at_ns < tried->at_ns[hope]);
    if (!tried->has[hope] || is_earlier)
        tried->reason[hope] = reason;
    if (is_earlier)
        tried->at_ns[hope] = at_ns;
    tried->has[hope] = true;
}

void tried_note(struct tried *tried, const struct verdict *verdict, uint64_t now_ns)
{
    note(tried, verdict->hope, verdict->retry_ms, now_ns, slice_of(verdict->reason));
}

/* Those that were tried have said more than the pool knows of them. */
void tried_note_refusal(struct tried *tried, const struct refusal *refusal, uint64_t now_ns,
                        struct arena *arena)
{
    bool has_tried = tried->has[HOPE_REFUSED] || tried->has[HOPE_LIMITED] ||
                     tried->has[HOPE_PASSED] || tried->has[HOPE_BUSY];
    bool is_limited = slice_eq(refusal->reason, SLICE("cooling"));
    bool is_busy =
        slice_eq(refusal->reason, SLICE("full")) || slice_eq(refusal->reason, SLICE("burst"));
    if (has_tried && !is_limited && !is_busy)
        return;
    note(tried, is_limited ? HOPE_LIMITED : HOPE_BUSY, refusal->retry_ms, now_ns,
         arena_copy(arena, refusal->reason));
}

static const struct {
    int status;
    const char *text; /* the reason, and what to do, may come behind it */
} words[] = {
    [HOPE_REFUSED] = {503, "no subscription may serve this request"},
    [HOPE_LIMITED] = {429, "every subscription that may serve this request is limited"},
    [HOPE_PASSED] = {0, ""},
    [HOPE_BUSY] = {529, "no subscription can take this request now"},
};

struct own_words tried_words(const struct tried *tried, uint64_t now_ns, struct arena *arena)
{
    enum hope hope = HOPE_BUSY;
    while (hope > HOPE_REFUSED && !tried->has[hope])
        hope--;
    struct own_words own = {.status = words[hope].status};
    if (own.status == 0)
        return own;
    own.text = slice_of(words[hope].text);
    if (hope == HOPE_REFUSED)
        return own; /* the reason is between that provider, us and the log */
    uint64_t at_ns = tried->at_ns[hope], soonest_ns = now_ns + RETRY_MS * (uint64_t)NANOS_PER_MS;
    own.retry_ms = at_ns > soonest_ns ? (at_ns - now_ns) / NANOS_PER_MS : RETRY_MS;
    own.text = arena_printf(arena, "%s (%.*s); try again after the time given in retry-after",
                            words[hope].text, SLICE_ARG(tried->reason[hope]));
    return own;
}
