/* The table of settings (knobs.c), in words: one row at a time, and what a value of it may be. */
#include "config/describe.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/slice.h"
#include "config/knobs.h"

static const char of_subscription[] = "subscriptions[].";

bool config_knob_is_of_subscription(const struct config_knob *knob)
{
    return strncmp(knob->path, of_subscription, sizeof(of_subscription) - 1) == 0;
}

const struct config_knob *config_knob_find(const char *path)
{
    for (size_t i = 0; i < config_knob_count; i++)
        if (strcmp(config_knobs[i].path, path) == 0)
            return &config_knobs[i];
    return NULL;
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
        .initial = knob->initial,
        .otherwise = knob->otherwise,
        .variable = knob->variable,
        .help = knob->help,
        .needs_restart = (knob->flags & KNOB_RESTART) != 0,
        .needs_restart_on_off = (knob->flags & KNOB_RESTART_ON_OFF) != 0,
        .is_shared = (knob->flags & KNOB_SHARED) != 0,
    };
    config_expected(knob, words->expected, sizeof(words->expected));
    return true;
}
