/* name.h - names that become keys: of subscriptions, clients, models, pools and nodes.
 * One alphabet for all, A-Z a-z 0-9 . _ : @ -, so that none needs quoting in Redis, in metrics or
 * in a log. lua/lib/pool.lua checks by the same one. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum { NAME_BYTES_MAX = 64 };

bool name_has(char c);              /* a name may hold it */
bool name_is_clean(struct slice s); /* holds nothing else; may be empty or too long */

/* What fits of `name` into to[cap], NUL-terminated, other characters replaced by '_'. Gives its
 * length; 0 for an empty one. `name` may lie in `to`. */
size_t name_clean(struct slice name, char *to, size_t cap);
