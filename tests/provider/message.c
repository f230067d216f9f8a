#include "message.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_walk.h"

#define FILLER_TEXT "Held back by the weir, the river runs on as its channel allows. "

enum {
    FILLER_PERIOD = sizeof(FILLER_TEXT) - 1,
    FILLER_BYTES = FILLER_PERIOD * 1024,
    FILLER_BYTES_A_DELTA = 16,
    RAW_BYTES_A_DELTA = 4096,
};

struct status_words {
    int status;
    const char *type;
    const char *message;
};

static const struct status_words STATUS_WORDS[] = {
    {400, "invalid_request_error", "Invalid request"},
    {401, "authentication_error", "invalid x-api-key"},
    {402, "billing_error", "Your credit balance is too low to access the API"},
    {403, "permission_error", "Your key may not use the specified resource"},
    {404, "not_found_error", "Not found"},
    {409, "conflict_error", "Conflict"},
    {413, "request_too_large", "Request exceeds the maximum size"},
    {422, "invalid_request_error", "Unprocessable request"},
    {429, "rate_limit_error", "This request would exceed your rate limit"},
    {500, "api_error", "Internal server error"},
    {502, "api_error", "Bad gateway"},
    {503, "api_error", "Service unavailable"},
    {504, "timeout_error", "The request timed out"},
    {529, "overloaded_error", "Overloaded"},
};

void message_print_error(struct buf *out, int status, const char *message, const char *request_id)
{
    const char *type = status >= 500 ? "api_error" : "invalid_request_error";
    const char *words = "Refused";
    for (size_t i = 0; i < sizeof(STATUS_WORDS) / sizeof(STATUS_WORDS[0]); i++) {
        if (STATUS_WORDS[i].status == status) {
            type = STATUS_WORDS[i].type;
            words = STATUS_WORDS[i].message;
        }
    }
    buf_addf(out, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"", type);
    json_escape(out, slice_of(message == NULL ? words : message));
    buf_addf(out, "\"},\"request_id\":\"%s\"}", request_id);
}

struct slice message_filler(uint64_t offset, uint64_t len)
{
    static char table[FILLER_BYTES];
    if (table[0] == '\0') {
        for (size_t i = 0; i < FILLER_BYTES; i += FILLER_PERIOD)
            memcpy(table + i, FILLER_TEXT, FILLER_PERIOD);
    }
    size_t from = offset % FILLER_PERIOD;
    size_t room = FILLER_BYTES - from;
    return (struct slice){table + from, len < room ? (size_t)len : room};
}

/* The last message's text, and whether it brings a tool's result. */
static struct slice read_last(struct slice messages, bool *has_result)
{
    struct slice name, element, content, type, text = {"", 0}, last = {"", 0};
    while (json_next(&messages, &name, &element))
        last = element;
    if (!json_member(last, "content", &content))
        return text;
    if (content.at[0] == '"')
        return json_string_raw(content);
    while (json_next(&content, &name, &element)) {
        if (!json_member(element, "type", &type))
            continue;
        if (slice_is(type, "\"tool_result\""))
            *has_result = true;
        if (slice_is(type, "\"text\"") && json_member(element, "text", &text))
            text = json_string_raw(text);
    }
    return text;
}

static json_t *sample_value(json_t *schema)
{
    json_t *fixed = json_object_get(schema, "const");
    if (fixed == NULL)
        fixed = json_array_get(json_object_get(schema, "enum"), 0);
    if (fixed != NULL)
        return json_incref(fixed);
    const char *type = json_string_value(json_object_get(schema, "type"));
    if (type == NULL || strcmp(type, "string") == 0)
        return json_string("weir");
    if (strcmp(type, "integer") == 0 || strcmp(type, "number") == 0)
        return json_integer(1);
    if (strcmp(type, "boolean") == 0)
        return json_true();
    if (strcmp(type, "array") == 0)
        return json_array();
    return strcmp(type, "object") == 0 ? json_object() : json_null();
}

/* A value for each required property of the tool's schema: a client that checks is happy. */
static void sample_input(struct message *message, struct slice tool)
{
    json_t *object = json_loadb(tool.at, tool.len, 0, NULL);
    json_t *schema = json_object_get(object, "input_schema");
    json_t *input = json_object();
    json_t *name;
    size_t index;
    json_array_foreach(json_object_get(schema, "required"), index, name)
    {
        const char *key = json_string_value(name);
        if (key != NULL)
            json_object_set_new(
                input, key,
                sample_value(json_object_get(json_object_get(schema, "properties"), key)));
    }
    char *text = json_dumps(input, JSON_COMPACT);
    buf_add_text(&message->input, text);
    json_escape(&message->text, slice_of(text));
    free(text);
    json_decref(input);
    json_decref(object);
}

static bool mentions_tool(struct slice text)
{
    for (size_t i = 0; i + 4 <= text.len; i++) {
        if (slice_is_name((struct slice){text.at + i, 4}, "tool"))
            return true;
    }
    return false;
}

static void read_tools(struct message *message, struct slice body, struct slice text)
{
    struct slice tools, choice = {"", 0}, kind = {"", 0}, wanted = {"", 0}, name, key, tool;
    if (!json_member(body, "tools", &tools))
        return;
    if (json_member(body, "tool_choice", &choice) && json_member(choice, "type", &kind))
        json_member(choice, "name", &wanted);
    bool is_forced = slice_is(kind, "\"any\"") || slice_is(kind, "\"tool\"");
    if (!is_forced && !mentions_tool(text))
        return;
    while (json_next(&tools, &key, &tool)) {
        if (!json_member(tool, "name", &name))
            continue;
        if (wanted.len > 0 && (wanted.len != name.len || memcmp(wanted.at, name.at, name.len) != 0))
            continue;
        message->is_tool = true;
        message->tool_name = slice_copy(json_string_raw(name));
        sample_input(message, tool);
        return;
    }
}

const char *message_read(struct message *message, struct slice body, uint64_t serial)
{
    struct slice at = body, name, value, model = {"", 0}, messages = {"", 0};
    bool has_result = false;
    while (json_next(&at, &name, &value)) {
        if (slice_is(name, "model"))
            model = json_string_raw(value);
        else if (slice_is(name, "messages"))
            messages = value;
        else if (slice_is(name, "stream"))
            message->is_stream = slice_is(value, "true");
    }
    if (at.len == body.len)
        return "The request body is not valid JSON";
    if (model.len == 0)
        return "model: Field required";
    if (messages.len == 0 || messages.at[0] != '[')
        return "messages: Field required";
    snprintf(message->id, sizeof(message->id), "msg_01%018" PRIu64, serial);
    message->model = slice_copy(model);
    struct slice text = read_last(messages, &has_result);
    if (!has_result)
        read_tools(message, body, text);
    if (!message->is_tool) {
        if (text.len > MESSAGE_ECHO_BYTES_MAX)
            text.len = json_text_units(text, MESSAGE_ECHO_BYTES_MAX / 12);
        buf_add(&message->text, text.at, text.len);
    }
    return NULL;
}

static struct usage fill_usage(struct usage usage)
{
    bool has_parts = usage.cache_write_5m != SCRIPT_UNSET || usage.cache_write_1h != SCRIPT_UNSET;
    if (usage.cache_write == SCRIPT_UNSET && !has_parts) {
        usage.cache_write_5m = 20;
        usage.cache_write_1h = 10;
    } else if (!has_parts) {
        usage.cache_write_5m = usage.cache_write;
    }
    usage.cache_write_5m = script_pick(usage.cache_write_5m, 0);
    usage.cache_write_1h = script_pick(usage.cache_write_1h, 0);
    usage.cache_write = script_pick(usage.cache_write, usage.cache_write_5m + usage.cache_write_1h);
    usage.cache_read = script_pick(usage.cache_read, 50);
    usage.input = script_pick(usage.input, 100);
    usage.output = script_pick(usage.output, 40);
    return usage;
}

static size_t count_units(struct slice text)
{
    size_t count = 0;
    while (text.len > 0) {
        size_t len = json_text_units(text, 1);
        text = (struct slice){text.at + len, text.len - len};
        count++;
    }
    return count;
}

static void say(struct message *message, const char *text)
{
    message->is_tool = false;
    buf_fini(&message->text);
    json_escape(&message->text, slice_of(text));
}

void message_plan(struct message *message, const struct script *script,
                  const struct script *defaults)
{
    if (defaults->say != NULL)
        say(message, defaults->say);
    int64_t text_bytes = script_pick(script->text_bytes, defaults->text_bytes);
    int64_t events = script_pick(script->events, defaults->events);
    message->usage = fill_usage(script->usage);
    message->has_usage = script->no_usage != 1;
    message->is_stamped = script_pick(script->stamp, defaults->stamp) == 1;
    if (script->raw_bytes != SCRIPT_UNSET) {
        text_bytes = script->raw_bytes;
        events = (script->raw_bytes + RAW_BYTES_A_DELTA - 1) / RAW_BYTES_A_DELTA;
    }
    bool is_sized = text_bytes != SCRIPT_UNSET || (events != SCRIPT_UNSET && message->is_stream);
    message->is_filler = is_sized && !message->is_tool;
    message->deltas = (uint64_t)script_pick(events, MESSAGE_ECHO_DELTAS);
    if (message->is_filler) {
        message->filler_bytes = text_bytes != SCRIPT_UNSET ? (uint64_t)text_bytes
                                                           : message->deltas * FILLER_BYTES_A_DELTA;
        if (message->deltas == 0)
            message->filler_bytes = 0;
        return;
    }
    if (!message->is_stream)
        return;
    message->text_units = count_units(buf_slice(&message->text));
    if (message->deltas > message->text_units)
        message->deltas = message->text_units;
}

void message_fini(struct message *message)
{
    free(message->model);
    free(message->tool_name);
    buf_fini(&message->text);
    buf_fini(&message->input);
    *message = (struct message){0};
}

static void print_usage(const struct message *message, struct buf *out, bool is_start)
{
    const struct usage *usage = &message->usage;
    if (!message->has_usage)
        return;
    buf_addf(out,
             ",\"usage\":{\"input_tokens\":%" PRId64 ",\"cache_creation_input_tokens\":%" PRId64
             ",\"cache_read_input_tokens\":%" PRId64
             ",\"cache_creation\":{\"ephemeral_5m_input_tokens\":%" PRId64
             ",\"ephemeral_1h_input_tokens\":%" PRId64 "},\"output_tokens\":%" PRId64
             ",\"service_tier\":\"standard\"}",
             usage->input, usage->cache_write, usage->cache_read, usage->cache_write_5m,
             usage->cache_write_1h, is_start ? (usage->output > 0 ? 1 : 0) : usage->output);
}

static const char *stop_reason(const struct message *message)
{
    return message->is_tool ? "tool_use" : "end_turn";
}

static void print_opening(const struct message *message, struct buf *out)
{
    buf_addf(out, "{\"id\":\"%s\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"",
             message->id);
    buf_add_text(out, message->model);
    buf_add_text(out, "\",\"content\":[");
}

static void print_tool_opening(const struct message *message, struct buf *out)
{
    buf_addf(out, "{\"type\":\"tool_use\",\"id\":\"toolu_%s\",\"name\":\"", message->id + 4);
    buf_add_text(out, message->tool_name);
    buf_add_text(out, "\",\"input\":");
}

void message_print_head(const struct message *message, struct buf *out)
{
    print_opening(message, out);
    if (message->is_tool) {
        print_tool_opening(message, out);
        buf_add(out, buf_slice(&message->input).at, message->input.len);
        return;
    }
    buf_add_text(out, "{\"type\":\"text\",\"text\":\"");
    if (!message->is_filler)
        buf_add(out, buf_slice(&message->text).at, message->text.len);
}

void message_print_tail(const struct message *message, struct buf *out)
{
    buf_addf(out, "%s],\"stop_reason\":\"%s\",\"stop_sequence\":null",
             message->is_tool ? "}" : "\"}", stop_reason(message));
    print_usage(message, out, false);
    buf_add_text(out, "}");
}

uint64_t message_event_count(const struct message *message)
{
    return message->deltas + MESSAGE_FIXED_EVENTS;
}

bool message_is_paced(const struct message *message, uint64_t index)
{
    return index >= 3 && index <= message->deltas + 3;
}

void message_rewind(struct message *message)
{
    message->text_at = 0;
}

static void print_filler_piece(const struct message *message, uint64_t index, struct buf *out)
{
    uint64_t base = message->filler_bytes / message->deltas;
    uint64_t more = message->filler_bytes % message->deltas; /* the first ones get one byte more */
    uint64_t at = base * index + (index < more ? index : more);
    uint64_t left = base + (index < more ? 1 : 0);
    while (left > 0) {
        struct slice piece = message_filler(at, left);
        buf_add(out, piece.at, piece.len);
        at += piece.len;
        left -= piece.len;
    }
}

static void print_echo_piece(struct message *message, uint64_t index, struct buf *out)
{
    size_t from = (size_t)(message->text_units * index / message->deltas);
    size_t to = (size_t)(message->text_units * (index + 1) / message->deltas);
    struct slice rest = buf_slice(&message->text);
    rest = (struct slice){rest.at + message->text_at, rest.len - message->text_at};
    size_t len = json_text_units(rest, to - from);
    buf_add(out, rest.at, len);
    message->text_at += len;
}

static void print_delta(struct message *message, uint64_t index, struct buf *out)
{
    buf_add_text(out, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
                      "\"index\":0,\"delta\":{\"type\":");
    buf_add_text(out, message->is_tool ? "\"input_json_delta\",\"partial_json\":\""
                                       : "\"text_delta\",\"text\":\"");
    if (message->is_filler)
        print_filler_piece(message, index, out);
    else
        print_echo_piece(message, index, out);
    buf_add_text(out, "\"}");
    if (message->is_stamped)
        buf_addf(out, ",\"sent_us\":%" PRId64, clock_us());
    buf_add_text(out, "}\n\n");
}

static void print_message_start(const struct message *message, struct buf *out)
{
    buf_add_text(out, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":");
    print_opening(message, out);
    buf_add_text(out, "],\"stop_reason\":null,\"stop_sequence\":null");
    print_usage(message, out, true);
    buf_add_text(out, "}}\n\n");
}

static void print_block_start(const struct message *message, struct buf *out)
{
    buf_add_text(out, "event: content_block_start\ndata: {\"type\":\"content_block_start\","
                      "\"index\":0,\"content_block\":");
    if (message->is_tool) {
        print_tool_opening(message, out);
        buf_add_text(out, "{}}}\n\n");
    } else {
        buf_add_text(out, "{\"type\":\"text\",\"text\":\"\"}}\n\n");
    }
}

static void print_message_delta(const struct message *message, struct buf *out)
{
    buf_addf(out,
             "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":"
             "{\"stop_reason\":\"%s\",\"stop_sequence\":null}",
             stop_reason(message));
    print_usage(message, out, false);
    buf_add_text(out, "}\n\n");
}

void message_print_event(struct message *message, uint64_t index, struct buf *out)
{
    if (index == 0)
        print_message_start(message, out);
    else if (index == 1)
        print_block_start(message, out);
    else if (index == 2)
        buf_add_text(out, "event: ping\ndata: {\"type\":\"ping\"}\n\n");
    else if (index < message->deltas + 3)
        print_delta(message, index - 3, out);
    else if (index == message->deltas + 3)
        buf_add_text(out, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\","
                          "\"index\":0}\n\n");
    else if (index == message->deltas + 4)
        print_message_delta(message, out);
    else
        buf_add_text(out, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
}
