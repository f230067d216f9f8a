/* The grammar of a window's name. */
#include "format/window_name.h"

enum { DIGITS_MAX = 3 }; /* as many as lua/lib/window.lua takes */

static bool is_unit(char c)
{
    return c == 's' || c == 'm' || c == 'h' || c == 'd' || c == 'w';
}

bool window_name_is(struct slice name, struct slice *suffix)
{
    size_t digits = 0;
    while (digits < name.len && name.at[digits] >= '0' && name.at[digits] <= '9')
        digits++;
    if (digits == 0 || digits > DIGITS_MAX || digits == name.len || !is_unit(name.at[digits]))
        return false;
    *suffix = slice_from(name, digits + 1);
    return suffix->len == 0 || suffix->at[0] == '_' || suffix->at[0] == '-' || suffix->at[0] == '.';
}
