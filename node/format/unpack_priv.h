/* unpack_priv.h - what a decoder of one coding gives to unpack.c, which bounds and feeds it. */
#pragma once
#include <stddef.h>

#include "format/unpack.h"

struct decoder {
    bool may_follow;     /* behind its end another of its kind may begin */
    void *(*make)(void); /* yours; NULL: not possible */
    void (*drop)(void *state);
    /* Takes from *in, puts at most `room` bytes to `out`, and says how many. Asked again while it
     * fills all the room. */
    enum unpacked (*run)(void *state, struct slice *in, char *out, size_t room, size_t *len);
    /* As unpack_seal(); NULL: it cannot. */
    bool (*seal)(const void *state, struct slice plain, struct buf *out);
};

extern const struct decoder decoder_gzip, decoder_deflate, decoder_brotli, decoder_zstd;
