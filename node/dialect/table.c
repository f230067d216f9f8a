/* All dialects there are, one row each; the first one that knows a path has it. */
#include "dialect/dialect.h"

static const struct dialect *const dialects[] = {
    &dialect_anthropic,
};

const struct dialect *dialect_default(void)
{
    return dialects[0];
}

const struct dialect *dialect_of_path(struct slice path)
{
    for (size_t i = 0; i < sizeof(dialects) / sizeof(dialects[0]); i++)
        if (slice_starts(path, dialects[i]->path_prefix))
            return dialects[i];
    return NULL;
}
