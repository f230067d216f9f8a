#include <assert.h>
#include <inttypes.h>
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
    char all[512];
    struct slice near = nearest_member(section, key, all, sizeof(all));
    const char *elsewhere = same_name_elsewhere(key);
    if (is_later(section, key))
        return config_fail(r, "not supported by this version");
    if (near.len > 0)
        return config_fail(r, "unknown field; did you mean \"%.*s\"?", SLICE_ARG(near));
    if (elsewhere != NULL)
        return config_fail(r, "unknown field here; did you mean %s?", elsewhere);
    return config_fail(r, "unknown field; expected one of %s", all);
}

bool config_read_knob(struct config_reader *r, const struct config_knob *knob, json_t *value,
                      void *base)
{
    return knob->kind->read(r, knob, value, (char *)base + knob->offset);
}

static bool read_member(struct config_reader *r, const char *section, const char *key,
                        json_t *value, void *base)
{
    char inner[CONFIG_PATH_MAX], found[CONFIG_FOUND_MAX];
    const struct config_knob *knob = find_knob(section, key);
    if (knob != NULL)
        return config_read_knob(r, knob, value, base);
    if (!is_section(section, key, inner, sizeof(inner)))
        return fail_unknown(r, section, key);
    if (!json_is_object(value))
        return config_fail(r, "found %s, expected an object: { ... }",
                           config_found(value, false, found));
    return config_read_members(r, value, inner, base);
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the table's paths */
bool config_read_members(struct config_reader *r, json_t *object, const char *section, void *base)
{
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        const char *key = json_object_iter_key(at);
        size_t mark = config_path_begin(r, "%s%.64s", r->path[0] != '\0' ? "." : "", key);
        if (!read_member(r, section, key, json_object_iter_value(at), base))
            return false;
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

static bool is_of_draft(const struct config_knob *knob)
{
    return behind(knob->path, "subscriptions[].") != NULL;
}

bool config_read_defaults(struct config_reader *r)
{
    for (size_t i = 0; i < config_knob_count; i++)
        if (!is_of_draft(&config_knobs[i]) && !read_initial(r, &config_knobs[i], r->config))
            return false;
    return true;
}

bool config_read_draft_defaults(struct config_reader *r, struct config_draft *draft)
{
    for (size_t i = 0; i < config_knob_count; i++)
        if (is_of_draft(&config_knobs[i]) && !read_initial(r, &config_knobs[i], draft))
            return false;
    return true;
}

bool config_add_draft(struct config_reader *r, struct config_draft **draft)
{
    size_t count = r->draft_count + 1;
    r->drafts = mem_resize(r->drafts, count * sizeof(*r->drafts));
    *draft = &r->drafts[r->draft_count];
    **draft = (struct config_draft){0};
    r->draft_count = count;
    return config_read_draft_defaults(r, *draft);
}

static void put_words(const char *words, char *out, size_t size)
{
    struct slice rest = slice_of(words), word;
    size_t used = 0;
    const char *before = strchr(words, ' ') != NULL ? "one of " : "";
    while (rest.len > 0 && used < size) {
        rest = slice_cut(rest, ' ', &word);
        int len = snprintf(out + used, size - used, "%s\"%.*s\"", before, SLICE_ARG(word));
        used += len > 0 ? (size_t)len : 0;
        before = ", ";
    }
}

void config_expected(const struct config_knob *knob, char *out, size_t size)
{
    if (knob->kind->expected != NULL)
        snprintf(out, size, "%s", knob->kind->expected);
    else if (knob->kind->is_number)
        snprintf(out, size, "a whole number from %" PRIu64 " to %" PRIu64, knob->min, knob->max);
    else if (knob->words != NULL)
        put_words(knob->words, out, size);
    else
        snprintf(out, size, "a text of %" PRIu64 " to %" PRIu64 " bytes", knob->min, knob->max);
}

bool config_describe_knob(size_t index, struct config_knob_words *words)
{
    if (index >= config_knob_count)
        return false;
    const struct config_knob *knob = &config_knobs[index];
    *words = (struct config_knob_words){
        .path = knob->path,
        .initial = knob->initial != NULL ? knob->initial : knob->otherwise,
        .variable = knob->variable,
        .help = knob->help,
    };
    config_expected(knob, words->expected, sizeof(words->expected));
    return true;
}
