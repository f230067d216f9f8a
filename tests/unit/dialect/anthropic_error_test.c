#include "dialect/anthropic.h"

#include "check.h"

static struct buf out;

static struct slice json(int status, struct slice message, struct slice request_id)
{
    buf_clear(&out);
    anthropic_write_error(&out, status, message, request_id);
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
                   "\"a\\\"b\\\\c\\u000a\\u0000\\u007f\\u00c3\"},"
                   "\"request_id\":\"\\\"}\"}");
    }
    PROMISE("a message in any language arrives as it was")
    {
        CHECK_TEXT(json(400, SLICE("\xc3\xbc \xf0\x9f\x98\x80"), SLICE_NONE),
                   "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\","
                   "\"message\":\"\\u00fc \\ud83d\\ude00\"}}");
    }
    PROMISE("it is put behind what stands there already")
    {
        struct buf both;
        buf_init(&both, 4096);
        CHECK(buf_append(&both, SLICE("before ")));
        anthropic_write_error(&both, 404, SLICE("m"), SLICE_NONE);
        CHECK_TEXT(buf_slice(&both), "before {\"type\":\"error\",\"error\":{\"type\":"
                                     "\"not_found_error\",\"message\":\"m\"}}");
        buf_fini(&both);
    }
}

/* `unit`, over and over. */
static struct slice many(struct slice unit)
{
    static char text[1 << 16];
    size_t len = 0;
    for (; len + unit.len <= sizeof(text); len += unit.len)
        memcpy(text + len, unit.at, unit.len);
    return (struct slice){text, len};
}

static int holds(struct slice text, struct slice part)
{
    return memmem(text.at, text.len, part.at, part.len) != NULL;
}

static void test_length(void)
{
    /* clang-format off */
    static const struct slice units[] = {
        SLICE_ROW("a"),
        SLICE_ROW("\""),
        SLICE_ROW("\n"),
        SLICE_ROW("\xc3\xbc"),
        SLICE_ROW("\xff"),
        SLICE_ROW("\xf0\x9f\x98\x80"),
    };
    /* clang-format on */
    PROMISE("a message of any length and any bytes has room: its end is left out and marked")
    {
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
            struct slice got = json(500, many(units[i]), SLICE("\xfe"));
            CHECK(got.len <= DIALECT_ERROR_BYTES_MAX);
            CHECK(got.len > 3000);
            CHECK(holds(got, SLICE("...\"},\"request_id\":\"\\u00fe")));
            CHECK(got.len > 2 && got.at[got.len - 2] == '"' && got.at[got.len - 1] == '}');
        }
    }
    PROMISE("it is left out in whole characters")
    {
        struct slice got = json(500, many(SLICE("\xf0\x9f\x98\x80")), SLICE_NONE);
        CHECK(holds(got, SLICE("\\ud83d\\ude00...\"}}")));
    }
    PROMISE("so it is within a stream, and there is room for what ends the event before")
    {
        buf_clear(&out);
        CHECK(buf_append(&out, SLICE("\n\n")));
        anthropic_write_error_event(&out, 502, many(SLICE("\xff")), many(SLICE("\xff")));
        CHECK(buf_len(&out) <= DIALECT_ERROR_BYTES_MAX);
    }
}

static void test_event(void)
{
    PROMISE("an error within a stream is one whole SSE event named error, on one line")
    {
        buf_clear(&out);
        anthropic_write_error_event(&out, 502, SLICE("cut\r\noff"), SLICE("r"));
        CHECK_TEXT(buf_slice(&out), "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
                                    "\"api_error\",\"message\":\"cut\\u000d\\u000aoff\"},"
                                    "\"request_id\":\"r\"}\n\n");
    }
}

int main(void)
{
    buf_init(&out, DIALECT_ERROR_BYTES_MAX);
    test_types();
    test_json();
    test_length();
    test_event();
    buf_fini(&out);
    return check_done();
}
