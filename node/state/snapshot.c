/* The reply (lua/verb/snapshot.lua describes it) as plain structs, its texts copied. Kinds and keys
 * that are not known here are skipped, so a newer library may answer an older node. */
#include "state/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "state/state_priv.h"

struct request {
    state_snapshot_fn on_snapshot;
    void *arg;
};

static struct slice section_kind(const struct redis_value *section)
{
    return redis_value_slice(redis_value_at(section, 0));
}

/* The value of `key` in a section's flat list of pairs, or NULL. */
static const struct redis_value *value(const struct redis_value *section, const char *key)
{
    const struct redis_value *pairs = redis_value_at(section, 1);
    for (size_t i = 0; i + 1 < redis_value_count(pairs); i += 2)
        if (slice_eq(redis_value_slice(redis_value_at(pairs, i)), slice_of(key)))
            return redis_value_at(pairs, i + 1);
    return NULL;
}

static struct slice text_of(const struct redis_value *section, const char *key)
{
    return redis_value_slice(value(section, key));
}

static uint64_t number_of(const struct redis_value *section, const char *key)
{
    return redis_value_number(value(section, key));
}

static struct slice kept(struct arena *texts, const struct redis_value *section, const char *key)
{
    return arena_copy(texts, text_of(section, key));
}

static void read_subscription(const struct redis_value *from, struct arena *texts,
                              struct pool_subscription *to)
{
    *to = (struct pool_subscription){
        .name = kept(texts, from, "name"),
        .account = kept(texts, from, "account"),
        .state = kept(texts, from, "state"),
        .active = (uint32_t)number_of(from, "active"),
        .max = (uint32_t)number_of(from, "max"),
        .available = (uint32_t)number_of(from, "available"),
        .held_back = (uint32_t)number_of(from, "held_back"),
        .held_by = kept(texts, from, "held_by"),
        .priority = (uint32_t)number_of(from, "priority"),
        .tier = (uint32_t)number_of(from, "tier"),
        .session_since_ms = number_of(from, "session_since_ms"),
        .is_enabled = number_of(from, "enabled") != 0,
        .cooldown_ms = number_of(from, "cooldown_remaining_ms"),
        .cooldown_reason = kept(texts, from, "cooldown_reason"),
        .health = kept(texts, from, "health"),
        .windows = kept(texts, from, "windows"),
        .limits = kept(texts, from, "limits"),
        .requests = number_of(from, "total_requests"),
        .errors = number_of(from, "total_errors"),
        .input = number_of(from, "total_input"),
        .output = number_of(from, "total_output"),
        .output_estimated = number_of(from, "total_output_estimated"),
        .cache_read = number_of(from, "total_cache_read"),
        .cache_write_5m = number_of(from, "total_cache_write_5m"),
        .cache_write_1h = number_of(from, "total_cache_write_1h"),
    };
}

static uint64_t cut_number(struct slice *rest)
{
    struct slice text;
    uint64_t number = 0;
    *rest = slice_cut(*rest, ':', &text);
    (void)slice_number(text, UINT64_MAX, &number);
    return number;
}

bool pool_window_next(struct slice *rest, struct pool_window *window)
{
    struct slice one;
    if (rest->len == 0)
        return false;
    *rest = slice_cut(*rest, ' ', &one);
    one = slice_cut(one, ':', &window->name);
    window->used = cut_number(&one);
    window->reset_ms = cut_number(&one);
    window->seen_ms = cut_number(&one);
    return true;
}

static void read_node(const struct redis_value *from, struct arena *texts, struct pool_node *to)
{
    *to = (struct pool_node){
        .id = kept(texts, from, "id"),
        .boot = kept(texts, from, "boot"),
        .version = kept(texts, from, "version"),
        .config_digest = kept(texts, from, "digest"),
        .seen_ms_ago = number_of(from, "heartbeat_ms_ago"),
        .leases = number_of(from, "leases"),
        .active = number_of(from, "active"),
        .reload_asked = number_of(from, "reload_asked"),
        .reload_result = kept(texts, from, "reload_result"),
        .reload_words = kept(texts, from, "reload_words"),
        .is_behind = number_of(from, "behind") != 0,
        .lacks = kept(texts, from, "lacks"),
    };
}

static void read_request(const struct redis_value *from, struct arena *texts,
                         struct pool_request *to)
{
    struct refusal r = state_read_refusal_fields(redis_value_at(from, 1));
    *to = (struct pool_request){kept(texts, from, "for"), number_of(from, "available"),
                                refusal_copy(&r, texts)};
}

static void read_client(const struct redis_value *from, struct arena *texts, struct pool_client *to)
{
    *to = (struct pool_client){
        .name = kept(texts, from, "name"),
        .running = number_of(from, "running"),
        .requests = number_of(from, "requests"),
        .errors = number_of(from, "errors"),
        .input = number_of(from, "input"),
        .output = number_of(from, "output"),
        .cache_read = number_of(from, "cache_read"),
        .cache_write_5m = number_of(from, "cache_write_5m"),
        .cache_write_1h = number_of(from, "cache_write_1h"),
    };
}

const char *const hold_words[] = {
#define X(name, word) [HOLD_##name] = (word),
    HOLD_TABLE(X)
#undef X
};

static struct pool_slots read_slots(const struct redis_value *from)
{
    char key[32];
    uint64_t active = number_of(from, "active"), above = number_of(from, "above_max");
    struct pool_slots slots = {.total = number_of(from, "slots"),
                               .in_use = active > above ? active - above : 0,
                               .free = number_of(from, "available"),
                               .above_max = above};
    for (unsigned i = 0; i < HOLDS; i++) {
        snprintf(key, sizeof(key), "held_%s", hold_words[i]);
        slots.held[i] = number_of(from, key);
    }
    return slots;
}

static void read_pool(const struct redis_value *from, struct pool_snapshot *snapshot)
{
    struct arena *texts = &snapshot->texts;
    snapshot->closing = number_of(from, "closing");
    snapshot->clients_today = number_of(from, "clients");
    snapshot->leases_unread = number_of(from, "leases_unread");
    snapshot->slots = read_slots(from);
    snapshot->leases = number_of(from, "leases");
    snapshot->now_ms = number_of(from, "now_ms");
    snapshot->epoch = number_of(from, "epoch");
    snapshot->closed_ms = number_of(from, "closed_ms");
    snapshot->generation = number_of(from, "generation");
    snapshot->strategy = kept(texts, from, "strategy");
    snapshot->strategy_by = kept(texts, from, "strategy_by");
}

static void read_sections(const struct redis_value *reply, struct pool_snapshot *snapshot)
{
    size_t sections = redis_value_count(reply);
    struct arena *texts = &snapshot->texts;
    struct pool_subscription *subscriptions =
        arena_new(texts, (sections + 1) * sizeof(*subscriptions));
    struct pool_node *nodes = arena_new(texts, (sections + 1) * sizeof(*nodes));
    struct pool_request *requests = arena_new(texts, (sections + 1) * sizeof(*requests));
    snapshot->subscriptions = subscriptions;
    snapshot->nodes = nodes;
    struct pool_client *clients = arena_new(texts, (sections + 1) * sizeof(*clients));
    snapshot->requests = requests;
    snapshot->clients = clients;
    for (size_t i = 0; i < sections; i++) {
        const struct redis_value *section = redis_value_at(reply, i);
        struct slice kind = section_kind(section);
        if (slice_eq(kind, SLICE("subscription"))) {
            read_subscription(section, texts, &subscriptions[snapshot->subscription_count++]);
        } else if (slice_eq(kind, SLICE("node"))) {
            read_node(section, texts, &nodes[snapshot->node_count++]);
        } else if (slice_eq(kind, SLICE("request"))) {
            read_request(section, texts, &requests[snapshot->request_count++]);
        } else if (slice_eq(kind, SLICE("client"))) {
            read_client(section, texts, &clients[snapshot->client_count++]);
        } else if (slice_eq(kind, SLICE("pool"))) {
            read_pool(section, snapshot);
        }
    }
}

static struct pool_snapshot *snapshot_of(const struct redis_value *reply)
{
    struct pool_snapshot *snapshot = mem_new(sizeof(*snapshot));
    atomic_init(&snapshot->references, 1);
    arena_init(&snapshot->texts);
    read_sections(reply, snapshot);
    return snapshot;
}

struct pool_snapshot *snapshot_hold(struct pool_snapshot *snapshot)
{
    atomic_fetch_add(&snapshot->references, 1);
    return snapshot;
}

void snapshot_release(struct pool_snapshot *snapshot)
{
    if (snapshot == NULL || atomic_fetch_sub(&snapshot->references, 1) > 1)
        return;
    arena_fini(&snapshot->texts);
    free(snapshot);
}

static void on_answer(struct fcall *call, enum err err, const struct redis_value *reply)
{
    struct request *request = call->arg;
    struct pool_snapshot *snapshot = err == OK ? snapshot_of(reply) : NULL;
    fcall_free(call);
    request->on_snapshot(err, snapshot, request->arg);
    snapshot_release(snapshot);
    free(request);
}

void state_snapshot(struct state *state, state_snapshot_fn on_snapshot, void *arg)
{
    struct request *request = mem_new(sizeof(*request));
    *request = (struct request){on_snapshot, arg};
    fcall_send(fcall_new(&state->calls, VERB_SNAPSHOT, NULL, 0), on_answer, request);
}
