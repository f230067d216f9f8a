/* endpoint.h - which answer belongs to which method and path. */
#pragma once

#include "answer.h"
#include "request.h"

/* Whether this request's body must be kept for endpoint_answer(). */
bool endpoint_needs_body(const struct request *request);
/* Gives an initialised answer its content. body is empty if it was not kept. */
void endpoint_answer(struct answer *answer, const struct request *request, struct slice body,
                     uint64_t body_bytes);
