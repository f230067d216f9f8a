#include "dialect/watch.h"

#include <zlib.h>

#include "check.h"
#include "dialect/dialect.h"
#include "format/unpack.h"

static const char stream[] =
    "event: message_start\n"
    "data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\","
    "\"role\":\"assistant\",\"model\":\"claude-opus-4\",\"content\":[],\"stop_reason\":null,"
    "\"usage\":{\"input_tokens\":25,\"cache_creation_input_tokens\":300,"
    "\"cache_read_input_tokens\":7,\"cache_creation\":{\"ephemeral_5m_input_tokens\":100,"
    "\"ephemeral_1h_input_tokens\":200},\"output_tokens\":1}}}\n\n"
    "event: ping\ndata: {\"type\":\"ping\"}\n\n"
    "event: content_block_start\n"
    "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\"}}\n\n"
    "event: content_block_delta\n"
    "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\","
    "\"text\":\"usage: {\\\"output_tokens\\\": 999}\"},\"usage\":{\"output_tokens\":998}}\n\n"
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
    "event: message_delta\n"
    "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},"
    "\"usage\":{\"output_tokens\":15,\"input_tokens\":null}}\n\n"
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

static const char message[] =
    "{\"id\":\"msg_1\",\"type\":\"message\",\"model\":\"claude-opus-4\",\"content\":[{\"type\":"
    "\"text\",\"text\":\"\\\"usage\\\":{\\\"input_tokens\\\":5}\",\"usage\":{\"input_tokens\":6}}],"
    "\"usage\":{\"input_tokens\":2095,\"output_tokens\":503,\"cache_read_input_tokens\":11,"
    "\"cache_creation_input_tokens\":13,\"server_tool_use\":{\"web_search_requests\":0}}}";

static struct watch *watch;

static void start(enum watch_body body, enum coding coding)
{
    watch_free(watch);
    watch = watch_new(dialect_anthropic.words, body, coding);
}

/* In pieces of `step` bytes, each in memory of its own. */
static void feed(struct slice in, size_t step)
{
    while (in.len > 0) {
        size_t len = in.len < step ? in.len : step;
        char *piece = malloc(len);
        memcpy(piece, in.at, len);
        watch_feed(watch, (struct slice){piece, len});
        free(piece);
        in = slice_from(in, len);
    }
}

static void read_sse(const char *text)
{
    start(WATCH_SSE, CODING_IDENTITY);
    feed(slice_of(text), SIZE_MAX);
}

static int usage_is(const struct usage *expected)
{
    struct usage usage = watch_usage(watch);
    return usage.is_known == expected->is_known && usage.input == expected->input &&
           usage.output == expected->output && usage.cache_read == expected->cache_read &&
           usage.cache_write_5m == expected->cache_write_5m &&
           usage.cache_write_1h == expected->cache_write_1h &&
           usage.is_estimated == expected->is_estimated;
}

static const struct usage of_stream = {true, false, 25, 15, 7, 100, 200};
static const struct usage of_message = {true, false, 2095, 503, 11, 13, 0};
static const struct usage of_nothing;

static int saw_stream(void)
{
    return usage_is(&of_stream) && slice_eq(watch_model(watch), SLICE("claude-opus-4")) &&
           watch_saw_content(watch) && watch_said(watch) == SAID_STOP && watch_events(watch) == 7 &&
           watch_error(watch).type.len == 0 && watch_at_event_start(watch);
}

static void test_answers(void)
{
    PROMISE("a stream tells usage, model and its proper end, wherever it is cut")
    {
        int is_so = 1;
        for (size_t step = 1; step < sizeof(stream); step++) {
            start(WATCH_SSE, CODING_IDENTITY);
            feed(SLICE(stream), step);
            is_so &= saw_stream();
        }
        CHECK(is_so);
    }
    PROMISE("a message tells usage and model, wherever it is cut")
    {
        int is_so = 1;
        for (size_t step = 1; step < sizeof(message); step++) {
            start(WATCH_JSON, CODING_IDENTITY);
            feed(SLICE(message), step);
            is_so &= usage_is(&of_message) && slice_eq(watch_model(watch), SLICE("claude-opus-4"));
        }
        CHECK(is_so);
    }
    PROMISE("what has passed so far is known, even if the rest never comes")
    {
        start(WATCH_SSE, CODING_IDENTITY);
        feed((struct slice){stream, (size_t)(strstr(stream, "event: ping") - stream)}, 10);
        CHECK(watch_usage(watch).input == 25 && watch_usage(watch).output == 1);
        CHECK(watch_said(watch) == SAID_NOTHING && !watch_saw_content(watch));
        CHECK(watch_events(watch) == 1);
    }
    PROMISE("where nothing is to be read nothing is")
    {
        start(WATCH_NOTHING, CODING_IDENTITY);
        feed(SLICE(message), 100);
        CHECK(usage_is(&of_nothing) && watch_model(watch).len == 0);
        watch_free(NULL);
    }
}

static void test_usage(void)
{
    static const struct {
        const char *usage;
        struct usage expected;
    } cases[] = {
        {"{}", {0}},
        {"{\"input_tokens\":0}", {.is_known = true}},
        {"{\"input_tokens\":1,\"input_tokens\":2}", {.is_known = true, .input = 2}},
        {"{\"input_tokens\":\"3\",\"output_tokens\":-1}", {0}},
        {"{\"input_tokens\":1.5,\"output_tokens\":1e3}", {0}},
        {"{\"input_tokens\":99999999999999999999}", {0}},
        {"{\"cache_creation_input_tokens\":5}", {.is_known = true, .cache_write_5m = 5}},
        {"{\"cache_creation_input_tokens\":5,\"cache_creation\":{\"ephemeral_1h_input_tokens\":5}}",
         {.is_known = true, .cache_write_1h = 5}},
        {"{\"cache_creation\":{\"ephemeral_1h_input_tokens\":2,\"ephemeral_5m_input_tokens\":3},"
         "\"cache_creation_input_tokens\":5}",
         {.is_known = true, .cache_write_5m = 3, .cache_write_1h = 2}},
        {"{\"cache_creation\":{\"ephemeral_1h_input_tokens\":2},\"cache_creation_input_tokens\":5}",
         {.is_known = true, .cache_write_5m = 3, .cache_write_1h = 2}},
    };
    PROMISE("the last value of each field counts, numbers only; unsplit writes live five minutes")
    {
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            char text[400];
            snprintf(text, sizeof(text), "{\"usage\":%s}", cases[i].usage);
            start(WATCH_JSON, CODING_IDENTITY);
            feed(slice_of(text), 5);
            CHECK(usage_is(&cases[i].expected));
        }
    }
}

static void test_usage_of_events(void)
{
    PROMISE("a later event overrides an earlier one field by field, and never adds")
    {
        read_sse("event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":10,"
                 "\"output_tokens\":1,\"cache_read_input_tokens\":4}}}\n\n"
                 "event: message_delta\ndata: {\"usage\":{\"output_tokens\":5}}\n\n"
                 "event: message_delta\ndata: {\"usage\":{\"output_tokens\":9,"
                 "\"input_tokens\":12}}\n\n");
        const struct usage expected = {.is_known = true, .input = 12, .output = 9, .cache_read = 4};
        CHECK(usage_is(&expected));
    }
    PROMISE("a zero never wipes out a number that is known")
    {
        read_sse("event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":15,"
                 "\"output_tokens\":1,\"cache_creation_input_tokens\":4}}}\n\n"
                 "event: message_delta\ndata: {\"usage\":{\"output_tokens\":5,"
                 "\"input_tokens\":0,\"cache_creation_input_tokens\":0}}\n\n");
        const struct usage expected = {
            .is_known = true, .input = 15, .output = 5, .cache_write_5m = 4};
        CHECK(usage_is(&expected));
    }
}

static void test_events(void)
{
    PROMISE("an error event tells its type")
    {
        read_sse("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
                 "\"message\":\"Overloaded\"}}\n\n");
        CHECK_TEXT(watch_error(watch).type, "overloaded_error");
        CHECK_TEXT(watch_error(watch).message, "Overloaded");
        CHECK(watch_said(watch) == SAID_ERROR && watch_events(watch) == 1);
    }
    PROMISE("without names the type in the data says what an event is")
    {
        read_sse("data: {\"type\":\"message_start\",\"message\":{\"model\":\"m\"}}\n\n"
                 "data: {\"type\":\"content_block_delta\"}\n\n"
                 "data: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":3}}\n\n"
                 "data: {\"type\":\"message_stop\"}\n\ndata: [DONE]\n\n");
        CHECK(watch_saw_content(watch) && watch_said(watch) == SAID_STOP);
        CHECK(watch_events(watch) == 5 && watch_usage(watch).output == 3);
        CHECK_TEXT(watch_model(watch), "m");
        read_sse("data: {\"error\":{\"type\":\"api_error\"},\"type\":\"error\"}\n\n");
        CHECK_TEXT(watch_error(watch).type, "api_error");
    }
    PROMISE("a stream is a message if it begins with message_start, pings aside")
    {
        read_sse("event: ping\ndata: {}\n\nevent: message_start\ndata: {}\n\n");
        CHECK(watch_said(watch) == SAID_NOTHING);
        read_sse("event: other\ndata: {}\n\nevent: message_start\ndata: {}\n\n");
        CHECK(watch_said(watch) == SAID_OTHER);
        read_sse("data: {\"choices\":[]}\n\n");
        CHECK(watch_said(watch) == SAID_OTHER);
    }
}

static void test_places(void)
{
    PROMISE("any event of a content block, and any delta, is content")
    {
        read_sse("event: content_block_start\ndata: {}\n\n");
        CHECK(watch_saw_content(watch));
        read_sse("event: response.output_text_delta\ndata: {}\n\n");
        CHECK(watch_saw_content(watch));
        read_sse("event: message_delta\ndata: {}\n\n");
        CHECK(watch_saw_content(watch));
        read_sse("event: ping\ndata: {}\n\nevent: message_start\ndata: {}\n\n");
        CHECK(!watch_saw_content(watch));
    }
    PROMISE("where an event ended, one of ours may follow; elsewhere it may not")
    {
        read_sse("");
        CHECK(watch_at_event_start(watch));
        read_sse("event: ping\ndata: {}\n");
        CHECK(!watch_at_event_start(watch));
        read_sse("event: ping\ndata: {}\n\n: half");
        CHECK(!watch_at_event_start(watch));
    }
    PROMISE("a JSON value over several data lines is read as one")
    {
        read_sse("event: message_delta\ndata: {\"usage\":\ndata: {\"output_tokens\":\n"
                 "data: 5}}\n\n");
        CHECK(watch_usage(watch).output == 5);
    }
}

/* --- compression --- */

enum { PACKED_MAX = 1 << 20 };

static unsigned char packed[PACKED_MAX];

static struct slice pack(struct slice plain, int window)
{
    z_stream z = {0};
    if (deflateInit2(&z, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    unsigned char *copy = malloc(plain.len);
    memcpy(copy, plain.at, plain.len);
    z.next_in = copy;
    z.avail_in = (unsigned)plain.len;
    z.next_out = packed;
    z.avail_out = sizeof(packed);
    if (deflate(&z, Z_FINISH) != Z_STREAM_END)
        abort();
    deflateEnd(&z);
    free(copy);
    return (struct slice){(const char *)packed, sizeof(packed) - z.avail_out};
}

static void test_compression(void)
{
    /* clang-format off */
    static const struct {
        enum coding coding;
        int window;
    } cases[] = {
        {CODING_GZIP, 31},
        {CODING_DEFLATE, 15},
        {CODING_DEFLATE, -15},
        {CODING_DEFLATE, 9},
    };
    /* clang-format on */
    PROMISE("compressed answers are read through gzip, deflate and raw deflate, at any cut")
    {
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            int is_so = 1;
            struct slice in = pack(SLICE(stream), cases[i].window);
            for (size_t step = 1; step <= in.len; step++) {
                start(WATCH_SSE, cases[i].coding);
                feed(in, step);
                is_so &= saw_stream();
            }
            in = pack(SLICE(message), cases[i].window);
            start(WATCH_JSON, cases[i].coding);
            feed(in, 11);
            is_so &= usage_is(&of_message);
            CHECK(is_so);
        }
    }
    PROMISE("gzip may come in several members")
    {
        static char both[8192];
        size_t half = sizeof(stream) / 2;
        struct slice in = pack((struct slice){stream, half}, 31);
        memcpy(both, in.at, in.len);
        size_t len = in.len;
        in = pack((struct slice){stream + half, sizeof(stream) - 1 - half}, 31);
        memcpy(both + len, in.at, in.len);
        start(WATCH_SSE, CODING_GZIP);
        feed((struct slice){both, len + in.len}, 100);
        CHECK(saw_stream());
    }
}

#define DELTA(text)                                                                              \
    "event: content_block_delta\ndata: "                                                         \
    "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":" \
    "\"" text "\"}}\n\n"

static void test_estimate(void)
{
    static const char opening[] =
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":"
        "{\"input_tokens\":15,\"output_tokens\":1}}}\n\n";
    PROMISE("output that nobody told is what passed: a token a delta, or one in four bytes")
    {
        start(WATCH_SSE, CODING_IDENTITY);
        feed(SLICE(opening), 7);
        CHECK(!watch_usage(watch).is_estimated && watch_usage(watch).output == 1);
        feed(SLICE(DELTA("a") DELTA("b") DELTA("c")), 7);
        CHECK(watch_usage(watch).is_estimated && watch_usage(watch).output == 3);
        feed(SLICE(DELTA("a text of four times four bytes, and as much again, so that it "
                         "is sixteen tokens or so")),
             7);
        CHECK(watch_usage(watch).output > 15 && watch_usage(watch).output < 25);
        CHECK(watch_usage(watch).input == 15);
    }
    PROMISE("what is told at last counts, however little it is")
    {
        feed(SLICE("event: message_delta\ndata: {\"usage\":{\"output_tokens\":2}}\n\n"), 7);
        CHECK(!watch_usage(watch).is_estimated && watch_usage(watch).output == 2);
    }
}

static void test_false_compression(void)
{
    PROMISE("what is not compressed as it says is not read, and harms nobody")
    {
        start(WATCH_JSON, CODING_GZIP);
        feed(SLICE(message), 10);
        CHECK(usage_is(&of_nothing));
        start(WATCH_JSON, CODING_DEFLATE);
        feed(SLICE(message), 10);
        CHECK(usage_is(&of_nothing));
    }
    PROMISE("an answer that unpacks to more than we look at is not read to its end")
    {
        size_t len = UNPACK_BYTES_MAX + 100;
        char *plain = malloc(len);
        memset(plain, ' ', len);
        memcpy(plain + len - 30, "{\"usage\":{\"input_tokens\":5}}", 28);
        struct slice in = pack((struct slice){plain, len}, 31);
        start(WATCH_JSON, CODING_GZIP);
        feed(in, 1000);
        CHECK(usage_is(&of_nothing));
        in = pack((struct slice){plain + 200, len - 200}, 31);
        start(WATCH_JSON, CODING_GZIP);
        feed(in, 1000);
        CHECK(watch_usage(watch).input == 5);
        free(plain);
    }
}

int main(void)
{
    test_answers();
    test_usage();
    test_usage_of_events();
    test_events();
    test_places();
    test_compression();
    test_estimate();
    test_false_compression();
    watch_free(watch);
    return check_done();
}
