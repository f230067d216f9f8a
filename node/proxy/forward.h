/* forward.h - what of a request goes up and what of an answer comes down.
 * Bodies are not touched. Of the headers everything passes, in order and as spelled, except what is
 * between two neighbours only (RFC 9110, 7.6.1), what is between the caller and us, and
 * credentials. */
#pragma once
#include "base/arena.h"
#include "base/slice.h"
#include "config/config.h"
#include "format/http1.h"

/* May this go up at all? NULL, or why not: TRACE, which would show the caller the credential put
 * on; and dot segments, which would lead out of base_url's own path. */
const char *forward_refusal(const struct http1_request *request);

/* The head for this subscription: its origin, its credential, the caller's headers. From `arena`.
 */
struct slice forward_request_head(const struct http1_request *request,
                                  const struct subscription *subscription, size_t body_bytes,
                                  struct arena *arena);

/* The headers that reach the caller, copied into `arena`; *count of them, with room for EXTRA more.
 */
enum { FORWARD_EXTRA_HEADERS = 4 };
struct http1_header *forward_response_headers(const struct http1_response *response,
                                              bool pass_limits, struct arena *arena,
                                              unsigned *count);
