/* Commands and options that people type by habit, because a program before this one had them. */
#include "cli/cli.h"
#include "config/predecessors.h"

bool cli_complain_foreign(const char *command, struct slice word)
{
    const struct predecessor_word *w = predecessor_find(PREDECESSOR_TYPED, word);
    char here[PREDECESSOR_HERE_MAX];
    if (w == NULL)
        return false;
    (void)cli_complain(EXIT_USAGE, "%s%s\"%s\" is of %s; here it is %s",
                       command != NULL ? command : "", command != NULL ? ": " : "", w->word,
                       w->whose->name, predecessor_here(w, here));
    return true;
}
