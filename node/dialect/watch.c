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

/* --- values --- */

enum {
    JSON_LOOK_MAX = 4096,  /* a JSON answer that has not said by then that it is an error is none */
    JSON_ERROR_MAX = 65536 /* what has said so is read to its end, if that comes before this */
};

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

static void set_message(struct long_text *message, struct slice value)
{
    message->len = value.len < sizeof(message->at) ? value.len : sizeof(message->at);
    memcpy(message->at, value.at, message->len);
}

/* The API's own code is deeper than the one relays put into errors of the other dialect. */
void watch_set_error(struct watch *watch, enum error_field field, struct slice value)
{
    if (watch->error == NULL)
        watch->error = mem_new(sizeof(*watch->error));
    watch->has_error_words = true;
    if (field == ERROR_CODE || (field == ERROR_RELAYS_CODE && watch->error->code.len == 0))
        set_text(&watch->error->code, value);
    else if (field == ERROR_TYPE)
        set_text(&watch->error->type, value);
    else if (field == ERROR_MESSAGE)
        set_message(&watch->error->message, value);
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
        watch->is_delta = kind == EVENT_DELTA;
        watch->is_scanning = kind == EVENT_UNKNOWN || kind == EVENT_START ||
                             kind == EVENT_MESSAGE_DELTA || kind == EVENT_ERROR;
        if (watch->is_scanning)
            start_scan(watch);
    }
    watch->delta_bytes += watch->is_delta ? piece.len : 0;
    if (watch->is_scanning)
        json_scan_feed(&watch->scan, piece);
}

static enum event_kind kind_of_event(const struct watch *watch)
{
    enum event_kind kind = watch->words->kind_of(sse_name(&watch->sse));
    if (kind == EVENT_UNKNOWN)
        kind = watch->typed_kind;
    return kind == EVENT_UNKNOWN && watch->has_error_words ? EVENT_ERROR : kind;
}

static void on_end(void *arg)
{
    struct watch *watch = arg;
    enum event_kind kind = kind_of_event(watch);
    watch->events++;
    watch->deltas += kind == EVENT_DELTA;
    watch->has_content |=
        kind == EVENT_CONTENT || kind == EVENT_DELTA || kind == EVENT_MESSAGE_DELTA;
    watch->has_final_usage |= kind == EVENT_MESSAGE_DELTA && watch->tokens[TOKENS_OUTPUT] > 0;
    watch->has_stop |= kind == EVENT_STOP;
    watch->has_error |= kind == EVENT_ERROR;
    if (kind != EVENT_PING && !watch->has_opening) {
        watch->has_opening = true;
        watch->is_message = kind == EVENT_START;
    }
    watch->has_data = false;
    watch->is_delta = false;
    watch->has_error_words = false;
    watch->typed_kind = EVENT_UNKNOWN;
}

/* --- life --- */

struct watch *watch_new(const struct watch_words *words, enum watch_body body, enum coding coding)
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
    free(watch->error);
    free(watch);
}

/* Bytes as the provider wrote them, before compression. */
static void read_plain(void *arg, struct slice bytes)
{
    struct watch *watch = arg;
    if (watch->body == WATCH_SSE) {
        sse_feed(&watch->sse, bytes);
    } else {
        watch->plain_bytes += bytes.len;
        json_scan_feed(&watch->scan, bytes);
    }
}

void watch_feed(struct watch *watch, struct slice bytes)
{
    if (watch->body == WATCH_NOTHING || watch->is_blind || bytes.len == 0)
        return;
    if (watch->coding == CODING_IDENTITY) {
        read_plain(watch, bytes);
        return;
    }
    if (watch->unpack == NULL)
        watch->unpack = unpack_new(watch->coding);
    enum unpacked unpacked = unpack_feed(watch->unpack, bytes, read_plain, watch);
    watch->has_unpacked = unpacked == UNPACK_END;
    if (unpacked == UNPACK_BAD) {
        unpack_free(watch->unpack);
        watch->unpack = NULL;
        watch->is_blind = true;
    }
}

/* --- what was seen --- */

/* A delta is one token at least, and about four bytes of its text are one; around the text stands
 * some JSON. Nobody tells more before the stream's end, and then exactly. */
enum { DELTA_FRAME_BYTES = 80, BYTES_PER_TOKEN = 4 };

static uint64_t estimated_output(const struct watch *watch)
{
    uint64_t frames = watch->deltas * DELTA_FRAME_BYTES;
    uint64_t text = watch->delta_bytes > frames ? watch->delta_bytes - frames : 0;
    uint64_t tokens = text / BYTES_PER_TOKEN;
    return tokens > watch->deltas ? tokens : watch->deltas;
}

struct usage watch_usage(const struct watch *watch)
{
    struct usage usage = watch->usage;
    if (watch->body == WATCH_SSE && !watch->has_final_usage &&
        estimated_output(watch) > usage.output) {
        usage.is_known = true;
        usage.is_estimated = true;
        usage.output = estimated_output(watch);
    }
    return usage;
}

struct slice watch_model(const struct watch *watch)
{
    return get_text(&watch->model);
}

static enum said said_by_stream(const struct watch *watch)
{
    if (watch->has_stop)
        return SAID_STOP;
    if (watch->has_error)
        return SAID_ERROR;
    if (!watch->has_opening || (watch->is_message && !watch->has_content))
        return SAID_NOTHING;
    return watch->is_message ? SAID_PART : SAID_OTHER;
}

/* By its type, or by its "error" where nothing has one. */
static bool is_json_error(const struct watch *watch)
{
    return watch->typed_kind == EVENT_ERROR ||
           (watch->typed_kind == EVENT_UNKNOWN && watch->error != NULL);
}

static enum said said_by_json(const struct watch *watch)
{
    bool is_complete = json_scan_is_complete(&watch->scan);
    if (json_scan_is_broken(&watch->scan))
        return watch->plain_bytes > 0 ? SAID_OTHER : SAID_NOTHING;
    if (is_json_error(watch) && (is_complete || watch->plain_bytes > JSON_ERROR_MAX))
        return SAID_ERROR;
    if (is_complete)
        return SAID_STOP;
    bool may_be_error = watch->typed_kind == EVENT_UNKNOWN ? watch->plain_bytes < JSON_LOOK_MAX
                                                           : is_json_error(watch);
    return may_be_error ? SAID_NOTHING : SAID_PART;
}

enum said watch_said(const struct watch *watch)
{
    if (watch->is_blind || watch->body == WATCH_NOTHING)
        return SAID_OTHER;
    return watch->body == WATCH_SSE ? said_by_stream(watch) : said_by_json(watch);
}

bool watch_saw_content(const struct watch *watch)
{
    return watch->has_content;
}

struct error_words watch_error(const struct watch *watch)
{
    const struct said_error *e = watch->error;
    if (e == NULL)
        return (struct error_words){SLICE_NONE, SLICE_NONE, SLICE_NONE};
    return (struct error_words){get_text(&e->code), get_text(&e->type),
                                (struct slice){e->message.at, e->message.len}};
}

bool watch_at_event_start(const struct watch *watch)
{
    return sse_is_between_events(&watch->sse);
}

bool watch_is_unpacked(const struct watch *watch)
{
    return watch->coding == CODING_IDENTITY || watch->has_unpacked;
}

bool watch_seal(const struct watch *watch, struct slice plain, struct buf *out)
{
    if (watch->is_blind)
        return false;
    if (watch->coding == CODING_IDENTITY)
        return buf_append(out, plain);
    struct unpack *unpack = watch->unpack;
    if (unpack == NULL) /* not a byte has come yet */
        unpack = unpack_new(watch->coding);
    bool is_sealed = unpack_seal(unpack, plain, out);
    if (unpack != watch->unpack)
        unpack_free(unpack);
    return is_sealed;
}

uint64_t watch_events(const struct watch *watch)
{
    return watch->events;
}
