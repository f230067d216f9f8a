/* openai.h - what an answer of an API in OpenAI's dialect means: OpenAI's own, Codex's, and the
 * many that speak like it (OpenRouter, DeepSeek, Azure, local servers). A file for each part. */
#pragma once
#include "dialect/dialect.h"

/* openai_signs.c */
enum endpoint_group openai_group(const struct http1_request *request);
void openai_read_signs(const struct http1_request *request, const struct http1_response *response,
                       uint64_t wall_ms, struct answer_signs *signs);

/* openai_meaning.c */
struct meaning openai_meaning(const struct answer_signs *signs, const struct error_words *said);

/* openai_watch.c */
extern const struct watch_words openai_words;
