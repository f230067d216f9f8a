/* Step i holds what took up to FIRST_MS times 1.2 to the i: 64 of them end beyond half an hour. */
#include "proxy/pace.h"

enum { FIRST_MS = 25, FORGET_AT = 4096 };

static uint64_t end_of(unsigned step)
{
    uint64_t ms = FIRST_MS;
    for (unsigned i = 0; i < step; i++)
        ms += ms / 5;
    return ms;
}

static void forget_half(struct pace *pace)
{
    pace->count = 0;
    for (unsigned i = 0; i < PACE_STEPS; i++) {
        pace->steps[i] /= 2;
        pace->count += pace->steps[i];
    }
}

void pace_note(struct pace *pace, uint64_t ms)
{
    unsigned step = 0;
    for (uint64_t end = FIRST_MS; end < ms && step + 1 < PACE_STEPS; step++)
        end += end / 5;
    pace->steps[step]++;
    if (++pace->count >= FORGET_AT)
        forget_half(pace);
}

uint64_t pace_p99_ms(const struct pace *pace)
{
    uint32_t later = 0;
    if (pace->count < PACE_KNOWN)
        return 0;
    for (unsigned step = PACE_STEPS - 1; step > 0; step--) {
        later += pace->steps[step];
        if (later > pace->count / 100)
            return end_of(step);
    }
    return end_of(0);
}
