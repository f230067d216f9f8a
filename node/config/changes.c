/* Subscriptions are found again by their name, else by their account: so a rename is one, and not
 * a removal and an addition. Keys are told by the beginning of their SHA-256: they are long and
 * random, so nobody comes back from it. */
#include "config/changes.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config/config_priv.h"
#include "crypto/digest.h"

static void add(struct config_change_list *list, const char *format, ...) PRINTF_LIKE(2, 3);

static void add(struct config_change_list *list, const char *format, ...)
{
    size_t used = strlen(list->text), room = sizeof(list->text) - used;
    va_list args;
    va_start(args, format);
    int len = vsnprintf(list->text + used, room, format, args);
    va_end(args);
    if (list->listed == CONFIG_CHANGES_LISTED || len < 0 || (size_t)len + 2 > room) {
        list->text[used] = '\0';
        list->more++;
        return;
    }
    memcpy(list->text + used + (size_t)len, "\n", 2);
    list->listed++;
}

/* ---- subscriptions ---- */

static bool has_same_key(const struct subscription *a, const struct subscription *b)
{
    return slice_eq(secret_reveal(&a->api_key), secret_reveal(&b->api_key));
}

static void compare_key(const struct subscription *former, const struct subscription *s,
                        struct config_changes *changes)
{
    char old[DIGEST_TEXT_MAX], new[DIGEST_TEXT_MAX];
    if (has_same_key(former, s))
        return;
    digest_text(secret_reveal(&former->api_key), old);
    digest_text(secret_reveal(&s->api_key), new);
    add(&changes->rotated, "%s %s -> %s", s->name, old, new);
}

/* The name and the key have lists of their own. */
static void compare_fields(const struct subscription *former, const struct subscription *s,
                           struct config_changes *changes)
{
    for (size_t i = 0; i < config_knob_count; i++) {
        const struct config_knob *knob = &config_knobs[i];
        if (config_knob_is_of_subscription(knob) && knob->kind != &config_name &&
            knob->kind != &config_secret && config_knob_differs(knob, former, s))
            add(&changes->changed, "%s%s", s->name, strchr(knob->path, '.'));
    }
}

static const struct subscription *
former_of(const struct config *former, const struct config *wanted, const struct subscription *s)
{
    const struct subscription *found = config_subscription(former, slice_of(s->name));
    if (found != NULL)
        return found;
    found = config_account(former, slice_of(s->account));
    bool is_taken = found != NULL && config_subscription(wanted, slice_of(found->name)) != NULL;
    return is_taken ? NULL : found;
}

static void compare_subscription(const struct config *former, const struct config *wanted,
                                 const struct subscription *s, struct config_changes *changes)
{
    const struct subscription *old = former_of(former, wanted, s);
    if (old == NULL) {
        add(&changes->added, "%s", s->name);
        return;
    }
    if (strcmp(old->name, s->name) != 0)
        add(&changes->renamed, "%s -> %s", old->name, s->name);
    compare_key(old, s, changes);
    compare_fields(old, s, changes);
}

static void find_removed(const struct config *former, const struct config *wanted,
                         struct config_changes *changes)
{
    for (size_t i = 0; i < former->subscription_count; i++) {
        const struct subscription *s = &former->subscriptions[i], *heir;
        if (config_subscription(wanted, slice_of(s->name)) != NULL)
            continue;
        heir = config_account(wanted, slice_of(s->account));
        if (heir == NULL || config_subscription(former, slice_of(heir->name)) != NULL)
            add(&changes->removed, "%s", s->name);
    }
}

/* ---- the whole ---- */

static void compare_settings(const struct config *started, const struct config *former,
                             const struct config *wanted, struct config_changes *changes)
{
    for (size_t i = 0; i < config_knob_count; i++) {
        const struct config_knob *knob = &config_knobs[i];
        if (config_knob_is_of_subscription(knob) || knob->kind == &config_subscriptions)
            continue;
        if (config_knob_needs_restart(knob, started, wanted))
            add(&changes->needs_restart, "%s", knob->path);
        else if ((knob->flags & KNOB_RESTART) == 0 && config_knob_differs(knob, former, wanted))
            add(&changes->changed, "%s", knob->path);
    }
}

void config_compare(const struct config *started, const struct config *former,
                    const struct config *wanted, struct config_changes *changes)
{
    *changes = (struct config_changes){0};
    for (size_t i = 0; i < wanted->subscription_count; i++)
        compare_subscription(former, wanted, &wanted->subscriptions[i], changes);
    find_removed(former, wanted, changes);
    compare_settings(started, former, wanted, changes);
}

bool config_is_unchanged(const struct config_changes *c)
{
    return c->added.listed + c->removed.listed + c->renamed.listed + c->rotated.listed +
               c->changed.listed ==
           0;
}

static void tell_list(const char *word, const struct config_change_list *list,
                      char out[CONFIG_SUMMARY_MAX])
{
    struct slice rest = slice_of(list->text), item;
    const char *separator = out[0] != '\0' ? "; " : "";
    size_t used = strlen(out), size = CONFIG_SUMMARY_MAX;
    if (list->listed == 0)
        return;
    used += (size_t)snprintf(out + used, size - used, "%s%s", separator, word);
    for (separator = ""; rest.len > 0; separator = ", ") {
        rest = slice_cut(rest, '\n', &item);
        used += (size_t)snprintf(out + used, size - used, "%s%.*s", separator, SLICE_ARG(item));
        assert(used < size);
    }
    if (list->more > 0)
        snprintf(out + used, size - used, " and %u more", list->more);
}

void config_tell_changes(const struct config_changes *changes, char out[CONFIG_SUMMARY_MAX])
{
    snprintf(out, CONFIG_SUMMARY_MAX, "%s", config_is_unchanged(changes) ? "unchanged" : "");
    tell_list("added ", &changes->added, out);
    tell_list("removed ", &changes->removed, out);
    tell_list("renamed ", &changes->renamed, out);
    tell_list("rotated ", &changes->rotated, out);
    tell_list("changed ", &changes->changed, out);
    tell_list("needs a restart: ", &changes->needs_restart, out);
}

void config_tell_restart(const struct config_changes *changes, char out[CONFIG_SUMMARY_MAX])
{
    out[0] = '\0';
    tell_list("", &changes->needs_restart, out);
}
