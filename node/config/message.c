/* Every error has the same form, and its parts besides:
 *     SOURCE[:LINE[:COLUMN]]: [PATH: ]FOUND, expected EXPECTED
 * A warning has the same beginning, and a sentence of its own. */
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

/* Of a long name the end says more: that is where the file's own name is. */
static void put_source(const struct config_reader *r, char *out, size_t size)
{
    size_t len = strlen(r->source);
    if (len < size)
        snprintf(out, size, "%s", r->source);
    else
        snprintf(out, size, "...%s", r->source + len - (size - sizeof("...")));
}

static void put_place(const struct config_reader *r, char *out, size_t size)
{
    char place[32] = "", source[sizeof(((struct config_error *)NULL)->source)];
    const char *colon = r->path[0] != '\0' ? ": " : "";
    if (r->column > 0)
        snprintf(place, sizeof(place), ":%u:%u", r->line, r->column);
    else if (r->line > 0)
        snprintf(place, sizeof(place), ":%u", r->line);
    put_source(r, source, sizeof(source));
    snprintf(out, size, "%s%s: %s%s", source, place, r->path, colon);
}

bool config_fail(struct config_reader *r, const char *expected, const char *format, ...)
{
    struct config_error *e = r->error;
    va_list args;
    *e = (struct config_error){.line = r->line, .column = r->column};
    va_start(args, format);
    vsnprintf(e->found, sizeof(e->found), format, args);
    va_end(args);
    put_source(r, e->source, sizeof(e->source));
    snprintf(e->path, sizeof(e->path), "%s", r->path);
    snprintf(e->expected, sizeof(e->expected), "%s", expected);
    put_place(r, e->text, sizeof(e->text) / 2);
    size_t used = strlen(e->text);
    snprintf(e->text + used, sizeof(e->text) - used, "%s, expected %s", e->found, e->expected);
    char *const parts[] = {e->source, e->path, e->found, e->expected, e->text};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        make_printable(parts[i]);
    return false;
}

/* ---- several ---- */

/* The field has failed before, or the key of the subscription that is now found to have none. */
static bool is_known(struct config_reader *r)
{
    static const char *const below[] = {"", ".api_key", ".api_key_env", ".api_key_file"};
    char place[sizeof(r->error->source) + sizeof(r->error->path) + 32];
    for (size_t i = 0; i < sizeof(below) / sizeof(below[0]); i++) {
        snprintf(place, sizeof(place), "\n%s|%s%s\n", r->error->source, r->error->path, below[i]);
        if (strstr(r->failed, place) != NULL)
            return true;
    }
    return false;
}

static void remember_place(struct config_reader *r)
{
    size_t used = strlen(r->failed);
    int len = snprintf(r->failed + used, sizeof(r->failed) - used, "\n%s|%s\n", r->error->source,
                       r->error->path);
    if (len < 0 || (size_t)len >= sizeof(r->failed) - used)
        r->failed[used] = '\0';
}

void config_collect(struct config_reader *r)
{
    struct config_error *first = &r->first;
    unsigned count = first->count;
    if (is_known(r))
        return;
    remember_place(r);
    if (count == 0)
        *first = *r->error;
    size_t used = strlen(first->all), len = strlen(r->error->text);
    bool fits = count < CONFIG_ERRORS_LISTED && used + len + 32 < sizeof(first->all);
    if (fits)
        snprintf(first->all + used, sizeof(first->all) - used, "%s%s", used > 0 ? "\n" : "",
                 r->error->text);
    r->unlisted += !fits;
    first->count = count + 1;
}

bool config_conclude(struct config_reader *r, bool is_read)
{
    if (!is_read)
        config_collect(r);
    if (r->first.count == 0)
        return true;
    size_t used = strlen(r->first.all);
    if (r->unlisted > 0)
        snprintf(r->first.all + used, sizeof(r->first.all) - used, "\nand %u more", r->unlisted);
    *r->error = r->first;
    return false;
}

static bool is_quoted_number(const struct config_knob *knob, const json_t *value)
{
    uint64_t number;
    struct slice text = {json_string_value(value), json_string_length(value)};
    return knob->kind->is_number && json_is_string(value) &&
           slice_number(text, UINT64_MAX, &number);
}

bool config_fail_value(struct config_reader *r, const struct config_knob *knob, const json_t *value)
{
    char found[CONFIG_FOUND_MAX], words[256], expected[sizeof(words) + 32];
    config_expected(knob, words, sizeof(words));
    snprintf(expected, sizeof(expected), "%s%s", words,
             is_quoted_number(knob, value) ? ", without quotes" : "");
    return config_fail(r, expected, "found %s", config_found(value, knob->kind->is_secret, found));
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
