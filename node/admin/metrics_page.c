/* GET /metrics: what this node counted, and the pool's subscriptions as Redis has them. With Redis
 * away the node's own figures are still there, and weir_redis_connections_up says why the rest is
 * not. They are there as well if Redis holds more subscriptions than a page has room for, which no
 * node has declared. */
#include <assert.h>
#include <inttypes.h>

#include "admin/admin_priv.h"

enum { PAGE_BYTES_MAX = 4 << 20 };

static const char content_type[] = "text/plain; version=0.0.4; charset=utf-8";

struct gauge_row {
    const char *metric;
    const char *type;
    const char *help;
    uint64_t (*value)(const struct pool_subscription *s);
};

static uint64_t active(const struct pool_subscription *s)
{
    return s->active;
}

static uint64_t max(const struct pool_subscription *s)
{
    return s->max;
}

static uint64_t available(const struct pool_subscription *s)
{
    return s->available;
}

static uint64_t held_back(const struct pool_subscription *s)
{
    return s->held_back;
}

static uint64_t cooldown_seconds(const struct pool_subscription *s)
{
    return (s->cooldown_ms + 999) / 1000;
}

static uint64_t enabled(const struct pool_subscription *s)
{
    return s->is_enabled ? 1 : 0;
}

static uint64_t requests(const struct pool_subscription *s)
{
    return s->requests;
}

static uint64_t errors(const struct pool_subscription *s)
{
    return s->errors;
}

static uint64_t input(const struct pool_subscription *s)
{
    return s->input + s->cache_read + s->cache_write_5m + s->cache_write_1h;
}

static uint64_t output(const struct pool_subscription *s)
{
    return s->output;
}

static const struct gauge_row rows[] = {
    {"weir_subscription_active", "gauge", "Slots in use, cluster-wide.", active},
    {"weir_subscription_max_concurrent", "gauge", "Slots there are.", max},
    {"weir_subscription_available", "gauge", "Slots a request would get now, cluster-wide.",
     available},
    {"weir_subscription_held_back", "gauge",
     "Free slots no request would get now: it cools, is broken, off or on trial; cluster-wide.",
     held_back},
    {"weir_subscription_cooldown_seconds", "gauge", "Seconds until it may be used again.",
     cooldown_seconds},
    {"weir_subscription_enabled", "gauge", "1 if it may be used at all.", enabled},
    {"weir_subscription_requests_total", "counter", "Attempts settled, cluster-wide.", requests},
    {"weir_subscription_errors_total", "counter", "Of those, errors.", errors},
    {"weir_subscription_input_tokens_total", "counter", "Input tokens, cached ones included.",
     input},
    {"weir_subscription_output_tokens_total", "counter", "Output tokens.", output},
};

/* Redis may have been written to by anyone, and an id is a person's: no byte of a name can leave
 * its label. */
static void put_label(struct slice name, char to[NAME_BYTES_MAX + 1])
{
    if (name.len > NAME_BYTES_MAX)
        name.len = NAME_BYTES_MAX;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        bool is_plain = c > ' ' && c < 0x7f && c != '"' && c != '\\';
        to[i] = c;
        if (!is_plain)
            to[i] = '_';
    }
    to[name.len] = '\0';
}

static bool render_row(struct buf *page, const struct gauge_row *row,
                       const struct pool_subscription *s)
{
    char name[NAME_BYTES_MAX + 1];
    put_label(s->name, name);
    return buf_printf(page, "%s{subscription=\"%s\"} %" PRIu64 "\n", row->metric, name,
                      row->value(s));
}

static bool render_windows(struct buf *page, const struct pool_subscription *s)
{
    char name[NAME_BYTES_MAX + 1], window[NAME_BYTES_MAX + 1];
    struct slice rest = s->windows;
    struct pool_window w;
    bool fits = true;
    put_label(s->name, name);
    while (fits && pool_window_next(&rest, &w)) {
        put_label(w.name, window);
        fits = buf_printf(page,
                          "weir_subscription_window_used_ratio{subscription=\"%s\",window=\"%s\"} "
                          "%" PRIu64 ".%04" PRIu64 "\n",
                          name, window, w.used / 10000, w.used % 10000);
    }
    return fits;
}

static bool render_all_windows(struct buf *page, const struct pool_snapshot *snapshot)
{
    bool fits = buf_printf(page, "# HELP weir_subscription_window_used_ratio How much of a quota "
                                 "window is used, as its provider said last.\n"
                                 "# TYPE weir_subscription_window_used_ratio gauge\n");
    for (size_t i = 0; i < snapshot->subscription_count && fits; i++)
        fits = render_windows(page, &snapshot->subscriptions[i]);
    return fits;
}

/* Whatever they are, they are there once: the rows add up to all slots. */
static bool render_slots(struct buf *page, const struct pool_slots *slots)
{
    bool fits =
        buf_printf(page,
                   "# HELP weir_slots All slots of the pool, by what they are; cluster-wide."
                   "\n# TYPE weir_slots gauge\n"
                   "weir_slots{is=\"in_use\"} %" PRIu64 "\n"
                   "weir_slots{is=\"free\"} %" PRIu64 "\n",
                   slots->in_use, slots->free);
    for (unsigned i = 0; i < HOLDS && fits; i++)
        fits =
            buf_printf(page, "weir_slots{is=\"%s\"} %" PRIu64 "\n", hold_words[i], slots->held[i]);
    return fits && buf_printf(page,
                              "# HELP weir_slots_above_max Slots in use beyond a maximum that was "
                              "lowered or restored.\n# TYPE weir_slots_above_max gauge\n"
                              "weir_slots_above_max %" PRIu64 "\n",
                              slots->above_max);
}

static bool render_pool(struct buf *page, const struct pool_snapshot *snapshot)
{
    bool fits = true;
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]) && fits; r++) {
        fits = buf_printf(page, "# HELP %s %s\n# TYPE %s %s\n", rows[r].metric, rows[r].help,
                          rows[r].metric, rows[r].type);
        for (size_t i = 0; i < snapshot->subscription_count && fits; i++)
            fits = render_row(page, &rows[r], &snapshot->subscriptions[i]);
    }
    return fits && render_all_windows(page, snapshot) && render_slots(page, &snapshot->slots) &&
           buf_printf(page,
                      "# HELP weir_nodes Nodes seen lately.\n# TYPE weir_nodes gauge\n"
                      "weir_nodes %zu\n",
                      snapshot->node_count);
}

static bool render_own(struct buf *page, const struct admin *a)
{
    char node[NAME_BYTES_MAX + 1];
    put_label(slice_of(a->options.node->id), node);
    return metrics_render(a->options.metrics, a->options.metrics_count, page) &&
           budget_render(a->options.budget, page) &&
           buf_printf(page,
                      "# HELP weir_build_info Version, and which node's figures these are.\n"
                      "# TYPE weir_build_info gauge\n"
                      "weir_build_info{version=\"%s\",node=\"%s\",boot=\"%s\"} 1\n",
                      WEIR_VERSION, node, a->options.node->boot);
}

static void answer_metrics(struct admin *a, struct connection *call,
                           const struct pool_snapshot *snapshot, struct slice why)
{
    struct buf page;
    (void)why;
    buf_init(&page, PAGE_BYTES_MAX);
    bool fits = render_own(&page, a);
    assert(fits); /* nothing of it is from outside */
    size_t own_bytes = buf_len(&page);
    if (snapshot != NULL && !render_pool(&page, snapshot))
        buf_truncate(&page, own_bytes);
    admin_answer_text(call, content_type, buf_slice(&page));
    buf_fini(&page);
}

void admin_metrics(struct admin *a, struct connection *call)
{
    admin_look(a, call, answer_metrics);
}
