/* log_writer.h - whole lines on their way to standard error.
 * From log_writer_start() to log_writer_stop() one thread writes and nobody else does: who hands
 * lines over waits for a lock and never for a reader. Before and after that, lines are written at
 * once. Invariant: a line is written whole and in one piece, or it is lost and counted. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

/* Lines of the whole process that wait for a slow reader; half of it may be on its way out. */
enum { LOG_WAITING_BYTES_MAX = 4 << 20 };

MUST_USE bool log_writer_start(void); /* false: there is no thread, and all stays as it was */

/* Takes no more lines and writes those that wait, for at most so long. */
void log_writer_stop(uint64_t at_most_ms);

/* Copies them. They have `count` newlines, and end with one. */
void log_writer_put(struct slice lines, uint64_t count);
void log_writer_lose(uint64_t count); /* so many are lost already */
uint64_t log_writer_lost(void);       /* since the process began */

/* log.c: the line that tells of so many lost ones, into `line`. Returns its length; 0: the level
 * does not want it. */
enum { LOG_LOSS_LINE_MAX = 256 };
size_t log_line_of_loss(uint64_t lost, char line[LOG_LOSS_LINE_MAX]);
