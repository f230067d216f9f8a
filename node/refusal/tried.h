/* tried.h - what all that were tried for a request have said, and what the pool says of the others;
 * and so what a caller hears when none is left. He hears of his request, not of one subscription's
 * name, credential or credit: of several reasons the nearest hope, with the earliest time at which
 * it may come true, and how many stand where. An operator who looks at the pool reads the same
 * words: what a request would hear now. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "state/lease.h"

/* What is left to tell a caller when nobody serves him; the nearest hope counts. */
enum hope {
    HOPE_REFUSED, /* credentials, credit: nothing that waiting mends */
    HOPE_LIMITED, /* there is a time at which it may be served */
    HOPE_BROKEN,  /* rests after failures; only the pool says so */
    HOPE_PASSED,  /* the provider's own words, which may speak of this request; or none */
    HOPE_BUSY     /* in a moment */
};

struct tried {
    bool has[HOPE_BUSY + 1];            /* by enum hope, as are the next three */
    unsigned count[HOPE_BUSY + 1];      /* of those that were tried */
    uint64_t at_ns[HOPE_BUSY + 1];      /* the earliest time given; 0: none was */
    struct slice reason[HOPE_BUSY + 1]; /* of that one */
    bool has_hopped;                    /* one refused without naming a limit */
    bool is_restoring;                  /* nothing is lent to anybody, and nothing was tried */
    bool has_pool;
    struct refusal pool; /* what the pool said, at pool_ns */
    uint64_t pool_ns;
};

/* Words of our own; status 0: the last provider's, as they were. */
struct own_words {
    int status;
    uint64_t retry_ms; /* 0: none */
    struct slice text;
};

/* One that was tried leaves that hope; retry_ms: until then, 0: not known. The reason is borrowed
 * as long as `tried` lives. */
void tried_note(struct tried *tried, enum hope hope, uint64_t retry_ms, struct slice reason,
                uint64_t now_ns);
/* Nobody was lent: what stands in the way of those that were not tried. Copied into `arena`. */
void tried_note_refusal(struct tried *tried, const struct refusal *refusal, uint64_t now_ns,
                        struct arena *arena);

/* Now, for this node and for people. */
struct tried_time {
    uint64_t now_ns, wall_ms;
};
/* `model`: what the request names, as a clean name; may be empty. */
struct own_words tried_words(const struct tried *tried, struct slice model, struct tried_time time,
                             struct arena *arena);

/* sentence.c: "claude-x: 2 of 3 subscriptions are limited (why, until 14:30 UTC), 1 is disabled".
 * at_ns: when the next one may be free, 0: not known. */
struct slice tried_sentence(const struct tried *tried, struct slice model, uint64_t at_ns,
                            struct tried_time time, struct arena *arena);
