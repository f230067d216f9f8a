/* clock_text() knows the calendar; here it is rounded and shortened. */
#include "format/moment.h"

#include <stdbool.h>
#include <stdio.h>

#include "base/clock.h"

enum { SECOND_MS = 1000, MINUTE_MS = 60 * SECOND_MS, NEAR_MS = 10 * MINUTE_MS };
enum { TODAY_MS = 20 * 60 * MINUTE_MS };

static uint64_t rounded_up(uint64_t ms, uint64_t unit)
{
    return (ms + unit - 1) / unit * unit;
}

size_t moment_words(uint64_t wall_ms, uint64_t in_ms, char *out)
{
    char text[CLOCK_TEXT_MAX]; /* 2026-11-21T10:00:00.123Z */
    bool is_near = in_ms < NEAR_MS;
    (void)clock_text(rounded_up(wall_ms + in_ms, is_near ? SECOND_MS : MINUTE_MS), text);
    const char *date = text, *time = text + 11;
    int length = in_ms < TODAY_MS
                     ? snprintf(out, MOMENT_TEXT_MAX, "%.*s UTC", is_near ? 8 : 5, time)
                     : snprintf(out, MOMENT_TEXT_MAX, "%.10s %.5s UTC", date, time);
    return (size_t)length;
}
