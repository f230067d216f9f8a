/* process.h - finding a redis-server program and running it as a child. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "base/attr.h"

/* A redis-server (or valkey-server) of version 7 or newer in PATH: its absolute path, yours. NULL:
 * *why (yours) is a sentence for the operator. */
MUST_USE char *process_find_redis(char **why);

/* Run argv[0] (a path), its output into output_fd, with no other descriptor, default signals, a
 * process group of its own. It is killed when the calling thread ends. -1: errno says why. */
MUST_USE pid_t process_start(const char *const argv[], int output_fd);

bool process_has_ended(pid_t pid); /* and then it has been reaped: `pid` means nothing any more */

char *process_sentence(const char *format, ...) PRINTF_LIKE(1, 2); /* yours; %m works in it */
