/* The JSON is walked, not the table: so what stands in the file but not in the table is seen. A
 * section is whatever path of a knob begins with; there is no list of sections. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/suggest.h"
#include "config/config_priv.h"

/* What is left of `path` behind `section`; NULL if it is elsewhere. */
static const char *behind(const char *path, const char *section)
{
    size_t len = strlen(section);
    return strncmp(path, section, len) == 0 ? path + len : NULL;
}

static const struct config_knob *find_knob(const char *section, const char *key)
{
    if (strpbrk(key, ".[") != NULL)
        return NULL;
    for (size_t i = 0; i < config_knob_count; i++) {
        const char *rest = behind(config_knobs[i].path, section);
        if (rest != NULL && strcmp(rest, key) == 0)
            return &config_knobs[i];
    }
    return NULL;
}

static bool is_later(const char *section, const char *key)
{
    for (size_t i = 0; i < config_later_path_count; i++) {
        const char *rest = behind(config_later_paths[i], section);
        if (rest != NULL && strcmp(rest, key) == 0)
            return true;
    }
    return false;
}

/* `section`.`key`. is the beginning of some knob's path: it goes into `out`. */
static bool is_section(const char *section, const char *key, char *out, size_t size)
{
    int len = snprintf(out, size, "%s%s.", section, key);
    if (len < 0 || (size_t)len >= size || strpbrk(key, ".[") != NULL)
        return false;
    for (size_t i = 0; i < config_knob_count; i++)
        if (behind(config_knobs[i].path, out) != NULL)
            return true;
    return false;
}

/* The field's or section's name that stands directly in `section`, or "" (deeper, elsewhere). */
static struct slice member_of(const char *section, const char *path)
{
    const char *rest = behind(path, section);
    struct slice name = SLICE_NONE;
    if (rest == NULL)
        return SLICE_NONE;
    (void)slice_cut(slice_of(rest), '.', &name);
    return memchr(name.at, '[', name.len) != NULL ? SLICE_NONE : name;
}

/* All that may stand in a section, separated by commas, and the one most like `key`. */
static struct slice nearest_member(const char *section, const char *key, char *all, size_t size)
{
    struct suggestion near = {0};
    struct slice former = SLICE_NONE;
    size_t used = 0;
    all[0] = '\0';
    for (size_t i = 0; i < config_knob_count; i++) {
        struct slice name = member_of(section, config_knobs[i].path);
        if (name.len == 0 || slice_eq(name, former))
            continue;
        former = name;
        suggest_consider(&near, slice_of(key), name);
        const char *comma = used > 0 ? ", " : "";
        int len = snprintf(all + used, size - used, "%s%.*s", comma, SLICE_ARG(name));
        if (len > 0 && (size_t)len < size - used)
            used += (size_t)len;
    }
    return near.best;
}

/* A field of that name in another section: someone has put it into the wrong one. */
static const char *same_name_elsewhere(const char *key)
{
    for (size_t i = 0; i < config_knob_count; i++) {
        const char *dot = strrchr(config_knobs[i].path, '.');
        if (dot != NULL && strcmp(dot + 1, key) == 0)
            return config_knobs[i].path;
    }
    return NULL;
}

static bool fail_unknown(struct config_reader *r, const char *section, const char *key)
{
    char all[512], expected[sizeof(all) + 16];
    struct slice near = nearest_member(section, key, all, sizeof(all));
    const char *elsewhere = same_name_elsewhere(key);
    snprintf(expected, sizeof(expected), "one of %s", all);
    if (!config_fail_field(r, key, is_later(section, key)))
        return false;
    if (is_later(section, key))
        return config_fail(r, expected, "not supported by this version");
    if (near.len > 0)
        return config_fail(r, expected, "unknown field (did you mean \"%.*s\"?)", SLICE_ARG(near));
    if (elsewhere != NULL)
        return config_fail(r, expected, "unknown field here (did you mean %s?)", elsewhere);
    return config_fail(r, expected, "unknown field");
}

bool config_read_knob(struct config_reader *r, const struct config_knob *knob, json_t *value,
                      void *base)
{
    return knob->kind->read(r, knob, value, (char *)base + knob->offset);
}

static bool read_member(struct config_reader *r, const char *section, const char *key,
                        json_t *value, void *base)
{
    char inner[sizeof(r->path)], found[CONFIG_FOUND_MAX];
    const struct config_knob *knob = find_knob(section, key);
    if (knob != NULL)
        return config_read_knob(r, knob, value, base);
    if (!is_section(section, key, inner, sizeof(inner)))
        return fail_unknown(r, section, key);
    if (!json_is_object(value)) /* a token, or a URL with a password, may stand there instead */
        return config_fail(r, "an object: { ... }", "found %s", config_found(value, true, found));
    return config_read_members(r, value, inner, base);
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the table's paths */
bool config_read_members(struct config_reader *r, json_t *object, const char *section, void *base)
{
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        const char *key = json_object_iter_key(at);
        size_t mark = config_path_begin(r, "%s%.64s", r->path[0] != '\0' ? "." : "", key);
        if (!read_member(r, section, key, json_object_iter_value(at), base))
            config_collect(r);
        config_path_end(r, mark);
    }
    return true;
}

/* A default is read like a value of the file, so it cannot be one that the file may not have. */
static bool read_initial(struct config_reader *r, const struct config_knob *knob, void *base)
{
    if (knob->initial == NULL)
        return true;
    json_t *value = json_loads(knob->initial, JSON_DECODE_ANY, NULL);
    assert(value != NULL);
    bool is_read = config_read_knob(r, knob, value, base);
    json_decref(value);
    return is_read;
}

static bool read_initials(struct config_reader *r, bool are_of_subscription, void *base)
{
    for (size_t i = 0; i < config_knob_count; i++)
        if (config_knob_is_of_subscription(&config_knobs[i]) == are_of_subscription &&
            !read_initial(r, &config_knobs[i], base))
            return false;
    return true;
}

bool config_read_defaults(struct config_reader *r)
{
    return read_initials(r, false, r->config);
}

bool config_add_subscription(struct config_reader *r, struct subscription **added)
{
    struct config *c = r->config;
    size_t count = c->subscription_count + 1;
    c->subscriptions = mem_resize(c->subscriptions, count * sizeof(*c->subscriptions));
    *added = &c->subscriptions[c->subscription_count];
    **added = (struct subscription){0};
    c->subscription_count = count;
    return read_initials(r, true, *added);
}
