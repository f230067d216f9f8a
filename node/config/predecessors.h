/* predecessors.h - words that people bring along from the programs they used before.
 * What stands in those programs' configs, environments, paths and command lines, and what stands
 * for it here. Whoever meets a word that is not ours asks this table, so that each error names our
 * word and the section of docs/switch.md. A word of ours is never looked up. */
#pragma once
#include <stddef.h>

#include "base/slice.h"

struct predecessor {
    const char *name;
    const char *section; /* of docs/switch.md, as its address has it */
};

struct predecessor_word {
    const char *word;
    const struct predecessor *whose;
    const char *here; /* a clause to stand behind "expected": what is written here, or "nothing" */
};

enum predecessor_kind {
    PREDECESSOR_FIELD,    /* a name in a config */
    PREDECESSOR_VALUE,    /* one of a setting's words */
    PREDECESSOR_VARIABLE, /* of the environment */
    PREDECESSOR_COMMON,   /* a variable so common that only one in ./.env is meant for us */
    PREDECESSOR_FILE,     /* in the folder of the start; with a slash, below that of configs */
    PREDECESSOR_PATH,     /* of HTTP; with a slash at its end all that is below it */
    PREDECESSOR_TYPED,    /* a command, or an option with its dashes */
    PREDECESSOR_KINDS
};

/* All of a kind. Static. */
const struct predecessor_word *predecessor_words(enum predecessor_kind kind, size_t *count);
/* NULL: none has this word. */
const struct predecessor_word *predecessor_find(enum predecessor_kind kind, struct slice word);
/* Whose config in YAML this is; NULL: no one's. */
const struct predecessor *predecessor_of_yaml(struct slice text);

enum { PREDECESSOR_HERE_MAX = 320 };
/* "HERE; see docs/switch.md#SECTION". Gives `out`. */
const char *predecessor_here(const struct predecessor_word *w, char out[PREDECESSOR_HERE_MAX]);
