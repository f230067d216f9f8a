/* redis_url_of.h - a Redis URL that a test knows to be good, parsed. */
#pragma once
#include "check.h"
#include "format/redis_url.h"

/* Give it to redis_url_fini(). */
static inline struct redis_url redis_url_of(const char *text)
{
    struct redis_url url;
    const char *why = "";
    if (!redis_url_parse(&url, slice_of(text), &why)) {
        fprintf(stderr, "%s: %s\n", text, why);
        exit(EXIT_FAILURE);
    }
    return url;
}
