/* pace.h - how long the heads of answers take, as this worker has seen of late: for knowing which
 * of them is unusually late. In steps of a fifth: it takes no memory, and forgets by halves. */
#pragma once
#include <stdint.h>

enum { PACE_STEPS = 64, PACE_KNOWN = 100 /* it takes so many to say anything */ };

struct pace {
    uint32_t steps[PACE_STEPS];
    uint32_t count;
};

void pace_note(struct pace *pace, uint64_t ms);
/* Within it 99 of 100 have come; 0: not known. */
uint64_t pace_p99_ms(const struct pace *pace);
