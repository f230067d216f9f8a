/* unpack.h - undoes gzip and deflate while the bytes pass, so that we can read along.
 * Bounded: about 40 KB of memory, freed as soon as there is nothing more to read, and a ceiling for
 * what comes out, because a few KB can unpack to gigabytes. */
#pragma once
#include <stdbool.h>

#include "base/slice.h"

struct unpack; /* opaque */

enum { UNPACK_BYTES_MAX = 64 << 20 };

/* gzip, or deflate as it is found in the wild: with or without a zlib header. */
struct unpack *unpack_new(bool is_gzip); /* yours */
void unpack_free(struct unpack *unpack); /* NULL is fine */

typedef void (*unpack_fn)(void *arg, struct slice bytes);

enum unpacked {
    UNPACK_MORE,
    UNPACK_END, /* it has come to its own end; of gzip another member may follow, so feed it on */
    UNPACK_BAD  /* malformed, or UNPACK_BYTES_MAX have come out; do not feed it again */
};
enum unpacked unpack_feed(struct unpack *unpack, struct slice bytes, unpack_fn on_bytes, void *arg);
