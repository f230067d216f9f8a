/* What the head of an answer shows: which limit is reached, and until when. Subscriptions have
 * windows, anthropic-ratelimit-unified-WINDOW-FIELD, known by their pattern and not by their names:
 * one that begins with a length of time ("5h", "7d") is the whole subscription's, with a suffix
 * ("7d_opus") a family of models has it alone. What has no length ("overage", "slow", "grace") is a
 * lane beside them, and never closes them. Keys have limits with what is left of each. */
#include <string.h>

#include "dialect/anthropic.h"
#include "dialect/signs_priv.h"
#include "format/delay.h"
#include "format/retry_after.h"
#include "format/window_name.h"

#define UNIFIED "anthropic-ratelimit-unified-"

struct reading {
    const struct http1_response *response;
    struct answer_signs *signs;
};

/* --- where it came from --- */

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
        if (signs_is_below(request->path, own[i]))
            return GROUP_OWN;
    return GROUP_OTHER;
}

/* --- windows --- */

static bool says_no(struct slice status)
{
    return slice_eq(status, SLICE("rejected")) || slice_eq(status, SLICE("blocked"));
}

static struct slice reset_of(const struct reading *r, struct slice window)
{
    char name[sizeof(UNIFIED) + WINDOW_NAME_MAX + sizeof("-reset")];
    if (window.len > WINDOW_NAME_MAX)
        return SLICE_NONE;
    const struct slice parts[] = {SLICE(UNIFIED), window, SLICE("-reset")};
    slice_join(name, sizeof(name), parts, sizeof(parts) / sizeof(parts[0]));
    struct slice own = signs_header(r->response, name);
    return own.len > 0 ? own : signs_header(r->response, UNIFIED "reset");
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
    if (window_name_is(window, &suffix))
        signs_note_closed(r->signs, window, suffix.len > 0 ? CLOSED_FAMILY : CLOSED_WINDOW,
                          reset_of(r, window));
    else
        signs_note_closed(r->signs, window, CLOSED_LANE, reset_of(r, window));
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
    struct slice claim = signs_header(r->response, UNIFIED "representative-claim");
    struct slice reset = signs_header(r->response, UNIFIED "reset");
    if (r->signs->closed != CLOSED_NONE || !says_no(signs_header(r->response, UNIFIED "status")))
        return;
    for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++)
        if (slice_eq(claim, claims[i].claim)) {
            signs_note_closed(r->signs, slice_of(claims[i].window), claims[i].width, reset);
            return;
        }
    if (claim.len > 0) /* a family's, and whatever comes after it */
        signs_note_closed(r->signs, claim, CLOSED_FAMILY, reset);
    else if (reset.len > 0)
        signs_note_closed(r->signs, SLICE("unified"), CLOSED_WINDOW, reset);
}

static void read_lanes(const struct reading *r)
{
    struct slice slow = signs_header(r->response, UNIFIED "slow-status");
    struct slice why = signs_header(r->response, UNIFIED "overage-disabled-reason");
    uint64_t slow_ms;
    if (slice_eq(slow, SLICE("slot_busy")) || slice_eq(slow, SLICE("active"))) {
        r->signs->is_low_lane = true;
        if (delay_read(signs_header(r->response, UNIFIED "slow-retry-after"), r->signs->wall_ms,
                       &slow_ms)) {
            r->signs->has_retry = true;
            r->signs->retry_ms = slow_ms;
        }
    }
    r->signs->is_unsure = slice_eq(why, SLICE("fetch_error")) || slice_eq(why, SLICE("unknown"));
}

/* --- limits of keys --- */

/* Fast mode and priority have tokens of their own: without them the subscription is as good as
 * before. */
static void read_key_limit(const struct reading *r, const struct http1_header *h)
{
    struct answer_signs *signs = r->signs;
    bool is_lane = slice_starts_nocase(h->name, SLICE("anthropic-fast-")) ||
                   slice_starts_nocase(h->name, SLICE("anthropic-priority-"));
    if (is_lane || slice_starts_nocase(h->name, SLICE("anthropic-ratelimit-")) ||
        slice_starts_nocase(h->name, SLICE("x-ratelimit-")))
        signs->has_limits = true;
    if (signs_is_used_up(h) && is_lane)
        signs_note_closed(signs, SLICE("fast or priority"), CLOSED_LANE, SLICE_NONE);
    else if (signs_is_used_up(h))
        signs_note_refill(r->response, h, signs);
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
    signs->is_page =
        slice_starts_nocase(signs_header(response, "content-type"), SLICE("text/html"));
    for (unsigned i = 0; i < response->header_count; i++) {
        read_window(&r, &response->headers[i]);
        read_key_limit(&r, &response->headers[i]);
    }
    read_claim(&r);
    read_lanes(&r);
}
