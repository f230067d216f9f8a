/* The same form as the log has on a terminal. Values are cut where no line of ours is that long. */
#include "cli/line.h"

#include <stdio.h>
#include <string.h>

#include "cli/answer.h"

enum { VALUE_MAX = 1200 };

const char *cli_line_time(const json_t *line, char out[CLI_TIME_MAX])
{
    cli_text_of(line, "time", out, CLI_TIME_MAX);
    if (out[0] != '\0' && out[10] == 'T')
        out[10] = ' ';
    return out;
}

enum cli_colour cli_line_colour(const json_t *line)
{
    char level[8];
    (void)cli_text_of(line, "level", level, sizeof(level));
    if (strcmp(level, "error") == 0)
        return CLI_RED;
    if (strcmp(level, "warn") == 0)
        return CLI_YELLOW;
    return strcmp(level, "debug") == 0 ? CLI_DIM : CLI_GREEN;
}

static bool is_named(struct slice names, struct slice key)
{
    while (names.len > 0) {
        struct slice name;
        names = slice_cut(names, ' ', &name);
        if (slice_eq(name, key))
            return true;
    }
    return false;
}

static bool is_plain(const char *text)
{
    return text[0] != '\0' && strpbrk(text, " \"=\\") == NULL;
}

static void put_field(const json_t *line, const char *key, const json_t *value)
{
    char text[VALUE_MAX];
    cli_put(CLI_DIM, " %s=", key);
    if (json_is_integer(value))
        printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        printf("%.3f", json_real_value(value));
    else if (is_plain(cli_text_of(line, key, text, sizeof(text))))
        printf("%s", text);
    else
        printf("\"%s\"", text);
}

static bool is_harmless(const char *key)
{
    for (; *key != '\0'; key++)
        if (*key <= ' ' || *key > '~')
            return false;
    return true;
}

void cli_line_fields(json_t *line, const char *without)
{
    void *at;
    for (at = json_object_iter(line); at != NULL; at = json_object_iter_next(line, at)) {
        const char *key = json_object_iter_key(at);
        if (is_harmless(key) && !is_named(SLICE("time level event"), slice_of(key)) &&
            !is_named(slice_of(without), slice_of(key)))
            put_field(line, key, json_object_iter_value(at));
    }
}
