/* arena.h - memory that lives as long as one exchange: many small takes, one free.
 * The first block is small, because thousands of exchanges wait at the same time. */
#pragma once
#include <stddef.h>

#include "base/slice.h"

struct arena_block;
struct arena {
    struct arena_block *newest;
};

void arena_init(struct arena *a);
void arena_fini(struct arena *a);                         /* everything taken from it is gone */
void *arena_new(struct arena *a, size_t size);            /* zeroed, aligned for any type */
struct slice arena_copy(struct arena *a, struct slice s); /* NUL-terminated behind its end */
struct slice arena_printf(struct arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
