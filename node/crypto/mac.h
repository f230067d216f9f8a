/* mac.h - a keyed hash, as text: tells whether two things are the same without telling what they
 * are. HMAC-SHA-256 (RFC 2104), cut to 48 bits. */
#pragma once
#include <stddef.h>

#include "base/slice.h"

enum { MAC_TEXT_MAX = 13 }; /* 12 hex digits and the end */

/* Over `count` parts, each with its length, so that no two lists give the same text by chance. */
void mac_text(struct slice key, const struct slice *parts, size_t count, char text[MAC_TEXT_MAX]);
