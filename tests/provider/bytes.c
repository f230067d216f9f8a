#include "bytes.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { BUF_FIRST_BYTES = 512 };

void *mem_zero(size_t len)
{
    void *at = calloc(1, len);
    if (at == NULL)
        abort();
    return at;
}

char *buf_reserve(struct buf *buf, size_t len)
{
    if (buf->cap - buf->start - buf->len >= len)
        return buf->at + buf->start + buf->len;
    if (buf->start > 0 && buf->cap - buf->len >= len && buf->start >= buf->len) {
        memmove(buf->at, buf->at + buf->start, buf->len);
        buf->start = 0;
        return buf->at + buf->len;
    }
    size_t cap = buf->cap < BUF_FIRST_BYTES ? BUF_FIRST_BYTES : buf->cap;
    while (cap < buf->start + buf->len + len)
        cap *= 2;
    buf->at = realloc(buf->at, cap);
    if (buf->at == NULL)
        abort();
    buf->cap = cap;
    return buf->at + buf->start + buf->len;
}

void buf_add(struct buf *buf, const void *at, size_t len)
{
    if (len == 0)
        return;
    memcpy(buf_reserve(buf, len), at, len);
    buf->len += len;
}

void buf_add_text(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_addf(struct buf *buf, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    char *room = buf_reserve(buf, BUF_FIRST_BYTES);
    int len = vsnprintf(room, BUF_FIRST_BYTES, format, list);
    va_end(list);
    assert(len >= 0);
    if (len >= BUF_FIRST_BYTES) {
        room = buf_reserve(buf, (size_t)len + 1);
        va_start(list, format);
        vsnprintf(room, (size_t)len + 1, format, list);
        va_end(list);
    }
    buf->len += (size_t)len;
}

void buf_skip(struct buf *buf, size_t len)
{
    assert(len <= buf->len);
    buf->start += len;
    buf->len -= len;
    if (buf->len == 0)
        buf->start = 0;
}

void buf_fini(struct buf *buf)
{
    free(buf->at);
    *buf = (struct buf){0};
}

struct slice buf_slice(const struct buf *buf)
{
    return (struct slice){buf->at == NULL ? "" : buf->at + buf->start, buf->len};
}

struct slice slice_of(const char *text)
{
    return (struct slice){text, strlen(text)};
}

bool slice_is(struct slice slice, const char *text)
{
    return slice.len == strlen(text) && memcmp(slice.at, text, slice.len) == 0;
}

bool slice_is_name(struct slice slice, const char *text)
{
    return slice.len == strlen(text) && strncasecmp(slice.at, text, slice.len) == 0;
}

char *slice_copy(struct slice slice)
{
    char *copy = mem_zero(slice.len + 1);
    if (slice.len > 0)
        memcpy(copy, slice.at, slice.len);
    return copy;
}

int64_t clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

struct timeval clock_wait(int64_t wait_ms)
{
    return (struct timeval){wait_ms / 1000, (wait_ms % 1000) * 1000};
}

int64_t clock_ms(void)
{
    return clock_us() / 1000;
}
