/* anthropic.h - how our own words look to someone who expects the Anthropic API.
 * Source: the error table of the Messages API documentation; 529 is its own status for overload. */
#pragma once
#include "base/buf.h"
#include "base/slice.h"

const char *anthropic_error_type(int status); /* "overloaded_error" for 529, ... */

/* {"type":"error","error":{"type":...,"message":...},"request_id":...} */
void anthropic_error_json(struct buf *out, int status, struct slice message,
                          struct slice request_id);
/* The same as an SSE event. */
void anthropic_error_event(struct buf *out, int status, struct slice message,
                           struct slice request_id);
