/* delay.h - how long to wait, in any of the forms in which HTTP (RFC 9110, 10.2.3) or the habits of
 * providers say it:
 *
 *   120   1.5                          seconds
 *   250ms   6m0s   1h2m3.5s   2 min    a duration with units
 *   1764201600   1764201600123         a moment, in seconds or milliseconds since 1970
 *   Sun, 06 Nov 1994 08:49:37 GMT      a date, in the three forms that RFC 9110 (5.6.7) asks for
 *   1994-11-06T08:49:37.5+01:00        a date of RFC 3339
 *
 * What is not a whole number of milliseconds is rounded up, because coming too early is answered
 * with another refusal; a moment that is past means at once. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* False: none of these, or further away than thirty years. wall_ms: now, for moments. */
bool delay_read(struct slice text, uint64_t wall_ms, uint64_t *after_ms);
/* A plain number of milliseconds; a fraction is rounded up. */
bool delay_read_ms(struct slice text, uint64_t *after_ms);
