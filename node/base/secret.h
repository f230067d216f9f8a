/* secret.h - a value that must never be seen: a credential, a token.
 * There is no way to format one: nothing that takes a slice or a string takes a secret, and only
 * code that puts it on the wire or compares it calls secret_reveal(). */
#pragma once
#include <stdbool.h>

#include "base/slice.h"

struct secret {
    char *at; /* private */
    size_t len;
};

void secret_set(struct secret *s, struct slice value); /* copies; wipes a former value */
void secret_fini(struct secret *s);                    /* wipes */
bool secret_is_set(const struct secret *s);
bool secret_equals(const struct secret *s, struct slice value); /* in constant time; unset: false */
struct slice secret_reveal(const struct secret *s);             /* borrowed */
