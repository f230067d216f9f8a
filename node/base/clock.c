/* CLOCK_BOOTTIME, not CLOCK_MONOTONIC: a lease runs out while a machine is suspended, and the node
 * that wakes up must see that the time has passed. */
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t read_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

uint64_t clock_ns(void)
{
    return read_ns(CLOCK_BOOTTIME);
}

uint64_t clock_ms(void)
{
    return clock_ns() / 1000000U;
}

uint64_t clock_wall_ms(void)
{
    return read_ns(CLOCK_REALTIME) / 1000000U;
}

/* The last that four digits of a year can say. */
#define TEXT_LAST_MS UINT64_C(253402300799999)

/* Log lines come thousands a second: the calendar part is worked out once a second and thread. */
size_t clock_text(uint64_t wall_ms, char *out)
{
    static _Thread_local time_t cached_second = -1;
    static _Thread_local char cached[24];
    if (wall_ms > TEXT_LAST_MS)
        wall_ms = TEXT_LAST_MS;
    time_t second = (time_t)(wall_ms / 1000);
    if (second != cached_second) {
        struct tm tm;
        gmtime_r(&second, &tm);
        strftime(cached, sizeof(cached), "%Y-%m-%dT%H:%M:%S", &tm);
        cached_second = second;
    }
    unsigned ms = (unsigned)(wall_ms % 1000);
    memcpy(out, cached, 19);
    out[19] = '.';
    out[20] = (char)('0' + ms / 100);
    out[21] = (char)('0' + ms / 10 % 10);
    out[22] = (char)('0' + ms % 10);
    out[23] = 'Z';
    out[24] = '\0';
    return 24;
}
