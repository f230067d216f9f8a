/* Where errors stand in answers, and what events are called. Responses name their events twice;
 * those of chat completions have no names, what they are is their "object". Local servers put an
 * error at the top of the body, as Responses do in their event of that name: there it is one only
 * behind the word that says so, for other answers may have such fields too. */
#include "dialect/openai.h"
#include "dialect/watch_priv.h"

enum path {
    TYPE,
    OBJECT,
    MODEL,
    RESPONSE_MODEL,
    TOP_CODE,
    TOP_MESSAGE,
    ERRORS,
    PATHS = ERRORS + 5
};

static const char *const paths[PATHS] = {
    [TYPE] = "type",
    [OBJECT] = "object",
    [MODEL] = "model",
    [RESPONSE_MODEL] = "response.model",
    [TOP_CODE] = "code",
    [TOP_MESSAGE] = "message",
    [ERRORS] = "error.code",
    [ERRORS + 1] = "error.type",
    [ERRORS + 2] = "error.message",
    [ERRORS + 3] = "response.error.code",
    [ERRORS + 4] = "response.error.message",
};

static const enum error_field error_fields[PATHS] = {
    [TYPE] = ERROR_TYPE,       [TOP_CODE] = ERROR_CODE,      [TOP_MESSAGE] = ERROR_MESSAGE,
    [ERRORS] = ERROR_CODE,     [ERRORS + 1] = ERROR_TYPE,    [ERRORS + 2] = ERROR_MESSAGE,
    [ERRORS + 3] = ERROR_CODE, [ERRORS + 4] = ERROR_MESSAGE,
};

static const struct {
    struct slice name;
    enum event_kind kind;
} kinds[] = {
    {SLICE_ROW("error"), EVENT_ERROR},
    {SLICE_ROW("response.failed"), EVENT_ERROR},
    {SLICE_ROW("response.completed"), EVENT_STOP},
    {SLICE_ROW("response.incomplete"), EVENT_STOP},
    {SLICE_ROW("response.created"), EVENT_START},
    {SLICE_ROW("response.queued"), EVENT_START},
    {SLICE_ROW("response.in_progress"), EVENT_START},
    {SLICE_ROW("chat.completion.chunk"), EVENT_DELTA},
    {SLICE_ROW("codex.rate_limits"), EVENT_PING},
    {SLICE_ROW("keepalive"), EVENT_PING},
};

static enum event_kind kind_of(struct slice name)
{
    static const struct slice delta = SLICE_ROW(".delta");
    if (name.len == 0)
        return EVENT_UNKNOWN;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (slice_eq(name, kinds[i].name))
            return kinds[i].kind;
    if (!slice_starts(name, SLICE("response.")))
        return EVENT_OTHER;
    bool is_delta = name.len > delta.len && slice_eq(slice_from(name, name.len - delta.len), delta);
    return is_delta ? EVENT_DELTA : EVENT_CONTENT;
}

static void on_answer_value(void *arg, unsigned path, enum json_kind kind, struct slice value)
{
    struct watch *watch = arg;
    bool is_text = kind == JSON_SCAN_STRING;
    bool is_error = watch->typed_kind == EVENT_ERROR;
    /* relays write a status where a code should be */
    bool is_code = error_fields[path] == ERROR_CODE && kind == JSON_SCAN_NUMBER;
    if (path == MODEL || path == RESPONSE_MODEL) {
        if (is_text)
            watch_set_model(watch, value);
    } else if (path >= ERRORS || (is_error && path != OBJECT)) {
        if (is_text || is_code)
            watch_set_error(watch, error_fields[path], value);
    } else if (path == TYPE || path == OBJECT) {
        if (is_text)
            watch_set_event_type(watch, value);
    }
}

const struct watch_words openai_words = {
    .paths = paths,
    .path_count = PATHS,
    .on_value = on_answer_value,
    .kind_of = kind_of,
};
