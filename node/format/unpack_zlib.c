/* gzip and deflate. "deflate" is said of two things (with a zlib header and without), so the first
 * byte decides.
 *
 * A stream that was cut between two blocks can be made whole: a last block that is stored as it is
 * (RFC 1951, 3.2.4), then the sums of what came out (RFC 1950, 1952). Providers that stream end a
 * block, at a whole byte, with each event; so that is where they are usually cut. */
#include <assert.h>
#include <stdlib.h>

#define ZLIB_CONST /* its input pointers are const then */
#include <zlib.h>

#include "base/mem.h"
#include "base/tiny.h"
#include "format/unpack_priv.h"

enum {
    WINDOW_GZIP = 15 + 16, /* as zlib wants it told: the largest window, and which header */
    WINDOW_ZLIB = 15,
    WINDOW_RAW = -15,
    INPUT_BYTES_MAX = TINY(1 << 20, 7), /* zlib counts in unsigned int */
    BETWEEN_BLOCKS = 128 /* zlib.h on data_type: so, with no bits left of the last byte, and the
                            block was not the last */
};

struct zlib {
    z_stream z;
    bool is_gzip;
    bool is_raw; /* deflate without a header */
    bool is_begun;
    bool has_ended; /* nothing of another member has come since */
};

static void *make(bool is_gzip)
{
    struct zlib *d = mem_new(sizeof(*d));
    d->is_gzip = is_gzip;
    return d;
}

static void *make_gzip(void)
{
    return make(true);
}

static void *make_deflate(void)
{
    return make(false);
}

static void drop(void *state)
{
    struct zlib *d = state;
    if (d->is_begun)
        inflateEnd(&d->z);
    free(d);
}

/* A zlib header's first byte says method 8 and a window of at most 32 KB; raw deflate does not
 * begin so, unless with an empty stored block whose padding is not zero. */
static bool begin(struct zlib *d, unsigned char first)
{
    bool is_zlib = (first & 0x0f) == 8 && first >> 4 <= 7;
    d->is_raw = !d->is_gzip && !is_zlib;
    int window = d->is_gzip ? WINDOW_GZIP : is_zlib ? WINDOW_ZLIB : WINDOW_RAW;
    d->is_begun = inflateInit2(&d->z, window) == Z_OK;
    return d->is_begun;
}

/* RFC 1952, 2.2: another member may follow. */
static bool begin_next(struct zlib *d)
{
    d->has_ended = false;
    return inflateReset(&d->z) == Z_OK;
}

static enum unpacked run(void *state, struct slice *in, char *out, size_t room, size_t *len)
{
    struct zlib *d = state;
    if (in->len > 0 &&
        ((!d->is_begun && !begin(d, (unsigned char)in->at[0])) || (d->has_ended && !begin_next(d))))
        return UNPACK_BAD;
    size_t taken = in->len < INPUT_BYTES_MAX ? in->len : INPUT_BYTES_MAX;
    d->z.next_in = (const unsigned char *)in->at;
    d->z.avail_in = (unsigned)taken;
    d->z.next_out = (unsigned char *)out;
    d->z.avail_out = (unsigned)room;
    int result = inflate(&d->z, Z_SYNC_FLUSH);
    *len = room - d->z.avail_out;
    *in = slice_from(*in, taken - d->z.avail_in);
    if ((result < 0 && result != Z_BUF_ERROR) || result == Z_NEED_DICT)
        return UNPACK_BAD;
    d->has_ended = result == Z_STREAM_END;
    return d->has_ended ? UNPACK_END : UNPACK_MORE;
}

static void put(struct buf *out, struct slice bytes)
{
    bool fits = buf_append(out, bytes);
    assert(fits); /* unpack.h: the caller has made room */
}

enum order { LITTLE_ENDIAN_FIRST, BIG_ENDIAN_FIRST };

static void put_number(struct buf *out, uint32_t value, unsigned count, enum order order)
{
    char bytes[4];
    for (unsigned i = 0; i < count; i++) {
        unsigned place = order == BIG_ENDIAN_FIRST ? count - 1 - i : i;
        bytes[i] = (char)(value >> 8 * place & 0xff);
    }
    put(out, (struct slice){bytes, count});
}

static void put_last_block(struct buf *out, struct slice plain)
{
    uint32_t len = (uint32_t)plain.len;
    put_number(out, 1, 1, LITTLE_ENDIAN_FIRST); /* the last one, stored */
    put_number(out, len, 2, LITTLE_ENDIAN_FIRST);
    put_number(out, ~len & UINT16_MAX, 2, LITTLE_ENDIAN_FIRST);
    put(out, plain);
}

static void put_sums(const struct zlib *d, bool is_new, struct slice plain, struct buf *out)
{
    /* A pointer to nothing would begin the sums anew. */
    const unsigned char *at = (const unsigned char *)(plain.len > 0 ? plain.at : "");
    unsigned len = (unsigned)plain.len;
    uLong so_far = is_new ? adler32(0, NULL, 0) : d->z.adler;
    if (d->is_gzip) {
        so_far = is_new ? crc32(0, NULL, 0) : d->z.adler;
        put_number(out, (uint32_t)crc32(so_far, at, len), 4, LITTLE_ENDIAN_FIRST);
        uLong total = (is_new ? 0 : d->z.total_out) + len;
        put_number(out, (uint32_t)(total & UINT32_MAX), 4, LITTLE_ENDIAN_FIRST);
    } else if (!d->is_raw) {
        put_number(out, (uint32_t)adler32(so_far, at, len), 4, BIG_ENDIAN_FIRST);
    }
}

static bool seal(const void *state, struct slice plain, struct buf *out)
{
    static const struct slice gzip_head = SLICE_ROW("\x1f\x8b\x08\0\0\0\0\0\0\xff");
    static const struct slice zlib_head = SLICE_ROW("\x78\x01");
    const struct zlib *d = state;
    bool is_new = !d->is_begun || d->has_ended;
    if (plain.len > UNPACK_SEAL_PLAIN_MAX)
        return false;
    if (is_new ? d->has_ended && !d->is_gzip : d->z.data_type != BETWEEN_BLOCKS)
        return false;
    if (is_new)
        put(out, d->is_gzip ? gzip_head : zlib_head);
    put_last_block(out, plain);
    put_sums(d, is_new, plain, out);
    return true;
}

const struct decoder decoder_gzip = {
    .may_follow = true, .make = make_gzip, .drop = drop, .run = run, .seal = seal};

const struct decoder decoder_deflate = {
    .may_follow = false, .make = make_deflate, .drop = drop, .run = run, .seal = seal};
