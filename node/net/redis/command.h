/* command.h - a command as Redis reads it (RESP), written without any detour. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/slice.h"

/* Append one command. False: above the ceiling of `out`, which is unchanged. */
MUST_USE bool redis_command_put(struct buf *out, const struct slice *args, size_t count);
