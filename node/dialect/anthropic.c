#include "dialect/anthropic.h"

#include <assert.h>
#include <stdio.h>

static const struct {
    int status;
    const char *type;
} types[] = {
    {400, "invalid_request_error"},
    {401, "authentication_error"},
    {402, "billing_error"},
    {403, "permission_error"},
    {404, "not_found_error"},
    {405, "invalid_request_error"},
    {413, "request_too_large"},
    {429, "rate_limit_error"},
    {500, "api_error"},
    {501, "invalid_request_error"},
    {502, "api_error"},
    {503, "api_error"},
    {504, "timeout_error"},
    {505, "invalid_request_error"},
    {529, "overloaded_error"},
};

const char *anthropic_error_type(int status)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (types[i].status == status)
            return types[i].type;
    return status >= 500 ? "api_error" : "invalid_request_error";
}

static void put(struct buf *out, struct slice bytes)
{
    bool fits = buf_append(out, bytes);
    assert(fits); /* our own messages are short */
}

static void put_json_string(struct buf *out, struct slice s)
{
    put(out, SLICE("\""));
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        char code[8];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            put(out, (struct slice){s.at + i, 1});
            continue;
        }
        snprintf(code, sizeof(code), "\\u%04x", c);
        put(out, slice_of(code));
    }
    put(out, SLICE("\""));
}

void anthropic_error_json(struct buf *out, int status, struct slice message,
                          struct slice request_id)
{
    put(out, SLICE("{\"type\":\"error\",\"error\":{\"type\":\""));
    put(out, slice_of(anthropic_error_type(status)));
    put(out, SLICE("\",\"message\":"));
    put_json_string(out, message);
    put(out, SLICE("}"));
    if (request_id.len > 0) {
        put(out, SLICE(",\"request_id\":"));
        put_json_string(out, request_id);
    }
    put(out, SLICE("}"));
}

void anthropic_error_event(struct buf *out, int status, struct slice message,
                           struct slice request_id)
{
    put(out, SLICE("event: error\ndata: "));
    anthropic_error_json(out, status, message, request_id);
    put(out, SLICE("\n\n"));
}
