/* buf.h - bytes we own: grows at the back, is consumed at the front, never beyond its ceiling.
 * Invariant: start <= end <= cap <= max; the bytes in [start, end) are the content. A buf that is
 * empty holds no memory after buf_fini(). */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/slice.h"

struct buf {
    char *at;     /* allocation, or NULL */
    size_t start; /* first byte not yet consumed */
    size_t end;   /* one behind the last byte */
    size_t cap;   /* bytes allocated */
    size_t max;   /* ceiling for cap */
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b); /* empty, memory given back; it may be used again */

bool buf_is_sane(
    const struct buf *b); /* the invariant holds; asserted wherever the content grows or
                                        * shrinks */

struct slice buf_slice(const struct buf *b); /* borrowed until the next change */
size_t buf_len(const struct buf *b);

/* Room for `len` more bytes behind the content: *to points at it. False: above the ceiling. Write
 * there, then buf_commit(). */
MUST_USE bool buf_reserve(struct buf *b, size_t len, char **to);
void buf_commit(struct buf *b, size_t len);

MUST_USE bool buf_append(struct buf *b,
                         struct slice bytes); /* false: above the ceiling, unchanged */
MUST_USE bool buf_printf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);

/* An empty buf lies in this memory (from mem_*, taken) from now on; cap <= max. */
void buf_use_memory(struct buf *b, char *at, size_t cap);
char *buf_take_memory(struct buf *b); /* the memory is yours, and the buf empty */

void buf_consume(struct buf *b, size_t len);  /* drop from the front; len <= buf_len() */
void buf_truncate(struct buf *b, size_t len); /* keep that much; len <= buf_len() */
void buf_clear(struct buf *b);                /* empty, memory kept */
