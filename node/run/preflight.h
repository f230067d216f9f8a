/* preflight.h - what a config must also satisfy, beyond what its own floor can know: that its Redis
 * can be spoken to, its certificate used, its networks understood. Nothing is connected to. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

struct config;

/* False: why[why_len] says what is wrong and where it stands. */
MUST_USE bool preflight(const struct config *config, char *why, size_t why_len);
