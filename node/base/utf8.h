/* utf8.h - bytes from outside that should be text, and how much of them is.
 * Strict (RFC 3629): no overlong form, no surrogate, nothing above U+10FFFF. A byte that belongs to
 * no character is never passed on as if it did. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* How many bytes the first character of `s` has, and its number; 0: it begins with none. */
size_t utf8_next(struct slice s, uint32_t *code);

/* At most that many bytes of it, without half a character at the end. */
struct slice utf8_cut(struct slice s, size_t bytes_max);

/* Every byte that belongs to no character becomes '?'. */
void utf8_repair(char *text, size_t len);

enum { UTF8_ESCAPE_MAX = 16 };
/* The first character of `s`, which is not empty, as it stands within a JSON string, in printable
 * ASCII and with a NUL: itself, or escaped. A byte that belongs to no character is shown by its
 * value, like the character of that number. Returns how many bytes of `s` that was. */
size_t utf8_escape(struct slice s, char out[UTF8_ESCAPE_MAX]);
