/* Nothing here allocates or keeps anything: a slice goes in, a slice of its bytes comes out. */
#include "base/slice.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

struct slice slice_of(const char *string)
{
    return string == NULL ? SLICE_NONE : (struct slice){string, strlen(string)};
}

struct slice slice_from(struct slice s, size_t offset)
{
    if (offset >= s.len)
        return SLICE_NONE;
    return (struct slice){s.at + offset, s.len - offset};
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s)
{
    while (s.len > 0 && is_blank(s.at[0]))
        s = slice_from(s, 1);
    while (s.len > 0 && is_blank(s.at[s.len - 1]))
        s.len--;
    return s;
}

bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool slice_eq_nocase(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.at, b.at, a.len) == 0);
}

bool slice_starts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_eq((struct slice){s.at, prefix.len}, prefix);
}

bool slice_starts_nocase(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_eq_nocase((struct slice){s.at, prefix.len}, prefix);
}

bool slice_find(struct slice s, char c, size_t *at)
{
    const char *found = s.len > 0 ? memchr(s.at, c, s.len) : NULL;
    if (found == NULL)
        return false;
    *at = (size_t)(found - s.at);
    return true;
}

struct slice slice_cut(struct slice s, char separator, struct slice *head)
{
    size_t at;
    if (!slice_find(s, separator, &at)) {
        *head = s;
        return SLICE_NONE;
    }
    *head = (struct slice){s.at, at};
    return slice_from(s, at + 1);
}

bool slice_number(struct slice s, uint64_t max, uint64_t *value)
{
    uint64_t sum = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] < '0' || s.at[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(s.at[i] - '0');
        if (sum > (UINT64_MAX - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    if (sum > max)
        return false;
    *value = sum;
    return true;
}

bool slice_matches(struct slice s, const struct slice *patterns, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct slice p = patterns[i];
        bool is_prefix = p.len > 0 && p.at[p.len - 1] == '*';
        if (is_prefix)
            p.len--;
        if (is_prefix ? slice_starts_nocase(s, p) : slice_eq_nocase(s, p))
            return true;
    }
    return false;
}

bool slice_list_has(struct slice list, struct slice token)
{
    while (list.len > 0) {
        struct slice item;
        list = slice_cut(list, ',', &item);
        if (slice_eq_nocase(slice_trim(item), token))
            return true;
    }
    return false;
}

size_t slice_join(char *to, size_t cap, const struct slice *parts, size_t count)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        assert(parts[i].len < cap - len);
        if (parts[i].len > 0)
            memcpy(to + len, parts[i].at, parts[i].len);
        len += parts[i].len;
    }
    to[len] = '\0';
    return len;
}
