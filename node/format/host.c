/* Read by the rules of browsers: they are the ones that can be made to send it. */
#include "format/host.h"

#include <string.h>

struct slice host_of_authority(struct slice authority)
{
    struct slice host;
    if (slice_starts(authority, SLICE("["))) {
        slice_cut(slice_from(authority, 1), ']', &host);
        return host;
    }
    slice_cut(authority, ':', &host);
    if (host.len > 1 && host.at[host.len - 1] == '.')
        host.len--;
    return host;
}

static bool is_below(struct slice host, struct slice domain)
{
    if (host.len <= domain.len + 1)
        return false;
    struct slice end = slice_from(host, host.len - domain.len);
    return host.at[host.len - domain.len - 1] == '.' && slice_eq_nocase(end, domain);
}

bool host_is_private(struct slice host)
{
    /* clang-format off */
    static const struct slice domains[] = {
        SLICE_ROW("localhost"),
        SLICE_ROW("local"),
        SLICE_ROW("lan"),
        SLICE_ROW("internal"),
        SLICE_ROW("home.arpa"),
    };
    /* clang-format on */
    if (host.len == 0 || memchr(host.at, ':', host.len) != NULL)
        return false;
    if (memchr(host.at, '.', host.len) == NULL)
        return true;
    for (size_t i = 0; i < sizeof(domains) / sizeof(domains[0]); i++)
        if (is_below(host, domains[i]))
            return true;
    return false;
}

bool host_is_name(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool is_digit = c >= '0' && c <= '9';
        if (!is_letter && !is_digit && c != '-' && c != '_' && c != '.')
            return false;
    }
    return text.len > 0 && text.len <= HOST_NAME_MAX && text.at[0] != '.' &&
           text.at[text.len - 1] != '.';
}

bool host_of_page(struct slice origin, struct slice *authority)
{
    bool is_plain = slice_starts_nocase(origin, SLICE("http://"));
    if (!is_plain && !slice_starts_nocase(origin, SLICE("https://")))
        return false;
    *authority = slice_from(origin, is_plain ? 7 : 8);
    return true;
}
