/* watch_priv.h - what the machine that watches an answer (watch.c) and the dialects' words for it
 * (anthropic_watch.c) share. The machine knows how bytes become values and events; only the words
 * know what these are called. */
#pragma once
#include "dialect/watch.h"
#include "format/json_scan.h"
#include "format/sse.h"

/* What usage is made of. Each is set as often as it is read; the last value that is not zero
 * counts. */
enum token_field {
    TOKENS_INPUT,
    TOKENS_OUTPUT,
    TOKENS_CACHE_READ,
    TOKENS_CACHE_WRITE,
    TOKENS_CACHE_WRITE_5M,
    TOKENS_CACHE_WRITE_1H,
    TOKEN_FIELDS
};

enum event_kind {
    EVENT_UNKNOWN, /* neither name nor type */
    EVENT_START,
    EVENT_CONTENT, /* of a message, but no piece of its text */
    EVENT_DELTA,   /* such a piece */
    EVENT_MESSAGE_DELTA,
    EVENT_STOP,
    EVENT_ERROR,
    EVENT_PING,
    EVENT_OTHER
};

struct watch_words {
    const char *const *paths; /* of json_scan */
    unsigned path_count;
    json_scan_fn on_value; /* arg: the watch */
    enum event_kind (*kind_of)(struct slice name);
};

struct text {
    uint8_t len;
    char at[128];
};

/* What an error says; only few answers have one. */
struct said_error {
    struct text code, type;
    struct long_text {
        size_t len;
        char at[JSON_SCAN_VALUE_MAX];
    } message;
};

struct watch {
    const struct watch_words *words;
    enum watch_body body;
    enum coding coding;
    struct unpack *unpack; /* only while a compressed answer passes */
    bool has_unpacked;     /* to the coding's own end */
    bool is_blind;         /* what follows cannot be unpacked */

    struct usage usage;
    uint64_t tokens[TOKEN_FIELDS]; /* as last read */
    struct text model;
    struct said_error *error; /* NULL: none so far */

    uint64_t plain_bytes; /* of a JSON answer */
    uint64_t events;
    uint64_t deltas;
    uint64_t delta_bytes; /* of their data */
    bool is_message;
    bool has_content;
    bool has_stop;
    bool has_error;
    bool has_final_usage;       /* a message_delta told the output */
    bool has_opening;           /* an event other than ping has come */
    bool has_data;              /* so has data, for the current event */
    bool has_error_words;       /* in it */
    bool is_scanning;           /* its data goes to the scan */
    bool is_delta;              /* it is one, and its data is counted */
    enum event_kind typed_kind; /* of the current event or the JSON, by the type in its data */

    struct sse sse;
    struct json_scan scan;
};

_Static_assert(sizeof(struct watch) <= 1024, "there is one for every stream");

/* For on_value. */
void watch_set_tokens(struct watch *watch, enum token_field field, uint64_t value);
void watch_set_model(struct watch *watch, struct slice model);
enum error_field { ERROR_CODE, ERROR_RELAYS_CODE, ERROR_TYPE, ERROR_MESSAGE };
void watch_set_error(struct watch *watch, enum error_field field, struct slice value);
void watch_set_event_type(struct watch *watch, struct slice type);
