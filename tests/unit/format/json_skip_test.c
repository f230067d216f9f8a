#include "format/json_skip.h"

#include <stddef.h>

#include "check.h"

enum { NESTING_MAX = 6 };

/* The same by the book, a byte at a time: what json_skip must agree with. */
static const char *skip_simply(struct json_skip *skip, const char *at, const char *end)
{
    while (at < end) {
        char c = *at++;
        if (skip->is_escaped) {
            skip->is_escaped = false;
            continue;
        }
        skip->is_escaped = c == '\\';
        if (c == '"')
            skip->is_in_string = !skip->is_in_string;
        if (skip->is_in_string)
            continue;
        skip->nesting += c == '{' || c == '[';
        skip->nesting -= c == '}' || c == ']';
        if (skip->nesting == 0 || skip->nesting > NESTING_MAX)
            return at;
    }
    return at;
}

static uint32_t seed = 1;

static uint32_t chance(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 10) % below;
}

/* One random text, skipped at once and in two pieces. */
static int agrees(const char *alphabet)
{
    size_t len = 1 + chance(400);
    char *text = malloc(len);
    for (size_t i = 0; i < len; i++)
        text[i] = alphabet[chance((uint32_t)strlen(alphabet))];
    uint32_t nesting = 1 + chance(3);
    struct json_skip expected = {.nesting = nesting};
    struct json_skip whole = {.nesting = nesting};
    struct json_skip pieces = {.nesting = nesting};
    size_t cut = chance((uint32_t)len + 1);
    const char *simple_at = skip_simply(&expected, text, text + len);
    const char *whole_at = json_skip(&whole, text, text + len, NESTING_MAX);
    const char *pieces_at = json_skip(&pieces, text, text + cut, NESTING_MAX);
    if (pieces_at == text + cut && pieces.nesting != 0 && pieces.nesting <= NESTING_MAX)
        pieces_at = json_skip(&pieces, text + cut, text + len, NESTING_MAX);
    int is_same = whole_at == simple_at && pieces_at == simple_at &&
                  whole.nesting == expected.nesting && pieces.nesting == expected.nesting;
    if (expected.nesting != 0 && expected.nesting <= NESTING_MAX)
        is_same &= whole.is_in_string == expected.is_in_string &&
                   whole.is_escaped == expected.is_escaped &&
                   pieces.is_in_string == expected.is_in_string &&
                   pieces.is_escaped == expected.is_escaped;
    free(text);
    return is_same;
}

int main(void)
{
    static const char *const alphabets[] = {
        "ab{}[]\"\\",
        "{}[]",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\"\"\\[]",
        "\\\\\\\\\\\\\"[",
        "\\\"aaaaaaaaaa",
        "[\"]\"[{\"}\"",
        "\x02\x5c\x22\x5b\x5d\x7b\x7d\xdb\xdd\xfb\xfd\x3b\x3d\xa2\xdc"};
    PROMISE("taking many bytes at a time finds what reading them one by one finds, at any cut")
    {
        for (size_t i = 0; i < sizeof(alphabets) / sizeof(alphabets[0]); i++) {
            int is_same = 1;
            for (int round = 0; round < 5000; round++)
                is_same &= agrees(alphabets[i]);
            CHECK(is_same);
        }
    }
    PROMISE("backslashes are counted back to the start, and what was before it counts too")
    {
        const char *text = "a\\\\\\";
        CHECK(json_is_escaped(text, text + 4, false));
        CHECK(!json_is_escaped(text, text + 3, false));
        CHECK(json_is_escaped(text, text + 2, false));
        CHECK(!json_is_escaped(text, text + 1, true));
        CHECK(json_is_escaped(text, text, true));
        CHECK(!json_is_escaped(text + 1, text + 2, true));
        CHECK(json_is_escaped(text + 1, text + 3, true));
    }
    return check_done();
}
