/* answer_head.h - an answer's status line and headers: the usual ones, then the script's, which
 * take the place of usual ones of the same name. */
#pragma once

#include "answer.h"

void answer_print_head(const struct answer *answer, struct buf *out);
