/* One scan of the body with a path for each fact; the system prompt and the messages come as they
 * stand, and their beginnings are hashed. Of what names the conversation, headers need no body. */
#include <string.h>

#include "base/hash.h"
#include "dialect/anthropic.h"
#include "format/json_array.h"
#include "format/json_scan.h"

enum path { MODEL, FALLBACKS, STREAM, MAX_TOKENS, TOOLS, USER, CACHE_KEY, SYSTEM, MESSAGES, PATHS };

static const char *const paths[PATHS] = {
    [MODEL] = "model",
    [FALLBACKS] = "fallbacks",
    [STREAM] = "stream",
    [MAX_TOKENS] = "max_tokens",
    [TOOLS] = "tools",
    [USER] = "metadata.user_id",
    [CACHE_KEY] = "prompt_cache_key",
    [SYSTEM] = "system",
    [MESSAGES] = "messages",
};

enum { RAW_LOOK_BYTES = 4096 }; /* so much of a small array is looked into */

struct text {
    size_t len;
    char at[JSON_SCAN_VALUE_MAX];
};

/* What is found on the way. A key may be given any number of times: the last one counts, and only
 * that is kept. Slices are borrowed from the body, which outlives the scan. */
struct reading {
    struct request_facts facts;
    struct text model, user, cache_key;
    struct slice fallbacks, system, messages;
    struct arena *arena;
};

static struct slice cut(struct slice s, size_t len)
{
    return (struct slice){s.at, s.len < len ? s.len : len};
}

static bool is_filled(struct slice array)
{
    struct slice rest, element;
    return json_array_open(array, &rest) && json_array_next(&rest, &element);
}

static void keep_text(struct text *text, struct slice value)
{
    text->len = value.len;
    memcpy(text->at, value.at, value.len);
}

static struct slice copy_text(const struct reading *r, const struct text *text)
{
    return text->len > 0 ? arena_copy(r->arena, (struct slice){text->at, text->len}) : SLICE_NONE;
}

static void take_text(struct reading *r, unsigned path, struct slice value)
{
    if (path == MODEL)
        keep_text(&r->model, value);
    else if (path == USER)
        keep_text(&r->user, value);
    else if (path == CACHE_KEY)
        keep_text(&r->cache_key, value);
}

static void take_raw(struct reading *r, unsigned path, struct slice raw)
{
    if (path == FALLBACKS)
        r->fallbacks = raw;
    else if (path == SYSTEM)
        r->system = raw;
    else if (path == MESSAGES)
        r->messages = raw;
    else if (path == TOOLS)
        r->facts.has_tools = is_filled(cut(raw, RAW_LOOK_BYTES));
}

static void on_fact(void *arg, unsigned path, enum json_kind kind, struct slice value)
{
    struct reading *r = arg;
    if (path == STREAM)
        r->facts.is_stream = kind == JSON_SCAN_TRUE;
    else if (path == MODEL && kind != JSON_SCAN_STRING)
        r->model.len = 0;
    else if (path == MAX_TOKENS && kind == JSON_SCAN_NUMBER)
        slice_number(value, UINT64_MAX, &r->facts.max_tokens);
    else if (kind == JSON_SCAN_STRING)
        take_text(r, path, value);
    else if (kind == JSON_SCAN_RAW)
        take_raw(r, path, value);
}

static void add_model(struct reading *r, struct slice name)
{
    if (name.len == 0 || r->facts.model_count == FACTS_MODELS_MAX)
        return;
    r->facts.models[r->facts.model_count++] = arena_copy(r->arena, cut(name, FACTS_TEXT_MAX));
}

static void on_fallback(void *arg, unsigned path, enum json_kind kind, struct slice value)
{
    (void)path;
    if (kind == JSON_SCAN_STRING)
        add_model(arg, value);
}

/* Names, or objects with a "model". Only behind a main one. */
static void read_fallbacks(struct reading *r)
{
    static const char *const model[] = {"model"};
    struct json_scan scan;
    struct slice rest, element;
    if (r->facts.model_count == 0 || !json_array_open(cut(r->fallbacks, RAW_LOOK_BYTES), &rest))
        return;
    while (r->facts.model_count < FACTS_MODELS_MAX && json_array_next(&rest, &element)) {
        if (element.at[0] == '"' && element.len > 2) {
            add_model(r, (struct slice){element.at + 1, element.len - 2});
        } else {
            json_scan_init(&scan, model, 1, on_fallback, r);
            json_scan_feed(&scan, element);
        }
    }
}

/* Conversations that begin alike have their prompt in one provider's cache: the same number for
 * them, however they go on. */
static uint64_t hash_prefix(const struct reading *r)
{
    struct slice rest, first = SLICE_NONE;
    if (json_array_open(cut(r->messages, FACTS_PREFIX_BYTES), &rest))
        (void)json_array_next(&rest, &first);
    if (r->system.len == 0 && first.len == 0)
        return 0;
    return hash_bytes(hash_bytes(0, cut(r->system, FACTS_PREFIX_BYTES)), first);
}

static struct slice request_value(const struct http1_request *r, struct slice name)
{
    const struct http1_header *h = http1_header(r->headers, r->header_count, name);
    return h != NULL ? h->value : SLICE_NONE;
}

void anthropic_read_facts(const struct http1_request *request, struct slice body,
                          struct arena *arena, struct request_facts *facts)
{
    struct reading r;
    struct json_scan scan;
    memset(&r, 0, sizeof(r));
    r.arena = arena;
    json_scan_init(&scan, paths, PATHS, on_fact, &r);
    json_scan_want_raw(&scan, FALLBACKS);
    json_scan_want_raw(&scan, TOOLS);
    json_scan_want_raw(&scan, SYSTEM);
    json_scan_want_raw(&scan, MESSAGES);
    json_scan_feed(&scan, body);
    *facts = (struct request_facts){0};
    if (json_scan_is_complete(&scan)) {
        add_model(&r, (struct slice){r.model.at, r.model.len});
        read_fallbacks(&r);
        *facts = r.facts;
        facts->user = copy_text(&r, &r.user);
        facts->cache_key = copy_text(&r, &r.cache_key);
        facts->prefix_hash = hash_prefix(&r);
    }
    facts->session = request_value(request, SLICE("x-claude-code-session-id"));
    facts->agent = request_value(request, SLICE("x-claude-code-agent-id"));
}
