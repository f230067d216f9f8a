/* Eight bytes at a time: mixed in, multiplied, and the high half folded down to where the next
 * multiplication spreads it again. The rest, shorter than eight, counts with its length, so that a
 * byte of zero more or less shows. */
#include "base/hash.h"

#include <endian.h>
#include <stddef.h>
#include <string.h>

static const uint64_t factor = 0x9e3779b97f4a7c15u; /* odd, its bits well spread: 2^64 / phi */

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * factor;
    return hash ^ hash >> 32;
}

/* Little-endian everywhere: nodes of different kinds must agree. */
static uint64_t word_of(const char *at, size_t len)
{
    uint64_t word = 0;
    memcpy(&word, at, len);
    return le64toh(word);
}

uint64_t hash_bytes(uint64_t before, struct slice bytes)
{
    uint64_t hash = mix(before, bytes.len);
    while (bytes.len >= 8) {
        hash = mix(hash, word_of(bytes.at, 8));
        bytes = slice_from(bytes, 8);
    }
    if (bytes.len > 0)
        hash = mix(hash, word_of(bytes.at, bytes.len));
    return mix(hash, factor);
}
