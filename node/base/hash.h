/* hash.h - a number for bytes, the same on every node: 64 bits, fast, no secret in it.
 * For telling apart and for spreading. Whoever wants two inputs with one number can find them, so
 * nothing may depend on that being hard. */
#pragma once
#include <stdint.h>

#include "base/slice.h"

/* `before`: what has been hashed already, or any number to begin with. */
uint64_t hash_bytes(uint64_t before, struct slice bytes);
