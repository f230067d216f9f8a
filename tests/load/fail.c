#include "fail.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void fail(const char *what)
{
    fprintf(stderr, "weir-load: %s: %s\n", what, strerrordesc_np(errno));
    exit(1);
}

void *make(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (memory == NULL)
        fail("memory");
    return memory;
}
