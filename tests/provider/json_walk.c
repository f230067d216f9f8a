#include "json_walk.h"

#include <string.h>

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    return at;
}

/* At stands on the opening quote. Past the closing one, or NULL. */
static const char *skip_string(const char *at, const char *end)
{
    const char *first = ++at;
    while (at < end) {
        const char *quote = memchr(at, '"', (size_t)(end - at));
        if (quote == NULL)
            return NULL;
        const char *slash = quote;
        while (slash > first && slash[-1] == '\\')
            slash--;
        if ((quote - slash) % 2 == 0)
            return quote + 1;
        at = quote + 1;
    }
    return NULL;
}

/* At stands on { or [. Past its partner, or NULL. */
static const char *skip_nested(const char *at, const char *end)
{
    int depth = 0;
    while (at < end) {
        if (*at == '"') {
            at = skip_string(at, end);
            if (at == NULL)
                return NULL;
            continue;
        }
        if (*at == '{' || *at == '[')
            depth++;
        else if (*at == '}' || *at == ']')
            depth--;
        at++;
        if (depth == 0)
            return at;
    }
    return NULL;
}

static const char *skip_value(const char *at, const char *end)
{
    if (at == end)
        return NULL;
    if (*at == '"')
        return skip_string(at, end);
    if (*at == '{' || *at == '[')
        return skip_nested(at, end);
    const char *first = at;
    while (at < end && strchr(",]} \t\r\n", *at) == NULL)
        at++;
    return at == first ? NULL : at;
}

bool json_next(struct slice *at, struct slice *name, struct slice *value)
{
    const char *end = at->at + at->len;
    const char *here = skip_space(at->at, end);
    if (here == end || (*here != '{' && *here != '[' && *here != ','))
        return false;
    here = skip_space(here + 1, end);
    *name = (struct slice){"", 0};
    if (here < end && (*here == '}' || *here == ']'))
        return false;
    const char *past = skip_value(here, end);
    if (past == NULL)
        return false;
    const char *colon = skip_space(past, end);
    if (*here == '"' && colon < end && *colon == ':') {
        *name = (struct slice){here + 1, (size_t)(past - here) - 2};
        here = skip_space(colon + 1, end);
        past = skip_value(here, end);
        if (past == NULL)
            return false;
    }
    *value = (struct slice){here, (size_t)(past - here)};
    *at = (struct slice){past, (size_t)(end - past)};
    return true;
}

bool json_member(struct slice object, const char *name, struct slice *value)
{
    bool is_found = false;
    struct slice key, found;
    while (json_next(&object, &key, &found)) {
        if (slice_is(key, name)) {
            *value = found;
            is_found = true;
        }
    }
    return is_found;
}

struct slice json_string_raw(struct slice value)
{
    if (value.len < 2 || value.at[0] != '"')
        return (struct slice){"", 0};
    return (struct slice){value.at + 1, value.len - 2};
}

static size_t unit_len(struct slice raw, size_t at)
{
    unsigned char lead = (unsigned char)raw.at[at];
    size_t len = 1;
    if (lead == '\\' && at + 1 < raw.len && raw.at[at + 1] == 'u') {
        len = 6;
        bool is_high = at + 3 < raw.len && (raw.at[at + 2] | 0x20) == 'd' &&
                       strchr("89abAB", raw.at[at + 3]) != NULL;
        if (is_high && at + 7 < raw.len && raw.at[at + 6] == '\\')
            len = 12;
    } else if (lead >= 0xf0) {
        len = 4;
    } else if (lead >= 0xe0) {
        len = 3;
    } else if (lead >= 0xc0 || lead == '\\') {
        len = 2;
    }
    return len < raw.len - at ? len : raw.len - at;
}

size_t json_text_units(struct slice raw, size_t count)
{
    size_t at = 0;
    while (count > 0 && at < raw.len) {
        at += unit_len(raw, at);
        count--;
    }
    return at;
}

/* Length of the well-formed UTF-8 sequence at the front, 0 if there is none. */
static size_t utf8_len(struct slice text)
{
    unsigned char lead = (unsigned char)text.at[0];
    size_t len = lead < 0x80   ? 1
                 : lead < 0xc2 ? 0
                 : lead < 0xe0 ? 2
                 : lead < 0xf0 ? 3
                 : lead < 0xf5 ? 4
                               : 0;
    if (len == 0 || len > text.len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if (((unsigned char)text.at[i] & 0xc0) != 0x80)
            return 0;
    }
    unsigned char second = len > 1 ? (unsigned char)text.at[1] : 0;
    bool is_bad = (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
                  (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f);
    return is_bad ? 0 : len;
}

void json_escape(struct buf *out, struct slice text)
{
    while (text.len > 0) {
        unsigned char byte = (unsigned char)text.at[0];
        size_t len = utf8_len(text);
        if (byte == '"' || byte == '\\')
            buf_addf(out, "\\%c", byte);
        else if (byte < 0x20 || byte == 0x7f || len == 0)
            buf_addf(out, "\\u%04x", byte);
        else
            buf_add(out, text.at, len);
        len = len == 0 ? 1 : len;
        text = (struct slice){text.at + len, text.len - len};
    }
}
