/* mem.h - heap memory that never fails.
 * A node that cannot get memory cannot keep its promises, so these abort with a message. In return
 * every buffer, queue and list in the program has a ceiling. */
#pragma once
#include <stddef.h>

#include "base/slice.h"

void *mem_new(size_t size);              /* zeroed; yours */
void *mem_resize(void *at, size_t size); /* like realloc; takes `at`, the result is yours */
char *mem_string(struct slice s);        /* NUL-terminated copy; yours */
