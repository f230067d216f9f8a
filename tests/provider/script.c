#include "script.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEBIBYTE ((int64_t)1024 * 1024)
#define FIELD(name, least, most)                          \
    {                                                     \
#name, offsetof(struct script, name), least, most \
    }
#define SWITCH(name) FIELD(name, 0, 0)

/* One row a number (least, most) or a switch (0, 0). */
struct field {
    const char *name;
    size_t offset;
    int64_t least;
    int64_t most;
};

static const struct field FIELDS[] = {
    FIELD(times, -1, 1000000),
    FIELD(status, 100, 999),
    SWITCH(close_before_answer),
    FIELD(close_head_after_bytes, 0, MEBIBYTE),
    FIELD(close_after_bytes, 0, INT64_MAX),
    FIELD(close_after_events, 0, INT64_MAX),
    SWITCH(reset),
    SWITCH(stall),
    FIELD(stall_after_bytes, 0, INT64_MAX),
    FIELD(stall_after_events, 0, INT64_MAX),
    FIELD(drip_bytes, 1, MEBIBYTE),
    FIELD(drip_ms, 1, 60000),
    SWITCH(gzip),
    FIELD(text_bytes, 0, MEBIBYTE *MEBIBYTE),
    FIELD(events, 0, 1000000000),
    FIELD(event_delay_ms, 0, 3600000),
    FIELD(raw_bytes, 0, MEBIBYTE *MEBIBYTE),
    SWITCH(chunked),
    SWITCH(content_length),
    SWITCH(until_close),
    SWITCH(hold),
    FIELD(delay_ms, 0, 3600000),
    SWITCH(keep_alive),
    SWITCH(silently_close_idle),
    SWITCH(early_answer),
    SWITCH(stamp),
};

static const struct field USAGE_FIELDS[] = {
    {"input_tokens", offsetof(struct usage, input), 0, INT64_MAX},
    {"output_tokens", offsetof(struct usage, output), 0, INT64_MAX},
    {"cache_read_input_tokens", offsetof(struct usage, cache_read), 0, INT64_MAX},
    {"cache_creation_input_tokens", offsetof(struct usage, cache_write), 0, INT64_MAX},
};

static const struct field CACHE_FIELDS[] = {
    {"ephemeral_5m_input_tokens", offsetof(struct usage, cache_write_5m), 0, INT64_MAX},
    {"ephemeral_1h_input_tokens", offsetof(struct usage, cache_write_1h), 0, INT64_MAX},
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

struct fault {
    char *at;
    size_t len;
};

static bool read_number(const struct field *field, const json_t *value, char *into,
                        struct fault fault)
{
    int64_t number = 0;
    if (field->most == 0) {
        if (!json_is_boolean(value)) {
            snprintf(fault.at, fault.len, "%s: expected true or false", field->name);
            return false;
        }
        number = json_is_true(value) ? 1 : 0;
    } else {
        number = json_integer_value(value);
        if (!json_is_integer(value) || number < field->least || number > field->most) {
            snprintf(fault.at, fault.len, "%s: expected an integer from %" PRId64 " to %" PRId64,
                     field->name, field->least, field->most);
            return false;
        }
    }
    memcpy(into + field->offset, &number, sizeof(number));
    return true;
}

static const struct field *find_field(const struct field *table, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    }
    return NULL;
}

static bool read_text(json_t *value, const char *name, char **text, struct fault fault)
{
    if (!json_is_string(value)) {
        snprintf(fault.at, fault.len, "%s: expected a string", name);
        return false;
    }
    free(*text);
    *text = slice_copy((struct slice){json_string_value(value), json_string_length(value)});
    return true;
}

static bool read_cache_usage(struct usage *usage, json_t *object, struct fault fault)
{
    const char *name;
    json_t *value;
    bool is_good = json_is_object(object);
    json_object_foreach(object, name, value)
    {
        const struct field *field = find_field(CACHE_FIELDS, COUNT(CACHE_FIELDS), name);
        is_good = is_good && field != NULL && read_number(field, value, (char *)usage, fault);
    }
    return is_good;
}

static bool read_usage(struct script *script, json_t *object, struct fault fault)
{
    const char *name;
    json_t *value;
    bool is_good = json_is_object(object) || json_is_null(object);
    script->no_usage = json_is_null(object) ? 1 : 0;
    json_object_foreach(object, name, value)
    {
        const struct field *field = find_field(USAGE_FIELDS, COUNT(USAGE_FIELDS), name);
        if (field != NULL)
            is_good = is_good && read_number(field, value, (char *)&script->usage, fault);
        else
            is_good = is_good && strcmp(name, "cache_creation") == 0 &&
                      read_cache_usage(&script->usage, value, fault);
    }
    if (!is_good)
        snprintf(fault.at, fault.len, "usage: expected null or the token counts of an answer");
    return is_good;
}

static bool read_error_event(struct script *script, json_t *object, struct fault fault)
{
    const char *name;
    json_t *value;
    script->error_after_events = 0;
    json_object_foreach(object, name, value)
    {
        const struct field after = {"error_event.after_events",
                                    offsetof(struct script, error_after_events), 0, INT64_MAX};
        bool is_good = false;
        if (strcmp(name, "type") == 0)
            is_good = read_text(value, "error_event.type", &script->error_type, fault);
        else if (strcmp(name, "message") == 0)
            is_good = read_text(value, "error_event.message", &script->error_message, fault);
        else if (strcmp(name, "after_events") == 0)
            is_good = read_number(&after, value, (char *)script, fault);
        else
            snprintf(fault.at, fault.len, "error_event: unknown field %.60s", name);
        if (!is_good)
            return false;
    }
    if (script->error_type == NULL)
        script->error_type = slice_copy(slice_of("overloaded_error"));
    if (script->error_message == NULL)
        script->error_message = slice_copy(slice_of("Overloaded"));
    if (json_is_object(object))
        return true;
    snprintf(fault.at, fault.len, "error_event: expected an object");
    return false;
}

static bool is_header_value(const json_t *value)
{
    const char *text = json_string_value(value);
    return text != NULL && strpbrk(text, "\r\n") == NULL;
}

static bool read_headers(struct script *script, json_t *object, struct fault fault)
{
    const char *name;
    json_t *value;
    bool is_good = json_is_object(object);
    json_object_foreach(object, name, value)
    {
        is_good =
            is_good && (json_is_null(value) || json_is_array(value) || is_header_value(value));
        for (size_t i = 0; i < json_array_size(value); i++)
            is_good = is_good && is_header_value(json_array_get(value, i));
    }
    if (!is_good) {
        snprintf(fault.at, fault.len, "headers: expected name: value, [values] or null");
        return false;
    }
    json_decref(script->headers);
    script->headers = json_incref(object);
    return true;
}

static bool read_field(struct script *script, const char *name, json_t *value, struct fault fault)
{
    const struct field *field = find_field(FIELDS, COUNT(FIELDS), name);
    if (field != NULL)
        return read_number(field, value, (char *)script, fault);
    if (strcmp(name, "usage") == 0)
        return read_usage(script, value, fault);
    if (strcmp(name, "error_event") == 0)
        return read_error_event(script, value, fault);
    if (strcmp(name, "headers") == 0)
        return read_headers(script, value, fault);
    if (strcmp(name, "body") == 0 && json_is_string(value))
        return read_text(value, name, &script->body, fault);
    if (strcmp(name, "body") == 0) {
        free(script->body);
        script->body = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        return true;
    }
    if (strcmp(name, "bad_head") == 0 && json_is_string(value))
        return read_text(value, name, &script->bad_head, fault);
    if (strcmp(name, "bad_head") == 0 && json_is_true(value)) {
        script->bad_head = slice_copy(slice_of("HTTP/1.1 OK\r\nthis is no header\r\n\r\n"));
        return true;
    }
    snprintf(fault.at, fault.len, "unknown or wrong field: %.100s", name);
    return false;
}

static bool check_together(const struct script *script, struct fault fault)
{
    const int64_t most = 64 * MEBIBYTE;
    bool is_packed = script->gzip == 1;
    const char *words = NULL;
    if ((script->drip_bytes > 0) != (script->drip_ms > 0))
        words = "drip_bytes and drip_ms belong together";
    else if (is_packed && (script->raw_bytes > most || script->text_bytes > most))
        words = "gzip: at most 64 MiB";
    else if (is_packed && script->content_length == 1 && script->events != SCRIPT_UNSET)
        words = "gzip: a stream has no content_length";
    if (words != NULL)
        snprintf(fault.at, fault.len, "%s", words);
    return words == NULL;
}

static struct script *script_empty(void)
{
    struct script *script = mem_zero(sizeof(*script));
    for (size_t i = 0; i < COUNT(FIELDS); i++)
        memcpy((char *)script + FIELDS[i].offset, &(int64_t){SCRIPT_UNSET}, sizeof(int64_t));
    script->usage = (struct usage){-1, -1, -1, -1, -1, -1};
    script->error_after_events = SCRIPT_UNSET;
    script->times = 1;
    script->refs = 1;
    return script;
}

struct script *script_new(json_t *object, char *fault, size_t fault_len)
{
    const struct fault out = {fault, fault_len};
    const char *name;
    json_t *value;
    if (!json_is_object(object)) {
        snprintf(fault, fault_len, "a script is a JSON object");
        return NULL;
    }
    struct script *script = script_empty();
    json_object_foreach(object, name, value)
    {
        if (!read_field(script, name, value, out)) {
            script_unref(script);
            return NULL;
        }
    }
    if (check_together(script, out))
        return script;
    script_unref(script);
    return NULL;
}

struct script *script_parse(struct slice text, char *fault, size_t fault_len)
{
    json_error_t error;
    json_t *object = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES, &error);
    if (object == NULL) {
        snprintf(fault, fault_len, "not JSON: %s", error.text);
        return NULL;
    }
    struct script *script = script_new(object, fault, fault_len);
    json_decref(object);
    return script;
}

struct script *script_ref(struct script *script)
{
    script->refs++;
    return script;
}

void script_unref(struct script *script)
{
    if (script == NULL || --script->refs > 0)
        return;
    free(script->error_type);
    free(script->error_message);
    free(script->body);
    free(script->bad_head);
    free(script->say);
    json_decref(script->headers);
    free(script);
}

int64_t script_pick(int64_t value, int64_t otherwise)
{
    return value == SCRIPT_UNSET ? otherwise : value;
}
