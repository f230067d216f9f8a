/* verdict.h - what a provider's answer means for the request and for the subscription.
 *
 *   2xx, 3xx, and 4xx of the caller's own making    goes to the caller as it is
 *   401, 402   the credential is refused or spent   next subscription; this one cools
 *   403        not this subscription                next subscription
 *   429        limited                              next subscription; this one cools: retry-after,
 *                                                   else rate_limit.cooldown_seconds
 *   5xx, 529, no answer                             next subscription */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "format/http1.h"

enum { COOLDOWN_MS_MAX = 8 * 24 * 3600 * 1000 }; /* a weekly window and a bit */

struct verdict {
    bool is_next;         /* try another subscription, if there is one */
    bool is_error;        /* booked as one of the subscription's errors */
    uint64_t cooldown_ms; /* 0: none */
    const char *reason;   /* for the log and the cooldown */
};

struct verdict verdict_of(const struct http1_response *response, const struct config *config,
                          uint64_t wall_ms);

/* retry-after-ms, or retry-after in seconds or as an HTTP date. False: neither is there or
 * readable. */
bool verdict_retry_after(const struct http1_header *headers, unsigned count, uint64_t wall_ms,
                         uint64_t *after_ms);
