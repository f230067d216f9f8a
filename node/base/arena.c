/* Blocks in a list, the newest first; a take that does not fit opens a new block, at least
 * BLOCK_BYTES, and what was left of the old one is given up: an exchange makes few takes, and none
 * comes back before the end. Large takes get a block of their own size. */
#include "base/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/tiny.h"

/* With the allocator's own header below 2 KB. */
enum { BLOCK_BYTES = TINY(2048 - 64, 16) };

struct arena_block {
    struct arena_block *older;
    size_t used;
    size_t cap;
    alignas(max_align_t) char bytes[];
};

void arena_init(struct arena *a)
{
    a->newest = NULL;
}

void arena_fini(struct arena *a)
{
    struct arena_block *block;
    while ((block = a->newest) != NULL) {
        a->newest = block->older;
        free(block);
    }
}

static void *take(struct arena *a, size_t size)
{
    size_t rounded = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    assert(rounded >= size);
    struct arena_block *block = a->newest;
    if (block == NULL || block->cap - block->used < rounded) {
        size_t cap = rounded > BLOCK_BYTES ? rounded : BLOCK_BYTES;
        block = mem_resize(NULL, sizeof(*block) + cap);
        *block = (struct arena_block){.older = a->newest, .cap = cap};
        a->newest = block;
    }
    void *at = block->bytes + block->used;
    block->used += rounded;
    return at;
}

void *arena_new(struct arena *a, size_t size)
{
    return memset(take(a, size), 0, size);
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    char *at = take(a, s.len + 1);
    if (s.len > 0)
        memcpy(at, s.at, s.len);
    at[s.len] = '\0';
    return (struct slice){at, s.len};
}

struct slice arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(len >= 0);
    char *at = take(a, (size_t)len + 1);
    va_start(args, format);
    vsnprintf(at, (size_t)len + 1, format, args);
    va_end(args);
    return (struct slice){at, (size_t)len};
}
