/* json_walk.h - finds a few members in a JSON text without building it.
 * Request bodies are large and only model, stream, tools and the last message matter. Values come
 * back as slices of the text itself; strings stay escaped, ready to be echoed into another text. */
#pragma once

#include "bytes.h"

/* Steps through an object's members or an array's elements: start with *at = the whole value,
 * call until false. Name is empty in arrays, and without its quotes otherwise. */
bool json_next(struct slice *at, struct slice *name, struct slice *value);

/* The member's value, or false. Of several with one name the last counts, as in most parsers. */
bool json_member(struct slice object, const char *name, struct slice *value);

/* The text between a string value's quotes, still escaped; empty if value is not a string. */
struct slice json_string_raw(struct slice value);

/* Bytes of the escaped text up to the end of its n-th character, without cutting an escape, a
 * surrogate pair or a UTF-8 sequence. */
size_t json_text_units(struct slice raw, size_t count);

/* Appends text as the inside of a JSON string. Bytes that are not UTF-8 are read as Latin-1. */
void json_escape(struct buf *out, struct slice text);
