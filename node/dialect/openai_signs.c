/* What the head of an answer shows. Keys have limits for each model, with what is left of each
 * (x-ratelimit-remaining-requests, x-ratelimit-reset-requests). Subscriptions have windows, which
 * are known by their pattern: x-LIMIT-primary-used-percent and x-LIMIT-secondary-used-percent,
 * beside them -window-minutes and -reset-at or -reset-after-seconds. The limit "codex" is the
 * subscription's, any other one a family's of models. A window that is used up is closed only if
 * the answer is a refusal.
 * Source: the rate limit guide of the API's documentation; what the Codex client reads. */
#include <string.h>

#include "dialect/openai.h"
#include "dialect/signs_priv.h"
#include "format/retry_after.h"

enum { NAME_BYTES = 96, MINUTES_MAX = 10 * 366 * 24 * 60 };

enum endpoint_group openai_group(const struct http1_request *request)
{
    static const struct slice work[] = {
        SLICE_ROW("/v1/chat/completions"),
        SLICE_ROW("/v1/responses"),
        SLICE_ROW("/v1/completions"),
        SLICE_ROW("/v1/embeddings"),
    };
    /* clang-format off */
    static const struct slice own[] = {
        SLICE_ROW("/v1/chat"),
        SLICE_ROW("/v1/responses"),
        SLICE_ROW("/v1/models"),
        SLICE_ROW("/v1/files"),
        SLICE_ROW("/v1/uploads"),
        SLICE_ROW("/v1/batches"),
        SLICE_ROW("/v1/images"),
        SLICE_ROW("/v1/audio"),
        SLICE_ROW("/v1/videos"),
        SLICE_ROW("/v1/moderations"),
        SLICE_ROW("/v1/conversations"),
        SLICE_ROW("/v1/vector_stores"),
        SLICE_ROW("/v1/containers"),
        SLICE_ROW("/v1/realtime"),
        SLICE_ROW("/v1/fine_tuning"),
    };
    /* clang-format on */
    bool is_post = slice_eq(request->method, SLICE("POST"));
    for (size_t i = 0; is_post && i < sizeof(work) / sizeof(work[0]); i++)
        if (slice_eq(request->path, work[i]))
            return GROUP_MESSAGES;
    if (is_post && slice_eq(request->path, SLICE("/v1/responses/input_tokens")))
        return GROUP_COUNTING;
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (signs_is_below(request->path, own[i]))
            return GROUP_OWN;
    return GROUP_OTHER;
}

/* --- windows --- */

struct window {
    struct slice limit;    /* "codex" */
    struct slice position; /* "primary" */
};

static bool cut_end(struct slice *s, struct slice end)
{
    if (s->len <= end.len || !slice_eq_nocase(slice_from(*s, s->len - end.len), end))
        return false;
    s->len -= end.len;
    return true;
}

/* x-codex-primary-used-percent */
static bool is_window(struct slice name, struct window *window)
{
    /* clang-format off */
    static const struct slice positions[] = {
        SLICE_ROW("primary"),
        SLICE_ROW("secondary"),
    };
    /* clang-format on */
    if (!slice_starts_nocase(name, SLICE("x-")) || !cut_end(&name, SLICE("-used-percent")))
        return false;
    for (size_t i = 0; i < sizeof(positions) / sizeof(positions[0]); i++) {
        struct slice limit = slice_from(name, sizeof("x-") - 1);
        if (cut_end(&limit, positions[i]) && cut_end(&limit, SLICE("-"))) {
            *window = (struct window){limit, positions[i]};
            return true;
        }
    }
    return false;
}

static struct slice field_of(const struct http1_response *response, const struct window *window,
                             const char *field)
{
    char name[NAME_BYTES];
    const struct slice limit = window->limit, position = window->position;
    const struct slice end = slice_of(field), dash = SLICE("-");
    const struct slice parts[] = {SLICE("x-"), limit, dash, position, dash, end};
    if (window->limit.len + strlen(field) + sizeof("x--secondary-") > sizeof(name))
        return SLICE_NONE;
    slice_join(name, sizeof(name), parts, sizeof(parts) / sizeof(parts[0]));
    return signs_header(response, name);
}

/* "100", "100.0", "104": the digits before a point are enough. */
static bool is_full(struct slice percent)
{
    struct slice whole;
    uint64_t number;
    slice_cut(percent, '.', &whole);
    return slice_number(whole, UINT32_MAX, &number) && number >= 100;
}

/* 300: "5h"; 10080: "7d"; 90: "90m". Of a family with its name before that. Without a length it is
 * its position. */
static void name_window(const struct window *window, bool is_family, struct slice minutes,
                        char name[WINDOW_NAME_MAX + 1])
{
    enum { HOUR = 60, DAY = 24 * HOUR };
    char length[WINDOW_NAME_MAX + 1];
    uint64_t n;
    if (!slice_number(minutes, MINUTES_MAX, &n) || n == 0)
        snprintf(length, sizeof(length), "%.*s", SLICE_ARG(window->position));
    else if (n % DAY == 0)
        snprintf(length, sizeof(length), "%ud", (unsigned)(n / DAY));
    else if (n % HOUR == 0)
        snprintf(length, sizeof(length), "%uh", (unsigned)(n / HOUR));
    else
        snprintf(length, sizeof(length), "%um", (unsigned)n);
    int room = is_family ? WINDOW_NAME_MAX - (int)strlen(length) - 1 : 0;
    int shown = window->limit.len < (size_t)room ? (int)window->limit.len : room;
    snprintf(name, WINDOW_NAME_MAX + 1, "%.*s%s%.*s", shown, window->limit.at, is_family ? " " : "",
             WINDOW_NAME_MAX - shown, length);
}

static void read_window(const struct http1_response *response, const struct http1_header *h,
                        struct answer_signs *signs)
{
    struct window window;
    char name[WINDOW_NAME_MAX + 1];
    if (!is_window(h->name, &window))
        return;
    signs->has_limits = true;
    if (!is_full(slice_trim(h->value)))
        return;
    bool is_family = !slice_eq_nocase(window.limit, SLICE("codex"));
    struct slice reset = field_of(response, &window, "reset-at");
    if (reset.len == 0)
        reset = field_of(response, &window, "reset-after-seconds");
    name_window(&window, is_family, field_of(response, &window, "window-minutes"), name);
    signs_note_closed(signs, slice_of(name), is_family ? CLOSED_FAMILY : CLOSED_WINDOW, reset);
}

/* --- limits of keys --- */

static void read_key_limit(const struct http1_response *response, const struct http1_header *h,
                           struct answer_signs *signs)
{
    if (!slice_starts_nocase(h->name, SLICE("x-ratelimit-")))
        return;
    signs->has_limits = true;
    if (signs_is_used_up(h))
        signs_note_refill(response, h, signs);
}

void openai_read_signs(const struct http1_request *request, const struct http1_response *response,
                       uint64_t wall_ms, struct answer_signs *signs)
{
    *signs = (struct answer_signs){
        .status = response->status, .group = openai_group(request), .wall_ms = wall_ms};
    if (response->status < 400)
        return; /* what is left of its quota is another matter */
    signs->has_retry =
        retry_after_read(response->headers, response->header_count, wall_ms, &signs->retry_ms);
    signs->is_page =
        slice_starts_nocase(signs_header(response, "content-type"), SLICE("text/html"));
    for (unsigned i = 0; i < response->header_count; i++) {
        read_window(response, &response->headers[i], signs);
        read_key_limit(response, &response->headers[i], signs);
    }
}
