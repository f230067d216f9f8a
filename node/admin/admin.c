#include "admin/admin.h"

#include <stdlib.h>
#include <string.h>

#include "admin/admin_priv.h"
#include "base/clock.h"
#include "base/mem.h"
#include "dialect/anthropic.h"

static void service(struct admin *a, struct connection *call)
{
    (void)a;
    admin_answer_json(call, 200,
                      json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:s, s:s, s:s}}", "service", "Weir",
                                "version", WEIR_VERSION, "endpoints", "health", "/health", "ready",
                                "/ready", "status", "/status", "metrics", "/metrics", "reload",
                                "/admin/reload", "proxy", "/v1/*"));
}

static void health(struct admin *a, struct connection *call)
{
    char time[CLOCK_TEXT_MAX];
    clock_text(clock_wall_ms(), time);
    admin_answer_json(call, 200,
                      json_pack("{s:s, s:s, s:s, s:s, s:s}", "status", "healthy", "timestamp", time,
                                "redis", state_is_up(a->options.state) ? "up" : "down", "node",
                                a->options.node->id, "version", WEIR_VERSION));
}

static void ready(struct admin *a, struct connection *call)
{
    const char *word = "ready";
    if (a->options.is_draining(a->options.arg))
        word = "draining";
    else if (!state_can_admit(a->options.state))
        word = "redis down";
    bool is_ready = strcmp(word, "ready") == 0;
    admin_answer_json(call, is_ready ? 200 : 503, json_pack("{s:s}", "status", word));
}

struct admin_reload {
    struct admin_wait wait;
};

static void reload(struct admin *a, struct connection *call)
{
    struct admin_reload *r = mem_new(sizeof(*r));
    admin_wait_init(&r->wait, a, call);
    a->options.on_reload(r, a->options.arg);
}

void admin_reload_done(struct admin_reload *r, size_t subscriptions, const char *error)
{
    struct connection *call = r->wait.call;
    free(r);
    if (call == NULL)
        return;
    if (error != NULL)
        answer_error(call, anthropic_error_json, 500, slice_of(error), SLICE_NONE);
    else
        admin_answer_json(call, 200,
                          json_pack("{s:s, s:I}", "status", "reloaded", "subscriptions",
                                    (json_int_t)subscriptions));
}

static const struct endpoint {
    const char *method; /* GET answers HEAD too */
    const char *path;
    bool is_open; /* to everyone */
    void (*handle)(struct admin *admin, struct connection *call);
} endpoints[] = {
    {"GET", "/", true, service},
    {"GET", "/health", true, health},
    {"GET", "/ready", true, ready},
    {"GET", "/status", false, admin_status},
    {"GET", "/metrics", false, admin_metrics},
    {"POST", "/admin/reload", false, reload},
};

static bool is_method(const struct endpoint *e, struct slice method)
{
    return slice_eq(method, slice_of(e->method)) ||
           (strcmp(e->method, "GET") == 0 && slice_eq(method, SLICE("HEAD")));
}

static void refuse_method(struct connection *call, const struct endpoint *e)
{
    struct http1_header headers[] = {{SLICE("allow"), slice_of(e->method)},
                                     {SLICE("content-type"), SLICE("application/json")}};
    struct answer answer = {.status = 405, .headers = headers, .header_count = 2};
    answer_whole(call, &answer,
                 SLICE("{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\","
                       "\"message\":\"this path has another method, see allow\"}}"));
}

void admin_handle(struct admin *a, struct connection *call, const struct http_message *m)
{
    const struct http1_request *r = &m->request;
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
        const struct endpoint *e = &endpoints[i];
        if (!slice_eq(r->path, slice_of(e->path)))
            continue;
        if (!e->is_open && !access_to_admin(a->config, m->is_local, r))
            answer_error(call, anthropic_error_json, 401,
                         SLICE("not for this caller: send the admin token, or ask from a "
                               "trusted network"),
                         SLICE_NONE);
        else if (!is_method(e, r->method))
            refuse_method(call, e);
        else
            e->handle(a, call);
        return;
    }
    answer_error(call, anthropic_error_json, 404,
                 SLICE("there is nothing at this path; requests to providers "
                       "begin with /v1/, and / lists the rest"),
                 SLICE_NONE);
}

static void on_drained(void *arg)
{
    (void)arg;
}

static void on_gone(void *arg)
{
    struct admin_wait *wait = arg;
    wait->call = NULL;
}

static const struct connection_events wait_events = {on_drained, on_gone};

void admin_wait_init(struct admin_wait *wait, struct admin *admin, struct connection *call)
{
    wait->admin = admin;
    wait->call = call;
    connection_bind(call, &wait_events, wait);
}

static void answer(struct connection *call, int status, const char *content_type, struct slice text)
{
    struct http1_header headers[] = {{SLICE("content-type"), slice_of(content_type)},
                                     {SLICE("cache-control"), SLICE("no-store")}};
    struct answer a = {.status = status, .headers = headers, .header_count = 2};
    answer_whole(call, &a, text);
}

void admin_answer_text(struct connection *call, const char *content_type, struct slice text)
{
    answer(call, 200, content_type, text);
}

void admin_answer_json(struct connection *call, int status, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    answer(call, status, "application/json", slice_of(text));
    free(text);
}

void admin_answer_down(struct connection *call, struct state *state)
{
    char text[512] = "the node cannot reach its Redis: ";
    struct slice why = state_last_error(state);
    size_t used = strlen(text);
    if (why.len > sizeof(text) - used - 1)
        why.len = sizeof(text) - used - 1;
    if (why.len > 0)
        memcpy(text + used, why.at, why.len);
    answer_error(call, anthropic_error_json, 503, slice_of(text), SLICE_NONE);
}

struct admin *admin_new(const struct admin_options *options)
{
    struct admin *a = mem_new(sizeof(*a));
    a->options = *options;
    return a;
}

void admin_free(struct admin *a)
{
    if (a == NULL)
        return;
    config_release(a->config);
    free(a);
}

void admin_use_config(struct admin *a, struct config *config)
{
    config_release(a->config);
    a->config = config_hold(config);
}
