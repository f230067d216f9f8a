/* slice.h - bytes that belong to someone else.
 * Passed by value everywhere. A slice never owns: it is valid as long as its owner says (a call, a
 * callback, an exchange's arena). It may hold any byte and has no terminator. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
    const char *at;
    size_t len;
};

#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})
/* A row of a table; as an initialiser it may stand where SLICE() may not. */
#define SLICE_ROW(literal)             \
    {                                  \
        (literal), sizeof(literal) - 1 \
    }
#define SLICE_NONE ((struct slice){NULL, 0})
/* For "%.*s"; only where the bytes are known to be text. */
#define SLICE_ARG(s) (int)(s).len, (s).at

struct slice slice_of(const char *string);              /* borrows; NULL gives the empty slice */
struct slice slice_from(struct slice s, size_t offset); /* the rest; offset beyond the end: empty */
struct slice slice_trim(struct slice s);                /* without SP and HTAB at both ends */
bool slice_eq(struct slice a, struct slice b);
bool slice_eq_nocase(struct slice a, struct slice b); /* ASCII only */
bool slice_starts(struct slice s, struct slice prefix);
bool slice_starts_nocase(struct slice s, struct slice prefix);
bool slice_find(struct slice s, char c, size_t *at); /* first position of c */

/* Cut `s` at the first `separator`: `head` gets what is before it, the return value what is after
 * (empty if there is none). */
struct slice slice_cut(struct slice s, char separator, struct slice *head);

/* Only digits, no sign, no space, at least one; false if not, or above max. */
bool slice_number(struct slice s, uint64_t max, uint64_t *value);

/* A pattern is a name, or the beginning of names and '*'. ASCII case ignored. */
bool slice_matches(struct slice s, const struct slice *patterns, size_t count);

/* A comma separated list (RFC 9110, 5.6.1) holds `token`, ASCII case ignored. */
bool slice_list_has(struct slice list, struct slice token);

/* The parts one after the other in to[cap], NUL-terminated; the length without the NUL. That they
 * have room is the caller's to know. */
size_t slice_join(char *to, size_t cap, const struct slice *parts, size_t count);
