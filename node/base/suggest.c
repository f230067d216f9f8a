/* The nearest of the candidates by edit distance, if it is near enough to be a slip of the
 * fingers: one letter in three, three at most. */
#include "base/suggest.h"

#include <stdint.h>

enum { WORD_MAX = 64, DISTANCE_MAX = 3 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many letters must be put in, taken out or changed (Levenshtein), row by row. */
static size_t distance_between(struct slice a, struct slice b)
{
    size_t row[WORD_MAX + 1];
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t above = row[j];
            size_t change = diagonal + (a.at[i - 1] == b.at[j - 1] ? 0 : 1);
            row[j] = least(change, least(above, row[j - 1]) + 1);
            diagonal = above;
        }
    }
    return row[b.len];
}

void suggest_consider(struct suggestion *s, struct slice word, struct slice candidate)
{
    if (word.len == 0 || word.len > WORD_MAX || candidate.len > WORD_MAX)
        return;
    size_t distance = distance_between(word, candidate);
    size_t allowed = least(DISTANCE_MAX, (word.len + 2) / 3);
    if (distance > allowed || (s->best.len > 0 && distance >= s->distance))
        return;
    s->best = candidate;
    s->distance = distance;
}
