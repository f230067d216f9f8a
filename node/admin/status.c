/* GET /status: the whole pool as Redis has it, the same from every node. */
#include <stdio.h>
#include <stdlib.h>

#include "admin/admin_priv.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "refusal/tried.h"

/* What Redis holds may have been written by anyone. */
json_t *admin_text(struct slice text)
{
    char *copy = mem_string(text);
    utf8_repair(copy, text.len);
    json_t *json = json_stringn(copy, text.len);
    free(copy);
    return json;
}

/* Redis knows no key: its face is what this node's configuration has at that account. */
static void add_face(json_t *json, const struct admin *a, const struct pool_subscription *s)
{
    const struct subscription *own = config_account(a->config, s->account);
    if (own != NULL)
        json_object_set_new(json, "key", json_string(own->face));
}

static json_t *windows_json(struct slice windows)
{
    json_t *json = json_object();
    struct pool_window w;
    char name[65], time[CLOCK_TEXT_MAX];
    while (pool_window_next(&windows, &w)) {
        json_t *one = json_pack("{s:f}", "utilization", (double)w.used / 10000);
        if (w.reset_ms > 0)
            json_object_set_new(one, "resets_at",
                                json_string((clock_text(w.reset_ms, time), time)));
        json_object_set_new(one, "seen_at", json_string((clock_text(w.seen_ms, time), time)));
        snprintf(name, sizeof(name), "%.*s", SLICE_ARG(w.name));
        json_object_set_new(json, name, one);
    }
    return json;
}

static json_t *subscription_json(const struct admin *a, const struct pool_subscription *s)
{
    json_t *json =
        json_pack("{s:o, s:i, s:i, s:i, s:b, s:I, s:I, s:I, s:b, s:i}", "name", admin_text(s->name),
                  "active_connections", (int)s->active, "max_concurrent", (int)s->max, "available",
                  (int)s->available, "in_cooldown", (int)(s->cooldown_ms > 0), "cooldown_remaining",
                  (json_int_t)((s->cooldown_ms + 999) / 1000), "total_requests",
                  (json_int_t)s->requests, "total_errors", (json_int_t)s->errors, "enabled",
                  (int)s->is_enabled, "priority", (int)s->priority);
    add_face(json, a, s);
    json_object_set_new(json, "held_back", json_integer(s->held_back));
    if (s->held_by.len > 0)
        json_object_set_new(json, "held_back_by", admin_text(s->held_by));
    json_object_set_new(json, "tier", json_integer(s->tier));
    if (s->session_since_ms > 0)
        json_object_set_new(json, "session_since_ms",
                            json_integer((json_int_t)s->session_since_ms));
    json_object_set_new(json, "state", admin_text(s->state));
    if (s->cooldown_ms > 0)
        json_object_set_new(json, "cooldown_reason", admin_text(s->cooldown_reason));
    json_object_set_new(json, "health", admin_text(s->health));
    json_object_set_new(json, "windows", windows_json(s->windows));
    if (s->limits.len > 0)
        json_object_set_new(json, "limits", admin_text(s->limits));
    json_object_set_new(
        json, "tokens",
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "input", (json_int_t)s->input, "output",
                  (json_int_t)s->output, "output_estimated", (json_int_t)s->output_estimated,
                  "cache_read", (json_int_t)s->cache_read, "cache_write_5m",
                  (json_int_t)s->cache_write_5m, "cache_write_1h", (json_int_t)s->cache_write_1h));
    return json;
}

static json_t *node_json(const struct pool_node *n)
{
    json_t *json =
        json_pack("{s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:b, s:o}", "id", admin_text(n->id), "boot",
                  admin_text(n->boot), "version", admin_text(n->version), "config",
                  admin_text(n->config_digest), "seen_ms_ago", (json_int_t)n->seen_ms_ago, "leases",
                  (json_int_t)n->leases, "active", (json_int_t)n->active, "behind",
                  (int)n->is_behind, "lacks", admin_text(n->lacks));
    if (n->reload_result.len > 0)
        json_object_set_new(json, "reload",
                            json_pack("{s:o, s:o, s:I}", "result", admin_text(n->reload_result),
                                      "words", admin_text(n->reload_words), "asked",
                                      (json_int_t)n->reload_asked));
    return json;
}

static json_t *client_json(const struct pool_client *c)
{
    json_t *tokens =
        json_pack("{s:I, s:I, s:I, s:I, s:I}", "input", (json_int_t)c->input, "output",
                  (json_int_t)c->output, "cache_read", (json_int_t)c->cache_read, "cache_write_5m",
                  (json_int_t)c->cache_write_5m, "cache_write_1h", (json_int_t)c->cache_write_1h);
    return json_pack("{s:o, s:I, s:I, s:I, s:o}", "name", admin_text(c->name), "running",
                     (json_int_t)c->running, "requests", (json_int_t)c->requests, "errors",
                     (json_int_t)c->errors, "tokens", tokens);
}

static void add_clients(json_t *json, const struct pool_snapshot *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->client_count; i++)
        json_array_append_new(list, client_json(&s->clients[i]));
    json_object_set_new(json, "clients", list);
    json_object_set_new(json, "clients_today", json_integer((json_int_t)s->clients_today));
    json_object_set_new(json, "leases_unread", json_integer((json_int_t)s->leases_unread));
}

/* What a request would hear now, in the words that a caller hears. */
static json_t *refused_json(const struct pool_request *r, uint64_t wall_ms)
{
    struct tried nothing = {0};
    struct arena arena;
    struct slice model = SLICE_NONE;
    const struct tried_time now = {clock_ns(), wall_ms};
    if (slice_starts(r->label, SLICE("model:")))
        model = slice_from(r->label, SLICE("model:").len);
    arena_init(&arena);
    tried_note_refusal(&nothing, &r->refusal, now.now_ns, &arena);
    const struct own_words words = tried_words(&nothing, model, now, &arena);
    json_t *json = json_pack("{s:b, s:i, s:o}", "admitted", 0, "status", words.status, "text",
                             admin_text(words.text));
    if (words.retry_ms > 0)
        json_object_set_new(json, "retry_after",
                            json_integer((json_int_t)((words.retry_ms + 999) / 1000)));
    arena_fini(&arena);
    return json;
}

static json_t *request_json(const struct pool_request *r, const struct pool_snapshot *s)
{
    unsigned long long free = r->available, all = s->slots.total;
    json_t *json =
        r->available == 0
            ? refused_json(r, s->now_ms)
            : json_pack("{s:b, s:o}", "admitted", 1, "text",
                        json_sprintf("admitted at once (%llu of %llu slots free)", free, all));
    json_object_set_new(json, "for", admin_text(r->label));
    json_object_set_new(json, "available", json_integer((json_int_t)r->available));
    return json;
}

static void add_requests(json_t *json, const struct pool_snapshot *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->request_count; i++)
        json_array_append_new(list, request_json(&s->requests[i], s));
    json_object_set_new(json, "requests_now", list);
    json_object_set_new(json, "closing_labels", json_integer((json_int_t)s->closing));
}

static json_t *slots_json(const struct pool_slots *slots)
{
    json_t *held = json_object();
    for (unsigned i = 0; i < HOLDS; i++)
        json_object_set_new(held, hold_words[i], json_integer((json_int_t)slots->held[i]));
    return json_pack("{s:I, s:I, s:I, s:o}", "total", (json_int_t)slots->total, "in_use",
                     (json_int_t)slots->in_use, "free", (json_int_t)slots->free, "held_back", held);
}

/* What the pool has, all of it; total_capacity counts what is enabled. */
static void add_totals(json_t *json, const struct pool_snapshot *s)
{
    json_int_t capacity = 0, held_back = 0;
    uint64_t active = s->slots.in_use + s->slots.above_max;
    for (size_t i = 0; i < s->subscription_count; i++)
        capacity += s->subscriptions[i].is_enabled ? s->subscriptions[i].max : 0;
    for (unsigned i = 0; i < HOLDS; i++)
        held_back += (json_int_t)s->slots.held[i];
    json_object_set_new(json, "total_active", json_integer((json_int_t)active));
    json_object_set_new(json, "total_capacity", json_integer(capacity));
    json_object_set_new(json, "available_capacity", json_integer((json_int_t)s->slots.free));
    json_object_set_new(json, "held_back_capacity", json_integer(held_back));
    json_object_set_new(json, "slots", slots_json(&s->slots));
    json_object_set_new(json, "above_max", json_integer((json_int_t)s->slots.above_max));
    add_requests(json, s);
}

static json_t *status_json(const struct admin *a, const struct pool_snapshot *s)
{
    char time[CLOCK_TEXT_MAX];
    json_t *subscriptions = json_array(), *nodes = json_array();
    for (size_t i = 0; i < s->subscription_count; i++)
        json_array_append_new(subscriptions, subscription_json(a, &s->subscriptions[i]));
    for (size_t i = 0; i < s->node_count; i++)
        json_array_append_new(nodes, node_json(&s->nodes[i]));
    clock_text(s->now_ms, time);
    json_t *json = json_pack("{s:o}", "subscriptions", subscriptions);
    add_totals(json, s);
    json_object_set_new(json, "timestamp", json_string(time));
    json_object_set_new(json, "node",
                        json_pack("{s:s, s:s, s:s}", "id", a->options.node->id, "boot",
                                  a->options.node->boot, "version", WEIR_VERSION));
    json_object_set_new(json, "redis", json_string("up"));
    json_object_set_new(json, "pool", json_string(a->config->redis.pool));
    json_object_set_new(json, "leases", json_integer((json_int_t)s->leases));
    json_object_set_new(json, "epoch", json_integer((json_int_t)s->epoch));
    json_object_set_new(json, "restoring_ms", json_integer((json_int_t)s->closed_ms));
    json_object_set_new(json, "roster", json_integer((json_int_t)s->generation));
    json_object_set_new(json, "strategy", admin_text(s->strategy));
    json_object_set_new(json, "strategy_said_by", admin_text(s->strategy_by));
    json_object_set_new(json, "nodes", nodes);
    add_clients(json, s);
    return json;
}

static void answer_down(struct connection *call, struct slice why)
{
    enum { WHY_MAX = 400 };
    char text[WHY_MAX + 64];
    if (why.len > WHY_MAX)
        why.len = WHY_MAX;
    snprintf(text, sizeof(text), "the node cannot reach its Redis: %.*s", SLICE_ARG(why));
    admin_answer_error(call, 503, slice_of(text));
}

static void answer_status(struct admin *a, struct connection *call,
                          const struct pool_snapshot *snapshot, struct slice why)
{
    if (snapshot == NULL)
        answer_down(call, why);
    else
        admin_answer_json(call, 200, status_json(a, snapshot));
}

void admin_status(struct admin *a, struct connection *call)
{
    admin_look(a, call, answer_status);
}
