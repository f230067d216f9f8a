/* `weir check`: loads the config as `weir serve` does, and says what a node would do with it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/live.h"

enum { CLI_LINE_MAX = 4400 };

static const char *kind_of_key(const struct subscription *s)
{
    if (s->auth_type != AUTH_TOKEN)
        return "API key";
    bool is_login = slice_starts(secret_reveal(&s->api_key), SLICE("sk-ant-oat"));
    return is_login ? "OAuth token" : "bearer token";
}

static void print_subscriptions(const struct config *c)
{
    struct cli_table table;
    cli_table_init(&table, "SUBSCRIPTION|KEY|KIND|>SLOTS|>PRIORITY|PROVIDER");
    for (size_t i = 0; i < c->subscription_count; i++) {
        const struct subscription *s = &c->subscriptions[i];
        enum cli_colour colour = s->is_enabled ? CLI_PLAIN : CLI_DIM;
        cli_table_add(&table, s->is_enabled ? CLI_BOLD : CLI_DIM, "%s", s->name);
        cli_table_add(&table, colour, "%s", s->face);
        cli_table_add(&table, colour, "%s", kind_of_key(s));
        cli_table_add(&table, colour, "%u", s->max_concurrent);
        cli_table_add(&table, colour, "%u", s->priority);
        cli_table_add(&table, colour, "%s://%s%s%s", s->origin.is_tls ? "https" : "http",
                      s->origin.authority, s->origin.path_prefix,
                      s->is_enabled ? "" : "  (disabled)");
    }
    cli_table_print(&table);
}

static void put_line(const char *name, const char *text)
{
    cli_put(CLI_DIM, "%-9s", name);
    printf("%s\n", text);
}

static void print_capacity(const struct config *c)
{
    char text[128];
    uint32_t slots = 0;
    size_t enabled = 0;
    for (size_t i = 0; i < c->subscription_count; i++)
        if (c->subscriptions[i].is_enabled) {
            slots += c->subscriptions[i].max_concurrent;
            enabled++;
        }
    snprintf(text, sizeof(text), "%u slots on %zu subscription%s", slots, enabled,
             enabled == 1 ? "" : "s");
    put_line("capacity", text);
}

static void print_listening(const struct config *c)
{
    char text[256];
    bool is_v6 = c->server.host.is_v6;
    int len = snprintf(text, sizeof(text), "%s://%s%s%s:", c->server.tls_cert ? "https" : "http",
                       is_v6 ? "[" : "", c->server.host.text, is_v6 ? "]" : "");
    if (c->server.port == 0)
        snprintf(text + len, sizeof(text) - (size_t)len, "(a free port), %u workers",
                 c->server.workers);
    else
        snprintf(text + len, sizeof(text) - (size_t)len, "%u, %u worker%s",
                 (unsigned)c->server.port, c->server.workers, c->server.workers == 1 ? "" : "s");
    put_line("listens", text);
    put_line("serves", c->is_auth_open ? "everyone who can reach it" : "local callers only");
    if (c->server.proxy_protocol)
        put_line("callers", "as a balancer names them (PROXY protocol), else this machine's own");
    put_line("admin",
             secret_is_set(&c->admin_token) ? "whoever has the token" : "this machine only");
}

static void print_redis(const struct config *c)
{
    const struct redis_url *url = &c->redis.url;
    char text[CLI_LINE_MAX], place[REDIS_PLACE_MAX];
    redis_url_place(url, place);
    if (redis_url_is_set(url))
        snprintf(text, sizeof(text), "%s%s%s", place, url->is_tls ? ", with TLS" : "",
                 secret_is_set(&url->password) ? ", with a password" : "");
    else
        snprintf(text, sizeof(text), "a private redis-server in %s", c->node.state_dir);
    put_line("redis", text);
    snprintf(text, sizeof(text), "%s:{%s}", c->redis.prefix, c->redis.pool);
    put_line("pool", text);
}

static void print_config(const struct config *c)
{
    put_line("config", c->source);
    print_listening(c);
    print_redis(c);
    print_capacity(c);
    putchar('\n');
    print_subscriptions(c);
}

static int complain_of_all(const struct config_error *error)
{
    struct slice rest = slice_of(error->all), line;
    while (rest.len > 0) {
        rest = slice_cut(rest, '\n', &line);
        (void)cli_complain(EXIT_USAGE, "%.*s", SLICE_ARG(line));
    }
    if (error->count > 1)
        (void)cli_complain(EXIT_USAGE, "%u errors", error->count);
    return EXIT_USAGE;
}

static int show_live(const struct config *c)
{
    putchar('\n');
    fflush(stdout);
    return cli_check_live(c);
}

int cli_check(const struct cli_options *options)
{
    struct config *c;
    struct config_error error;
    if (!config_load(options->config, &c, &error))
        return complain_of_all(&error);
    print_config(c);
    for (size_t i = 0; i < c->warning_count; i++)
        cli_warn("%s", c->warnings[i]);
    int code = options->is_live ? show_live(c) : EXIT_FINE;
    config_release(c);
    return code;
}
