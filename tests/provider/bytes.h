/* bytes.h - borrowed and owned bytes, for the fake provider only.
 * The provider shares no code with the product it faces, so that a fault in the product's own
 * helpers cannot hide in its peer. Allocation aborts; ceilings stand where bytes come in. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

struct slice {
    const char *at;
    size_t len;
};

/* A byte queue: grows at the end, is consumed at the front. All zero is an empty one. */
struct buf {
    char *at;     /* allocation */
    size_t start; /* first byte not yet consumed */
    size_t len;   /* bytes from start on */
    size_t cap;
};

/* Zeroed memory; aborts when there is none. Yours. */
void *mem_zero(size_t len);

/* Room for len more bytes at the end; the caller writes and then adds to buf->len. */
char *buf_reserve(struct buf *buf, size_t len);
void buf_add(struct buf *buf, const void *at, size_t len);
void buf_add_text(struct buf *buf, const char *text);
void buf_addf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_skip(struct buf *buf, size_t len);
void buf_fini(struct buf *buf);
struct slice buf_slice(const struct buf *buf);

struct slice slice_of(const char *text);
bool slice_is(struct slice slice, const char *text);
/* ASCII letters compared without regard to case. */
bool slice_is_name(struct slice slice, const char *text);
/* A terminated copy. Yours. */
char *slice_copy(struct slice slice);

/* Milliseconds and microseconds of the monotonic clock. */
int64_t clock_ms(void);
int64_t clock_us(void);
/* A wait as libevent wants it. */
struct timeval clock_wait(int64_t wait_ms);
