/* dialect.h - how one provider's API is spoken: all that is not plain HTTP, as a value.
 * A row of table.c for each. Whoever carries a request asks its dialect for what to read in it,
 * what to put on it, what its answer means and how our own words look; nobody else knows a
 * provider's names. Everything here is pure: bytes in, bytes or a verdict out. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/slice.h"
#include "dialect/facts.h"
#include "dialect/meaning.h"
#include "dialect/quota.h"
#include "format/http1.h"

struct watch_words;

/* Names of headers, as patterns of slice_matches(). */
struct header_names {
    const struct slice *at;
    size_t count;
};

/* What write_error and write_error_event never write more than, whatever message and id hold: what
 * would is cut between two characters and ends in "...". */
enum { DIALECT_ERROR_BYTES_MAX = 4096 };

struct dialect {
    const char *name;
    struct slice path_prefix; /* requests whose path begins so */

    void (*read_facts)(const struct http1_request *request, struct slice body, struct arena *arena,
                       struct request_facts *facts);

    struct header_names caller_headers; /* credentials: a caller's own never go up */
    struct header_names limit_headers;  /* of an answer: what is left of the subscription's quota */
    struct header_names account_headers; /* of an answer: whose subscription it was; stay here */
    struct header_names id_headers;      /* of an answer: its request's id, in the order of trust */
    /* The header lines, each with its end, that carry our credential. At most
     * CREDENTIAL_HEAD_BYTES more than the secret itself. */
    void (*put_credential)(struct buf *out, struct slice secret, bool is_bearer);
    /* An item that this credential needs in a list header of the request; an empty name: none. */
    struct http1_header (*credential_item)(struct slice secret);

    /* A GET that costs nothing and is refused without a valid credential, and what it carries. */
    struct slice probe_path;
    struct http1_header probe_header;

    enum endpoint_group (*group)(
        const struct http1_request *request); /* its path shares limits with */
    /* What the head of an answer to this request shows; and what the answer means, once it is known
     * what it said: NULL is "no error". Both as meaning.h has it. */
    void (*read_signs)(const struct http1_request *request, const struct http1_response *response,
                       uint64_t wall_ms, struct answer_signs *signs);
    /* How much of the subscription's quotas is used, as far as the head says. */
    void (*read_quota)(const struct http1_response *response, uint64_t wall_ms,
                       struct quota *quota);
    struct meaning (*meaning)(const struct answer_signs *signs, const struct error_words *said);
    const struct watch_words *words; /* for watch_new(): how usage stands in an answer */
    struct slice ping_event;         /* an SSE event that means nothing to anybody */

    /* An error answer's body, put behind what stands in `out`; and the same as an SSE event. There
     * is room for DIALECT_ERROR_BYTES_MAX. The id may be empty. */
    void (*write_error)(struct buf *out, int status, struct slice message, struct slice request_id);
    void (*write_error_event)(struct buf *out, int status, struct slice message,
                              struct slice request_id);
};

enum { CREDENTIAL_HEAD_BYTES = 64 };

extern const struct dialect dialect_anthropic;

/* The first row: for whoever says nothing of a dialect. */
const struct dialect *dialect_default(void);
/* NULL: nothing at this path is for a provider. */
const struct dialect *dialect_of_path(struct slice path);
