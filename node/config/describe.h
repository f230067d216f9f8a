/* describe.h - the table of settings in words, for people: `weir help config`, docs/config.md. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct config_knob_words {
    const char *path;      /* "subscriptions[].name" */
    const char *initial;   /* as it would stand in the file; NULL: none */
    const char *otherwise; /* in words, if there is none */
    const char *variable;  /* of the environment, that overrides it; NULL: none */
    const char *help;
    char expected[256];
    bool needs_restart;
    bool needs_restart_on_off; /* only when it is set or taken away, not for another value */
    bool is_shared;            /* should be alike on all nodes of a pool */
};
/* False: there are not that many. */
bool config_describe_knob(size_t index, struct config_knob_words *words);
