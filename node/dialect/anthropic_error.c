/* How our own words look to someone who expects the Anthropic API.
 * Source: the error table of the Messages API documentation; 529 is its own status for overload.
 * What comes from outside is cut here, so that no caller needs to know how long it was. */
#include "dialect/anthropic.h"

#include <assert.h>
#include <string.h>

#include "base/utf8.h"

/* Bytes of the finished JSON. What is between and around them is ours, and short. */
enum { MESSAGE_BYTES_MAX = 3072, REQUEST_ID_BYTES_MAX = 256 };

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

int anthropic_error_status(struct slice type)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (slice_eq(type, slice_of(types[i].type)))
            return types[i].status;
    return 500;
}

static void put_error(struct buf *out, struct slice bytes)
{
    bool fits = buf_append(out, bytes);
    assert(fits); /* what comes from outside has been cut; the header says how much room to bring */
}

static void put_json_string(struct buf *out, struct slice s, size_t bytes_max)
{
    char code[UTF8_ESCAPE_MAX];
    size_t used = 0;
    put_error(out, SLICE("\""));
    while (s.len > 0) {
        s = slice_from(s, utf8_escape(s, code));
        used += strlen(code);
        if (used > bytes_max) {
            put_error(out, SLICE("..."));
            break;
        }
        put_error(out, slice_of(code));
    }
    put_error(out, SLICE("\""));
}

void anthropic_write_error(struct buf *out, int status, struct slice message,
                           struct slice request_id)
{
    put_error(out, SLICE("{\"type\":\"error\",\"error\":{\"type\":\""));
    put_error(out, slice_of(anthropic_error_type(status)));
    put_error(out, SLICE("\",\"message\":"));
    put_json_string(out, message, MESSAGE_BYTES_MAX);
    put_error(out, SLICE("}"));
    if (request_id.len > 0) {
        put_error(out, SLICE(",\"request_id\":"));
        put_json_string(out, request_id, REQUEST_ID_BYTES_MAX);
    }
    put_error(out, SLICE("}"));
}

void anthropic_write_error_event(struct buf *out, int status, struct slice message,
                                 struct slice request_id)
{
    put_error(out, SLICE("event: error\ndata: "));
    anthropic_write_error(out, status, message, request_id);
    put_error(out, SLICE("\n\n"));
}
