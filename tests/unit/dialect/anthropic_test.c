#include "dialect/anthropic.h"

#include "check.h"

static struct buf out;

static struct slice json(int status, struct slice message, struct slice request_id)
{
    buf_clear(&out);
    anthropic_error_json(&out, status, message, request_id);
    return buf_slice(&out);
}

static struct slice type_of(int status)
{
    return slice_of(anthropic_error_type(status));
}

static void test_types(void)
{
    PROMISE("every status has the type that the API documents for it")
    {
        CHECK_TEXT(type_of(400), "invalid_request_error");
        CHECK_TEXT(type_of(401), "authentication_error");
        CHECK_TEXT(type_of(402), "billing_error");
        CHECK_TEXT(type_of(403), "permission_error");
        CHECK_TEXT(type_of(404), "not_found_error");
        CHECK_TEXT(type_of(413), "request_too_large");
        CHECK_TEXT(type_of(429), "rate_limit_error");
        CHECK_TEXT(type_of(500), "api_error");
        CHECK_TEXT(type_of(504), "timeout_error");
        CHECK_TEXT(type_of(529), "overloaded_error");
    }
    PROMISE("a status outside the table is the caller's fault below 500 and ours from there")
    {
        CHECK_TEXT(type_of(418), "invalid_request_error");
        CHECK_TEXT(type_of(499), "invalid_request_error");
        CHECK_TEXT(type_of(502), "api_error");
        CHECK_TEXT(type_of(503), "api_error");
        CHECK_TEXT(type_of(599), "api_error");
    }
}

static void test_json(void)
{
    PROMISE("an error has the shape of the API, with the request's id")
    {
        CHECK_TEXT(json(529, SLICE("nothing is free"), SLICE("req_1")),
                   "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
                   "\"message\":\"nothing is free\"},\"request_id\":\"req_1\"}");
    }
    PROMISE("without an id there is no field for it")
    {
        CHECK_TEXT(json(400, SLICE_NONE, SLICE_NONE),
                   "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\","
                   "\"message\":\"\"}}");
    }
    PROMISE("no byte of a message or an id can leave its string")
    {
        CHECK_TEXT(json(500, SLICE("a\"b\\c\n\0\x7f\xc3"), SLICE("\"}")),
                   "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":"
                   "\"a\\u0022b\\u005cc\\u000a\\u0000\\u007f\\u00c3\"},"
                   "\"request_id\":\"\\u0022}\"}");
    }
    PROMISE("it is put behind what stands there already")
    {
        struct buf both;
        buf_init(&both, 4096);
        CHECK(buf_append(&both, SLICE("before ")));
        anthropic_error_json(&both, 404, SLICE("m"), SLICE_NONE);
        CHECK_TEXT(buf_slice(&both), "before {\"type\":\"error\",\"error\":{\"type\":"
                                     "\"not_found_error\",\"message\":\"m\"}}");
        buf_fini(&both);
    }
}

static void test_event(void)
{
    PROMISE("an error within a stream is one whole SSE event named error, on one line")
    {
        buf_clear(&out);
        anthropic_error_event(&out, 502, SLICE("cut\r\noff"), SLICE("r"));
        CHECK_TEXT(buf_slice(&out), "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
                                    "\"api_error\",\"message\":\"cut\\u000d\\u000aoff\"},"
                                    "\"request_id\":\"r\"}\n\n");
    }
}

int main(void)
{
    buf_init(&out, 4096);
    test_types();
    test_json();
    test_event();
    buf_fini(&out);
    return check_done();
}
