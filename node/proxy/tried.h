/* tried.h - what all that were tried for a request have said, and so what the pool says when none
 * is left. A caller hears of his request, not of one subscription's credential or credit: of
 * several reasons the nearest hope, with the earliest time at which it may come true. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "proxy/verdict.h"
#include "state/lease.h"

struct tried {
    bool has[HOPE_BUSY + 1];            /* by enum hope */
    uint64_t at_ns[HOPE_BUSY + 1];      /* the earliest time given; 0: none was */
    struct slice reason[HOPE_BUSY + 1]; /* of that one */
    bool has_hopped;                    /* one refused without naming a limit */
};

/* Words of our own; status 0: the last provider's, as they were. */
struct own_words {
    int status;
    uint64_t retry_ms; /* 0: none */
    struct slice text;
};

void tried_note(struct tried *tried, const struct verdict *verdict, uint64_t now_ns);
/* Nobody was lent: what those said that were not tried. Its reason is copied into `arena`. */
void tried_note_refusal(struct tried *tried, const struct refusal *refusal, uint64_t now_ns,
                        struct arena *arena);
struct own_words tried_words(const struct tried *tried, uint64_t now_ns, struct arena *arena);
