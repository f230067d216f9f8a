/* The alphabet itself, and the two questions asked of it. A letter more here is one more in the Lua
 * pattern that checks names, and in the expected text of the configuration. */
#include "base/name.h"

#include <stdint.h>

/* A bit a character: from 0, from 64. */
static const uint64_t alphabet[] = {
    0x3ffULL << '0' | 1ULL << '-' | 1ULL << '.' | 1ULL << ':',
    1ULL << ('@' - 64) | 0x3ffffffULL << ('A' - 64) | 1ULL << ('_' - 64) |
        0x3ffffffULL << ('a' - 64),
};

bool name_has(char c)
{
    unsigned char code = (unsigned char)c;
    return code < 128 && (alphabet[code >> 6] >> (code & 63) & 1) != 0;
}

bool name_is_clean(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!name_has(s.at[i]))
            return false;
    return true;
}

size_t name_clean(struct slice name, char *to, size_t cap)
{
    size_t len = name.len < cap - 1 ? name.len : cap - 1;
    for (size_t i = 0; i < len; i++)
        to[i] = (char)(name_has(name.at[i]) ? name.at[i] : '_');
    to[len] = '\0';
    return len;
}
