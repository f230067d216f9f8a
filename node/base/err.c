/* The table of err.h as rows to look up. */
#include "base/err.h"

static const struct {
    int status;
    const char *word;
    const char *text;
} rows[] = {
#define X(name, status, word, text) [name] = {status, word, text},
    ERR_TABLE(X)
#undef X
};

int err_status(enum err err)
{
    return rows[err].status;
}

const char *err_word(enum err err)
{
    return rows[err].word;
}

const char *err_text(enum err err)
{
    return rows[err].text;
}
