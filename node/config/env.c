#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/config_priv.h"

static const char dotenv_path[] = ".env";

/* NULL if unset or empty: docker-compose hands on an unset variable as an empty one. Nothing in
 * this program changes its environment, so other threads do not disturb. */
static const char *own_variable(const char *name)
{
    const char *value = getenv(name); /* NOLINT(concurrency-mt-unsafe) */
    return value != NULL && value[0] != '\0' ? value : NULL;
}

const char *config_variable_get(const struct config_environment *e, const char *name,
                                unsigned *line)
{
    const char *value = own_variable(name);
    *line = 0;
    if (value != NULL)
        return value;
    for (size_t i = e->count; i-- > 0;) /* the last one wins, as in a shell */
        if (strcmp(e->variables[i].name, name) == 0) {
            *line = e->variables[i].line;
            return e->variables[i].value[0] != '\0' ? e->variables[i].value : NULL;
        }
    return NULL;
}

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

/* ---- ./.env: NAME=value, one a line ---- */

static bool is_variable_name(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        if (!is_letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return s.len > 0;
}

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

static char *read_dotenv_value(struct config_reader *r, struct slice text)
{
    size_t used = 0;
    char *value;
    if (text.len == 0 || (text.at[0] != '"' && text.at[0] != '\''))
        return unquoted(text);
    value = text.at[0] == '"' ? unquote_double(text, &used) : unquote_single(text, &used);
    if (value == NULL) {
        (void)config_fail(r, "the quote is not closed on this line");
        return NULL;
    }
    struct slice rest = slice_trim(slice_from(text, used));
    if (rest.len == 0 || rest.at[0] == '#')
        return value;
    (void)config_fail(r, "something stands behind the closing quote");
    free(value);
    return NULL;
}

static bool read_dotenv_line(struct config_reader *r, struct slice line, unsigned number)
{
    struct config_environment *e = r->environment;
    struct slice name;
    if (line.len > 0 && line.at[line.len - 1] == '\r')
        line.len--;
    line = slice_trim(line);
    if (line.len == 0 || line.at[0] == '#')
        return true;
    if (slice_starts(line, SLICE("export ")))
        line = slice_from(line, sizeof("export ") - 1);
    bool has_value = memchr(line.at, '=', line.len) != NULL;
    struct slice text = slice_trim(slice_cut(line, '=', &name));
    name = slice_trim(name);
    if (!has_value || !is_variable_name(name))
        return config_fail(r, "expected NAME=value, or a comment that begins with #");
    if (memchr(line.at, '\0', line.len) != NULL)
        return config_fail(r, "holds a NUL byte");
    if (e->count == CONFIG_VARIABLES_MAX)
        return config_fail(r, "more than %d variables", CONFIG_VARIABLES_MAX);
    char *value = read_dotenv_value(r, text);
    if (value == NULL)
        return false;
    e->variables = mem_resize(e->variables, (e->count + 1) * sizeof(*e->variables));
    e->variables[e->count++] = (struct config_variable){mem_string(name), value, number};
    return true;
}

static bool read_dotenv_lines(struct config_reader *r, struct slice text)
{
    const char *former = r->source;
    char source[32];
    bool is_read = true;
    if (slice_starts(text, SLICE("\xef\xbb\xbf")))
        text = slice_from(text, 3);
    for (unsigned number = 1; text.len > 0 && is_read; number++) {
        struct slice line;
        text = slice_cut(text, '\n', &line);
        snprintf(source, sizeof(source), "%s:%u", dotenv_path, number);
        r->source = source;
        is_read = read_dotenv_line(r, line, number);
    }
    r->source = former;
    return is_read;
}

bool config_read_dotenv(struct config_reader *r)
{
    struct buf content;
    bool is_public, is_read = true;
    const char *former = r->source;
    buf_init(&content, CONFIG_DOTENV_MAX);
    r->source = dotenv_path;
    enum config_file_result result = config_file_read(r, dotenv_path, &content, &is_public);
    if (result == CONFIG_FILE_FAILED)
        is_read = false;
    if (result == CONFIG_FILE_READ) {
        is_read = read_dotenv_lines(r, buf_slice(&content));
        explicit_bzero(content.at, content.cap);
        if (is_public)
            config_warn(r, "everyone on this machine can read the keys in it: chmod 600 .env");
    }
    buf_fini(&content);
    r->source = former;
    return is_read;
}

/* ---- what variables say ---- */

/* While it lives, messages speak of the variable instead of the file. */
struct variable_scope {
    const char *former;
    char source[160];
};

static void enter_variable(struct config_reader *r, struct variable_scope *scope, const char *name,
                           unsigned line)
{
    if (line > 0)
        snprintf(scope->source, sizeof(scope->source), "%s (%s:%u)", name, dotenv_path, line);
    else
        snprintf(scope->source, sizeof(scope->source), "%s (environment)", name);
    scope->former = r->source;
    r->source = scope->source;
}

static json_t *json_of_text(const struct config_knob *knob, const char *text)
{
    uint64_t number;
    if (knob->kind->is_number && slice_number(slice_of(text), INT64_MAX, &number))
        return json_integer((json_int_t)number);
    return json_string(text); /* NULL if it is not UTF-8 */
}

static bool read_override(struct config_reader *r, const struct config_knob *knob, const char *text,
                          unsigned line)
{
    struct variable_scope scope;
    bool had_secrets = r->has_secrets;
    enter_variable(r, &scope, knob->variable, line);
    json_t *value = json_of_text(knob, text);
    bool is_read = value != NULL ? config_read_knob(r, knob, value, r->config)
                                 : config_fail(r, "is not UTF-8");
    json_decref(value);
    r->has_secrets = had_secrets; /* those are not the file's */
    r->source = scope.former;
    return is_read;
}

bool config_read_overrides(struct config_reader *r)
{
    for (size_t i = 0; i < config_knob_count; i++) {
        const struct config_knob *knob = &config_knobs[i];
        if (knob->variable == NULL)
            continue;
        unsigned line;
        const char *text = config_variable_get(r->environment, knob->variable, &line);
        if (text != NULL && !read_override(r, knob, text, line))
            return false;
    }
    return true;
}

/* SERVICE_ENDPOINTS is {"anthropic": ["https://...", ...]}. *list: yours; NULL if there is none. */
static bool read_endpoints(struct config_reader *r, const char *text, json_t **list)
{
    const char *service;
    json_t *json = config_json_parse(r, slice_of(text)), *urls;
    if (json == NULL)
        return false;
    json_object_foreach(json, service, urls)
    {
        size_t count = json_array_size(urls);
        bool is_ours = strcmp(service, "anthropic") == 0;
        bool is_list = is_ours && count > 0 && count <= SUBSCRIPTIONS_MAX;
        for (size_t i = 0; is_list && i < count; i++)
            is_list = json_is_string(json_array_get(urls, i));
        if (is_list)
            continue;
        (void)(is_ours
                   ? config_fail(r, "anthropic: expected a list of 1 to %d URLs", SUBSCRIPTIONS_MAX)
                   : config_fail(r,
                                 "%.64s: this service is not supported by this version; "
                                 "expected only \"anthropic\"",
                                 service));
        json_decref(json);
        return false;
    }
    *list = json_incref(json_object_get(json, "anthropic"));
    json_decref(json);
    return true;
}

/* The variable's users write their URLs with the /v1 that ours leave out. */
static bool set_endpoint(struct config_reader *r, struct config_draft *draft, const json_t *url)
{
    struct slice text = {json_string_value(url), json_string_length(url)};
    const char *why;
    while (text.len > 0 && text.at[text.len - 1] == '/')
        text.len--;
    if (text.len >= 3 && memcmp(text.at + text.len - 3, "/v1", 3) == 0)
        text.len -= 3;
    if (text.len > CONFIG_URL_MAX)
        return config_fail(r, "anthropic: a URL is longer than %d bytes", CONFIG_URL_MAX);
    return origin_parse(&draft->made.origin, text, &why) || config_fail(r, "anthropic: %s", why);
}

/* The i-th subscription gets the i-th URL, from the front again when there are fewer. */
static bool read_service_endpoints(struct config_reader *r)
{
    struct variable_scope scope;
    unsigned line;
    json_t *list = NULL;
    const char *text = config_variable_get(r->environment, "SERVICE_ENDPOINTS", &line);
    if (text == NULL)
        return true;
    enter_variable(r, &scope, "SERVICE_ENDPOINTS", line);
    bool is_read = read_endpoints(r, text, &list);
    size_t count = json_array_size(list);
    for (size_t i = 0; is_read && count > 0 && i < r->draft_count; i++)
        is_read = set_endpoint(r, &r->drafts[i], json_array_get(list, i % count));
    json_decref(list);
    r->source = scope.former;
    return is_read;
}

static bool add_key(struct config_reader *r, struct slice key)
{
    struct config_draft *draft;
    char name[32];
    if (r->draft_count == SUBSCRIPTIONS_MAX)
        return config_fail(r, "more than %d keys", SUBSCRIPTIONS_MAX);
    if (!config_add_draft(r, &draft))
        return false;
    snprintf(name, sizeof(name), "key-%zu", r->draft_count);
    draft->made.name = mem_string(slice_of(name));
    size_t mark = config_path_begin(r, "%s", name);
    if (!config_set_key(r, &draft->made.api_key, key))
        return false;
    config_path_end(r, mark);
    return true;
}

static bool add_keys_of(struct config_reader *r, const char *name)
{
    struct variable_scope scope;
    unsigned line;
    struct slice rest = slice_of(config_variable_get(r->environment, name, &line)), key;
    enter_variable(r, &scope, name, line);
    while (rest.len > 0) {
        rest = slice_cut(rest, ',', &key);
        key = slice_trim(key);
        if (key.len > 0 && !add_key(r, key))
            return false;
    }
    r->source = scope.former;
    return true;
}

/* Not supported yet. Beside Anthropic's keys it may just be there for other programs. */
static bool mind_openai_keys(struct config_reader *r)
{
    static const char *const names[] = {"OPENAI_API_KEYS", "OPENAI_API_KEY"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        unsigned line;
        if (config_variable_get(r->environment, names[i], &line) == NULL)
            continue;
        struct variable_scope scope;
        enter_variable(r, &scope, names[i], line);
        if (r->draft_count == 0)
            return config_fail(r, "OpenAI subscriptions are not supported by this version; "
                                  "set ANTHROPIC_API_KEYS");
        config_warn(r, "ignored: OpenAI subscriptions are not supported by this version");
        r->source = scope.former;
        return true;
    }
    return true;
}

bool config_read_keys(struct config_reader *r)
{
    if (!add_keys_of(r, "ANTHROPIC_API_KEYS"))
        return false;
    if (r->draft_count == 0 && !add_keys_of(r, "ANTHROPIC_API_KEY"))
        return false;
    return mind_openai_keys(r) && read_service_endpoints(r);
}

/* systemd's, else where the user's programs keep such things, else beside us. */
char *config_state_dir(const struct config_environment *e)
{
    static const struct {
        const char *variable;
        const char *below;
    } places[] = {
        {"STATE_DIRECTORY", ""}, {"XDG_STATE_HOME", "/weir"}, {"HOME", "/.local/state/weir"}};
    char path[CONFIG_KEY_MAX];
    for (size_t i = 0; e != NULL && i < sizeof(places) / sizeof(places[0]); i++) {
        const char *base = own_variable(places[i].variable);
        if (base == NULL || base[0] != '/')
            continue;
        snprintf(path, sizeof(path), "%s%s", base, places[i].below);
        return mem_string(slice_of(path));
    }
    return mem_string(SLICE("state"));
}
