/* How much is used. Subscriptions tell it of each window:
 * anthropic-ratelimit-unified-5h-utilization and -reset; keys have limits a minute, of which they
 * tell how much is left. */
#include "dialect/anthropic.h"
#include "dialect/quota.h"
#include "dialect/signs_priv.h"
#include "format/delay.h"
#include "format/window_name.h"

#define UNIFIED "anthropic-ratelimit-unified-"
#define LIMITS "anthropic-ratelimit-"
#define LIMIT_MAX 1000000000000 /* so that ten times as much is a number too */

/* What `name` with `end` in place of its own last `cut` bytes says. */
static struct slice sibling(const struct http1_response *response, struct slice name, size_t cut,
                            const char *end)
{
    char text[128];
    const struct slice parts[] = {{name.at, name.len - cut}, slice_of(end)};
    if (name.len - cut + slice_of(end).len >= sizeof(text))
        return SLICE_NONE;
    slice_join(text, sizeof(text), parts, sizeof(parts) / sizeof(parts[0]));
    return signs_header(response, text);
}

static bool has_ends(struct slice name, struct slice beginning, struct slice end,
                     struct slice *middle)
{
    if (!slice_starts_nocase(name, beginning) || name.len <= beginning.len + end.len ||
        !slice_eq_nocase(slice_from(name, name.len - end.len), end))
        return false;
    *middle = (struct slice){name.at + beginning.len, name.len - beginning.len - end.len};
    return true;
}

/* Windows without a length (overage, slow, grace) are lanes beside them. */
static void read_window(const struct http1_response *response, const struct http1_header *h,
                        uint64_t wall_ms, struct quota *quota)
{
    static const struct slice end = SLICE_ROW("-utilization");
    struct slice window, suffix;
    uint64_t after_ms;
    uint32_t used;
    if (!has_ends(h->name, SLICE(UNIFIED), end, &window) || !window_name_is(window, &suffix) ||
        !quota_read_share(slice_trim(h->value), &used))
        return;
    bool has_reset = delay_read(sibling(response, h->name, end.len, "-reset"), wall_ms, &after_ms);
    quota_add(quota, window, used, has_reset ? (wall_ms + after_ms + 500) / 1000 : 0);
}

/* A limit a minute is refilled all the time: told in tenths and without its moving end, so that
 * it is something new only when it is. */
static void read_key_limit(const struct http1_response *response, const struct http1_header *h,
                           struct quota *quota)
{
    static const struct slice end = SLICE_ROW("-remaining");
    struct slice kind, dot = SLICE("1m.");
    uint64_t left, limit;
    char name[WINDOW_NAME_MAX + 1];
    if (!has_ends(h->name, SLICE(LIMITS), end, &kind) ||
        slice_starts_nocase(h->name, SLICE(UNIFIED)) || dot.len + kind.len > WINDOW_NAME_MAX ||
        !slice_number(slice_trim(h->value), LIMIT_MAX, &left) ||
        !slice_number(sibling(response, h->name, end.len, "-limit"), LIMIT_MAX, &limit) ||
        limit == 0)
        return;
    const struct slice parts[] = {dot, kind};
    slice_join(name, sizeof(name), parts, 2);
    uint64_t tenths = left >= limit ? 0 : (limit - left) * 10 / limit;
    quota_add(quota, slice_of(name), (uint32_t)tenths * (QUOTA_FULL / 10), 0);
}

void anthropic_read_quota(const struct http1_response *response, uint64_t wall_ms,
                          struct quota *quota)
{
    *quota = (struct quota){0};
    for (unsigned i = 0; i < response->header_count; i++) {
        const struct http1_header *h = &response->headers[i];
        if (!slice_starts_nocase(h->name, SLICE(LIMITS)))
            continue;
        read_window(response, h, wall_ms, quota);
        read_key_limit(response, h, quota);
    }
}
