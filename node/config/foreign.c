/* What is said where a config, a variable or a file of a predecessor is met (predecessors.h). */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/config_priv.h"
#include "config/env.h"
#include "config/predecessors.h"

/* ---- in a config ---- */

bool config_fail_field(struct config_reader *r, const char *key, bool is_later)
{
    const struct predecessor_word *w = predecessor_find(PREDECESSOR_FIELD, slice_of(key));
    char here[PREDECESSOR_HERE_MAX];
    if (w == NULL)
        return true;
    if (is_later)
        return config_fail(r, predecessor_here(w, here), "not supported by this version");
    return config_fail(r, predecessor_here(w, here), "a word of %s", w->whose->name);
}

bool config_fail_word(struct config_reader *r, const json_t *value, bool is_later)
{
    const struct predecessor_word *w = NULL;
    char here[PREDECESSOR_HERE_MAX];
    if (json_is_string(value))
        w = predecessor_find(PREDECESSOR_VALUE, config_text_of(value));
    if (w == NULL)
        return true;
    if (is_later)
        return config_fail(r, predecessor_here(w, here), "\"%s\" is not supported by this version",
                           w->word);
    return config_fail(r, predecessor_here(w, here), "\"%s\" is a word of %s", w->word,
                       w->whose->name);
}

/* `name:` at the beginning of a line, before anything else but comments; or YAML's own three
 * dashes. */
static bool is_yaml(struct slice text)
{
    static const char name_characters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    struct slice line = SLICE_NONE;
    while (text.len > 0) {
        text = slice_cut(text, '\n', &line);
        line = slice_trim(line);
        if (line.len > 0 && line.at[0] != '#' && line.at[0] != '\r')
            break;
    }
    size_t len = 0;
    while (len < line.len && strchr(name_characters, line.at[len]) != NULL)
        len++;
    struct slice behind = slice_from(line, len + 1);
    return slice_starts(line, SLICE("---")) ||
           (len > 0 && len < line.len && line.at[len] == ':' &&
            (behind.len == 0 || strchr(" \t\r", behind.at[0]) != NULL));
}

bool config_fail_content(struct config_reader *r, struct slice text)
{
    static const char sqlite[] = "SQLite format 3";
    char expected[160];
    if (slice_starts(text, SLICE(sqlite)))
        return config_fail(r,
                           "a JSON object: { ... }; see docs/switch.md#claude-load-balancer, or "
                           "docs/switch.md#claudeflare",
                           "is a database, of accounts perhaps");
    if (!is_yaml(text))
        return true;
    const struct predecessor *whose = predecessor_of_yaml(text);
    snprintf(expected, sizeof(expected), "a JSON object: { ... }; see docs/switch.md%s%s",
             whose != NULL ? "#" : "", whose != NULL ? whose->section : "");
    return config_fail(r, expected, whose != NULL ? "is YAML, a config of %s" : "is YAML",
                       whose != NULL ? whose->name : "");
}

/* ---- around it ---- */

static void mind_variables(struct config_reader *r, enum predecessor_kind kind, bool is_any)
{
    size_t count;
    const struct predecessor_word *words = predecessor_words(kind, &count);
    for (size_t i = 0; i < count; i++) {
        unsigned line;
        char here[PREDECESSOR_HERE_MAX];
        if (config_variable_get(r->environment, words[i].word, &line).len == 0 ||
            (line == 0 && !is_any))
            continue;
        config_at_variable(r, words[i].word, line);
        config_warn(r, "is of %s, and not read; here it is %s", words[i].whose->name,
                    predecessor_here(&words[i], here));
    }
}

void config_mind_variables(struct config_reader *r)
{
    mind_variables(r, PREDECESSOR_VARIABLE, true);
    mind_variables(r, PREDECESSOR_COMMON, false);
    config_at(r, "");
}

void config_mind_endpoints(struct config_reader *r)
{
    unsigned line;
    if (config_variable_get(r->environment, "SERVICE_ENDPOINTS", &line).len == 0)
        return;
    config_at_variable(r, "SERVICE_ENDPOINTS", line);
    config_warn(r, "not read, for the config has subscriptions, each with a base_url of its own");
    config_at(r, "");
}

bool config_variable_is_foreign(struct slice name)
{
    return predecessor_find(PREDECESSOR_VARIABLE, name) != NULL ||
           predecessor_find(PREDECESSOR_COMMON, name) != NULL;
}

/* A file with a slash in its name is below the folder where programs keep their configs. */
static bool find_file(const struct config_environment *e, const char *name, char *path, size_t size)
{
    unsigned line;
    struct slice xdg = config_variable_get(e, "XDG_CONFIG_HOME", &line);
    struct slice home = config_variable_get(e, "HOME", &line);
    if (strchr(name, '/') == NULL)
        snprintf(path, size, "%s", name);
    else if (xdg.len > 0)
        snprintf(path, size, "%.*s/%s", SLICE_ARG(xdg), name);
    else
        snprintf(path, size, "%.*s/.config/%s", SLICE_ARG(home), name);
    return access(path, F_OK) == 0;
}

static bool find_variable(const struct config_environment *e, const struct predecessor_word **found)
{
    size_t count;
    unsigned line;
    const struct predecessor_word *words = predecessor_words(PREDECESSOR_VARIABLE, &count);
    for (size_t i = 0; i < count; i++)
        if (config_variable_get(e, words[i].word, &line).len > 0) {
            *found = &words[i];
            return true;
        }
    return false;
}

const char *config_foreign_trace(const struct config_environment *e, char *out, size_t size)
{
    size_t count;
    char path[CONFIG_KEY_MAX];
    const struct predecessor_word *words = predecessor_words(PREDECESSOR_FILE, &count), *variable;
    out[0] = '\0';
    for (size_t i = 0; i < count && out[0] == '\0'; i++)
        if (find_file(e, words[i].word, path, sizeof(path)))
            snprintf(out, size, "; %.200s is by its name of %s, see docs/switch.md#%s", path,
                     words[i].whose->name, words[i].whose->section);
    if (out[0] == '\0' && find_variable(e, &variable))
        snprintf(out, size, "; %s is of %s, see docs/switch.md#%s", variable->word,
                 variable->whose->name, variable->whose->section);
    return out;
}
