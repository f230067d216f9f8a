/* br (RFC 7932). What its decoder keeps is what came out, up to the window: 16 MB. */
#include <brotli/decode.h>

#include "format/unpack_priv.h"

static void *make(void)
{
    return BrotliDecoderCreateInstance(NULL, NULL, NULL);
}

static void drop(void *state)
{
    BrotliDecoderDestroyInstance(state);
}

static enum unpacked run(void *state, struct slice *in, char *out, size_t room, size_t *len)
{
    const uint8_t *next = (const uint8_t *)in->at;
    uint8_t *to = (uint8_t *)out;
    size_t left = in->len, free_room = room;
    BrotliDecoderResult result =
        BrotliDecoderDecompressStream(state, &left, &next, &free_room, &to, NULL);
    *len = room - free_room;
    *in = slice_from(*in, in->len - left);
    if (result == BROTLI_DECODER_RESULT_ERROR)
        return UNPACK_BAD;
    return result == BROTLI_DECODER_RESULT_SUCCESS ? UNPACK_END : UNPACK_MORE;
}

const struct decoder decoder_brotli = {
    .may_follow = false, .make = make, .drop = drop, .run = run, .seal = NULL};
