/* Where usage, model and errors stand in a Messages answer, and what its events are called. The
 * same fields stand at the top of a JSON answer and within "message" of the event that opens a
 * stream. */
#include "dialect/anthropic.h"
#include "dialect/watch_priv.h"

#define TOKENS_MAX (UINT64_C(1) << 53) /* more is nonsense, and sums must not overflow */

enum path {
    TYPE,
    ERROR, /* and so on, by enum error_field */
    MODEL = ERROR + (int)ERROR_MESSAGE + 1,
    MESSAGE_MODEL,
    USAGE, /* and so on, by enum token_field */
    MESSAGE_USAGE = USAGE + (int)TOKEN_FIELDS,
    PATHS = MESSAGE_USAGE + (int)TOKEN_FIELDS
};

#define AT(group, field) ((int)(group) + (int)(field))

static const char *const paths[PATHS] = {
    [TYPE] = "type",
    [AT(ERROR, ERROR_CODE)] = "error.details.error_code",
    [AT(ERROR, ERROR_RELAYS_CODE)] = "error.code",
    [AT(ERROR, ERROR_TYPE)] = "error.type",
    [AT(ERROR, ERROR_MESSAGE)] = "error.message",
    [MODEL] = "model",
    [MESSAGE_MODEL] = "message.model",
    [AT(USAGE, TOKENS_INPUT)] = "usage.input_tokens",
    [AT(USAGE, TOKENS_OUTPUT)] = "usage.output_tokens",
    [AT(USAGE, TOKENS_CACHE_READ)] = "usage.cache_read_input_tokens",
    [AT(USAGE, TOKENS_CACHE_WRITE)] = "usage.cache_creation_input_tokens",
    [AT(USAGE, TOKENS_CACHE_WRITE_5M)] = "usage.cache_creation.ephemeral_5m_input_tokens",
    [AT(USAGE, TOKENS_CACHE_WRITE_1H)] = "usage.cache_creation.ephemeral_1h_input_tokens",
    [AT(MESSAGE_USAGE, TOKENS_INPUT)] = "message.usage.input_tokens",
    [AT(MESSAGE_USAGE, TOKENS_OUTPUT)] = "message.usage.output_tokens",
    [AT(MESSAGE_USAGE, TOKENS_CACHE_READ)] = "message.usage.cache_read_input_tokens",
    [AT(MESSAGE_USAGE, TOKENS_CACHE_WRITE)] = "message.usage.cache_creation_input_tokens",
    [AT(MESSAGE_USAGE, TOKENS_CACHE_WRITE_5M)] =
        "message.usage.cache_creation.ephemeral_5m_input_tokens",
    [AT(MESSAGE_USAGE, TOKENS_CACHE_WRITE_1H)] =
        "message.usage.cache_creation.ephemeral_1h_input_tokens",
};

static bool ends_with(struct slice s, struct slice end)
{
    return s.len >= end.len && slice_eq(slice_from(s, s.len - end.len), end);
}

static enum event_kind kind_of(struct slice name)
{
    if (name.len == 0)
        return EVENT_UNKNOWN;
    if (slice_eq(name, SLICE("message_delta")))
        return EVENT_MESSAGE_DELTA;
    if (ends_with(name, SLICE("_delta")))
        return EVENT_DELTA;
    if (slice_starts(name, SLICE("content_block_")))
        return EVENT_CONTENT;
    if (slice_eq(name, SLICE("message_start")))
        return EVENT_START;
    if (slice_eq(name, SLICE("message_stop")))
        return EVENT_STOP;
    if (slice_eq(name, SLICE("error")))
        return EVENT_ERROR;
    if (slice_eq(name, SLICE("ping")))
        return EVENT_PING;
    return EVENT_OTHER;
}

static void on_answer_value(void *arg, unsigned path, enum json_kind kind, struct slice value)
{
    struct watch *watch = arg;
    uint64_t number;
    if (path >= USAGE) {
        if (kind == JSON_SCAN_NUMBER && slice_number(value, TOKENS_MAX, &number))
            watch_set_tokens(watch, (enum token_field)((path - USAGE) % TOKEN_FIELDS), number);
        return;
    }
    if (kind != JSON_SCAN_STRING)
        return;
    if (path == TYPE)
        watch_set_event_type(watch, value);
    else if (path < MODEL)
        watch_set_error(watch, (enum error_field)(path - ERROR), value);
    else
        watch_set_model(watch, value);
}

const struct watch_words anthropic_words = {
    .paths = paths,
    .path_count = PATHS,
    .on_value = on_answer_value,
    .kind_of = kind_of,
};
