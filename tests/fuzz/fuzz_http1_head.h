/* fuzz_http1_head.h - what the two targets for heads share. */
#pragma once
#include "format/http1.h"
#include "fuzz.h"

/* Finds the head's end, once in all of `in` and once while it arrives in pieces: the same. */
static inline bool fuzz_find_head(struct slice in, struct slice *head)
{
    struct http1_finder whole = {0}, pieces = {0};
    size_t whole_len = 0, pieces_len = 0, seen = 0;
    int whole_status = 0, pieces_status = 0;
    uint32_t seed = (uint32_t)in.len;
    enum http1_progress progress = http1_find(&whole, in, &whole_len, &whole_status);
    enum http1_progress cut_progress = HTTP1_MORE;
    while (seen < in.len && cut_progress == HTTP1_MORE) {
        seen += fuzz_step(&seed, in.len - seen);
        cut_progress =
            http1_find(&pieces, (struct slice){in.at, seen}, &pieces_len, &pieces_status);
    }
    REQUIRE(cut_progress == progress);
    REQUIRE(progress != HTTP1_BAD || whole_status == pieces_status);
    REQUIRE(progress != HTTP1_DONE || (whole_len == pieces_len && whole_len <= in.len));
    *head = (struct slice){in.at, whole_len};
    return progress == HTTP1_DONE;
}

/* A part of `whole`, or empty. */
static inline bool fuzz_is_within(struct slice part, struct slice whole)
{
    return part.len == 0 || (part.at >= whole.at && part.at + part.len <= whole.at + whole.len);
}

static inline void fuzz_check_headers(const struct http1_header *headers, unsigned count,
                                      struct slice head)
{
    REQUIRE(count <= HTTP1_HEADERS_MAX);
    for (unsigned i = 0; i < count; i++) {
        struct slice value = headers[i].value;
        REQUIRE(headers[i].name.len > 0 && fuzz_is_within(headers[i].name, head));
        REQUIRE(fuzz_is_within(value, head));
        REQUIRE(slice_eq(slice_trim(value), value));
        for (size_t c = 0; c < value.len; c++)
            REQUIRE(value.at[c] == '\t' ||
                    ((unsigned char)value.at[c] >= 0x20 && value.at[c] != 0x7f));
        for (size_t c = 0; c < headers[i].name.len; c++)
            REQUIRE(headers[i].name.at[c] > ' ' && headers[i].name.at[c] != ':' &&
                    headers[i].name.at[c] != 0x7f);
    }
}

static inline unsigned fuzz_count_headers(const struct http1_header *headers, unsigned count,
                                          struct slice name)
{
    unsigned found = 0;
    for (unsigned i = 0; i < count; i++)
        found += slice_eq_nocase(headers[i].name, name);
    return found;
}
