/* quota.h - what an answer's head says of the subscription's quotas: how much of each window is
 * used, and when it begins anew. Windows are known by their pattern (format/window_name.h); what
 * the pool makes of them stands in lua/lib/window.lua. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "dialect/meaning.h"

enum {
    QUOTA_WINDOWS_MAX = 8, /* of one answer; more are not looked at */
    QUOTA_FULL = 10000,    /* all of a window is used; above: the provider's grace */
    QUOTA_TEXT_MAX = QUOTA_WINDOWS_MAX * (WINDOW_NAME_MAX + 32)
};

struct quota {
    unsigned count;
    struct {
        char name[WINDOW_NAME_MAX + 1];
        uint32_t used;    /* in ten-thousandths */
        uint64_t reset_s; /* Unix time; 0: not said */
    } windows[QUOTA_WINDOWS_MAX];
};

/* "0.42", "1.03": a share of a window, in ten-thousandths. False: not one, or above a hundred. */
bool quota_read_share(struct slice text, uint32_t *share);
/* One more window. What has a name too long or of other characters than a-z 0-9 _ . - is left out:
 * no window that is known has one. */
void quota_add(struct quota *quota, struct slice name, uint32_t used, uint64_t reset_s);
/* "5h:4200:1795240000 7d:...", as the pool is told; empty for none. Written into `text`. */
struct slice quota_text(const struct quota *quota, char text[QUOTA_TEXT_MAX]);
