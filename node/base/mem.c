/* The one place that meets an allocation that failed, and it ends the process: nothing above has a
 * branch for it, so none can be wrong. */
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must_have(void *at, size_t size)
{
    if (at == NULL && size > 0) {
        fprintf(stderr, "weir: out of memory (%zu bytes)\n", size);
        abort();
    }
    return at;
}

void *mem_new(size_t size)
{
    return must_have(calloc(1, size), size);
}

void *mem_resize(void *at, size_t size)
{
    return must_have(realloc(at, size), size);
}

char *mem_string(struct slice s)
{
    char *copy = mem_new(s.len + 1);
    if (s.len > 0)
        memcpy(copy, s.at, s.len);
    return copy;
}
