/* One strict decoder, utf8_next(); the rest asks it character by character. Where it says "none", a
 * byte counts alone, so that all of them get on with any bytes. */
#include "base/utf8.h"

#include <stdbool.h>
#include <stdio.h>

enum { CHARACTER_BYTES_MAX = 4 };

/* What a first byte announces; 0: none begins with it. 0xc0 and 0xc1 could only be overlong. */
static size_t announced(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

static bool is_continuation(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

size_t utf8_next(struct slice s, uint32_t *code)
{
    static const uint32_t least[CHARACTER_BYTES_MAX + 1] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = s.len > 0 ? announced((unsigned char)s.at[0]) : 0;
    if (len == 0 || len > s.len)
        return 0;
    uint32_t value = (unsigned char)s.at[0] & (len == 1 ? 0x7fU : 0xffU >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if (!is_continuation(s.at[i]))
            return 0;
        value = value << 6 | ((unsigned char)s.at[i] & 0x3fU);
    }
    if (value < least[len] || (value >= 0xd800 && value <= 0xdfff) || value > 0x10ffff)
        return 0;
    *code = value;
    return len;
}

struct slice utf8_cut(struct slice s, size_t bytes_max)
{
    size_t len = bytes_max;
    if (s.len <= bytes_max)
        return s;
    while (len > 0 && bytes_max - len < CHARACTER_BYTES_MAX && is_continuation(s.at[len]))
        len--;
    if (is_continuation(s.at[len]))
        len = bytes_max; /* so many in a row are no character */
    return (struct slice){s.at, len};
}

void utf8_repair(char *text, size_t len)
{
    uint32_t code;
    for (size_t at = 0, got; at < len; at += got) {
        got = utf8_next((struct slice){text + at, len - at}, &code);
        if (got > 0)
            continue;
        text[at] = '?';
        got = 1;
    }
}

size_t utf8_escape(struct slice s, char out[UTF8_ESCAPE_MAX])
{
    uint32_t code = 0;
    size_t len = utf8_next(s, &code);
    if (len == 0) {
        code = (unsigned char)s.at[0];
        len = 1;
    }
    if (code == '"' || code == '\\')
        snprintf(out, UTF8_ESCAPE_MAX, "\\%c", (char)code);
    else if (code >= 0x20 && code < 0x7f)
        snprintf(out, UTF8_ESCAPE_MAX, "%c", (char)code);
    else if (code <= 0xffff)
        snprintf(out, UTF8_ESCAPE_MAX, "\\u%04x", (unsigned)code);
    else
        snprintf(out, UTF8_ESCAPE_MAX, "\\u%04x\\u%04x",
                 (unsigned)(0xd800 + ((code - 0x10000) >> 10)),
                 (unsigned)(0xdc00 + ((code - 0x10000) & 0x3ff)));
    return len;
}
