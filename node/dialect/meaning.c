/* The words of the tables, for the log. */
#include "dialect/meaning.h"

const char *answer_class_word(enum answer_class class)
{
    static const char *const words[] = {
#define X(name, word) [CLASS_##name] = (word),
        ANSWER_CLASS_TABLE(X)
#undef X
    };
    return words[class];
}

const char *answer_scope_word(enum answer_scope scope)
{
    static const char *const words[] = {
#define X(name, word) [SCOPE_##name] = (word),
        ANSWER_SCOPE_TABLE(X)
#undef X
    };
    return words[scope];
}

const char *endpoint_group_word(enum endpoint_group group)
{
    static const char *const words[] = {
#define X(name, word) [GROUP_##name] = (word),
        ENDPOINT_GROUP_TABLE(X)
#undef X
    };
    return words[group];
}
