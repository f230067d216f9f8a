/* Blocks of 64 bytes become bit sets of quotes, backslashes and brackets, and the work is done on
 * these: what is escaped falls out, what lies between quotes falls out, brackets are counted. Most
 * blocks lie within one long string, where only its end is looked for. The rest of a piece, shorter
 * than a block, is read byte by byte.
 *
 * A block is looked at 32 bytes at a time where the processor can, else 16, else 8 without its
 * help; each way has a copy of the loop with everything in line. */
#include "format/json_skip.h"

#include <stddef.h>
#include <string.h>
#ifdef __SSE2__
#include <immintrin.h>
#endif

/* Bit n: what byte n of the block is. */
struct block {
    uint64_t quotes;
    uint64_t backslashes;
    uint64_t opening;
    uint64_t closing;
};

#ifdef __SSE2__

static inline uint64_t where(__m128i bytes, char c)
{
    return (uint16_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(c)));
}

static inline void look_for_strings(const char *at, struct block *block)
{
    *block = (struct block){0};
    for (unsigned i = 0; i < JSON_SKIP_BYTES; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(at + i));
        block->quotes |= where(bytes, '"') << i;
        block->backslashes |= where(bytes, '\\') << i;
    }
}

/* '[' and '{' differ in bit 0x20 only, and so do ']' and '}'. */
static inline void look_for_brackets(const char *at, struct block *block)
{
    for (unsigned i = 0; i < JSON_SKIP_BYTES; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(at + i));
        __m128i folded = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
        block->opening |= where(folded, '{') << i;
        block->closing |= where(folded, '}') << i;
    }
}

/* The same with vectors of twice the size. */
#define AVX2 __attribute__((target("avx2")))

AVX2 static inline uint64_t where_32(__m256i bytes, char c)
{
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(c)));
}

AVX2 static inline __m256i bytes_32(const char *at)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

AVX2 static inline void look_for_strings_32(const char *at, struct block *block)
{
    __m256i low = bytes_32(at), high = bytes_32(at + 32);
    *block = (struct block){
        .quotes = where_32(low, '"') | where_32(high, '"') << 32,
        .backslashes = where_32(low, '\\') | where_32(high, '\\') << 32,
    };
}

AVX2 static inline void look_for_brackets_32(const char *at, struct block *block)
{
    __m256i fold = _mm256_set1_epi8(0x20);
    __m256i low = _mm256_or_si256(bytes_32(at), fold);
    __m256i high = _mm256_or_si256(bytes_32(at + 32), fold);
    block->opening = where_32(low, '{') | where_32(high, '{') << 32;
    block->closing = where_32(low, '}') | where_32(high, '}') << 32;
}

#else

/* One bit for each byte of `word` that equals c: the low seven bits cannot carry into a neighbour,
 * and the multiplication gathers the eight top bits. */
static uint64_t where(uint64_t word, unsigned char c)
{
    const uint64_t sevens = 0x7f7f7f7f7f7f7f7fu;
    uint64_t other = word ^ (c * 0x0101010101010101u);
    uint64_t equal = ~(((other & sevens) + sevens) | other | sevens);
    return ((equal >> 7) * 0x0102040810204080u) >> 56;
}

static uint64_t word_at(const char *at)
{
    uint64_t word = 0;
    for (unsigned byte = 0; byte < 8; byte++)
        word |= (uint64_t)(unsigned char)at[byte] << (8 * byte);
    return word;
}

static inline void look_for_strings(const char *at, struct block *block)
{
    *block = (struct block){0};
    for (unsigned i = 0; i < JSON_SKIP_BYTES; i += 8) {
        uint64_t word = word_at(at + i);
        block->quotes |= where(word, '"') << i;
        block->backslashes |= where(word, '\\') << i;
    }
}

static inline void look_for_brackets(const char *at, struct block *block)
{
    for (unsigned i = 0; i < JSON_SKIP_BYTES; i += 8) {
        uint64_t folded = word_at(at + i) | 0x2020202020202020u;
        block->opening |= where(folded, '{') << i;
        block->closing |= where(folded, '}') << i;
    }
}

#endif

/* Which bytes a backslash takes the meaning of; carries over to the next block. In a run of
 * backslashes every other one does so, beginning with the first: adding its first bit to a run
 * carries through to its end, which tells the runs that begin at an even bit from the others. */
static uint64_t escaped_bytes(struct json_skip *skip, uint64_t backslashes)
{
    const uint64_t even = 0x5555555555555555u;
    uint64_t escaped = skip->is_escaped ? 1 : 0;
    uint64_t left = backslashes & ~escaped;
    uint64_t starts = left & ~(left << 1);
    uint64_t even_runs = left & ~(left + (starts & even));
    uint64_t escaping = (even_runs & even) | (left & ~even_runs & ~even);
    skip->is_escaped = escaping >> 63 != 0;
    return escaped | escaping << 1;
}

/* Bit n: an odd number of bits is set in `quotes` up to and including n. */
static uint64_t between_quotes(uint64_t quotes)
{
    for (unsigned shift = 1; shift < JSON_SKIP_BYTES; shift *= 2)
        quotes ^= quotes << shift;
    return quotes;
}

/* Counts the block's brackets one by one. How many bytes there are up to where the last one closes,
 * or 0. */
static unsigned count_brackets(struct json_skip *skip, const struct block *block,
                               uint32_t nesting_max)
{
    uint64_t brackets = block->opening | block->closing;
    for (; brackets != 0; brackets &= brackets - 1) {
        uint64_t bracket = brackets & -brackets;
        if ((block->opening & bracket) != 0)
            skip->nesting++;
        else
            skip->nesting--;
        if (skip->nesting == 0 || skip->nesting > nesting_max)
            return (unsigned)__builtin_ctzll(bracket) + 1;
    }
    return 0;
}

/* How a block is looked at. */
struct eyes {
    void (*strings)(const char *at, struct block *block);
    void (*brackets)(const char *at, struct block *block);
};
#define IN_LINE static inline __attribute__((always_inline))

/* As count_brackets; 0: all of the block has been read. Inside a string that goes on, brackets
 * are not looked for. */
IN_LINE unsigned skip_block(struct eyes eyes, struct json_skip *skip, struct block *block,
                            const char *at, uint32_t nesting_max)
{
    uint64_t plain = UINT64_MAX;
    if (block->backslashes != 0 || skip->is_escaped)
        plain = ~escaped_bytes(skip, block->backslashes);
    block->quotes &= plain;
    if (skip->is_in_string && block->quotes == 0)
        return 0;
    uint64_t strings = between_quotes(block->quotes) ^ (skip->is_in_string ? UINT64_MAX : 0);
    skip->is_in_string = strings >> 63 != 0;
    eyes.brackets(at, block);
    block->opening &= plain & ~strings;
    block->closing &= plain & ~strings;
    unsigned stop = count_brackets(skip, block, nesting_max);
    if (stop != 0) {
        skip->is_in_string = false;
        skip->is_escaped = false;
    }
    return stop;
}

static void skip_byte(struct json_skip *skip, char c)
{
    if (skip->is_escaped)
        skip->is_escaped = false;
    else if (c == '\\')
        skip->is_escaped = true;
    else if (c == '"')
        skip->is_in_string = !skip->is_in_string;
    else if (!skip->is_in_string && (c == '{' || c == '['))
        skip->nesting++;
    else if (!skip->is_in_string && (c == '}' || c == ']'))
        skip->nesting--;
}

bool json_is_escaped(const char *start, const char *at, bool is_odd)
{
    const char *back = at;
    while (back > start && back[-1] == '\\')
        back--;
    bool is_odd_here = ((at - back) & 1) != 0;
    return back == start ? is_odd_here != is_odd : is_odd_here;
}

IN_LINE const char *skip_with(struct eyes eyes, struct json_skip *skip, const char *at,
                              const char *end, uint32_t nesting_max)
{
    while (end - at >= JSON_SKIP_BYTES) {
        struct block block;
        eyes.strings(at, &block);
        if (skip->is_in_string && block.quotes == 0) { /* a long string: only its end matters */
            const char *quote = memchr(at, '"', (size_t)(end - at));
            quote = quote != NULL ? quote : end;
            skip->is_escaped = json_is_escaped(at, quote, skip->is_escaped);
            at = quote;
            continue;
        }
        unsigned stop = skip_block(eyes, skip, &block, at, nesting_max);
        if (stop != 0)
            return at + stop;
        at += JSON_SKIP_BYTES;
    }
    while (at < end) {
        skip_byte(skip, *at++);
        if (skip->nesting == 0 || skip->nesting > nesting_max)
            return at;
    }
    return at;
}

#ifdef AVX2
AVX2 static const char *skip_32(struct json_skip *skip, const char *at, const char *end,
                                uint32_t nesting_max)
{
    const struct eyes eyes = {look_for_strings_32, look_for_brackets_32};
    return skip_with(eyes, skip, at, end, nesting_max);
}
#endif

const char *json_skip(struct json_skip *skip, const char *at, const char *end, uint32_t nesting_max)
{
    const struct eyes eyes = {look_for_strings, look_for_brackets};
#ifdef AVX2
    if (__builtin_cpu_supports("avx2"))
        return skip_32(skip, at, end, nesting_max);
#endif
    return skip_with(eyes, skip, at, end, nesting_max);
}
