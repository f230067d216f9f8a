/* The alphabet itself, and the two questions asked of it. A letter more here is one more in the Lua
 * pattern that checks names, and in the expected text of the configuration. */
#include "base/name.h"

bool name_has(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == ':' || c == '@' || c == '-';
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
