/* Wiped before it is freed. The length of a secret is not secret, its bytes are: comparing looks
 * at all of them, whatever they are. */
#include "base/secret.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void secret_set(struct secret *s, struct slice value)
{
    secret_fini(s);
    s->at = mem_string(value);
    s->len = value.len;
}

void secret_fini(struct secret *s)
{
    if (s->at != NULL)
        explicit_bzero(s->at, s->len);
    free(s->at);
    *s = (struct secret){0};
}

bool secret_is_set(const struct secret *s)
{
    return s->len > 0;
}

bool secret_equals(const struct secret *s, struct slice value)
{
    if (s->len == 0 || s->len != value.len)
        return false;
    unsigned char difference = 0;
    for (size_t i = 0; i < s->len; i++)
        difference |= (unsigned char)(s->at[i] ^ value.at[i]);
    return difference == 0;
}

struct slice secret_reveal(const struct secret *s)
{
    return (struct slice){s->at, s->len};
}
