/* A piece of PIECE_BYTES at a time on the stack, whatever the coding. */
#include "format/unpack.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/tiny.h"
#include "format/unpack_priv.h"

enum { PIECE_BYTES = TINY(4096, 7) };

static const struct {
    struct slice name;
    enum coding coding;
    const struct decoder *decoder;
} codings[] = {
    {SLICE_ROW(""), CODING_IDENTITY, NULL},
    {SLICE_ROW("identity"), CODING_IDENTITY, NULL},
    {SLICE_ROW("gzip"), CODING_GZIP, &decoder_gzip},
    {SLICE_ROW("x-gzip"), CODING_GZIP, &decoder_gzip},
    {SLICE_ROW("deflate"), CODING_DEFLATE, &decoder_deflate},
    {SLICE_ROW("br"), CODING_BROTLI, &decoder_brotli},
    {SLICE_ROW("zstd"), CODING_ZSTD, &decoder_zstd},
};

enum { CODINGS = sizeof(codings) / sizeof(codings[0]) };

bool coding_parse(struct slice content_encoding, enum coding *coding)
{
    for (unsigned i = 0; i < CODINGS; i++) {
        if (slice_eq_nocase(content_encoding, codings[i].name)) {
            *coding = codings[i].coding;
            return true;
        }
    }
    return false;
}

struct unpack {
    const struct decoder *decoder;
    void *own;           /* the decoder's */
    size_t left;         /* of UNPACK_BYTES_MAX */
    enum unpacked state; /* after the last byte fed */
};

static const struct decoder *decoder_of(enum coding coding)
{
    unsigned i = 0;
    while (codings[i].coding != coding)
        i++;
    assert(codings[i].decoder != NULL);
    return codings[i].decoder;
}

struct unpack *unpack_new(enum coding coding)
{
    struct unpack *unpack = mem_new(sizeof(*unpack));
    unpack->decoder = decoder_of(coding);
    unpack->own = unpack->decoder->make();
    unpack->left = UNPACK_BYTES_MAX;
    return unpack;
}

void unpack_free(struct unpack *unpack)
{
    if (unpack == NULL)
        return;
    if (unpack->own != NULL)
        unpack->decoder->drop(unpack->own);
    free(unpack);
}

static enum unpacked drain(struct unpack *unpack, struct slice bytes, unpack_fn on_bytes, void *arg)
{
    char piece[PIECE_BYTES];
    enum unpacked state;
    bool is_full, has_moved;
    do {
        size_t len = 0, before = bytes.len;
        state = unpack->decoder->run(unpack->own, &bytes, piece, sizeof(piece), &len);
        is_full = len == sizeof(piece);
        has_moved = len > 0 || bytes.len < before;
        if (len > unpack->left)
            len = unpack->left;
        unpack->left -= len;
        if (len > 0)
            on_bytes(arg, (struct slice){piece, len});
        if (state == UNPACK_BAD || unpack->left == 0 || (!has_moved && bytes.len > 0))
            return UNPACK_BAD;
        if (state == UNPACK_END && (bytes.len == 0 || !unpack->decoder->may_follow))
            return state; /* what follows belongs to nothing */
    } while (is_full || bytes.len > 0);
    return state;
}

enum unpacked unpack_feed(struct unpack *unpack, struct slice bytes, unpack_fn on_bytes, void *arg)
{
    bool is_over = unpack->state == UNPACK_END && !unpack->decoder->may_follow;
    if (unpack->own == NULL)
        unpack->state = UNPACK_BAD;
    else if (bytes.len > 0 && !is_over)
        unpack->state = drain(unpack, bytes, on_bytes, arg);
    return unpack->state;
}

bool unpack_seal(const struct unpack *unpack, struct slice plain, struct buf *out)
{
    return unpack->own != NULL && unpack->decoder->seal != NULL &&
           unpack->decoder->seal(unpack->own, plain, out);
}
