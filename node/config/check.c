/* What no single field shows. In the order in which a person would set things up: subscriptions one
 * by one, all of them together, then the node. Files are opened, nothing is connected to. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/config_priv.h"
#include "config/env.h"
#include "config/face.h"
#include "crypto/tls.h"

/* ---- one subscription ---- */

static bool key_from_variable(struct config_reader *r, struct subscription *s)
{
    unsigned line;
    if (r->environment == NULL)
        return config_fail(r, "\"api_key\"", "variables are not looked at here");
    struct slice value = config_variable_get(r->environment, s->api_key_env, &line);
    if (value.len == 0)
        return config_fail(r, "a key in it", "the variable %s is not set, or empty",
                           s->api_key_env);
    return config_set_key(r, &s->api_key, slice_trim(value));
}

static struct slice trim_lines(struct slice s)
{
    while (s.len > 0 && strchr(" \t\r\n", s.at[s.len - 1]) != NULL)
        s.len--;
    return slice_trim(s);
}

static bool key_from_file(struct config_reader *r, struct subscription *s)
{
    struct buf content;
    if (slice_starts(slice_of(s->api_key_file), SLICE("sk-")))
        return config_fail(r, "the name of a file; a key belongs into \"api_key\"",
                           "this is a key");
    if (r->environment == NULL)
        return config_fail(r, "\"api_key\"", "files are not looked at here");
    buf_init(&content, (size_t)2 * CONFIG_KEY_MAX);
    bool is_read = config_file_read(r, s->api_key_file, &content, NULL) == CONFIG_FILE_READ &&
                   config_set_key(r, &s->api_key, trim_lines(buf_slice(&content)));
    if (content.at != NULL)
        explicit_bzero(content.at, content.cap);
    buf_fini(&content);
    return is_read;
}

static bool fetch_key(struct config_reader *r, struct subscription *s)
{
    int ways = secret_is_set(&s->api_key) + (s->api_key_env != NULL) + (s->api_key_file != NULL);
    if (ways != 1)
        return config_fail(r, "one of \"api_key\", \"api_key_env\" and \"api_key_file\"",
                           ways == 0 ? "no key" : "more than one key");
    bool is_given = secret_is_set(&s->api_key), is_file = s->api_key_file != NULL;
    size_t mark = config_path_begin(r, ".%s",
                                    is_given  ? "api_key"
                                    : is_file ? "api_key_file"
                                              : "api_key_env");
    if (!is_given && !(is_file ? key_from_file(r, s) : key_from_variable(r, s)))
        return false;
    if (!config_mind_quotes(r, secret_reveal(&s->api_key)) || !config_mind_key(r, s))
        return false;
    config_path_end(r, mark);
    return true;
}

static void decide_auth_type(struct subscription *s)
{
    if (s->auth_type == AUTH_API_KEY || s->auth_type == AUTH_TOKEN)
        return;
    struct slice key = secret_reveal(&s->api_key);
    bool is_key = slice_starts(key, SLICE("sk-ant-")) && !slice_starts(key, SLICE("sk-ant-oat"));
    s->auth_type = is_key ? AUTH_API_KEY : AUTH_TOKEN;
}

static bool check_authorities(struct config_reader *r, const char *file)
{
    char why[TLS_WHY_MAX];
    if (file == NULL || file[0] == '\0' || r->environment == NULL)
        return true;
    SSL_CTX *context = tls_client_context(file, why);
    tls_context_free(context);
    return context != NULL || config_fail(r, "a file of certificates (PEM)", "%s", why);
}

static bool finish_subscription(struct config_reader *r, struct subscription *s)
{
    size_t mark = config_path_begin(r, ".name");
    if (s->name == NULL) {
        (void)config_fail(r, config_name.expected, "is missing");
        config_collect(r);
    }
    config_path_end(r, mark);
    if (!fetch_key(r, s))
        return false;
    decide_auth_type(s);
    config_make_face(s);
    if (!s->origin.is_tls && !origin_is_local(&s->origin))
        config_warn(r, "base_url is http://: the key travels unencrypted to %s", s->origin.host);
    mark = config_path_begin(r, ".ca_file");
    if (!check_authorities(r, s->ca_file))
        return false;
    config_path_end(r, mark);
    return true;
}

/* ---- all of them together ---- */

static bool same_key(const struct subscription *a, const struct subscription *b)
{
    return secret_is_set(&a->api_key) &&
           slice_eq(secret_reveal(&a->api_key), secret_reveal(&b->api_key)) &&
           strcmp(a->origin.authority, b->origin.authority) == 0;
}

static bool compare_subscriptions(struct config_reader *r)
{
    const struct subscription *all = r->config->subscriptions;
    for (size_t i = 0; i < r->config->subscription_count; i++)
        for (size_t j = 0; j < i; j++) {
            if (all[i].name == NULL || all[j].name == NULL)
                continue; /* that is an error already */
            if (strcmp(all[i].name, all[j].name) == 0) {
                (void)config_path_begin(r, "subscriptions[%zu].name", i);
                return config_fail(r, "a name of its own",
                                   "\"%s\" is the name of subscriptions[%zu] already", all[i].name,
                                   j);
            }
            if (same_key(&all[i], &all[j]))
                config_warn(r, "%s and %s have the same key: the provider counts them as one",
                            all[j].name, all[i].name);
        }
    return true;
}

static bool finish_subscriptions(struct config_reader *r)
{
    struct config *c = r->config;
    bool is_any_enabled = false;
    config_at(r, "subscriptions");
    if (c->subscription_count == 0)
        return config_fail(r, config_subscriptions.expected, "is missing");
    for (size_t i = 0; i < c->subscription_count; i++) {
        size_t mark = config_path_begin(r, "[%zu]", i);
        if (!finish_subscription(r, &c->subscriptions[i]))
            config_collect(r);
        config_path_end(r, mark);
        is_any_enabled |= c->subscriptions[i].is_enabled;
    }
    r->path[0] = '\0';
    if (!is_any_enabled)
        config_warn(r, "no subscription is enabled: every request will be refused");
    return compare_subscriptions(r);
}

/* ---- the node ---- */

static bool check_tls_file(struct config_reader *r, const char *path, const char *file)
{
    config_at(r, path);
    if (file == NULL)
        return config_fail(r, "\"cert\" and \"key\", or none of them", "is missing");
    return r->environment == NULL || config_file_check(r, file);
}

static bool check_tls(struct config_reader *r)
{
    const struct config *c = r->config;
    char why[TLS_WHY_MAX];
    if (c->server.tls_cert == NULL && c->server.tls_key == NULL)
        return true;
    if (!check_tls_file(r, "server.tls.cert", c->server.tls_cert) ||
        !check_tls_file(r, "server.tls.key", c->server.tls_key))
        return false;
    if (r->environment == NULL)
        return true;
    config_at(r, "server.tls");
    SSL_CTX *context = tls_server_context(c->server.tls_cert, c->server.tls_key, why);
    tls_context_free(context);
    return context != NULL || config_fail(r, "a certificate and its key (PEM)", "%s", why);
}

/* As the files of others have it, who meant "for my network". */
static void mind_host(struct config_reader *r)
{
    const struct config *c = r->config;
    if (c->is_auth_open || ip_is_loopback(&c->server.host))
        return;
    config_at(r, "server.host");
    config_warn(r,
                "%s: other machines can reach the node, and those in "
                "server.trusted_networks are served; the rest is not, without \"auth\": "
                "\"open\" (or WEIR_AUTH=open)",
                c->server.host.text);
}

static bool check_redis(struct config_reader *r)
{
    config_at(r, "redis.url");
    return check_authorities(r, r->config->redis.url.ca_file);
}

/* One body on its way must leave room for others. */
static bool check_memory(struct config_reader *r)
{
    const struct config *c = r->config;
    uint64_t least = 2 * c->server.max_body_bytes;
    if (c->server.memory_bytes == 0 || c->server.memory_bytes >= least)
        return true;
    config_at(r, "server.memory_bytes");
    return config_fail(r, "at least twice server.max_body_bytes", "found %" PRIu64,
                       c->server.memory_bytes);
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

bool config_finish(struct config_reader *r)
{
    static bool (*const checks[])(struct config_reader *) = {
        finish_subscriptions, check_tls, check_redis, check_memory, config_mind_itself};
    for (size_t i = r->are_keys_bad ? 1 : 0; i < sizeof(checks) / sizeof(checks[0]); i++)
        if (!checks[i](r))
            config_collect(r);
    if (r->first.count > 0)
        return true; /* config_conclude() says them */
    mind_host(r);
    fill_in(r);
    config_make_digest(r->config);
    config_make_accounts(r->config);
    return true;
}
