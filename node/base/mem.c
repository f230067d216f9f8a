/* The one place that meets an allocation that failed, and it ends the process: nothing above has a
 * branch for it, so none can be wrong. */
#include "base/mem.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"

enum { LAST_WORDS_MS = 1000 };

/* Past the log, which might need memory itself. A reader of standard error that stands still must
 * not keep a process that is to end. */
NORETURN static void give_up(size_t size)
{
    char words[64];
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    int len = snprintf(words, sizeof(words), "weir: out of memory (%zu bytes)\n", size);
    ssize_t written = poll(&p, 1, LAST_WORDS_MS) == 1 ? write(p.fd, words, (size_t)len) : 0;
    (void)written; /* there is nothing left to try */
    abort();
}

static void *must_have(void *at, size_t size)
{
    if (at == NULL && size > 0)
        give_up(size);
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
