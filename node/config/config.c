#include "config/config.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/config_priv.h"

/* ---- ownership ---- */

static void subscription_fini(struct subscription *s)
{
    free(s->name);
    free(s->ca_file);
    secret_fini(&s->api_key);
    origin_fini(&s->origin);
}

static void free_strings(char **list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i]);
    free(list);
}

static size_t count_strings(char *const *list)
{
    size_t count = 0;
    while (list != NULL && list[count] != NULL)
        count++;
    return count;
}

static void config_free(struct config *c)
{
    for (size_t i = 0; i < c->subscription_count; i++)
        subscription_fini(&c->subscriptions[i]);
    free(c->subscriptions);
    free(c->source);
    free(c->server.host);
    free(c->server.tls_cert);
    free(c->server.tls_key);
    free_strings(c->server.trusted_networks, count_strings(c->server.trusted_networks));
    free(c->redis.url);
    free(c->redis.prefix);
    free(c->redis.pool);
    free(c->node.id);
    free(c->node.state_dir);
    secret_fini(&c->admin_token);
    free_strings(c->warnings, c->warning_count);
    free(c);
}

struct config *config_hold(struct config *c)
{
    atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    return c;
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

static void reader_fini(struct config_reader *r)
{
    for (size_t i = 0; i < r->draft_count; i++) {
        subscription_fini(&r->drafts[i].made);
        free(r->drafts[i].api_key_env);
        free(r->drafts[i].api_key_file);
    }
    free(r->drafts);
    config_release(r->config);
}

static void set_source(struct config_reader *r, const char *source)
{
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
        r->error->text[0] = '\0'; /* of places that were tried in vain */
    }
    reader_fini(r);
    return c;
}

bool config_parse(struct slice json, const char *source, struct config **config,
                  struct config_error *error)
{
    struct config_reader r;
    reader_init(&r, NULL, error);
    set_source(&r, source);
    bool is_read = config_read_defaults(&r) && read_json(&r, json) && config_finish(&r);
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

static enum config_file_result read_config_file(struct config_reader *r, const char *path,
                                                const char *named_by)
{
    struct buf content;
    bool is_public;
    const char *former = r->source;
    buf_init(&content, CONFIG_FILE_MAX);
    r->source = named_by;
    enum config_file_result result = config_file_read(r, path, &content, &is_public);
    r->source = former;
    if (result == CONFIG_FILE_READ) {
        set_source(r, path);
        r->has_file = r->config->is_from_file = true;
        if (!read_file_content(r, &content, is_public))
            result = CONFIG_FILE_FAILED;
    }
    buf_fini(&content);
    return result;
}

/* One of the places nobody named: it may be absent. *is_found: no need to look further. */
static bool try_place(struct config_reader *r, const char *directory, const char *below,
                      bool *is_found)
{
    char path[CONFIG_KEY_MAX];
    if (*is_found || directory == NULL || directory[0] == '\0')
        return true;
    int len = snprintf(path, sizeof(path), "%s%s", directory, below);
    if (len < 0 || (size_t)len >= sizeof(path))
        return config_fail(r, "the path of the config is too long");
    enum config_file_result result = read_config_file(r, path, "config");
    *is_found = result == CONFIG_FILE_READ;
    return result != CONFIG_FILE_FAILED;
}

static bool find_config_file(struct config_reader *r)
{
    unsigned line;
    bool is_found = false;
    const struct config_environment *e = r->environment;
    const char *named = config_variable_get(e, "WEIR_CONFIG", &line);
    if (named != NULL)
        return read_config_file(r, named, "WEIR_CONFIG (environment)") == CONFIG_FILE_READ;
    const char *xdg = config_variable_get(e, "XDG_CONFIG_HOME", &line);
    const char *home = xdg == NULL ? config_variable_get(e, "HOME", &line) : NULL;
    if (!try_place(r, "config.json", "", &is_found) ||
        !try_place(r, xdg, "/weir/config.json", &is_found) ||
        !try_place(r, home, "/.config/weir/config.json", &is_found))
        return false;
    if (!is_found)
        set_source(r, "environment");
    return true;
}

static bool fail_nothing_configured(struct config_reader *r)
{
    if (r->has_file)
        return config_fail(r, "no \"subscriptions\", and neither ANTHROPIC_API_KEYS nor "
                              "ANTHROPIC_API_KEY is set; expected one of these");
    r->source = "nothing to serve";
    return config_fail(r,
                       "found neither a config file nor a key. Three ways to give them: "
                       "(1) in the environment: ANTHROPIC_API_KEYS=key1,key2 weir serve; "
                       "(2) that line, ANTHROPIC_API_KEYS=key1,key2, in a file .env here; "
                       "(3) a file config.json here or --config FILE: "
                       "{\"subscriptions\": [{\"name\": \"main\", \"api_key\": \"sk-ant-...\"}]}");
}

/* A file without subscriptions leaves the keys to the environment: so a container's config may be
 * the same for all, and its secrets come from elsewhere. */
static bool read_environment(struct config_reader *r)
{
    if (r->draft_count == 0) {
        if (!config_read_dotenv(r) || !config_read_keys(r))
            return false;
        if (r->draft_count == 0)
            return fail_nothing_configured(r);
    }
    return config_read_overrides(r);
}

bool config_load(const char *path, struct config **config, struct config_error *error)
{
    struct config_environment environment = {0};
    struct config_reader r;
    reader_init(&r, &environment, error);
    bool is_read = config_read_defaults(&r) &&
                   (path != NULL ? read_config_file(&r, path, "config") == CONFIG_FILE_READ
                                 : find_config_file(&r)) &&
                   read_environment(&r) && config_finish(&r);
    *config = take_config(&r, is_read);
    config_environment_fini(&environment);
    return is_read;
}
