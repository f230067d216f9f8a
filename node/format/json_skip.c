#include "format/json_skip.h"

#include <stddef.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Bit n: what byte n of the block is. */
struct block {
    uint64_t quotes;
    uint64_t backslashes;
    uint64_t opening;
    uint64_t closing;
};

#ifdef __SSE2__

static uint64_t where(__m128i bytes, char c)
{
    return (uint16_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(c)));
}

/* '[' and '{' differ in bit 0x20 only, and so do ']' and '}'. */
static void look(const char *at, struct block *block)
{
    *block = (struct block){0};
    for (unsigned i = 0; i < JSON_SKIP_BYTES; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(at + i));
        __m128i folded = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
        block->quotes |= where(bytes, '"') << i;
        block->backslashes |= where(bytes, '\\') << i;
        block->opening |= where(folded, '{') << i;
        block->closing |= where(folded, '}') << i;
    }
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

static void look(const char *at, struct block *block)
{
    *block = (struct block){0};
    for (unsigned i = 0; i < JSON_SKIP_BYTES; i += 8) {
        uint64_t word = 0;
        for (unsigned byte = 0; byte < 8; byte++)
            word |= (uint64_t)(unsigned char)at[i + byte] << (8 * byte);
        uint64_t folded = word | 0x2020202020202020u;
        block->quotes |= where(word, '"') << i;
        block->backslashes |= where(word, '\\') << i;
        block->opening |= where(folded, '{') << i;
        block->closing |= where(folded, '}') << i;
    }
}

#endif

/* Which bytes a backslash takes the meaning of; carries over to the next block. */
static uint64_t escaped_bytes(struct json_skip *skip, uint64_t backslashes)
{
    uint64_t escaped = skip->is_escaped ? 1 : 0;
    uint64_t left = backslashes & ~escaped;
    skip->is_escaped = false;
    while (left != 0) {
        uint64_t backslash = left & -left;
        skip->is_escaped = backslash >> 63 != 0;
        escaped |= backslash << 1;
        left &= ~(backslash | backslash << 1);
    }
    return escaped;
}

/* Bit n: an odd number of bits is set in `quotes` up to and including n. */
static uint64_t between_quotes(uint64_t quotes)
{
    for (unsigned shift = 1; shift < JSON_SKIP_BYTES; shift *= 2)
        quotes ^= quotes << shift;
    return quotes;
}

/* Counts the block's brackets one by one. Where the last one closes, or NULL. */
static const char *count_brackets(struct json_skip *skip, const struct block *block, const char *at,
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
            return at + __builtin_ctzll(bracket) + 1;
    }
    return NULL;
}

/* NULL: all of the block has been read. */
static const char *skip_block(struct json_skip *skip, struct block *block, const char *at,
                              uint32_t nesting_max)
{
    if (block->backslashes != 0 || skip->is_escaped) {
        uint64_t plain = ~escaped_bytes(skip, block->backslashes);
        block->quotes &= plain;
        block->opening &= plain;
        block->closing &= plain;
    }
    uint64_t strings = between_quotes(block->quotes) ^ (skip->is_in_string ? UINT64_MAX : 0);
    skip->is_in_string = strings >> 63 != 0;
    block->opening &= ~strings;
    block->closing &= ~strings;
    const char *stop = count_brackets(skip, block, at, nesting_max);
    if (stop != NULL) {
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

const char *json_skip(struct json_skip *skip, const char *at, const char *end, uint32_t nesting_max)
{
    while (end - at >= JSON_SKIP_BYTES) {
        struct block block;
        look(at, &block);
        if (skip->is_in_string && block.quotes == 0) { /* a long string: only its end matters */
            const char *quote = memchr(at, '"', (size_t)(end - at));
            quote = quote != NULL ? quote : end;
            skip->is_escaped = json_is_escaped(at, quote, skip->is_escaped);
            at = quote;
            continue;
        }
        const char *stop = skip_block(skip, &block, at, nesting_max);
        if (stop != NULL)
            return stop;
        at += JSON_SKIP_BYTES;
    }
    while (at < end) {
        skip_byte(skip, *at++);
        if (skip->nesting == 0 || skip->nesting > nesting_max)
            return at;
    }
    return at;
}
