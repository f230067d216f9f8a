/* Variables that look as if they were for the node, and are not read by it. They are warned of and
 * not refused: an environment belongs to many programs, and a node that does not start because of
 * one more name in it would be the worse mistake. What the cluster puts there by itself, for a
 * service or a linked container that happens to be called weir, is nobody's mistake. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/suggest.h"
#include "config/config_priv.h"
#include "config/env.h"

extern char **environ;

enum { NAME_SHOWN = 64 };

static const char prefix[] = "WEIR_";

/* Read by `weir` on the command line, docker-compose.yml, or the project's own scripts. */
static const char *const known_elsewhere[] = {"WEIR_CONFIG", "WEIR_CONFIG_DIR", "WEIR_IMAGE",
                                              "WEIR_NODES",  "WEIR_PUBLISH",    "WEIR_URL"};

static const struct {
    const char *name, *words;
} of_clients[] = {
    {"ANTHROPIC_BASE_URL", "is for clients, a node does not read it: where a key is used is said "
                           "by base_url of its subscription, or by SERVICE_ENDPOINTS"},
    {"ANTHROPIC_AUTH_TOKEN", "is for clients, a node does not read it: a token that it is to use "
                             "belongs into ANTHROPIC_API_KEYS"},
    {"CLAUDE_CODE_OAUTH_TOKEN", "is for clients, a node does not read it: a token that it is to "
                                "use belongs into ANTHROPIC_API_KEYS"},
};

/* What others mean by it: WEIR_LISTEN, WEIR_KEYS. */
static const struct {
    const char *name, *instead;
} meant[] = {
    {"LISTEN", "WEIR_HOST (the address) or PORT"},
    {"BIND", "WEIR_HOST (the address) or PORT"},
    {"ADDRESS", "WEIR_HOST"},
    {"API_KEY", "ANTHROPIC_API_KEYS"},
    {"API_KEYS", "ANTHROPIC_API_KEYS"},
    {"KEYS", "ANTHROPIC_API_KEYS"},
    {"TOKEN", "WEIR_ADMIN_TOKEN"},
    {"REDIS", "WEIR_REDIS_URL"},
    {"CONFIG_FILE", "WEIR_CONFIG, or for docker-compose.yml WEIR_CONFIG_DIR (a folder)"},
    {"BASE_URL", "base_url of a subscription, or SERVICE_ENDPOINTS"},
};

/* ---- what is nobody's mistake ---- */

static bool ends_with(struct slice s, struct slice end)
{
    return s.len >= end.len && slice_eq(slice_from(s, s.len - end.len), end);
}

/* ..._PORT_8080_TCP, and what follows: _ADDR, _PORT, _PROTO. */
static bool is_port_of_link(const char *name)
{
    for (const char *at = strstr(name, "_PORT_"); at != NULL; at = strstr(at + 1, "_PORT_")) {
        const char *rest = at + strlen("_PORT_");
        size_t digits = strspn(rest, "0123456789");
        if (digits > 0 &&
            (strncmp(rest + digits, "_TCP", 4) == 0 || strncmp(rest + digits, "_UDP", 4) == 0 ||
             strncmp(rest + digits, "_SCTP", 5) == 0))
            return true;
    }
    return false;
}

/* Kubernetes, for each service; Docker, for each link. */
static bool is_put_there(const char *name, struct slice value)
{
    struct slice text = slice_of(name);
    if (ends_with(text, SLICE("_SERVICE_HOST")) || ends_with(text, SLICE("_SERVICE_PORT")) ||
        strstr(name, "_SERVICE_PORT_") != NULL || is_port_of_link(name))
        return true;
    if (ends_with(text, SLICE("_PORT")) &&
        (slice_starts(value, SLICE("tcp://")) || slice_starts(value, SLICE("udp://")) ||
         slice_starts(value, SLICE("sctp://"))))
        return true;
    return (ends_with(text, SLICE("_NAME")) && slice_starts(value, SLICE("/"))) ||
           strstr(name, "_ENV_") != NULL;
}

static bool is_known(struct slice name)
{
    for (size_t i = 0; i < sizeof(known_elsewhere) / sizeof(known_elsewhere[0]); i++)
        if (slice_eq(name, slice_of(known_elsewhere[i])))
            return true;
    return config_variable_is_ours(name) || config_variable_is_foreign(name);
}

/* ---- what was meant ---- */

/* SERVER_PORT is the field server.port. */
static bool names_field(struct slice word, const char *path)
{
    char text[NAME_SHOWN + 1];
    snprintf(text, sizeof(text), "%s", path);
    for (char *dot = text; (dot = strchr(dot, '.')) != NULL;)
        *dot = '_';
    return slice_eq_nocase(word, slice_of(text));
}

static bool put_field(struct slice word, char *out, size_t size)
{
    for (size_t i = 0; i < config_knob_count; i++) {
        const struct config_knob *knob = &config_knobs[i];
        if (knob->variable != NULL && slice_eq(word, slice_of(knob->variable)))
            snprintf(out, size, "; did you mean %s?", knob->variable);
        else if (!config_knob_is_of_subscription(knob) && names_field(word, knob->path))
            snprintf(out, size,
                     knob->variable != NULL ? "; did you mean %s?"
                                            : "; did you mean %s in the config file?",
                     knob->variable != NULL ? knob->variable : knob->path);
        else
            continue;
        return true;
    }
    return false;
}

static void put_meant(struct slice name, char *out, size_t size)
{
    struct slice word = slice_from(name, sizeof(prefix) - 1);
    struct suggestion near = {0};
    out[0] = '\0';
    for (size_t i = 0; i < sizeof(meant) / sizeof(meant[0]); i++)
        if (slice_eq(word, slice_of(meant[i].name))) {
            snprintf(out, size, "; did you mean %s?", meant[i].instead);
            return;
        }
    if (put_field(word, out, size))
        return;
    suggest_consider(&near, name, SLICE("WEIR_CONFIG"));
    for (size_t i = 0; i < config_knob_count; i++)
        if (config_knobs[i].variable != NULL)
            suggest_consider(&near, name, slice_of(config_knobs[i].variable));
    if (near.best.len > 0)
        snprintf(out, size, "; did you mean %.*s?", SLICE_ARG(near.best));
    else
        snprintf(out, size, "; `weir help config` lists those that are");
}

static void mind(struct config_reader *r, const char *name, struct slice value, unsigned line)
{
    char meaning[160];
    if (value.len == 0 || is_known(slice_of(name)) || is_put_there(name, value))
        return;
    put_meant(slice_of(name), meaning, sizeof(meaning));
    config_at_variable(r, name, line);
    config_warn(r, "no variable of this name is read%s", meaning);
}

bool config_variable_is_strange(struct slice name)
{
    for (size_t i = 0; i < sizeof(of_clients) / sizeof(of_clients[0]); i++)
        if (slice_eq(name, slice_of(of_clients[i].name)))
            return true;
    return slice_starts(name, slice_of(prefix)) && name.len <= NAME_SHOWN && !is_known(name);
}

static void mind_process(struct config_reader *r)
{
    for (char **at = environ; *at != NULL; at++) {
        struct slice name, value = slice_cut(slice_of(*at), '=', &name);
        char text[NAME_SHOWN + 1];
        if (!slice_starts(name, slice_of(prefix)) || name.len > NAME_SHOWN)
            continue;
        snprintf(text, sizeof(text), "%.*s", SLICE_ARG(name));
        mind(r, text, value, 0);
    }
}

void config_mind_strangers(struct config_reader *r)
{
    const struct config_environment *e = r->environment;
    unsigned line;
    for (size_t i = 0; i < sizeof(of_clients) / sizeof(of_clients[0]); i++) {
        if (config_variable_get(e, of_clients[i].name, &line).len == 0)
            continue;
        config_at_variable(r, of_clients[i].name, line);
        config_warn(r, "%s", of_clients[i].words);
    }
    mind_process(r);
    for (size_t i = 0; i < e->count; i++)
        if (slice_starts(slice_of(e->variables[i].name), slice_of(prefix)))
            mind(r, e->variables[i].name, slice_of(e->variables[i].value), e->variables[i].line);
    config_at(r, "");
}
