#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/config_priv.h"

/* ---- one subscription ---- */

static bool key_from_variable(struct config_reader *r, struct config_draft *draft)
{
    unsigned line;
    if (r->environment == NULL)
        return config_fail(r, "variables are not looked at here");
    const char *value = config_variable_get(r->environment, draft->api_key_env, &line);
    if (value == NULL)
        return config_fail(r, "the variable %s is not set, or empty", draft->api_key_env);
    return config_set_key(r, &draft->made.api_key, slice_trim(slice_of(value)));
}

static struct slice trim_lines(struct slice s)
{
    while (s.len > 0 && strchr(" \t\r\n", s.at[s.len - 1]) != NULL)
        s.len--;
    return slice_trim(s);
}

static bool key_from_file(struct config_reader *r, struct config_draft *draft)
{
    struct buf content;
    if (slice_starts(slice_of(draft->api_key_file), SLICE("sk-")))
        return config_fail(r, "this is a key, not the name of a file; it belongs into \"api_key\"");
    if (r->environment == NULL)
        return config_fail(r, "files are not looked at here");
    buf_init(&content, (size_t)2 * CONFIG_KEY_MAX);
    bool is_read = config_file_read(r, draft->api_key_file, &content, NULL) == CONFIG_FILE_READ &&
                   config_set_key(r, &draft->made.api_key, trim_lines(buf_slice(&content)));
    if (content.at != NULL)
        explicit_bzero(content.at, content.cap);
    buf_fini(&content);
    return is_read;
}

static bool fetch_key(struct config_reader *r, struct config_draft *draft)
{
    int ways = secret_is_set(&draft->made.api_key) + (draft->api_key_env != NULL) +
               (draft->api_key_file != NULL);
    if (ways == 0)
        return config_fail(r, "no key; expected \"api_key\", \"api_key_env\" or \"api_key_file\"");
    if (ways > 1)
        return config_fail(r,
                           "expected one of \"api_key\", \"api_key_env\" and \"api_key_file\", "
                           "found %d of them",
                           ways);
    if (secret_is_set(&draft->made.api_key))
        return true;
    bool is_file = draft->api_key_file != NULL;
    size_t mark = config_path_begin(r, ".%s", is_file ? "api_key_file" : "api_key_env");
    if (!(is_file ? key_from_file(r, draft) : key_from_variable(r, draft)))
        return false;
    config_path_end(r, mark);
    return true;
}

static void decide_auth_type(struct subscription *s)
{
    if (s->auth_type == AUTH_API_KEY || s->auth_type == AUTH_TOKEN)
        return;
    bool is_token = slice_starts(secret_reveal(&s->api_key), SLICE("sk-ant-oat"));
    s->auth_type = is_token ? AUTH_TOKEN : AUTH_API_KEY;
}

static bool finish_draft(struct config_reader *r, struct config_draft *draft)
{
    struct subscription *s = &draft->made;
    if (s->name == NULL)
        return config_fail(r, "\"name\" is missing");
    if (!fetch_key(r, draft))
        return false;
    decide_auth_type(s);
    if (!s->origin.is_tls && !origin_is_local(&s->origin))
        config_warn(r, "base_url is http://: the key travels unencrypted to %s", s->origin.host);
    if (s->ca_file == NULL || r->environment == NULL)
        return true;
    size_t mark = config_path_begin(r, ".ca_file");
    if (!config_file_check(r, s->ca_file))
        return false;
    config_path_end(r, mark);
    return true;
}

/* ---- all of them together ---- */

static bool same_key(const struct subscription *a, const struct subscription *b)
{
    return slice_eq(secret_reveal(&a->api_key), secret_reveal(&b->api_key)) &&
           strcmp(a->origin.authority, b->origin.authority) == 0;
}

static bool compare_drafts(struct config_reader *r)
{
    for (size_t i = 0; i < r->draft_count; i++)
        for (size_t j = 0; j < i; j++) {
            const struct subscription *a = &r->drafts[j].made, *b = &r->drafts[i].made;
            if (strcmp(a->name, b->name) == 0) {
                (void)config_path_begin(r, "subscriptions[%zu].name", i);
                return config_fail(r, "\"%s\" is the name of subscriptions[%zu] already", b->name,
                                   j);
            }
            if (same_key(a, b))
                config_warn(r, "%s and %s have the same key: the provider counts them as one",
                            a->name, b->name);
        }
    return true;
}

static bool finish_drafts(struct config_reader *r)
{
    bool is_any_enabled = false;
    if (r->draft_count == 0)
        return config_fail(r, "\"subscriptions\" is missing; expected a list of 1 to %d objects",
                           SUBSCRIPTIONS_MAX);
    for (size_t i = 0; i < r->draft_count; i++) {
        size_t mark = config_path_begin(r, "subscriptions[%zu]", i);
        if (!finish_draft(r, &r->drafts[i]))
            return false;
        config_path_end(r, mark);
        is_any_enabled |= r->drafts[i].made.is_enabled;
    }
    if (!is_any_enabled)
        config_warn(r, "no subscription is enabled: every request will be refused");
    return compare_drafts(r);
}

static void move_drafts(struct config_reader *r)
{
    struct config *c = r->config;
    c->subscriptions = mem_new(r->draft_count * sizeof(*c->subscriptions));
    for (size_t i = 0; i < r->draft_count; i++) {
        c->subscriptions[i] = r->drafts[i].made;
        r->drafts[i].made = (struct subscription){0};
    }
    c->subscription_count = r->draft_count;
}

/* ---- the node ---- */

static bool check_file(struct config_reader *r, const char *field, const char *path)
{
    size_t mark = config_path_begin(r, "%s", field);
    if (path == NULL)
        return config_fail(r, "is missing; server.tls takes \"cert\" and \"key\"");
    if (r->environment != NULL && !config_file_check(r, path))
        return false;
    config_path_end(r, mark);
    return true;
}

static bool check_server(struct config_reader *r)
{
    const struct config *c = r->config;
    bool has_tls = c->server.tls_cert != NULL || c->server.tls_key != NULL;
    if (has_tls && (!check_file(r, "server.tls.cert", c->server.tls_cert) ||
                    !check_file(r, "server.tls.key", c->server.tls_key)))
        return false;
    if (c->is_auth_open || host_is_loopback(c->server.host))
        return true;
    (void)config_path_begin(r, "server.host");
    return config_fail(r,
                       "%s can be reached from other machines, and nothing protects the node: "
                       "set \"auth\": \"open\" (or WEIR_AUTH=open) if only trusted callers can "
                       "reach it, else set the host to 127.0.0.1",
                       c->server.host);
}

/* One body on its way must leave room for others. */
static bool check_memory(struct config_reader *r)
{
    const struct config *c = r->config;
    uint64_t least = 2 * c->server.max_body_bytes;
    if (c->server.memory_bytes == 0 || c->server.memory_bytes >= least)
        return true;
    (void)config_path_begin(r, "server.memory_bytes");
    return config_fail(r,
                       "%" PRIu64 " is too little for bodies of server.max_body_bytes; "
                       "expected at least twice as much, %" PRIu64,
                       c->server.memory_bytes, least);
}

static uint64_t memory_for(uint64_t max_body_bytes)
{
    enum { USUAL_BYTES = 256 << 20, BODIES = 4 };
    uint64_t bodies = BODIES * max_body_bytes;
    return bodies > USUAL_BYTES ? bodies : USUAL_BYTES;
}

static uint32_t cores(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > 64 ? 64 : (uint32_t)count;
}

static void fill_in(struct config_reader *r)
{
    struct config *c = r->config;
    if (c->server.workers == 0)
        c->server.workers = cores();
    if (c->server.memory_bytes == 0)
        c->server.memory_bytes = memory_for(c->server.max_body_bytes);
    if (c->node.state_dir == NULL)
        c->node.state_dir = config_state_dir(r->environment);
    if (c->log_format != LOG_TEXT && c->log_format != LOG_JSON)
        c->log_format = isatty(STDERR_FILENO) ? LOG_TEXT : LOG_JSON;
}

/* ---- the digest ---- */

static int by_name(const void *a, const void *b)
{
    const struct subscription *const *left = a, *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

/* FNV-1a: it only has to differ when the settings do. */
static uint32_t add_to_digest(uint32_t digest, const char *text)
{
    for (; *text != '\0'; text++)
        digest = (digest ^ (unsigned char)*text) * 16777619u;
    return digest;
}

static uint32_t digest_of(const struct subscription *s, uint32_t digest)
{
    char text[256];
    snprintf(text, sizeof(text), "|%s %u %u %d %d %u ", s->name, s->max_concurrent, s->priority,
             s->is_enabled, s->origin.is_tls, (unsigned)s->origin.port);
    digest = add_to_digest(digest, text);
    digest = add_to_digest(digest, s->origin.host);
    return add_to_digest(digest, s->origin.path_prefix);
}

/* What all nodes of a pool should have alike, in an order of its own, without secrets. */
static void make_digest(struct config *c)
{
    uint32_t digest = 2166136261u;
    char text[64];
    size_t pointer_size = sizeof(const struct subscription *); /* NOLINT: that is what is meant */
    const struct subscription **sorted = mem_new(c->subscription_count * pointer_size);
    for (size_t i = 0; i < c->subscription_count; i++)
        sorted[i] = &c->subscriptions[i];
    qsort(sorted, c->subscription_count, pointer_size, by_name);
    for (size_t i = 0; i < c->subscription_count; i++)
        digest = digest_of(sorted[i], digest);
    free(sorted);
    snprintf(text, sizeof(text), "|headroom %u %u", c->rate_limit.cooldown_seconds,
             c->rate_limit.burst_limit);
    digest = add_to_digest(digest, text);
    snprintf(c->digest, sizeof(c->digest), "%08" PRIx32, digest);
}

bool config_finish(struct config_reader *r)
{
    r->path[0] = '\0';
    if (!finish_drafts(r) || !check_server(r) || !check_memory(r))
        return false;
    fill_in(r);
    move_drafts(r);
    make_digest(r->config);
    return true;
}
