/* log.h - one line an event: text for people, JSON for machines.
 * A line is begun, given its fields, and ended; below the chosen level it costs one comparison.
 *
 *     if (log_begin(LOG_INFO, "exchange finished")) {
 *         log_text("client", client);
 *         log_number("status", 200);
 *         log_end();
 *     }
 *
 * Each thread gathers lines in a buffer of its own; log_flush() writes them (a worker does so once
 * per loop turn). A reader of our log that stands still never stops a worker: lines beyond the
 * buffer's ceiling are dropped and counted, and the next line that fits says how many.
 * A struct secret cannot be logged: nothing here takes one. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

/* For the whole process, before threads start; the level may change at any time (reload). */
void log_setup(enum log_level level, enum log_format format);
void log_set_level(enum log_level level);
bool log_level_parse(struct slice word,
                     enum log_level *level); /* error warn info debug, any case */

/* This thread's lines wait for log_flush() instead of being written at once. */
void log_gather(void);
void log_flush(void);
void log_thread_end(void); /* flush, and give this thread's buffer back */

/* Put on every line of this thread; "" for none. Copied, at most 31 bytes. */
void log_set_thread_name(const char *name);

MUST_USE bool log_begin(enum log_level level, const char *event);
void log_text(const char *key, struct slice value); /* at most 1 KiB of it; any bytes */
void log_string(const char *key, const char *value);
void log_number(const char *key, uint64_t value);
void log_micros(const char *key, uint64_t ns); /* written as ms with three decimals */
void log_end(void);

/* A line whose event is a formatted sentence, without fields. */
void log_message(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);
