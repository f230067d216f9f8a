/* zstd (RFC 8878; in HTTP RFC 9659, which has it that windows are at most 8 MB). */
#include <zstd.h>

#include "format/unpack_priv.h"

enum { WINDOW_LOG_MAX = 23 };

static void *make(void)
{
    ZSTD_DStream *d = ZSTD_createDStream();
    if (d != NULL)
        (void)ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    return d;
}

static void drop(void *state)
{
    ZSTD_freeDStream(state);
}

/* 0 is the end of a frame; with nothing to read it says again that it wants another one. */
static enum unpacked run(void *state, struct slice *in, char *out, size_t room, size_t *len)
{
    ZSTD_inBuffer from = {in->at, in->len, 0};
    ZSTD_outBuffer to = {out, room, 0};
    size_t result = ZSTD_decompressStream(state, &to, &from);
    *len = to.pos;
    *in = slice_from(*in, from.pos);
    if (ZSTD_isError(result))
        return UNPACK_BAD;
    return result == 0 ? UNPACK_END : UNPACK_MORE;
}

const struct decoder decoder_zstd = {
    .may_follow = true, .make = make, .drop = drop, .run = run, .seal = NULL};
