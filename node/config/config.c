/* The order of things: defaults, the file, the environment, then what only shows together
 * (check.c). Each layer writes over the one before, straight into the config being made, which is
 * thrown away if anything is wrong. A reload is the same way with its sources given instead of
 * looked for. */
#include "config/config.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/config_priv.h"
#include "config/env.h"
#include "crypto/digest.h"

/* ---- ownership ---- */

static void forget_values(void *base, bool are_of_subscription)
{
    for (size_t i = 0; i < config_knob_count; i++) {
        const struct config_knob *knob = &config_knobs[i];
        if (knob->kind->forget != NULL &&
            config_knob_is_of_subscription(knob) == are_of_subscription)
            knob->kind->forget((char *)base + knob->offset);
    }
}

static void config_free(struct config *c)
{
    for (size_t i = 0; i < c->subscription_count; i++)
        forget_values(&c->subscriptions[i], true);
    forget_values(c, false);
    free(c->subscriptions);
    for (size_t i = 0; i < c->warning_count; i++)
        free(c->warnings[i]);
    free(c->warnings);
    free(c->source);
    free(c);
}

void config_drop_subscription(struct config *c, size_t index)
{
    struct subscription *at = &c->subscriptions[index];
    forget_values(at, true);
    memmove(at, at + 1, (--c->subscription_count - index) * sizeof(*at));
}

struct config *config_hold(struct config *c)
{
    atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    return c;
}

const char *config_near_host(const struct config *c)
{
    const char *host = c->server.host.text;
    if (strcmp(host, "0.0.0.0") == 0)
        return "127.0.0.1";
    return strcmp(host, "::") == 0 ? "::1" : host;
}

void config_release(struct config *c)
{
    if (c != NULL && atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) == 1)
        config_free(c);
}

const struct subscription *config_subscription(const struct config *c, struct slice name)
{
    for (size_t i = 0; i < c->subscription_count; i++)
        if (slice_eq(slice_of(c->subscriptions[i].name), name))
            return &c->subscriptions[i];
    return NULL;
}

const struct subscription *config_account(const struct config *c, struct slice account)
{
    for (size_t i = 0; i < c->subscription_count; i++)
        if (slice_eq(slice_of(c->subscriptions[i].account), account))
            return &c->subscriptions[i];
    return NULL;
}

void config_log_warnings(const struct config *c)
{
    for (size_t i = 0; i < c->warning_count; i++)
        log_message(LOG_WARN, "%s", c->warnings[i]);
}

/* ---- reading ---- */

static void reader_init(struct config_reader *r, struct config_environment *environment,
                        struct config_error *error)
{
    *r = (struct config_reader){.environment = environment, .error = error, .source = "defaults"};
    error->text[0] = '\0';
    r->config = mem_new(sizeof(*r->config));
    atomic_init(&r->config->references, 1);
}

static void set_source(struct config_reader *r, const char *source)
{
    free(r->config->source);
    r->config->source = mem_string(slice_of(source));
    r->source = r->config->source;
}

static bool read_json(struct config_reader *r, struct slice text)
{
    json_t *json = config_json_parse(r, text);
    bool is_read = json != NULL && config_read_members(r, json, "", r->config);
    json_decref(json);
    return is_read;
}

static struct config *take_config(struct config_reader *r, bool is_read)
{
    struct config *c = is_read ? r->config : NULL;
    if (is_read) {
        r->config = NULL;
        *r->error = (struct config_error){0}; /* of places that were tried in vain */
    }
    config_release(r->config);
    return c;
}

bool config_parse(struct slice json, const char *source, struct config **config,
                  struct config_error *error)
{
    struct config_reader r;
    reader_init(&r, NULL, error);
    set_source(&r, source);
    bool is_read = config_read_defaults(&r) && read_json(&r, json) && config_finish(&r);
    is_read = config_conclude(&r, is_read);
    *config = take_config(&r, is_read);
    return is_read;
}

/* ---- finding and loading ---- */

static bool read_file_content(struct config_reader *r, struct buf *content, bool is_public)
{
    bool is_read = read_json(r, buf_slice(content));
    if (content->at != NULL)
        explicit_bzero(content->at, content->cap);
    if (is_read && is_public && r->has_secrets)
        config_warn(r, "everyone on this machine can read the secrets in it: chmod 600 %s",
                    r->source);
    return is_read;
}

/* "weir.json (sha256 1a2b3c4d)" */
void config_note_source(struct config_reader *r, const char *path, struct slice content)
{
    char digest[DIGEST_TEXT_MAX];
    char *to = r->config->sources;
    size_t used = strlen(to);
    digest_text(content, digest);
    snprintf(to + used, sizeof(r->config->sources) - used, "%s%.200s (sha256 %s)",
             used > 0 ? ", " : "", path, digest);
}

static enum config_file_result read_config_file(struct config_reader *r, const char *path,
                                                const char *named_by)
{
    struct buf content;
    bool is_public;
    buf_init(&content, CONFIG_FILE_MAX);
    r->source = named_by;
    enum config_file_result result = config_file_read(r, path, &content, &is_public);
    if (result == CONFIG_FILE_READ) {
        set_source(r, path);
        r->config->is_from_file = true;
        config_note_source(r, path, buf_slice(&content));
        if (!read_file_content(r, &content, is_public))
            result = CONFIG_FILE_FAILED;
    }
    buf_fini(&content);
    return result;
}

/* One of the places nobody named: it may be absent. *is_found: no need to look further. */
static bool try_place(struct config_reader *r, struct slice directory, const char *below,
                      bool *is_found)
{
    char path[CONFIG_KEY_MAX];
    if (*is_found || directory.len == 0)
        return true;
    int len = snprintf(path, sizeof(path), "%.*s%s", SLICE_ARG(directory), below);
    if (len < 0 || (size_t)len >= sizeof(path))
        return config_fail(r, "a shorter one", "the path of the config is too long");
    enum config_file_result result = read_config_file(r, path, "config");
    *is_found = result == CONFIG_FILE_READ;
    return result != CONFIG_FILE_FAILED;
}

static bool read_named_by_variable(struct config_reader *r, struct slice path)
{
    char *name = mem_string(path);
    bool is_read = read_config_file(r, name, "WEIR_CONFIG (environment)") == CONFIG_FILE_READ;
    free(name);
    return is_read;
}

static bool find_config_file(struct config_reader *r)
{
    unsigned line;
    bool is_found = false;
    const struct config_environment *e = r->environment;
    struct slice named = config_variable_get(e, "WEIR_CONFIG", &line);
    if (named.len > 0)
        return read_named_by_variable(r, named);
    struct slice xdg = config_variable_get(e, "XDG_CONFIG_HOME", &line);
    struct slice home = xdg.len == 0 ? config_variable_get(e, "HOME", &line) : SLICE_NONE;
    return try_place(r, SLICE("config.json"), "", &is_found) &&
           try_place(r, xdg, "/weir/config.json", &is_found) &&
           try_place(r, home, "/.config/weir/config.json", &is_found);
}

static bool fail_nothing_configured(struct config_reader *r)
{
    config_at(r, "subscriptions");
    if (r->config->is_from_file)
        return config_fail(
            r, "one of these",
            "is missing, and neither ANTHROPIC_API_KEYS nor ANTHROPIC_API_KEY is set");
    char trace[512];
    r->source = "nothing to serve";
    r->path[0] = '\0';
    return config_fail(r,
                       "one of three: "
                       "(1) in the environment: ANTHROPIC_API_KEYS=key1,key2 weir serve; "
                       "(2) that line, ANTHROPIC_API_KEYS=key1,key2, in a file .env here; "
                       "(3) a file config.json here or --config FILE: "
                       "{\"subscriptions\": [{\"name\": \"main\", \"api_key\": \"sk-ant-...\"}]}",
                       "neither a config file nor a key%s",
                       config_foreign_trace(r->environment, trace, sizeof(trace)));
}

/* A file without subscriptions leaves the keys to the environment: so a container's config may be
 * the same for all, and its secrets come from elsewhere. */
static bool read_environment(struct config_reader *r)
{
    bool wants_keys = r->config->subscription_count == 0;
    bool may_have_lost_them = wants_keys && r->first.count > 0; /* to an error in their list */
    bool wants_dotenv = r->dotenv == DOTENV_MUST || (r->dotenv != DOTENV_NOT && wants_keys);
    if (wants_dotenv && !config_read_dotenv(r))
        return false;
    r->are_keys_bad = may_have_lost_them || (wants_keys && !config_read_keys(r));
    if (r->are_keys_bad && !may_have_lost_them)
        config_collect(r);
    if (!wants_keys)
        config_mind_endpoints(r);
    if (!r->are_keys_bad && r->config->subscription_count == 0)
        return fail_nothing_configured(r);
    return config_read_overrides(r);
}

static void note_environment(struct config *c)
{
    size_t used = strlen(c->sources);
    snprintf(c->sources + used, sizeof(c->sources) - used, "%senvironment", used > 0 ? ", " : "");
}

static bool read_all(struct config_reader *r, const char *path, bool may_look)
{
    set_source(r, "environment");
    if (!config_read_defaults(r))
        return false;
    if (path != NULL && read_config_file(r, path, "config") != CONFIG_FILE_READ)
        return false;
    if (path == NULL && may_look && !find_config_file(r))
        return false;
    r->source = r->config->source;
    bool is_read = read_environment(r);
    note_environment(r->config);
    return is_read && config_finish(r);
}

bool config_load(const char *path, struct config **config, struct config_error *error)
{
    struct config_environment environment = {0};
    struct config_reader r;
    reader_init(&r, &environment, error);
    bool is_read = config_conclude(&r, read_all(&r, path, true));
    *config = take_config(&r, is_read);
    config_environment_fini(&environment);
    return is_read;
}

bool config_reload(const struct config *running, struct config **config, struct config_error *error)
{
    struct config_environment environment = {0};
    struct config_reader r;
    reader_init(&r, &environment, error);
    r.dotenv = running->minds_dotenv ? DOTENV_BY_NOW : DOTENV_NOT;
    if (running->has_dotenv)
        r.dotenv = DOTENV_MUST;
    r.config->minds_dotenv = running->minds_dotenv;
    const char *path = running->is_from_file ? running->source : NULL;
    bool is_read = config_conclude(&r, read_all(&r, path, false));
    *config = take_config(&r, is_read);
    config_environment_fini(&environment);
    return is_read;
}
