/* anthropic.h - the parts of the Anthropic row, a file each. */
#pragma once
#include "dialect/dialect.h"

/* anthropic_error.c */
const char *anthropic_error_type(int status);  /* "overloaded_error" for 529, ... */
int anthropic_error_status(struct slice type); /* the other way; 500 for one it does not know */
/* {"type":"error","error":{"type":...,"message":...},"request_id":...} */
void anthropic_write_error(struct buf *out, int status, struct slice message,
                           struct slice request_id);
void anthropic_write_error_event(struct buf *out, int status, struct slice message,
                                 struct slice request_id);

/* anthropic_facts.c */
void anthropic_read_facts(const struct http1_request *request, struct slice body,
                          struct arena *arena, struct request_facts *facts);

/* anthropic_signs.c */
enum endpoint_group anthropic_group(const struct http1_request *request);
void anthropic_read_signs(const struct http1_request *request,
                          const struct http1_response *response, uint64_t wall_ms,
                          struct answer_signs *signs);

/* anthropic_quota.c */
void anthropic_read_quota(const struct http1_response *response, uint64_t wall_ms,
                          struct quota *quota);

/* anthropic_meaning.c */
struct meaning anthropic_meaning(const struct answer_signs *signs, const struct error_words *said);

/* anthropic_watch.c */
extern const struct watch_words anthropic_words;
