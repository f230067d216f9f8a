/* suggest.h - "did you mean": the known word nearest to one that is not known. */
#pragma once
#include <stddef.h>

#include "base/slice.h"

/* A word nearer to `best` than to any other seen so far. Start with a zeroed one. */
struct suggestion {
    struct slice best; /* empty: nothing near enough */
    size_t distance;
};

/* Let `candidate` compete; its bytes must outlive the suggestion. */
void suggest_consider(struct suggestion *s, struct slice word, struct slice candidate);
