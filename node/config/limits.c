/* Ceilings of a subscription: how much of each window may be used. Kept as the pool is told of
 * them, "5h:9000:0,7d:8000:9500": window, soft and hard, in ten-thousandths, 0 for none. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "config/config_priv.h"
#include "format/window_name.h"

enum { LIMITS_MAX = 16, WINDOW_BYTES_MAX = 23, TEXT_MAX = 512, FULL = 10000 };

static const char share_expected[] = "a share of the window, above 0 and at most 1, like 0.9";

/* `json`: NULL is none. */
static bool read_share(struct config_reader *r, const char *member, const json_t *json,
                       unsigned *share)
{
    char found[CONFIG_FOUND_MAX];
    double value = json_number_value(json);
    *share = 0;
    if (json == NULL)
        return true;
    size_t mark = config_path_begin(r, member[0] != '\0' ? ".%s" : "%s", member);
    if (!json_is_number(json) || !(value > 0) || value > 1)
        return config_fail(r, share_expected, "found %s", config_found(json, false, found));
    config_path_end(r, mark);
    *share = (unsigned)(value * FULL + 0.5);
    if (*share == 0)
        *share = 1;
    return true;
}

static bool read_members(struct config_reader *r, json_t *object, unsigned *soft, unsigned *hard)
{
    const char *key;
    json_t *value;
    char found[CONFIG_FOUND_MAX];
    json_object_foreach(object, key, value)
    {
        bool is_soft = slice_eq(slice_of(key), SLICE("soft"));
        if (!is_soft && !slice_eq(slice_of(key), SLICE("hard")))
            return config_fail(r, "\"soft\" and \"hard\"", "unknown field \"%.32s\"", key);
        if (!read_share(r, key, value, is_soft ? soft : hard))
            return false;
    }
    if (*soft == 0 && *hard == 0)
        return config_fail(r, share_expected, "found %s", config_found(object, true, found));
    if (*hard > 0 && *soft > *hard)
        return config_fail(r, "soft below hard", "a soft ceiling above the hard one");
    return true;
}

/* A number is the soft ceiling: others first. */
static bool read_one(struct config_reader *r, json_t *value, unsigned *soft, unsigned *hard)
{
    *soft = *hard = 0;
    if (json_is_object(value))
        return read_members(r, value, soft, hard);
    return read_share(r, "", value, soft);
}

static bool is_name(const char *key)
{
    struct slice name = slice_of(key), suffix;
    if (name.len > WINDOW_BYTES_MAX || !window_name_is(name, &suffix))
        return false;
    for (size_t i = 0; i < suffix.len; i++) {
        char c = suffix.at[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_' && c != '-' && c != '.')
            return false;
    }
    return true;
}

static bool read_limits(struct config_reader *r, const struct config_knob *knob, json_t *value,
                        void *to)
{
    char text[TEXT_MAX] = "";
    size_t used = 0;
    const char *key;
    json_t *limit;
    if (!json_is_object(value) || json_object_size(value) > LIMITS_MAX)
        return config_fail_value(r, knob, value);
    json_object_foreach(value, key, limit)
    {
        unsigned soft, hard;
        size_t mark = config_path_begin(r, ".%.32s", key);
        if (!is_name(key))
            return config_fail(r, "a window like \"5h\", \"7d\" or \"7d_opus\"",
                               "not the name of a window");
        if (!read_one(r, limit, &soft, &hard))
            return false;
        config_path_end(r, mark);
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s:%u:%u",
                                 used > 0 ? "," : "", key, soft, hard);
    }
    free(*(char **)to);
    *(char **)to = used > 0 ? mem_string(slice_of(text)) : NULL;
    return true;
}

static void put_limits(const struct config_knob *knob, const void *at, struct buf *out)
{
    const char *text = *(char *const *)at;
    (void)knob;
    config_put(out, "%s", text != NULL ? text : "");
}

static void forget_limits(void *at)
{
    free(*(char **)at);
    *(char **)at = NULL;
}

const struct config_kind config_limits = {
    CONFIG_OWNER(limits),
    .expected =
        "at most 16 windows, each with a share of it: {\"5h\": 0.9, \"7d\": {\"soft\": 0.8, "
        "\"hard\": 0.95}}"};
