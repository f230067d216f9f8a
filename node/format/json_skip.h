/* json_skip.h - finds the end of an object or array nobody asked for.
 * Nearly all bytes of a request go through here, so it takes 64 at a time and looks only for
 * quotes, backslashes and brackets; what kind of bracket closes what is not checked. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { JSON_SKIP_BYTES = 64 };

struct json_skip {
    uint32_t nesting; /* brackets open */
    bool is_in_string;
    bool is_escaped; /* a backslash has taken the next byte's meaning away */
};

/* Reads on until all brackets are closed (nesting is 0, the result is behind the last of them), or
 * more than nesting_max are open (the result means nothing then), or `end` is reached. */
const char *json_skip(struct json_skip *skip, const char *at, const char *end,
                      uint32_t nesting_max);

/* Whether an odd number of backslashes stands before `at`, looking back to `start`; before that
 * there was an odd number if is_odd. */
bool json_is_escaped(const char *start, const char *at, bool is_odd);
