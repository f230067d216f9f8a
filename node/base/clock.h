/* clock.h - what time it is, for this node only.
 * The cluster's time is Redis'; these serve deadlines, measurements and log lines. */
#pragma once
#include <stddef.h>
#include <stdint.h>

uint64_t clock_ns(void);      /* monotonic; runs on while the process or the machine is suspended */
uint64_t clock_ms(void);      /* the same, in ms */
uint64_t clock_wall_ms(void); /* Unix time in ms */

enum { CLOCK_TEXT_MAX = 32 };
/* "2026-11-21T10:00:00.123Z", NUL-terminated, into out[CLOCK_TEXT_MAX]. Returns its length.
 * Times beyond the year 9999 are that year's end. */
size_t clock_text(uint64_t wall_ms, char *out);
