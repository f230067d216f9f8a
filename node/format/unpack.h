/* unpack.h - undoes a content coding while the bytes pass, so that we can read along.
 * Bounded: what a decoder keeps is its window (gzip, deflate: 40 KB; br, zstd: as much as has come
 * out, up to 16 and 8 MB), freed as soon as there is nothing more to read; and there is a ceiling
 * for what comes out, because a few KB can unpack to gigabytes. */
#pragma once
#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"

/* deflate as it is found in the wild: with or without a zlib header. */
enum coding { CODING_IDENTITY, CODING_GZIP, CODING_DEFLATE, CODING_BROTLI, CODING_ZSTD };

/* The coding of a content-encoding, empty meaning identity. False: one that cannot be undone. */
bool coding_parse(struct slice content_encoding, enum coding *coding);

enum { UNPACK_BYTES_MAX = 64 << 20 };

struct unpack; /* opaque */

struct unpack *unpack_new(enum coding coding); /* yours; not of CODING_IDENTITY */
void unpack_free(struct unpack *unpack);       /* NULL is fine */

typedef void (*unpack_fn)(void *arg, struct slice bytes);

enum unpacked {
    UNPACK_MORE,
    UNPACK_END, /* it has come to its own end; of gzip and zstd more may follow, so feed it on */
    UNPACK_BAD  /* malformed, or UNPACK_BYTES_MAX have come out; do not feed it again */
};
enum unpacked unpack_feed(struct unpack *unpack, struct slice bytes, unpack_fn on_bytes, void *arg);

/* Puts behind `out` what makes the bytes fed so far, and `plain` after them, whole: a last block
 * and the sums. False: that cannot be done here (within a block, or br or zstd), and `out` is as it
 * was. `plain` is at most UNPACK_SEAL_PLAIN_MAX; UNPACK_SEAL_BYTES more must fit into `out`. */
enum { UNPACK_SEAL_PLAIN_MAX = 32 * 1024, UNPACK_SEAL_BYTES = 32 };
MUST_USE bool unpack_seal(const struct unpack *unpack, struct slice plain, struct buf *out);
