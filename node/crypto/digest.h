/* digest.h - the first eight digits of a SHA-256, as `sha256sum` prints them: whoever has the file
 * can compare. Not for what can be guessed: a short password could be found by trying. */
#pragma once
#include "base/slice.h"

enum { DIGEST_TEXT_MAX = 9 };

void digest_text(struct slice bytes, char text[DIGEST_TEXT_MAX]);
