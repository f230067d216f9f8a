/* anthropic.h - how our own words look to someone who expects the Anthropic API.
 * Source: the error table of the Messages API documentation; 529 is its own status for overload. */
#pragma once
#include "base/buf.h"
#include "base/slice.h"

const char *anthropic_error_type(int status); /* "overloaded_error" for 529, ... */

/* None of the next two is ever longer, whatever message and id hold: a message that would make it
 * so is cut between two characters and ends in "...". `out` has room for that many bytes. */
enum { ANTHROPIC_ERROR_BYTES_MAX = 4096 };

/* {"type":"error","error":{"type":...,"message":...},"request_id":...} */
void anthropic_error_json(struct buf *out, int status, struct slice message,
                          struct slice request_id);
/* The same as an SSE event. */
void anthropic_error_event(struct buf *out, int status, struct slice message,
                           struct slice request_id);
