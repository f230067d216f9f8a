/* zlib, a piece of PIECE_BYTES at a time on the stack. "deflate" is said of two things (with a
 * zlib header and without), so the first byte decides. What comes out is bounded, for a few bytes
 * can unpack to gigabytes. */
#include "format/unpack.h"

#include <stdlib.h>

#define ZLIB_CONST /* its input pointers are const then */
#include <zlib.h>

#include "base/mem.h"
#include "base/tiny.h"

enum {
    PIECE_BYTES = TINY(4096, 7), /* unpacked at a time, on the stack */
    WINDOW_GZIP = 15 + 16,       /* as zlib wants it told: the largest window, and which header */
    WINDOW_ZLIB = 15,
    WINDOW_RAW = -15,
    INPUT_BYTES_MAX = TINY(1 << 20, 7) /* zlib counts in unsigned int */
};

struct unpack {
    z_stream z;
    size_t left;         /* of UNPACK_BYTES_MAX */
    enum unpacked state; /* after the last byte fed */
    bool is_gzip;
    bool is_begun;
    bool is_over; /* deflate: what follows its end belongs to nothing */
};

struct unpack *unpack_new(bool is_gzip)
{
    struct unpack *unpack = mem_new(sizeof(*unpack));
    unpack->left = UNPACK_BYTES_MAX;
    unpack->is_gzip = is_gzip;
    return unpack;
}

void unpack_free(struct unpack *unpack)
{
    if (unpack == NULL)
        return;
    if (unpack->is_begun)
        inflateEnd(&unpack->z);
    free(unpack);
}

/* A zlib header's first byte says method 8 and a window of at most 32 KB; raw deflate does not
 * begin so, unless with an empty stored block whose padding is not zero. */
static bool begin(struct unpack *unpack, unsigned char first)
{
    bool is_zlib = (first & 0x0f) == 8 && first >> 4 <= 7;
    int window = unpack->is_gzip ? WINDOW_GZIP : is_zlib ? WINDOW_ZLIB : WINDOW_RAW;
    unpack->is_begun = inflateInit2(&unpack->z, window) == Z_OK;
    return unpack->is_begun;
}

/* Unpacks what z.next_in holds. */
static enum unpacked drain(struct unpack *unpack, unpack_fn on_bytes, void *arg)
{
    unsigned char piece[PIECE_BYTES];
    enum unpacked state = UNPACK_MORE;
    do {
        unpack->z.next_out = piece;
        unpack->z.avail_out = sizeof(piece);
        int result = inflate(&unpack->z, Z_SYNC_FLUSH);
        struct slice out = {(const char *)piece, sizeof(piece) - unpack->z.avail_out};
        if (out.len > unpack->left)
            out.len = unpack->left;
        unpack->left -= out.len;
        if (out.len > 0)
            on_bytes(arg, out);
        if (unpack->left == 0 || (result < 0 && result != Z_BUF_ERROR) || result == Z_NEED_DICT)
            return UNPACK_BAD;
        state = result == Z_STREAM_END ? UNPACK_END : UNPACK_MORE;
        if (state == UNPACK_END && !unpack->is_gzip)
            return state;
        /* RFC 1952, 2.2: another member may follow */
        if (state == UNPACK_END && inflateReset(&unpack->z) != Z_OK)
            return UNPACK_BAD;
    } while (unpack->z.avail_in > 0 || unpack->z.avail_out == 0);
    return state;
}

enum unpacked unpack_feed(struct unpack *unpack, struct slice bytes, unpack_fn on_bytes, void *arg)
{
    while (bytes.len > 0 && !unpack->is_over) {
        if (!unpack->is_begun && !begin(unpack, (unsigned char)bytes.at[0]))
            return UNPACK_BAD;
        size_t len = bytes.len < INPUT_BYTES_MAX ? bytes.len : INPUT_BYTES_MAX;
        unpack->z.next_in = (const unsigned char *)bytes.at;
        unpack->z.avail_in = (unsigned)len;
        unpack->state = drain(unpack, on_bytes, arg);
        if (unpack->state == UNPACK_BAD)
            return UNPACK_BAD;
        unpack->is_over = unpack->state == UNPACK_END && !unpack->is_gzip;
        bytes = slice_from(bytes, len);
    }
    return unpack->state;
}
