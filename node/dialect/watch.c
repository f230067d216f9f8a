/* watch.c - one table of paths for all we look for, in JSON answers and in the data of SSE events.
 *
 *     watch_feed -> unpack -> read -> json_scan                    JSON
 *                                  -> sse -> on_data -> json_scan  SSE: only telling events
 *                                         -> on_end                what kind of event it was
 *
 * An event's kind is its name; where there is none, the "type" in its data. The data of content
 * events, which are nearly all of a stream, is not looked at when the name is there. */
#include "dialect/watch.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/json_scan.h"
#include "format/sse.h"
#include "format/unpack.h"

#define TOKENS_MAX (UINT64_C(1) << 53) /* more is nonsense, and sums must not overflow */

enum usage_field {
    INPUT,
    OUTPUT,
    CACHE_READ,
    CACHE_WRITE,
    CACHE_WRITE_5M,
    CACHE_WRITE_1H,
    USAGE_FIELDS
};

enum path {
    TYPE,
    ERROR_TYPE,
    MODEL,
    MESSAGE_MODEL,
    USAGE, /* and so on, by enum usage_field */
    MESSAGE_USAGE = USAGE + (int)USAGE_FIELDS,
    PATHS = MESSAGE_USAGE + (int)USAGE_FIELDS
};

#define AT(group, field) ((int)(group) + (int)(field))

static const char *const paths[PATHS] = {
    [TYPE] = "type",
    [ERROR_TYPE] = "error.type",
    [MODEL] = "model",
    [MESSAGE_MODEL] = "message.model",
    [AT(USAGE, INPUT)] = "usage.input_tokens",
    [AT(USAGE, OUTPUT)] = "usage.output_tokens",
    [AT(USAGE, CACHE_READ)] = "usage.cache_read_input_tokens",
    [AT(USAGE, CACHE_WRITE)] = "usage.cache_creation_input_tokens",
    [AT(USAGE, CACHE_WRITE_5M)] = "usage.cache_creation.ephemeral_5m_input_tokens",
    [AT(USAGE, CACHE_WRITE_1H)] = "usage.cache_creation.ephemeral_1h_input_tokens",
    [AT(MESSAGE_USAGE, INPUT)] = "message.usage.input_tokens",
    [AT(MESSAGE_USAGE, OUTPUT)] = "message.usage.output_tokens",
    [AT(MESSAGE_USAGE, CACHE_READ)] = "message.usage.cache_read_input_tokens",
    [AT(MESSAGE_USAGE, CACHE_WRITE)] = "message.usage.cache_creation_input_tokens",
    [AT(MESSAGE_USAGE, CACHE_WRITE_5M)] = "message.usage.cache_creation.ephemeral_5m_input_tokens",
    [AT(MESSAGE_USAGE, CACHE_WRITE_1H)] = "message.usage.cache_creation.ephemeral_1h_input_tokens",
};

enum kind {
    KIND_UNKNOWN, /* neither name nor type */
    KIND_START,
    KIND_CONTENT,
    KIND_MESSAGE_DELTA,
    KIND_STOP,
    KIND_ERROR,
    KIND_PING,
    KIND_OTHER
};

struct text {
    uint8_t len;
    char at[128];
};

struct watch {
    enum watch_body body;
    enum watch_coding coding;
    struct unpack *unpack; /* only while a compressed answer passes */
    bool is_blind;         /* what follows cannot be unpacked */

    struct usage usage;
    uint64_t tokens[USAGE_FIELDS]; /* as last read */
    struct text model;
    struct text error_type;

    uint64_t events;
    bool is_message;
    bool has_content;
    bool has_stop;
    bool has_error;
    bool has_opening;     /* an event other than ping has come */
    bool has_data;        /* so has data, for the current event */
    bool is_scanning;     /* which goes to the scan */
    enum kind typed_kind; /* of the current event, by the type in its data */

    struct sse sse;
    struct json_scan scan;
};

_Static_assert(sizeof(struct watch) <= 1024, "there is one for every stream");

bool watch_coding_parse(struct slice content_encoding, enum watch_coding *coding)
{
    static const struct {
        struct slice name;
        enum watch_coding coding;
    } names[] = {
        {{"", 0}, WATCH_IDENTITY},   {{"identity", 8}, WATCH_IDENTITY}, {{"gzip", 4}, WATCH_GZIP},
        {{"x-gzip", 6}, WATCH_GZIP}, {{"deflate", 7}, WATCH_DEFLATE},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (slice_eq_nocase(content_encoding, names[i].name)) {
            *coding = names[i].coding;
            return true;
        }
    }
    return false;
}

/* --- values --- */

static void set_text(struct text *text, struct slice value)
{
    text->len = (uint8_t)(value.len < sizeof(text->at) ? value.len : sizeof(text->at));
    memcpy(text->at, value.at, text->len);
}

static struct slice get_text(const struct text *text)
{
    return (struct slice){text->at, text->len};
}

/* What was written to the cache without a word on its time to live lives five minutes. */
static void set_tokens(struct watch *watch, unsigned field, uint64_t value)
{
    uint64_t *tokens = watch->tokens;
    tokens[field] = value;
    uint64_t split = tokens[CACHE_WRITE_5M] + tokens[CACHE_WRITE_1H];
    uint64_t rest = tokens[CACHE_WRITE] > split ? tokens[CACHE_WRITE] - split : 0;
    watch->usage = (struct usage){
        .is_known = true,
        .input = tokens[INPUT],
        .output = tokens[OUTPUT],
        .cache_read = tokens[CACHE_READ],
        .cache_write_5m = tokens[CACHE_WRITE_5M] + rest,
        .cache_write_1h = tokens[CACHE_WRITE_1H],
    };
}

static bool ends_with(struct slice s, struct slice end)
{
    return s.len >= end.len && slice_eq(slice_from(s, s.len - end.len), end);
}

static enum kind kind_of(struct slice name)
{
    if (name.len == 0)
        return KIND_UNKNOWN;
    if (slice_starts(name, SLICE("content_block_")))
        return KIND_CONTENT;
    if (slice_eq(name, SLICE("message_delta")))
        return KIND_MESSAGE_DELTA;
    if (slice_eq(name, SLICE("message_start")))
        return KIND_START;
    if (slice_eq(name, SLICE("message_stop")))
        return KIND_STOP;
    if (slice_eq(name, SLICE("error")))
        return KIND_ERROR;
    if (slice_eq(name, SLICE("ping")))
        return KIND_PING;
    return ends_with(name, SLICE("_delta")) ? KIND_CONTENT : KIND_OTHER;
}

static void on_value(void *arg, unsigned path, enum json_kind kind, struct slice value)
{
    struct watch *watch = arg;
    uint64_t number;
    if (path >= USAGE) {
        if (kind == JSON_SCAN_NUMBER && slice_number(value, TOKENS_MAX, &number))
            set_tokens(watch, (path - USAGE) % USAGE_FIELDS, number);
        return;
    }
    if (kind != JSON_SCAN_STRING)
        return;
    if (path == TYPE)
        watch->typed_kind = kind_of(value);
    else if (path == ERROR_TYPE)
        set_text(&watch->error_type, value);
    else
        set_text(&watch->model, value);
}

/* --- events --- */

static void on_data(void *arg, struct slice piece)
{
    struct watch *watch = arg;
    if (!watch->has_data) {
        enum kind kind = kind_of(sse_name(&watch->sse));
        watch->has_data = true;
        watch->is_scanning = kind == KIND_UNKNOWN || kind == KIND_START ||
                             kind == KIND_MESSAGE_DELTA || kind == KIND_ERROR;
        if (watch->is_scanning)
            json_scan_init(&watch->scan, paths, PATHS, on_value, watch);
    }
    if (watch->is_scanning)
        json_scan_feed(&watch->scan, piece);
}

static void on_end(void *arg)
{
    struct watch *watch = arg;
    enum kind kind = kind_of(sse_name(&watch->sse));
    if (kind == KIND_UNKNOWN)
        kind = watch->typed_kind;
    watch->events++;
    watch->has_content |= kind == KIND_CONTENT || kind == KIND_MESSAGE_DELTA;
    watch->has_stop |= kind == KIND_STOP;
    watch->has_error |= kind == KIND_ERROR;
    if (kind != KIND_PING && !watch->has_opening) {
        watch->has_opening = true;
        watch->is_message = kind == KIND_START;
    }
    watch->has_data = false;
    watch->typed_kind = KIND_UNKNOWN;
}

/* --- life --- */

struct watch *watch_new(enum watch_body body, enum watch_coding coding)
{
    static const struct sse_handler handler = {on_data, on_end};
    struct watch *watch = mem_new(sizeof(*watch));
    watch->body = body;
    watch->coding = coding;
    if (body == WATCH_SSE)
        sse_init(&watch->sse, &handler, watch);
    else if (body == WATCH_JSON)
        json_scan_init(&watch->scan, paths, PATHS, on_value, watch);
    return watch;
}

void watch_free(struct watch *watch)
{
    if (watch == NULL)
        return;
    unpack_free(watch->unpack);
    free(watch);
}

/* Bytes as the provider wrote them, before compression. */
static void read_plain(void *arg, struct slice bytes)
{
    struct watch *watch = arg;
    if (watch->body == WATCH_SSE)
        sse_feed(&watch->sse, bytes);
    else
        json_scan_feed(&watch->scan, bytes);
}

void watch_feed(struct watch *watch, struct slice bytes)
{
    if (watch->body == WATCH_NOTHING || watch->is_blind || bytes.len == 0)
        return;
    if (watch->coding == WATCH_IDENTITY) {
        read_plain(watch, bytes);
        return;
    }
    if (watch->unpack == NULL)
        watch->unpack = unpack_new(watch->coding == WATCH_GZIP);
    if (!unpack_feed(watch->unpack, bytes, read_plain, watch)) {
        unpack_free(watch->unpack);
        watch->unpack = NULL;
        watch->is_blind = true;
    }
}

/* --- what was seen --- */

const struct usage *watch_usage(const struct watch *watch)
{
    return &watch->usage;
}

struct slice watch_model(const struct watch *watch)
{
    return get_text(&watch->model);
}

bool watch_saw_content(const struct watch *watch)
{
    return watch->has_content;
}

bool watch_saw_stop(const struct watch *watch)
{
    return watch->has_stop;
}

bool watch_is_message(const struct watch *watch)
{
    return watch->is_message;
}

struct slice watch_error_type(const struct watch *watch)
{
    return watch->has_error ? get_text(&watch->error_type) : SLICE_NONE;
}

bool watch_at_event_start(const struct watch *watch)
{
    return sse_is_between_events(&watch->sse);
}

uint64_t watch_events(const struct watch *watch)
{
    return watch->events;
}
