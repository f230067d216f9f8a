/* The milliseconds win, being the finer ones; of seconds a fraction is rounded up, because
 * coming too early is answered with another refusal; a date that is past means at once. */
#include "format/retry_after.h"

#include <string.h>
#include <time.h>

enum { SECONDS_MAX = 1000000000 }; /* thirty years; more is nonsense */

static bool parse_date(struct slice text, uint64_t wall_ms, uint64_t *after_ms)
{
    char copy[40];
    struct tm tm = {0};
    if (text.len >= sizeof(copy))
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    const char *end = strptime(copy, "%a, %d %b %Y %H:%M:%S GMT", &tm); /* RFC 9110, 5.6.7 */
    if (end == NULL || *end != '\0')
        return false;
    time_t at = timegm(&tm);
    uint64_t at_ms = at > 0 ? (uint64_t)at * 1000 : 0;
    *after_ms = at_ms > wall_ms ? at_ms - wall_ms : 0;
    return true;
}

/* "1.5": some send fractions. Rounded up. */
static bool parse_seconds(struct slice text, uint64_t *after_ms)
{
    uint64_t seconds, unused;
    struct slice whole, fraction = slice_cut(text, '.', &whole);
    if (!slice_number(whole, SECONDS_MAX, &seconds))
        return false;
    if (fraction.len > 0 && !slice_number(fraction, UINT64_MAX, &unused))
        return false;
    *after_ms = (seconds + (fraction.len > 0 ? 1 : 0)) * 1000;
    return true;
}

bool retry_after_read(const struct http1_header *headers, unsigned count, uint64_t wall_ms,
                      uint64_t *after_ms)
{
    const struct http1_header *ms = http1_header(headers, count, SLICE("retry-after-ms"));
    const struct http1_header *after = http1_header(headers, count, SLICE("retry-after"));
    if (ms != NULL && slice_number(ms->value, UINT64_MAX / 2, after_ms))
        return true;
    return after != NULL &&
           (parse_seconds(after->value, after_ms) || parse_date(after->value, wall_ms, after_ms));
}
