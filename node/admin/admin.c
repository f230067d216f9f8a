/* A request is looked up in the table at its head, and what its row says is checked there; the
 * endpoint's function then only answers, at once or, through an admin_wait, when something else has
 * answered. Status and metrics, which wait for a look at the pool, stand in files of their own. */
#include "admin/admin.h"

#include <stdlib.h>
#include <string.h>

#include "admin/admin_priv.h"
#include "base/clock.h"
#include "base/mem.h"
#include "config/predecessors.h"
#include "dialect/dialect.h"

enum { BODY_BYTES_MAX = 4096 };

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
    else if (a->options.trouble(a->options.arg) != NULL)
        word = a->options.trouble(a->options.arg);
    else if (!state_can_admit(a->options.state))
        word = "redis down";
    bool is_ready = strcmp(word, "ready") == 0;
    admin_answer_json(call, is_ready ? 200 : 503, json_pack("{s:s}", "status", word));
}

struct admin_look {
    struct admin_wait wait; /* for a page; else: */
    admin_page_fn page;
    void (*on_seen)(const struct pool_snapshot *snapshot, struct slice why, void *arg);
    void *arg;
};

void admin_look(struct admin *a, struct connection *call, admin_page_fn page)
{
    struct admin_look *look = mem_new(sizeof(*look));
    admin_wait_init(&look->wait, a, call);
    look->page = page;
    a->options.on_look(look, a->options.arg);
}

void admin_look_on(struct admin *a,
                   void (*on_seen)(const struct pool_snapshot *snapshot, struct slice why,
                                   void *arg),
                   void *arg)
{
    struct admin_look *look = mem_new(sizeof(*look));
    *look = (struct admin_look){.on_seen = on_seen, .arg = arg};
    a->options.on_look(look, a->options.arg);
}

void admin_look_done(struct admin_look *look, const struct pool_snapshot *snapshot,
                     struct slice why)
{
    if (look->on_seen != NULL)
        look->on_seen(snapshot, why, look->arg);
    else if (look->wait.call != NULL)
        look->page(look->wait.admin, look->wait.call, snapshot, why);
    free(look);
}

static void service(struct admin *a, struct connection *call);

static const struct endpoint {
    const char *word;   /* in the list that / gives; NULL: not there */
    const char *method; /* GET answers HEAD too */
    const char *path;   /* with a slash at its end: and what stands behind it */
    bool is_open;       /* to everyone */
    void (*handle)(struct admin *admin, struct connection *call);
    /* Instead, where what came with the request counts; the message is borrowed. */
    void (*take)(struct admin *admin, struct connection *call, const struct http_message *message);
} endpoints[] = {
    {NULL, "GET", "/", true, service, NULL},
    {"health", "GET", "/health", true, health, NULL},
    {"ready", "GET", "/ready", true, ready, NULL},
    {"status", "GET", "/status", false, admin_status, NULL},
    {"metrics", "GET", "/metrics", false, admin_metrics, NULL},
    {"reload", "POST", "/admin/reload", false, NULL, admin_ask_reload},
    {"drain", "POST", "/admin/drain", false, admin_ask_drain, NULL},
    {"cooldown_clear", "POST", "/api/cooldown/clear", false, NULL, admin_clear_cooldown},
    {"strategy", "GET", "/api/config/strategy", false, admin_strategy, NULL},
    {NULL, "POST", "/api/config/strategy", false, NULL, admin_set_strategy},
    {"strategies", "GET", "/api/strategies", false, admin_strategies, NULL},
    {"request", "GET", ADMIN_REQUESTS_PATH, false, NULL, admin_recall},
};

static void service(struct admin *a, struct connection *call)
{
    json_t *list = json_object();
    struct slice prefix = dialect_default()->path_prefix;
    (void)a;
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++)
        if (endpoints[i].word != NULL)
            json_object_set_new(list, endpoints[i].word, json_string(endpoints[i].path));
    json_object_set_new(list, "proxy", json_sprintf("%.*s*", SLICE_ARG(prefix)));
    admin_answer_json(call, 200,
                      json_pack("{s:s, s:s, s:o}", "service", "Weir", "version", WEIR_VERSION,
                                "endpoints", list));
}

/* A balancer's plainest check, and a question that does no harm. */
static void options(struct admin *a, struct connection *call)
{
    struct http1_header allow = {SLICE("allow"), SLICE("GET, HEAD, POST, OPTIONS")};
    struct answer answer = {.status = 204, .headers = &allow, .header_count = 1};
    (void)a;
    answer_begin(call, &answer);
    answer_end(call);
}

static const struct endpoint of_options = {NULL, "OPTIONS", "*", true, options, NULL};

static bool is_at(const struct endpoint *e, struct slice path)
{
    struct slice own = slice_of(e->path);
    bool has_more = own.len > 1 && own.at[own.len - 1] == '/' && path.len > own.len;
    return slice_eq(path, own) || (has_more && slice_starts(path, own) &&
                                   predecessor_find(PREDECESSOR_PATH, path) == NULL);
}

static bool is_method(const struct endpoint *e, struct slice method)
{
    return slice_eq(method, slice_of(e->method)) ||
           (strcmp(e->method, "GET") == 0 && slice_eq(method, SLICE("HEAD")));
}

/* The one with this method, or else any at this path. */
static const struct endpoint *endpoint_of(const struct http1_request *r)
{
    const struct endpoint *found = NULL;
    if (slice_eq(r->method, SLICE("OPTIONS")))
        return &of_options;
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++)
        if (is_at(&endpoints[i], r->path) && (found == NULL || is_method(&endpoints[i], r->method)))
            found = &endpoints[i];
    return found;
}

/* The methods that this path has. */
static struct slice allowed(struct slice path)
{
    bool has_get = false, has_post = false;
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
        bool is_here = is_at(&endpoints[i], path);
        has_get |= is_here && strcmp(endpoints[i].method, "GET") == 0;
        has_post |= is_here && strcmp(endpoints[i].method, "POST") == 0;
    }
    if (!has_get)
        return SLICE("POST");
    return has_post ? SLICE("GET, HEAD, POST") : SLICE("GET, HEAD");
}

/* Where anybody may ask, nobody may make us hold what we shall not read; what is read is short. */
static bool brings_too_much(const struct http1_request *r)
{
    return r->framing == HTTP1_CHUNKED || (r->framing == HTTP1_SIZED && r->length > BODY_BYTES_MAX);
}

/* A predecessor's path has its equal elsewhere; no other is anything. */
static struct http_refusal nothing_here(struct http_message *m)
{
    const struct predecessor_word *w = predecessor_find(PREDECESSOR_PATH, m->request.path);
    const char *why = "there is nothing at this path; requests to providers begin with /v1/, and / "
                      "lists the rest";
    char here[PREDECESSOR_HERE_MAX];
    if (w != NULL)
        why = arena_printf(&m->arena, "%s is a path of %s; here it is %s", w->word, w->whose->name,
                           predecessor_here(w, here))
                  .at;
    return (struct http_refusal){.status = 404, .why = why};
}

struct http_refusal admin_head(struct admin *a, struct http_message *m, const struct access *access)
{
    const struct endpoint *e = endpoint_of(&m->request);
    if (e == NULL)
        return nothing_here(m);
    if (!e->is_open) {
        struct access_refusal no = access_to_admin(a->config, access, &m->request, &m->arena);
        if (no.status != 0)
            return (struct http_refusal){.status = no.status, .why = no.why};
    }
    if (!is_method(e, m->request.method))
        return (struct http_refusal){.status = 405,
                                     .why = "this path has another method, see allow",
                                     .header = {SLICE("allow"), allowed(m->request.path)}};
    if ((e->is_open || e->take != NULL) && brings_too_much(&m->request))
        return (struct http_refusal){.status = 413,
                                     .why = "this path takes no body to speak of: at most 4 KiB, "
                                            "and of known length"};
    m->purpose = e;
    return (struct http_refusal){0};
}

void admin_handle(struct admin *a, struct connection *call, const struct http_message *m)
{
    const struct endpoint *e = m->purpose;
    if (e->take != NULL)
        e->take(a, call, m);
    else
        e->handle(a, call);
}

char *admin_body_text(struct slice body, const char *key)
{
    json_t *json =
        json_loadb(body.at != NULL ? body.at : "", body.len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *text = json_object_get(json, key);
    bool is_text =
        json_string_length(text) > 0 && strlen(json_string_value(text)) == json_string_length(text);
    char *copy = is_text ? mem_string(slice_of(json_string_value(text))) : NULL;
    json_decref(json);
    return copy;
}

void admin_answer_error(struct connection *call, int status, struct slice message)
{
    answer_error(call, dialect_default()->write_error, status, message, SLICE_NONE);
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

struct admin *admin_new(const struct admin_options *options)
{
    struct admin *a = mem_new(sizeof(*a));
    a->options = *options;
    list_init(&a->reloads);
    return a;
}

void admin_free(struct admin *a)
{
    if (a == NULL)
        return;
    admin_reload_all_end(a);
    config_release(a->config);
    free(a);
}

void admin_use_config(struct admin *a, struct config *config)
{
    config_release(a->config);
    a->config = config_hold(config);
}
