/* One allocation, its content anywhere in it. Consuming moves the start; what is in front is used
 * again when room at the back runs out, before anything grows. It grows by doubling, up to the
 * ceiling. A head is made of a hundred small appends, so one that fits asks nothing else. */
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/tiny.h"

enum { CAP_FIRST = TINY(512, 7) };

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_fini(struct buf *b)
{
    free(b->at);
    *b = (struct buf){.max = b->max};
}

bool buf_is_sane(const struct buf *b)
{
    return b->start <= b->end && b->end <= b->cap && b->cap <= b->max &&
           (b->at != NULL) == (b->cap > 0);
}

struct slice buf_slice(const struct buf *b)
{
    if (b->at == NULL)
        return SLICE_NONE;
    return (struct slice){b->at + b->start, b->end - b->start};
}

size_t buf_len(const struct buf *b)
{
    return b->end - b->start;
}

static void move_to_front(struct buf *b)
{
    if (b->start == 0)
        return;
    memmove(b->at, b->at + b->start, b->end - b->start);
    b->end -= b->start;
    b->start = 0;
}

static void grow(struct buf *b, size_t need)
{
    size_t cap = b->cap == 0 ? CAP_FIRST : b->cap;
    while (cap < need)
        cap *= 2;
    if (cap > b->max)
        cap = b->max;
    b->at = mem_resize(b->at, cap);
    b->cap = cap;
}

bool buf_reserve(struct buf *b, size_t len, char **to)
{
    size_t have = buf_len(b);
    assert(buf_is_sane(b));
    if (len > b->max || have > b->max - len)
        return false;
    if (b->cap - b->end < len) {
        move_to_front(b);
        if (b->cap - b->end < len)
            grow(b, have + len);
    }
    *to = b->at + b->end;
    return true;
}

void buf_commit(struct buf *b, size_t len)
{
    assert(buf_is_sane(b) && len <= b->cap - b->end);
    b->end += len;
}

bool buf_append(struct buf *b, struct slice bytes)
{
    char *to;
    if (bytes.len == 0)
        return true;
    if (bytes.len > b->cap - b->end && !buf_reserve(b, bytes.len, &to))
        return false;
    memcpy(b->at + b->end, bytes.at, bytes.len);
    b->end += bytes.len;
    return true;
}

bool buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(len >= 0);
    char *to;
    if (!buf_reserve(b, (size_t)len + 1, &to)) /* vsnprintf writes one NUL more */
        return false;
    va_start(args, format);
    vsnprintf(to, (size_t)len + 1, format, args);
    va_end(args);
    b->end += (size_t)len;
    return true;
}

void buf_use_memory(struct buf *b, char *at, size_t cap)
{
    assert(buf_len(b) == 0 && cap <= b->max);
    free(b->at);
    *b = (struct buf){.at = at, .cap = cap, .max = b->max};
}

char *buf_take_memory(struct buf *b)
{
    char *at = b->at;
    *b = (struct buf){.max = b->max};
    return at;
}

void buf_consume(struct buf *b, size_t len)
{
    assert(buf_is_sane(b) && len <= buf_len(b));
    b->start += len;
    if (b->start == b->end)
        b->start = b->end = 0;
}

void buf_truncate(struct buf *b, size_t len)
{
    assert(len <= buf_len(b));
    b->end = b->start + len;
}

void buf_clear(struct buf *b)
{
    b->start = b->end = 0;
}
