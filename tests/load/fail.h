/* fail.h - what ends the program: of no use without memory or a file it was given. */
#pragma once

#include <stddef.h>

/* Prints what failed and errno's words; status 1. */
_Noreturn void fail(const char *what);
/* Zeroed, yours; ends the program where there is none. */
void *make(size_t count, size_t size);
