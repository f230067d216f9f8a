/* What the head of an answer shows: which limit is reached, and until when. Subscriptions have
 * windows, anthropic-ratelimit-unified-WINDOW-FIELD, known by their pattern and not by their names:
 * one that begins with a length of time ("5h", "7d") is the whole subscription's, with a suffix
 * ("7d_opus") a family of models has it alone. What has no length ("overage", "slow", "grace") is a
 * lane beside them, and never closes them. Keys have limits with what is left of each. */
#include <string.h>

#include "dialect/anthropic.h"
#include "format/delay.h"
#include "format/retry_after.h"

#define UNIFIED "anthropic-ratelimit-unified-"

struct reading {
    const struct http1_response *response;
    struct answer_signs *signs;
};

/* --- where it came from --- */

static bool is_below(struct slice path, struct slice root)
{
    return slice_starts(path, root) && (path.len == root.len || path.at[root.len] == '/');
}

enum endpoint_group anthropic_group(const struct http1_request *request)
{
    static const struct slice own[] = {
        SLICE_ROW("/v1/messages/batches"),
        SLICE_ROW("/v1/files"),
        SLICE_ROW("/v1/models"),
        SLICE_ROW("/v1/skills"),
    };
    bool is_post = slice_eq(request->method, SLICE("POST"));
    if (is_post && slice_eq(request->path, SLICE("/v1/messages")))
        return GROUP_MESSAGES;
    if (is_post && slice_eq(request->path, SLICE("/v1/messages/count_tokens")))
        return GROUP_COUNTING;
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (is_below(request->path, own[i]))
            return GROUP_OWN;
    return GROUP_OTHER;
}

/* --- windows --- */

static struct slice value_of(const struct reading *r, const char *name)
{
    const struct http1_response *response = r->response;
    const struct http1_header *h =
        http1_header(response->headers, response->header_count, slice_of(name));
    return h != NULL ? slice_trim(h->value) : SLICE_NONE;
}

static bool is_unit(char c)
{
    return c == 's' || c == 'm' || c == 'h' || c == 'd' || c == 'w';
}

/* "5h", "7d", "30d": a length of time; `suffix` gets what is behind it. */
static bool is_length(struct slice window, struct slice *suffix)
{
    size_t digits = 0;
    while (digits < window.len && window.at[digits] >= '0' && window.at[digits] <= '9')
        digits++;
    if (digits == 0 || digits == window.len || !is_unit(window.at[digits]))
        return false;
    *suffix = slice_from(window, digits + 1);
    return suffix->len == 0 || suffix->at[0] == '_' || suffix->at[0] == '-';
}

static bool says_no(struct slice status)
{
    return slice_eq(status, SLICE("rejected")) || slice_eq(status, SLICE("blocked"));
}

/* This window is closed. The widest counts, and of several as wide the one that opens last. */
static void note_closed(struct answer_signs *signs, struct slice window, int width,
                        struct slice reset)
{
    uint64_t reset_ms = 0;
    bool has_reset = delay_read(reset, signs->wall_ms, &reset_ms);
    if (width < (int)signs->closed ||
        (width == (int)signs->closed && (!has_reset || reset_ms < signs->reset_ms)))
        return;
    size_t len = window.len < WINDOW_NAME_MAX ? window.len : WINDOW_NAME_MAX;
    memcpy(signs->window, window.at, len);
    signs->window[len] = '\0';
    signs->closed = width;
    signs->has_reset = has_reset;
    signs->reset_ms = reset_ms;
}

static struct slice reset_of(const struct reading *r, struct slice window)
{
    char name[sizeof(UNIFIED) + WINDOW_NAME_MAX + sizeof("-reset")];
    if (window.len > WINDOW_NAME_MAX)
        return SLICE_NONE;
    const struct slice parts[] = {SLICE(UNIFIED), window, SLICE("-reset")};
    slice_join(name, sizeof(name), parts, sizeof(parts) / sizeof(parts[0]));
    struct slice own = value_of(r, name);
    return own.len > 0 ? own : value_of(r, UNIFIED "reset");
}

/* anthropic-ratelimit-unified-WINDOW-status: rejected */
static void read_window(const struct reading *r, const struct http1_header *h)
{
    static const struct slice end = SLICE_ROW("-status");
    struct slice window = slice_from(h->name, sizeof(UNIFIED) - 1), suffix;
    if (!slice_starts_nocase(h->name, SLICE(UNIFIED)) || window.len <= end.len ||
        !slice_eq_nocase(slice_from(window, window.len - end.len), end) ||
        !says_no(slice_trim(h->value)))
        return;
    window.len -= end.len;
    if (is_length(window, &suffix))
        note_closed(r->signs, window, suffix.len > 0 ? CLOSED_FAMILY : CLOSED_WINDOW,
                    reset_of(r, window));
    else
        note_closed(r->signs, window, CLOSED_LANE, reset_of(r, window));
}

/* The claim that closed it all, where no window says so itself. */
static void read_claim(const struct reading *r)
{
    /* clang-format off */
    static const struct {
        struct slice claim;
        const char *window;
        int width;
    } claims[] = {
        {SLICE_ROW("five_hour"), "5h", CLOSED_WINDOW},
        {SLICE_ROW("seven_day"), "7d", CLOSED_WINDOW},
        {SLICE_ROW("overage"), "overage", CLOSED_LANE},
    };
    /* clang-format on */
    struct slice claim = value_of(r, UNIFIED "representative-claim");
    struct slice reset = value_of(r, UNIFIED "reset");
    if (r->signs->closed != CLOSED_NONE || !says_no(value_of(r, UNIFIED "status")))
        return;
    for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++)
        if (slice_eq(claim, claims[i].claim)) {
            note_closed(r->signs, slice_of(claims[i].window), claims[i].width, reset);
            return;
        }
    if (claim.len > 0) /* a family's, and whatever comes after it */
        note_closed(r->signs, claim, CLOSED_FAMILY, reset);
    else if (reset.len > 0)
        note_closed(r->signs, SLICE("unified"), CLOSED_WINDOW, reset);
}

static void read_lanes(const struct reading *r)
{
    struct slice slow = value_of(r, UNIFIED "slow-status");
    struct slice why = value_of(r, UNIFIED "overage-disabled-reason");
    uint64_t slow_ms;
    if (slice_eq(slow, SLICE("slot_busy")) || slice_eq(slow, SLICE("active"))) {
        r->signs->is_low_lane = true;
        if (delay_read(value_of(r, UNIFIED "slow-retry-after"), r->signs->wall_ms, &slow_ms)) {
            r->signs->has_retry = true;
            r->signs->retry_ms = slow_ms;
        }
    }
    r->signs->is_unsure = slice_eq(why, SLICE("fetch_error")) || slice_eq(why, SLICE("unknown"));
}

/* --- limits of keys --- */

/* anthropic-ratelimit-tokens-remaining, x-ratelimit-remaining-tokens: 0. The name of the header
 * that says when it is full again goes to `reset`. */
static bool is_used_up(const struct http1_header *h, char *reset, size_t size)
{
    static const struct slice word = SLICE_ROW("remaining");
    const char *at = memmem(h->name.at, h->name.len, word.at, word.len);
    if (at == NULL || !slice_eq(slice_trim(h->value), SLICE("0")) || h->name.len >= size)
        return false;
    size_t before = (size_t)(at - h->name.at);
    const struct slice parts[] = {
        {h->name.at, before}, SLICE("reset"), slice_from(h->name, before + word.len)};
    slice_join(reset, size, parts, sizeof(parts) / sizeof(parts[0]));
    return true;
}

/* Fast mode and priority have tokens of their own: without them the subscription is as good as
 * before. */
static void read_key_limit(const struct reading *r, const struct http1_header *h)
{
    char name[64];
    uint64_t refill_ms;
    struct answer_signs *signs = r->signs;
    bool is_lane = slice_starts_nocase(h->name, SLICE("anthropic-fast-")) ||
                   slice_starts_nocase(h->name, SLICE("anthropic-priority-"));
    if (is_lane || slice_starts_nocase(h->name, SLICE("anthropic-ratelimit-")) ||
        slice_starts_nocase(h->name, SLICE("x-ratelimit-")))
        signs->has_limits = true;
    if (!is_used_up(h, name, sizeof(name)))
        return;
    if (is_lane)
        note_closed(signs, SLICE("fast or priority"), CLOSED_LANE, SLICE_NONE);
    else if (delay_read(value_of(r, name), signs->wall_ms, &refill_ms) &&
             (!signs->has_refill || refill_ms > signs->refill_ms)) {
        signs->has_refill = true;
        signs->refill_ms = refill_ms;
    }
}

void anthropic_read_signs(const struct http1_request *request,
                          const struct http1_response *response, uint64_t wall_ms,
                          struct answer_signs *signs)
{
    struct reading r = {response, signs};
    *signs = (struct answer_signs){
        .status = response->status, .group = anthropic_group(request), .wall_ms = wall_ms};
    if (response->status < 400)
        return; /* what is left of its quota is another matter */
    signs->has_retry =
        retry_after_read(response->headers, response->header_count, wall_ms, &signs->retry_ms);
    signs->is_page = slice_starts_nocase(value_of(&r, "content-type"), SLICE("text/html"));
    for (unsigned i = 0; i < response->header_count; i++) {
        read_window(&r, &response->headers[i]);
        read_key_limit(&r, &response->headers[i]);
    }
    read_claim(&r);
    read_lanes(&r);
}
