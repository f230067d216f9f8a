/* An element is a string, ended by a quote that no backslash takes the meaning of; something in
 * brackets, ended where json_skip says; or a literal, ended by what cannot be part of one. */
#include "format/json_array.h"

#include <string.h>

#include "format/json_scan.h"
#include "format/json_skip.h"

static const char space[] = " \t\r\n";

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static struct slice skip_space(struct slice s)
{
    while (s.len > 0 && is_one_of(s.at[0], space))
        s = slice_from(s, 1);
    return s;
}

static const char *end_of_string(const char *at, const char *end)
{
    const char *start = at + 1;
    const char *quote = start;
    while ((quote = memchr(quote, '"', (size_t)(end - quote))) != NULL) {
        quote++;
        if (!json_is_escaped(start, quote - 1, false))
            return quote;
    }
    return end;
}

static const char *end_of_element(const char *at, const char *end)
{
    struct json_skip skip = {.nesting = 1};
    if (*at == '"')
        return end_of_string(at, end);
    if (*at == '{' || *at == '[')
        return json_skip(&skip, at + 1, end, JSON_SCAN_NESTING_MAX);
    while (at < end && !is_one_of(*at, ",]} \t\r\n"))
        at++;
    return at;
}

bool json_array_open(struct slice array, struct slice *rest)
{
    array = skip_space(array);
    *rest = slice_from(array, 1);
    return array.len > 0 && array.at[0] == '[';
}

bool json_array_next(struct slice *rest, struct slice *element)
{
    struct slice s = skip_space(*rest);
    if (s.len > 0 && s.at[0] == ',')
        s = skip_space(slice_from(s, 1));
    if (s.len == 0 || is_one_of(s.at[0], ",]}"))
        return false;
    size_t len = (size_t)(end_of_element(s.at, s.at + s.len) - s.at);
    *element = (struct slice){s.at, len};
    *rest = slice_from(s, len);
    return true;
}
