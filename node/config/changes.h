/* changes.h - what a reload changed, in words that hold no secret.
 * Lists of short texts, a line each, with a ceiling: what did not fit is counted. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

enum {
    CONFIG_CHANGES_LISTED = 20,
    CONFIG_CHANGES_BYTES = 1536,
    CONFIG_CHANGES_KINDS = 6,
    /* all of them in a line: a word, two bytes behind each of what is listed, how many more */
    CONFIG_SUMMARY_MAX = CONFIG_CHANGES_KINDS * (CONFIG_CHANGES_BYTES + CONFIG_CHANGES_LISTED + 64)
};

struct config_change_list {
    char text[CONFIG_CHANGES_BYTES]; /* items, each with a '\n' behind it */
    unsigned listed, more;
};

struct config_changes {
    struct config_change_list added;   /* names of subscriptions */
    struct config_change_list removed; /* the same */
    struct config_change_list renamed; /* "old -> new": the same credential under another name */
    struct config_change_list rotated; /* "main 1a2b3c4d -> 5e6f7a8b": its key is another one */
    struct config_change_list changed; /* "main.max_concurrent", "timeouts.idle_ms" */
    struct config_change_list needs_restart; /* "server.port": still as the node was started */
};

/* What whoever asked for a reload is told. */
struct config_reloaded {
    char sources[512];
    char digest[9]; /* of the settings that all nodes should share */
    size_t subscriptions;
    struct config_changes changes;
};

/* From `former`, which ran until now, to `wanted`. What needs a restart is measured by `started`,
 * that is: what the node was started with. */
void config_compare(const struct config *started, const struct config *former,
                    const struct config *wanted, struct config_changes *changes);
bool config_is_unchanged(const struct config_changes *changes);
/* All of it in a line: "added gamma; rotated main 1a2b3c4d -> 5e6f7a8b; needs a restart:
 * server.port", or "unchanged". */
void config_tell_changes(const struct config_changes *changes, char out[CONFIG_SUMMARY_MAX]);
/* What only a restart takes over, alone: "server.port, server.workers"; "" if nothing. */
void config_tell_restart(const struct config_changes *changes, char out[CONFIG_SUMMARY_MAX]);
