/* What the environment says: fields it overrides, and, where no file names subscriptions, keys. A
 * variable is the process' own, else of ./.env (dotenv.c); messages name it, and the line there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/config_priv.h"
#include "config/env.h"
#include "config/face.h"

/* NULL if unset or empty: docker-compose hands on an unset variable as an empty one. Nothing in
 * this program changes its environment once there are threads, so they do not disturb. */
static const char *own_variable(const char *name)
{
    const char *value = getenv(name); /* NOLINT(concurrency-mt-unsafe) */
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* `docker run --env-file` hands on the quotes that a shell would take off. */
static struct slice without_quotes(struct slice value)
{
    size_t next;
    if (value.len < 2)
        return value;
    char quote = value.at[0];
    if ((quote != '"' && quote != '\'') || value.at[value.len - 1] != quote)
        return value;
    struct slice inner = {value.at + 1, value.len - 2};
    return slice_find(inner, quote, &next) ? value : inner;
}

struct slice config_variable_get(const struct config_environment *e, const char *name,
                                 unsigned *line)
{
    const char *value = own_variable(name);
    *line = 0;
    if (value != NULL)
        return without_quotes(slice_of(value));
    for (size_t i = e->count; i-- > 0;) /* the last one wins, as in a shell */
        if (strcmp(e->variables[i].name, name) == 0) {
            *line = e->variables[i].line;
            return slice_of(e->variables[i].value);
        }
    return SLICE_NONE;
}

static const char *const key_variables[] = {"ANTHROPIC_API_KEYS", "ANTHROPIC_API_KEY",
                                            "OPENAI_API_KEYS", "OPENAI_API_KEY",
                                            "SERVICE_ENDPOINTS"};

bool config_variable_is_ours(struct slice name)
{
    for (size_t i = 0; i < sizeof(key_variables) / sizeof(key_variables[0]); i++)
        if (slice_eq(name, slice_of(key_variables[i])))
            return true;
    for (size_t i = 0; i < config_knob_count; i++)
        if (name.len > 0 && slice_eq(name, slice_of(config_knobs[i].variable)))
            return true;
    return false;
}

/* ---- whom messages name ---- */

static void leave_variable(struct config_reader *r)
{
    r->source = r->config->source;
}

static void enter_variable(struct config_reader *r, const char *name, unsigned line)
{
    if (line > 0)
        snprintf(r->variable, sizeof(r->variable), "%s (.env:%u)", name, line);
    else
        snprintf(r->variable, sizeof(r->variable), "%s (environment)", name);
    r->source = r->variable;
}

void config_at(struct config_reader *r, const char *path)
{
    const struct config_knob *knob = config_knob_find(path);
    unsigned line;
    leave_variable(r);
    snprintf(r->path, sizeof(r->path), "%s", path);
    if (r->environment != NULL && knob != NULL && knob->variable != NULL &&
        config_variable_get(r->environment, knob->variable, &line).len > 0)
        enter_variable(r, knob->variable, line);
}

void config_at_variable(struct config_reader *r, const char *name, unsigned line)
{
    r->path[0] = '\0';
    enter_variable(r, name, line);
}

/* ---- fields ---- */

static json_t *json_of_text(const struct config_knob *knob, struct slice text)
{
    uint64_t number;
    if (knob->kind->is_number && slice_number(text, INT64_MAX, &number))
        return json_integer((json_int_t)number);
    if (knob->kind->is_flag && slice_eq(text, SLICE("true")))
        return json_true();
    if (knob->kind->is_flag && slice_eq(text, SLICE("false")))
        return json_false();
    return json_stringn(text.at, text.len); /* NULL if it is not UTF-8 */
}

static bool fail_encoding(struct config_reader *r, const struct config_knob *knob)
{
    char expected[256];
    config_expected(knob, expected, sizeof(expected));
    return config_fail(r, expected, "is not UTF-8");
}

static bool read_override(struct config_reader *r, const struct config_knob *knob,
                          struct slice text)
{
    bool had_secrets = r->has_secrets;
    json_t *value = json_of_text(knob, text);
    bool is_read =
        value != NULL ? config_read_knob(r, knob, value, r->config) : fail_encoding(r, knob);
    json_decref(value);
    r->has_secrets = had_secrets; /* those are not the file's */
    return is_read;
}

bool config_read_overrides(struct config_reader *r)
{
    config_mind_variables(r);
    config_mind_strangers(r);
    for (size_t i = 0; i < config_knob_count; i++) {
        const struct config_knob *knob = &config_knobs[i];
        unsigned line;
        if (knob->variable == NULL)
            continue;
        struct slice text = config_variable_get(r->environment, knob->variable, &line);
        if (text.len == 0)
            continue;
        config_at(r, knob->path);
        if (!read_override(r, knob, text))
            config_collect(r);
    }
    leave_variable(r);
    r->path[0] = '\0';
    return true;
}

/* ---- keys ---- */

static bool read_service_endpoints(struct config_reader *r)
{
    unsigned line;
    struct slice text = config_variable_get(r->environment, "SERVICE_ENDPOINTS", &line);
    if (text.len == 0)
        return true;
    enter_variable(r, "SERVICE_ENDPOINTS", line);
    bool is_read = config_read_endpoints(r, text);
    leave_variable(r);
    return is_read;
}

static bool add_key(struct config_reader *r, struct slice key)
{
    struct subscription *added;
    if (r->config->subscription_count == SUBSCRIPTIONS_MAX)
        return config_fail(r, "fewer", "more than %d keys", SUBSCRIPTIONS_MAX);
    if (!config_add_subscription(r, &added))
        return false;
    size_t mark = config_path_begin(r, "key %zu", r->config->subscription_count);
    for (size_t i = 0; i < key.len; i++)
        if (strchr(" \t\r\n", key.at[i]) != NULL)
            return config_fail(r, "commas between keys, and no blanks in them",
                               "character %zu of it is %s", i + 1,
                               strchr("\r\n", key.at[i]) != NULL ? "the end of a line" : "a blank");
    if (!config_mind_quotes(r, key) || !config_set_key(r, &added->api_key, key))
        return false;
    config_path_end(r, mark);
    return true;
}

static bool add_keys_of(struct config_reader *r, const char *name)
{
    unsigned line;
    struct slice rest = config_variable_get(r->environment, name, &line), key;
    enter_variable(r, name, line);
    while (rest.len > 0) {
        rest = slice_cut(rest, ',', &key);
        key = without_quotes(slice_trim(key));
        if (key.len > 0 && !add_key(r, key))
            return false;
    }
    leave_variable(r);
    return true;
}

/* Not supported yet. Beside Anthropic's keys it may just be there for other programs. */
static bool mind_openai_keys(struct config_reader *r)
{
    static const char *const names[] = {"OPENAI_API_KEYS", "OPENAI_API_KEY"};
    static const char words[] = "OpenAI subscriptions are not supported by this version";
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        unsigned line;
        if (config_variable_get(r->environment, names[i], &line).len == 0)
            continue;
        enter_variable(r, names[i], line);
        if (r->config->subscription_count == 0)
            return config_fail(r, "ANTHROPIC_API_KEYS", "%s", words);
        config_warn(r, "ignored: %s", words);
        leave_variable(r);
        return true;
    }
    return true;
}

static const char *variable_of_keys(const struct config_reader *r, unsigned *line)
{
    const char *name = "ANTHROPIC_API_KEYS";
    if (config_variable_get(r->environment, name, line).len > 0)
        return name;
    (void)config_variable_get(r->environment, "ANTHROPIC_API_KEY", line);
    return "ANTHROPIC_API_KEY";
}

/* Each of them, now that it is known where it would be sent. */
static bool mind_keys(struct config_reader *r)
{
    bool are_keys = true;
    for (size_t i = 0; i < r->config->subscription_count; i++) {
        size_t mark = config_path_begin(r, "key %zu", i + 1);
        if (!config_mind_key(r, &r->config->subscriptions[i])) {
            config_collect(r);
            are_keys = false;
        }
        config_path_end(r, mark);
    }
    return are_keys;
}

bool config_read_keys(struct config_reader *r)
{
    unsigned line;
    if (!add_keys_of(r, "ANTHROPIC_API_KEYS"))
        return false;
    if (r->config->subscription_count == 0 && !add_keys_of(r, "ANTHROPIC_API_KEY"))
        return false;
    if (!mind_openai_keys(r) || !read_service_endpoints(r))
        return false;
    r->are_keys_named = r->config->subscription_count > 0;
    const char *name = variable_of_keys(r, &line);
    enter_variable(r, name, line);
    bool are_keys = mind_keys(r);
    if (are_keys)
        config_name_by_key(r);
    leave_variable(r);
    return are_keys;
}

/* systemd's, else where the user's programs keep such things, else beside us. */
char *config_state_dir(const struct config_environment *e)
{
    static const struct {
        const char *variable;
        const char *below;
    } places[] = {

        {"STATE_DIRECTORY", ""},
        {"XDG_STATE_HOME", "/weir"},
        {"HOME", "/.local/state/weir"},
    };
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
