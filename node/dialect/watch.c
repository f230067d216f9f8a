/* watch.c - one scan for all we look for, in JSON answers and in the data of SSE events.
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
#include "dialect/watch_priv.h"
#include "format/unpack.h"

bool watch_coding_parse(struct slice content_encoding, enum watch_coding *coding)
{
    static const struct {
        struct slice name;
        enum watch_coding coding;
    } names[] = {
        {.name = SLICE_ROW(""), .coding = WATCH_IDENTITY},
        {.name = SLICE_ROW("identity"), .coding = WATCH_IDENTITY},
        {.name = SLICE_ROW("gzip"), .coding = WATCH_GZIP},
        {.name = SLICE_ROW("x-gzip"), .coding = WATCH_GZIP},
        {.name = SLICE_ROW("deflate"), .coding = WATCH_DEFLATE},
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

/* A zero says nothing of what was known before: some events restate all fields and fill in only
 * what they are about. What was written to the cache without a word on its time to live lives five
 * minutes. */
void watch_set_tokens(struct watch *watch, enum token_field field, uint64_t value)
{
    uint64_t *tokens = watch->tokens;
    if (value > 0)
        tokens[field] = value;
    uint64_t split = tokens[TOKENS_CACHE_WRITE_5M] + tokens[TOKENS_CACHE_WRITE_1H];
    uint64_t rest = tokens[TOKENS_CACHE_WRITE] > split ? tokens[TOKENS_CACHE_WRITE] - split : 0;
    watch->usage = (struct usage){
        .is_known = true,
        .input = tokens[TOKENS_INPUT],
        .output = tokens[TOKENS_OUTPUT],
        .cache_read = tokens[TOKENS_CACHE_READ],
        .cache_write_5m = tokens[TOKENS_CACHE_WRITE_5M] + rest,
        .cache_write_1h = tokens[TOKENS_CACHE_WRITE_1H],
    };
}

void watch_set_model(struct watch *watch, struct slice model)
{
    set_text(&watch->model, model);
}

void watch_set_error_type(struct watch *watch, struct slice type)
{
    set_text(&watch->error_type, type);
}

void watch_set_event_type(struct watch *watch, struct slice type)
{
    watch->typed_kind = watch->words->kind_of(type);
}

static void start_scan(struct watch *watch)
{
    const struct watch_words *words = watch->words;
    json_scan_init(&watch->scan, words->paths, words->path_count, words->on_value, watch);
}

/* --- events --- */

static void on_data(void *arg, struct slice piece)
{
    struct watch *watch = arg;
    if (!watch->has_data) {
        enum event_kind kind = watch->words->kind_of(sse_name(&watch->sse));
        watch->has_data = true;
        watch->is_scanning = kind == EVENT_UNKNOWN || kind == EVENT_START ||
                             kind == EVENT_MESSAGE_DELTA || kind == EVENT_ERROR;
        if (watch->is_scanning)
            start_scan(watch);
    }
    if (watch->is_scanning)
        json_scan_feed(&watch->scan, piece);
}

static void on_end(void *arg)
{
    struct watch *watch = arg;
    enum event_kind kind = watch->words->kind_of(sse_name(&watch->sse));
    if (kind == EVENT_UNKNOWN)
        kind = watch->typed_kind;
    watch->events++;
    watch->has_content |= kind == EVENT_CONTENT || kind == EVENT_MESSAGE_DELTA;
    watch->has_stop |= kind == EVENT_STOP;
    watch->has_error |= kind == EVENT_ERROR;
    if (kind != EVENT_PING && !watch->has_opening) {
        watch->has_opening = true;
        watch->is_message = kind == EVENT_START;
    }
    watch->has_data = false;
    watch->typed_kind = EVENT_UNKNOWN;
}

/* --- life --- */

struct watch *watch_new(const struct watch_words *words, enum watch_body body,
                        enum watch_coding coding)
{
    static const struct sse_handler handler = {on_data, on_end};
    struct watch *watch = mem_new(sizeof(*watch));
    watch->words = words;
    watch->body = body;
    watch->coding = coding;
    if (body == WATCH_SSE)
        sse_init(&watch->sse, &handler, watch);
    else if (body == WATCH_JSON)
        start_scan(watch);
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
