/* moment.h - a time ahead, as people say it: short, in UTC, never before it is. */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { MOMENT_TEXT_MAX = 32 };

/* In `in_ms` from `wall_ms` (Unix time): "14:30:05 UTC" within ten minutes, "14:30 UTC" within
 * twenty hours, else "2026-11-28 14:30 UTC"; rounded up. NUL-terminated, into
 * out[MOMENT_TEXT_MAX]. Gives its length. */
size_t moment_words(uint64_t wall_ms, uint64_t in_ms, char *out);
