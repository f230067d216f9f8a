/* Windows and limits, as far as the dialects agree on them: of many that are closed one is told. */
#include "dialect/signs_priv.h"

#include <string.h>

#include "format/delay.h"

static const struct slice remaining = SLICE_ROW("remaining");

bool signs_is_below(struct slice path, struct slice root)
{
    return slice_starts(path, root) && (path.len == root.len || path.at[root.len] == '/');
}

struct slice signs_header(const struct http1_response *response, const char *name)
{
    const struct http1_header *h =
        http1_header(response->headers, response->header_count, slice_of(name));
    return h != NULL ? slice_trim(h->value) : SLICE_NONE;
}

void signs_note_closed(struct answer_signs *signs, struct slice window, int width,
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

bool signs_is_used_up(const struct http1_header *h)
{
    return slice_eq(slice_trim(h->value), SLICE("0")) &&
           memmem(h->name.at, h->name.len, remaining.at, remaining.len) != NULL;
}

void signs_note_refill(const struct http1_response *response, const struct http1_header *used_up,
                       struct answer_signs *signs)
{
    char name[64];
    uint64_t refill_ms;
    struct slice full = used_up->name;
    const char *at = memmem(full.at, full.len, remaining.at, remaining.len);
    if (at == NULL || full.len >= sizeof(name))
        return;
    size_t before = (size_t)(at - full.at);
    const struct slice parts[] = {
        {full.at, before}, SLICE("reset"), slice_from(full, before + remaining.len)};
    slice_join(name, sizeof(name), parts, sizeof(parts) / sizeof(parts[0]));
    if (delay_read(signs_header(response, name), signs->wall_ms, &refill_ms) &&
        (!signs->has_refill || refill_ms > signs->refill_ms)) {
        signs->has_refill = true;
        signs->refill_ms = refill_ms;
    }
}
