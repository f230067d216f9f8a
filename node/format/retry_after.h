/* retry_after.h - when an answer says to come again: retry-after-ms, which some providers add, or
 * retry-after in any form that delay.h knows. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "format/http1.h"

/* False: neither is there or readable. wall_ms: now, for a moment. */
bool retry_after_read(const struct http1_header *headers, unsigned count, uint64_t wall_ms,
                      uint64_t *after_ms);
