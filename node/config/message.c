#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/config_priv.h"

/* File names and JSON keys may hold anything: a terminal is not to be driven by them. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

static void put_place(const struct config_reader *r, char *out, size_t size)
{
    if (r->path[0] != '\0')
        snprintf(out, size, "%s: %s: ", r->source, r->path);
    else
        snprintf(out, size, "%s: ", r->source);
}

bool config_fail(struct config_reader *r, const char *format, ...)
{
    char *text = r->error->text;
    size_t size = sizeof(r->error->text);
    put_place(r, text, size / 2);
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, size - used, format, args);
    va_end(args);
    make_printable(text);
    return false;
}

static bool is_quoted_number(const struct config_knob *knob, const json_t *value)
{
    uint64_t number;
    struct slice text = {json_string_value(value), json_string_length(value)};
    return knob->kind->is_number && json_is_string(value) &&
           slice_number(text, UINT64_MAX, &number);
}

bool config_fail_expected(struct config_reader *r, const struct config_knob *knob,
                          const json_t *value)
{
    char found[CONFIG_FOUND_MAX], expected[256];
    config_expected(knob, expected, sizeof(expected));
    return config_fail(r, "found %s, expected %s%s",
                       config_found(value, knob->kind->is_secret, found), expected,
                       is_quoted_number(knob, value) ? ", without quotes" : "");
}

void config_warn(struct config_reader *r, const char *format, ...)
{
    struct config *c = r->config;
    if (c->warning_count == CONFIG_WARNINGS_MAX)
        return;
    char text[1024];
    put_place(r, text, sizeof(text) / 2);
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, sizeof(text) - used, format, args);
    va_end(args);
    make_printable(text);
    c->warnings = mem_resize(c->warnings, (c->warning_count + 1) * sizeof(*c->warnings));
    c->warnings[c->warning_count++] = mem_string(slice_of(text));
}

static void put_string(const char *text, char out[CONFIG_FOUND_MAX])
{
    size_t shown = CONFIG_FOUND_MAX - sizeof("\"...\"");
    bool is_cut = strlen(text) > shown;
    if (!is_cut)
        shown = strlen(text);
    while (is_cut && ((unsigned char)text[shown] & 0xc0) == 0x80) /* not inside a UTF-8 character */
        shown--;
    snprintf(out, CONFIG_FOUND_MAX, "\"%.*s%s\"", (int)shown, text, is_cut ? "..." : "");
}

const char *config_found(const json_t *value, bool is_secret, char out[CONFIG_FOUND_MAX])
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return json_array_size(value) == 0 ? "an empty list" : "a list";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        return "null";
    case JSON_STRING:
        if (is_secret)
            return json_string_length(value) == 0 ? "an empty string" : "a string";
        put_string(json_string_value(value), out);
        return out;
    case JSON_INTEGER:
        if (is_secret)
            return "a number";
        snprintf(out, CONFIG_FOUND_MAX, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return out;
    case JSON_REAL:
        if (is_secret)
            return "a number";
        snprintf(out, CONFIG_FOUND_MAX, "%g", json_real_value(value));
        return out;
    }
    return "nothing";
}

size_t config_path_begin(struct config_reader *r, const char *format, ...)
{
    size_t mark = strlen(r->path);
    va_list args;
    va_start(args, format);
    vsnprintf(r->path + mark, sizeof(r->path) - mark, format, args);
    va_end(args);
    return mark;
}

void config_path_end(struct config_reader *r, size_t mark)
{
    r->path[mark] = '\0';
}
