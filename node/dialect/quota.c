/* Quotas of an answer, as all dialects collect them. */
#include "dialect/quota.h"

#include <inttypes.h>
#include <stdio.h>

enum { SHARE_MAX = 100 * QUOTA_FULL };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool quota_read_share(struct slice text, uint32_t *share)
{
    uint32_t value = 0, place = QUOTA_FULL;
    size_t at = 0;
    while (at < text.len && is_digit(text.at[at]) && value <= SHARE_MAX)
        value = value * 10 + (uint32_t)(text.at[at++] - '0') * QUOTA_FULL;
    if (at == 0 || value > SHARE_MAX)
        return false;
    if (at < text.len && text.at[at] == '.')
        for (at++; at < text.len && is_digit(text.at[at]); at++) {
            place /= 10;
            value += (uint32_t)(text.at[at] - '0') * place;
        }
    *share = value;
    return at == text.len;
}

/* In small letters, NUL-terminated; false if it cannot be a window's. */
static bool copy_name(struct slice name, char to[WINDOW_NAME_MAX + 1])
{
    if (name.len > WINDOW_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (!(c >= 'a' && c <= 'z') && !is_digit(c) && c != '_' && c != '-' && c != '.')
            return false;
        to[i] = c;
    }
    to[name.len] = '\0';
    return true;
}

void quota_add(struct quota *quota, struct slice name, uint32_t used, uint64_t reset_s)
{
    unsigned at = quota->count;
    if (at == QUOTA_WINDOWS_MAX || !copy_name(name, quota->windows[at].name))
        return;
    quota->windows[at].used = used;
    quota->windows[at].reset_s = reset_s;
    quota->count++;
}

struct slice quota_text(const struct quota *quota, char text[QUOTA_TEXT_MAX])
{
    size_t len = 0;
    for (unsigned i = 0; i < quota->count; i++)
        len += (size_t)snprintf(text + len, QUOTA_TEXT_MAX - len, "%s%s:%" PRIu32 ":%" PRIu64,
                                i > 0 ? " " : "", quota->windows[i].name, quota->windows[i].used,
                                quota->windows[i].reset_s);
    return (struct slice){text, len};
}
