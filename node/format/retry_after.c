/* The milliseconds win, being the finer ones. */
#include "format/retry_after.h"

#include "format/delay.h"

bool retry_after_read(const struct http1_header *headers, unsigned count, uint64_t wall_ms,
                      uint64_t *after_ms)
{
    const struct http1_header *ms = http1_header(headers, count, SLICE("retry-after-ms"));
    const struct http1_header *after = http1_header(headers, count, SLICE("retry-after"));
    return (ms != NULL && delay_read_ms(ms->value, after_ms)) ||
           (after != NULL && delay_read(after->value, wall_ms, after_ms));
}
