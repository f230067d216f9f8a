/* The Anthropic API: its row, and how a credential is shown. How errors look, what they mean, what
 * is read of a request and of an answer stands in files of its own. */
#include "dialect/anthropic.h"

#include <assert.h>

#define NAMES(array)                                \
    {                                               \
        (array), sizeof(array) / sizeof((array)[0]) \
    }

static const struct slice caller_headers[] = {
    SLICE_ROW("authorization"),
    SLICE_ROW("x-api-key"),
};

static const struct slice limit_headers[] = {
    SLICE_ROW("anthropic-ratelimit-*"),
    SLICE_ROW("anthropic-priority-*"),
    SLICE_ROW("anthropic-fast-*"),
    SLICE_ROW("x-ratelimit-*"),
};

static const struct slice account_headers[] = {
    SLICE_ROW("anthropic-organization-id"),
    SLICE_ROW("anthropic-workspace-id"),
    SLICE_ROW("openai-organization"),
    SLICE_ROW("openai-project"),
};

static const struct slice id_headers[] = {
    SLICE_ROW("request-id"),
    SLICE_ROW("x-request-id"),
    SLICE_ROW("cf-ray"),
};

static void put_line(struct buf *out, struct slice bytes)
{
    bool fits = buf_append(out, bytes);
    assert(fits); /* the caller has made room: dialect.h says how much */
}

static void put_credential(struct buf *out, struct slice secret, bool is_bearer)
{
    put_line(out, is_bearer ? SLICE("authorization: Bearer ") : SLICE("x-api-key: "));
    put_line(out, secret);
    put_line(out, SLICE("\r\n"));
}

/* A token that somebody logged in for, not a key: it is taken only with the beta it came with. */
static struct http1_header credential_item(struct slice secret)
{
    if (!slice_starts(secret, SLICE("sk-ant-oat")))
        return (struct http1_header){SLICE_NONE, SLICE_NONE};
    return (struct http1_header){SLICE("anthropic-beta"), SLICE("oauth-2025-04-20")};
}

const struct dialect dialect_anthropic = {
    .name = "anthropic",
    .path_prefix = SLICE_ROW("/v1/"),
    .read_facts = anthropic_read_facts,
    .caller_headers = NAMES(caller_headers),
    .limit_headers = NAMES(limit_headers),
    .account_headers = NAMES(account_headers),
    .id_headers = NAMES(id_headers),
    .put_credential = put_credential,
    .credential_item = credential_item,
    .probe_path = SLICE_ROW("/v1/models?limit=1"),
    .probe_header.name = SLICE_ROW("anthropic-version"),
    .probe_header.value = SLICE_ROW("2023-06-01"),
    .group = anthropic_group,
    .read_signs = anthropic_read_signs,
    .read_quota = anthropic_read_quota,
    .meaning = anthropic_meaning,
    .words = &anthropic_words,
    .ping_event = SLICE_ROW("event: ping\ndata: {\"type\": \"ping\"}\n\n"),
    .write_error = anthropic_write_error,
    .write_error_event = anthropic_write_error_event,
};
