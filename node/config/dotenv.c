/* ./.env: NAME=value, one a line. The file may be shared with other programs, so only the lines
 * that set a variable of ours are read, and those strictly; the others may be anything, a quoted
 * value over several lines as well. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/config_priv.h"
#include "config/env.h"

static const char dotenv_path[] = CONFIG_DOTENV_PATH;

void config_environment_fini(struct config_environment *e)
{
    for (size_t i = 0; i < e->count; i++) {
        char *value = e->variables[i].value;
        explicit_bzero(value, strlen(value));
        free(value);
        free(e->variables[i].name);
    }
    free(e->variables);
    *e = (struct config_environment){0};
}

/* ---- values ---- */

/* In double quotes a backslash takes the next byte as it is; \n is a line's end. */
static char *unquote_double(struct slice s, size_t *used)
{
    char *out = mem_new(s.len + 1);
    size_t len = 0, i = 1;
    for (; i < s.len && s.at[i] != '"'; i++) {
        if (s.at[i] == '\\' && i + 1 < s.len) {
            i++;
            char c = s.at[i];
            if (c == 'n')
                c = '\n';
            out[len++] = c;
        } else {
            out[len++] = s.at[i];
        }
    }
    *used = i + 1;
    if (i < s.len)
        return out;
    free(out);
    return NULL;
}

static char *unquote_single(struct slice s, size_t *used)
{
    size_t end;
    if (!slice_find(slice_from(s, 1), '\'', &end))
        return NULL;
    *used = end + 2;
    return mem_string((struct slice){s.at + 1, end});
}

/* Up to a comment: a # at the beginning or behind a blank. */
static char *unquoted(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] == '#' && (i == 0 || s.at[i - 1] == ' ' || s.at[i - 1] == '\t'))
            s.len = i;
    return mem_string(slice_trim(s));
}

static char *read_value(struct config_reader *r, struct slice text)
{
    size_t used = 0;
    if (text.len == 0 || (text.at[0] != '"' && text.at[0] != '\''))
        return unquoted(text);
    char *value = text.at[0] == '"' ? unquote_double(text, &used) : unquote_single(text, &used);
    if (value == NULL) {
        (void)config_fail(r, "its end", "the quote is not closed on this line");
        return NULL;
    }
    struct slice rest = slice_trim(slice_from(text, used));
    if (rest.len == 0 || rest.at[0] == '#')
        return value;
    (void)config_fail(r, "a comment at most", "something stands behind the closing quote");
    free(value);
    return NULL;
}

/* ---- lines ---- */

/* What a line says: NAME, and the text behind '='. */
struct assignment {
    struct slice name;
    struct slice text; /* without blanks at both ends */
    bool has_text;     /* there is a '=' */
};

static struct assignment take_apart(struct slice line)
{
    struct assignment a = {0};
    size_t len = 0;
    if (line.len > 0 && line.at[line.len - 1] == '\r')
        line.len--;
    line = slice_trim(line);
    if (slice_starts(line, SLICE("export ")))
        line = slice_trim(slice_from(line, sizeof("export ") - 1));
    while (len < line.len && strchr("= \t:", line.at[len]) == NULL)
        len++;
    a.name = (struct slice){line.at, len};
    struct slice rest = slice_trim(slice_from(line, len));
    a.has_text = slice_starts(rest, SLICE("="));
    a.text = slice_trim(slice_from(rest, 1));
    return a;
}

/* takes value */
static void keep_variable(struct config_reader *r, struct slice name, char *value)
{
    struct config_environment *e = r->environment;
    e->variables = mem_resize(e->variables, (e->count + 1) * sizeof(*e->variables));
    e->variables[e->count++] = (struct config_variable){mem_string(name), value, r->line};
}

static bool add_variable(struct config_reader *r, const struct assignment *a)
{
    const struct config_environment *e = r->environment;
    if (!a->has_text)
        return config_fail(r, "NAME=value", "no '=' behind the name");
    if (a->text.len > 0 && memchr(a->text.at, '\0', a->text.len) != NULL)
        return config_fail(r, "a text", "holds a NUL byte");
    if (e->count == CONFIG_VARIABLES_MAX)
        return config_fail(r, "each once", "sets more than %d variables", CONFIG_VARIABLES_MAX);
    char *value = read_value(r, a->text);
    if (value == NULL)
        return false;
    keep_variable(r, a->name, value);
    return true;
}

/* One of a predecessor, or that only looks like ours, is not read, only told of: that it is there
 * is enough. */
static void note_foreign(struct config_reader *r, const struct assignment *a)
{
    if ((config_variable_is_foreign(a->name) || config_variable_is_strange(a->name)) &&
        a->text.len > 0 && r->environment->count < CONFIG_VARIABLES_MAX)
        keep_variable(r, a->name, mem_string(SLICE("(not read)")));
}

/* Where a quoted value that began on a former line ends: behind a quote with nothing of its line
 * after it. False: the next quote is not such a one, so that line was no beginning. */
static bool find_closing(struct slice rest, char quote, size_t *end)
{
    struct slice line;
    for (size_t i = 0; i < rest.len; i++) {
        if (rest.at[i] == '\\' && quote == '"')
            i++;
        else if (rest.at[i] == quote) {
            *end = i + 1;
            (void)slice_cut(slice_from(rest, i + 1), '\n', &line);
            struct slice behind = take_apart(line).name;
            return behind.len == 0 || behind.at[0] == '#';
        }
    }
    return false;
}

/* Someone else's quoted value may go on over several lines: what is behind it. */
static struct slice skip_quoted(const struct assignment *a, struct slice rest, unsigned *lines)
{
    if (!a->has_text || a->text.len == 0)
        return rest;
    char quote = a->text.at[0];
    size_t end;
    if ((quote != '"' && quote != '\'') || slice_find(slice_from(a->text, 1), quote, &end) ||
        !find_closing(rest, quote, &end))
        return rest;
    for (size_t i = 0; i < end; i++)
        *lines += rest.at[i] == '\n';
    return slice_from(rest, end);
}

static unsigned lines_in(struct slice s)
{
    unsigned count = 0;
    for (size_t i = 0; i < s.len; i++)
        count += s.at[i] == '\n';
    return count;
}

/* SERVICE_ENDPOINTS, whose JSON may go on over several lines, as its users have it. *rest: what is
 * behind its first line, then behind its last; `end` is that of the file. */
static bool add_endpoints(struct config_reader *r, struct assignment *a, const char *end,
                          struct slice *rest, unsigned *lines)
{
    struct slice all = {a->text.at, a->text.len > 0 ? (size_t)(end - a->text.at) : 0};
    struct slice json = SLICE_NONE, line;
    size_t used;
    if (!config_endpoints_span(all, &json, &used)) {
        if (slice_starts(a->text, SLICE("{")))
            return config_fail(r, "its last }", "the JSON of SERVICE_ENDPOINTS does not end");
        *rest = skip_quoted(a, *rest, lines);
        if (*lines > 0)
            a->text.len = (size_t)((rest->len > 0 ? rest->at : end) - a->text.at);
        return add_variable(r, a);
    }
    if (r->environment->count == CONFIG_VARIABLES_MAX || memchr(json.at, '\0', json.len) != NULL)
        return add_variable(r, a); /* which says so */
    *rest = slice_cut(slice_from(all, used), '\n', &line);
    *lines = lines_in((struct slice){all.at, used});
    keep_variable(r, a->name, mem_string(json));
    struct assignment behind = take_apart(line);
    return (behind.name.len == 0 && !behind.has_text) || slice_starts(behind.name, SLICE("#")) ||
           config_fail(r, "a comment at most", "something stands behind SERVICE_ENDPOINTS");
}

/* The line that `line` is; *text: what is behind it, or what it made us read besides. */
static bool read_line(struct config_reader *r, struct slice line, const char *end,
                      struct slice *text)
{
    unsigned skipped = 0;
    bool is_read = true;
    struct assignment a = take_apart(line);
    if (slice_eq(a.name, SLICE("SERVICE_ENDPOINTS")))
        is_read = add_endpoints(r, &a, end, text, &skipped);
    else if (config_variable_is_ours(a.name))
        is_read = add_variable(r, &a);
    else {
        note_foreign(r, &a);
        *text = skip_quoted(&a, *text, &skipped);
    }
    r->line += is_read ? skipped : 0;
    return is_read;
}

static bool read_lines(struct config_reader *r, struct slice text)
{
    const char *end = text.at + text.len;
    if (slice_starts(text, SLICE("\xef\xbb\xbf")))
        text = slice_from(text, 3);
    for (r->line = 1; text.len > 0; r->line++) {
        struct slice line;
        text = slice_cut(text, '\n', &line);
        if (!read_line(r, line, end, &text))
            return false;
    }
    return true;
}

/* A process keeps the environment it was started with: what that sets, no edit of .env changes. At
 * the start it may be meant so (PORT=9000 weir serve); a reload comes of an edit. */
static void mind_shadowed(struct config_reader *r)
{
    const struct config_environment *e = r->environment;
    for (size_t i = 0; r->dotenv != DOTENV_IF_THERE && i < e->count; i++) {
        unsigned line;
        struct slice value = config_variable_get(e, e->variables[i].name, &line);
        if (line > 0 || slice_eq(value, slice_of(e->variables[i].value)))
            continue;
        r->line = e->variables[i].line;
        config_warn(r,
                    "%s is set in the environment as well, to something else, and that goes "
                    "first: this line has no effect",
                    e->variables[i].name);
    }
}

/* The file may be absent, if a former reading did not have it either; a later one then may. */
bool config_read_dotenv(struct config_reader *r)
{
    struct buf content;
    bool is_public;
    buf_init(&content, CONFIG_DOTENV_MAX);
    r->source = dotenv_path;
    enum config_file_result result = config_file_read(r, dotenv_path, &content, &is_public);
    bool is_read = result == CONFIG_FILE_READ && read_lines(r, buf_slice(&content));
    if (is_read) {
        config_note_source(r, dotenv_path, buf_slice(&content));
        mind_shadowed(r);
    }
    r->line = 0;
    if (content.at != NULL)
        explicit_bzero(content.at, content.cap);
    buf_fini(&content);
    r->config->has_dotenv = is_read;
    r->config->minds_dotenv = true;
    if (is_read && is_public && r->environment->count > 0)
        config_warn(r, "everyone on this machine can read the keys in it: chmod 600 .env");
    r->source = r->config->source;
    return is_read || (result == CONFIG_FILE_ABSENT && r->dotenv != DOTENV_MUST);
}
