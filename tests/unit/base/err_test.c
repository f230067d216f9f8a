#include "base/err.h"

#include "base/slice.h"
#include "check.h"

static const enum err all[] = {
#define X(name, status, word, text) name,
    ERR_TABLE(X)
#undef X
};

enum { ALL = sizeof(all) / sizeof(all[0]) };

int main(void)
{
    PROMISE("every error has a status to answer with, a word for machines and one for people")
    {
        for (int i = 0; i < ALL; i++) {
            CHECK(err_status(all[i]) >= 200 && err_status(all[i]) < 600);
            CHECK(err_word(all[i])[0] != '\0');
            CHECK(strspn(err_word(all[i]), "abcdefghijklmnopqrstuvwxyz_") ==
                  strlen(err_word(all[i])));
            CHECK(err_text(all[i])[0] != '\0');
        }
    }
    PROMISE("no two errors share a word")
    {
        for (int i = 0; i < ALL; i++)
            for (int j = 0; j < i; j++)
                CHECK(strcmp(err_word(all[i]), err_word(all[j])) != 0);
    }
    PROMISE("OK is zero and answers 200; what Redis or a full pool cause is no client's fault")
    {
        CHECK(OK == 0);
        CHECK(err_status(OK) == 200);
        CHECK(err_status(ERR_REFUSED) == 529);
        CHECK(err_status(ERR_STATE_DOWN) == 503);
    }
    return check_done();
}
