/* log.h - one line an event: text for people, JSON for machines.
 * A line is begun, given its fields, and ended; below the chosen level it costs one comparison.
 *
 *     if (log_begin(LOG_INFO, "exchange finished")) {
 *         log_text("client", client);
 *         log_number("status", 200);
 *         log_end();
 *     }
 *
 * Each thread puts its lines together by itself; once log_start() was called, a thread of the log's
 * own writes them. So a reader of our log that stands still never stops anyone else: lines beyond a
 * ceiling (log_writer.h) are lost and counted, and when there is room again a line says how many.
 * A struct secret cannot be logged: nothing here takes one. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/slice.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

/* For the whole process, before threads start; the level may change at any time (reload). */
void log_setup(enum log_level level, enum log_format format);
void log_set_level(enum log_level level);

/* From log_start() on the log has its thread; false: it could not be had. log_stop() comes when all
 * other threads have ended or the process is about to, and waits a second at most for the reader.
 * Before and after, lines are written by whoever ends them. A child of fork() is not to log. */
MUST_USE bool log_start(void);
void log_stop(void);
uint64_t log_lines_lost(void); /* since the process began */

bool log_level_parse(struct slice word,
                     enum log_level *level); /* error warn info debug, any case */

/* This thread's lines wait for log_flush() (a worker does so once per loop turn) instead of being
 * handed over at once. */
void log_gather(void);
void log_flush(void);
void log_thread_end(void); /* flush, and give this thread's buffer back */

/* Put at the end of every line of the process from now on. Copied; at most twice in a process. */
void log_set_node(const char *node, const char *boot);

/* Put on every line of this thread; "" for none. Copied, at most 31 bytes. */
void log_set_thread_name(const char *name);

MUST_USE bool log_begin(enum log_level level, const char *event);

/* Lines that are kept beside the log, whatever its level and format: JSON, without the last
 * newline. */
struct log_kept {
    struct buf lines;
    unsigned left_out; /* did not fit */
};
/* Such a line, if kept is not NULL: it is there after log_end(). False: neither logged nor kept. */
MUST_USE bool log_begin_kept(enum log_level level, const char *event, struct log_kept *kept);
void log_text(const char *key, struct slice value); /* at most 1 KiB of it; any bytes */
void log_string(const char *key, const char *value);
void log_number(const char *key, uint64_t value);
void log_micros(const char *key, uint64_t ns); /* written as ms with three decimals */
void log_end(void);

/* A line whose event is a formatted sentence, without fields. */
void log_message(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);
