/* A value is compared, and told to other nodes, by its text (put() of its kind): one way for all
 * kinds, and a setting with a flag in its row is compared without another line of code. The texts
 * may hold secrets: they live in one buffer each, which is wiped. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/config_priv.h"

enum { VALUE_TEXT_MAX = 16 * 1024 };

static void wipe(struct buf *text)
{
    if (text->at != NULL)
        explicit_bzero(text->at, text->cap);
    buf_fini(text);
}

static void put_value(const struct config_knob *knob, const void *base, struct buf *out)
{
    if (knob->kind->put != NULL)
        knob->kind->put(knob, (const char *)base + knob->offset, out);
}

/* ---- what a restart is needed for ---- */

struct difference {
    bool is_other;
    bool is_switched; /* one of them has none */
};

static struct difference difference(const struct config_knob *knob, const void *a, const void *b)
{
    struct difference d;
    struct buf left, right;
    buf_init(&left, VALUE_TEXT_MAX);
    buf_init(&right, VALUE_TEXT_MAX);
    put_value(knob, a, &left);
    put_value(knob, b, &right);
    d.is_switched = (buf_len(&left) == 0) != (buf_len(&right) == 0);
    d.is_other = !slice_eq(buf_slice(&left), buf_slice(&right));
    wipe(&left);
    wipe(&right);
    return d;
}

bool config_knob_differs(const struct config_knob *knob, const void *a, const void *b)
{
    return difference(knob, a, b).is_other;
}

bool config_knob_needs_restart(const struct config_knob *knob, const struct config *running,
                               const struct config *wanted)
{
    struct difference d = difference(knob, running, wanted);
    return ((knob->flags & KNOB_RESTART) != 0 && d.is_other) ||
           ((knob->flags & KNOB_RESTART_ON_OFF) != 0 && d.is_switched);
}

bool config_needs_restart(const struct config *running, const struct config *wanted, char *paths,
                          size_t size)
{
    size_t used = 0;
    paths[0] = '\0';
    for (size_t i = 0; i < config_knob_count; i++) {
        const struct config_knob *knob = &config_knobs[i];
        if (!config_knob_needs_restart(knob, running, wanted))
            continue;
        int len = snprintf(paths + used, size - used, "%s%s", used > 0 ? ", " : "", knob->path);
        if (len > 0 && (size_t)len < size - used)
            used += (size_t)len;
    }
    return used > 0;
}

/* ---- the digest ---- */

static int by_name(const void *a, const void *b)
{
    const struct subscription *const *left = a, *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

/* FNV-1a: it only has to differ when the settings do. */
static uint32_t add_text(uint32_t digest, struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        digest = (digest ^ (unsigned char)text.at[i]) * 16777619u;
    return digest;
}

static uint32_t add_shared(uint32_t digest, bool are_of_subscription, const void *base)
{
    struct buf text;
    buf_init(&text, VALUE_TEXT_MAX);
    for (size_t i = 0; i < config_knob_count; i++) {
        const struct config_knob *knob = &config_knobs[i];
        if ((knob->flags & KNOB_SHARED) == 0 ||
            config_knob_is_of_subscription(knob) != are_of_subscription)
            continue;
        buf_clear(&text);
        put_value(knob, base, &text);
        digest = add_text(digest, slice_of(knob->path));
        digest = add_text(digest, buf_slice(&text));
    }
    wipe(&text);
    return digest;
}

/* In an order of its own: that of the file says nothing. */
void config_make_digest(struct config *c)
{
    size_t pointer_size = sizeof(const struct subscription *); /* NOLINT: that is what is meant */
    const struct subscription **sorted = mem_new(c->subscription_count * pointer_size);
    uint32_t digest = add_shared(2166136261u, false, c);
    for (size_t i = 0; i < c->subscription_count; i++)
        sorted[i] = &c->subscriptions[i];
    qsort(sorted, c->subscription_count, pointer_size, by_name);
    for (size_t i = 0; i < c->subscription_count; i++)
        digest = add_shared(digest, true, sorted[i]);
    free(sorted);
    snprintf(c->digest, sizeof(c->digest), "%08" PRIx32, digest);
}
