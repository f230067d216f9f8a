/* log.c - a line is put together in a buffer of its thread and handed over whole (log_writer.h): by
 * log_end(), or for a thread that gathers by log_flush(), so that a turn of a loop costs one lock
 * however many lines it had. A line that grows too long is taken back and counted as lost. */
#include "base/log.h"

#include <assert.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log_writer.h"
#include "base/number.h"
#include "base/tiny.h"
#include "base/utf8.h"

enum {
    GATHER_BYTES = TINY(64 * 1024, 512), /* of one turn: handed over early then */
    LINE_BYTES_MAX = 8192,               /* a line is complete or not there at all */
    VALUE_BYTES_MAX = 1024,
    STOP_MS = 1000 /* what an ending process waits for its log's reader */
};

/* What other threads may be reading stays as it was: so one for each time it is set. */
enum { NODES_MAX = 2, NODE_TEXT_MAX = 128 };
static struct node_text {
    char at[2][NODE_TEXT_MAX]; /* by enum log_format */
    size_t len[2];
} node_texts[NODES_MAX];
static const struct node_text *_Atomic node_text; /* NULL: not known yet */

static _Atomic int current_level = LOG_INFO;
static enum log_format current_format = LOG_TEXT;
static bool use_colour;

struct thread_log {
    struct buf lines;
    size_t line_start; /* where the line being written begins, as a length of `lines` */
    uint64_t line_count;
    bool is_gathering;
    bool is_overflowing; /* the line being written did not fit */
    char name[32];
};

static _Thread_local struct thread_log self = {.lines = {.max = GATHER_BYTES + LINE_BYTES_MAX}};

static const char *const level_words[] = {"error", "warn", "info", "debug"};
static const char *const level_colours[] = {"\033[31m", "\033[33m", "\033[32m", "\033[90m"};

void log_setup(enum log_level level, enum log_format format)
{
    log_set_level(level);
    current_format = format;
    use_colour = isatty(STDERR_FILENO) != 0;
}

bool log_start(void)
{
    return log_writer_start();
}

void log_stop(void)
{
    log_thread_end();
    log_writer_stop(STOP_MS);
}

uint64_t log_lines_lost(void)
{
    return log_writer_lost();
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

bool log_level_parse(struct slice word, enum log_level *level)
{
    for (int i = LOG_ERROR; i <= LOG_DEBUG; i++)
        if (slice_eq_nocase(word, slice_of(level_words[i]))) {
            *level = (enum log_level)i;
            return true;
        }
    return false;
}

void log_set_node(const char *node, const char *boot)
{
    struct node_text *text = &node_texts[atomic_load(&node_text) == &node_texts[0] ? 1 : 0];
    assert(atomic_load(&node_text) != &node_texts[1]);
    text->len[LOG_TEXT] =
        (size_t)snprintf(text->at[LOG_TEXT], NODE_TEXT_MAX, " node=%.64s boot=%.8s", node, boot);
    text->len[LOG_JSON] = (size_t)snprintf(text->at[LOG_JSON], NODE_TEXT_MAX,
                                           ",\"node\":\"%.64s\",\"boot\":\"%.8s\"", node, boot);
    atomic_store(&node_text, text);
}

void log_gather(void)
{
    self.is_gathering = true;
}

void log_set_thread_name(const char *name)
{
    snprintf(self.name, sizeof(self.name), "%s", name);
}

void log_flush(void)
{
    if (self.line_count > 0)
        log_writer_put(buf_slice(&self.lines), self.line_count);
    buf_clear(&self.lines);
    self.line_count = 0;
}

void log_thread_end(void)
{
    log_flush();
    buf_fini(&self.lines);
    self.is_gathering = false;
}

static void put(struct slice bytes)
{
    if (self.is_overflowing)
        return;
    if (buf_len(&self.lines) - self.line_start + bytes.len > LINE_BYTES_MAX ||
        !buf_append(&self.lines, bytes))
        self.is_overflowing = true;
}

static void put_string(const char *s)
{
    put(slice_of(s));
}

/* All but printable ASCII is escaped, so that a line stays one line and a terminal is never driven
 * by a client's bytes. */
static void put_escaped(struct slice s)
{
    size_t plain = 0;
    for (size_t i = 0; i < s.len;) {
        unsigned char c = (unsigned char)s.at[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            i++;
            continue;
        }
        char code[UTF8_ESCAPE_MAX];
        put((struct slice){s.at + plain, i - plain});
        i += utf8_escape(slice_from(s, i), code);
        plain = i;
        put_string(code);
    }
    put((struct slice){s.at + plain, s.len - plain});
}

static bool is_plain(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] <= ' ' || s.at[i] >= 0x7f || s.at[i] == '"' || s.at[i] == '\\' ||
            s.at[i] == '=')
            return false;
    return s.len > 0;
}

static void put_key(const char *key)
{
    if (current_format == LOG_JSON) {
        put(SLICE(",\""));
        put_string(key);
        put(SLICE("\":"));
    } else {
        put(SLICE(" "));
        put_string(key);
        put(SLICE("="));
    }
}

static void put_quoted(struct slice value)
{
    put(SLICE("\""));
    put_escaped(value);
    put(SLICE("\""));
}

static void begin_json(const char *time, enum log_level level, const char *event)
{
    put(SLICE("{\"time\":\""));
    put_string(time);
    put(SLICE("\",\"level\":\""));
    put_string(level_words[level]);
    put(SLICE("\",\"event\":"));
    put_quoted(slice_of(event));
    if (self.name[0] != '\0')
        log_string("thread", self.name);
}

static void begin_text(const char *time, enum log_level level, const char *event)
{
    put((struct slice){time + 11, 12}); /* the time of day */
    put(SLICE(" "));
    if (use_colour)
        put_string(level_colours[level]);
    put_string(level_words[level]);
    put((struct slice){"     ", 6 - strlen(level_words[level])});
    if (use_colour)
        put(SLICE("\033[0m"));
    put_escaped(slice_of(event));
}

bool log_begin(enum log_level level, const char *event)
{
    if ((int)level > atomic_load_explicit(&current_level, memory_order_relaxed))
        return false;
    char time[CLOCK_TEXT_MAX];
    clock_text(clock_wall_ms(), time);
    self.line_start = buf_len(&self.lines);
    self.is_overflowing = false;
    if (current_format == LOG_JSON)
        begin_json(time, level, event);
    else
        begin_text(time, level, event);
    return true;
}

void log_text(const char *key, struct slice value)
{
    value = utf8_cut(value, VALUE_BYTES_MAX);
    put_key(key);
    if (current_format == LOG_TEXT && is_plain(value))
        put(value);
    else
        put_quoted(value);
}

void log_string(const char *key, const char *value)
{
    log_text(key, slice_of(value));
}

void log_number(const char *key, uint64_t value)
{
    char digits[NUMBER_TEXT_MAX];
    put_key(key);
    put(number_decimal(value, digits));
}

void log_micros(const char *key, uint64_t ns)
{
    char digits[NUMBER_TEXT_MAX], micros[4] = ".000";
    uint64_t us = ns / 1000;
    put_key(key);
    put(number_decimal(us / 1000, digits));
    for (int i = 3; i > 0; i--, us /= 10)
        micros[i] = (char)('0' + us % 10);
    put((struct slice){micros, sizeof(micros)});
}

/* False: it was too long, and is not there. */
static bool finish_line(void)
{
    const struct node_text *node = atomic_load_explicit(&node_text, memory_order_acquire);
    if (node != NULL)
        put((struct slice){node->at[current_format], node->len[current_format]});
    if (current_format == LOG_JSON)
        put(SLICE("}"));
    put(SLICE("\n"));
    if (self.is_overflowing)
        buf_truncate(&self.lines, self.line_start);
    else
        self.line_count++;
    return !self.is_overflowing;
}

void log_end(void)
{
    if (!finish_line())
        log_writer_lose(1);
    if (!self.is_gathering || buf_len(&self.lines) >= GATHER_BYTES)
        log_flush();
}

/* The thread's own lines are under way while this one is made. */
size_t log_line_of_loss(uint64_t lost, char line[LOG_LOSS_LINE_MAX])
{
    struct thread_log former = self;
    self = (struct thread_log){.lines = {.max = LOG_LOSS_LINE_MAX}};
    if (log_begin(LOG_WARN, "log lines were lost: not read in time, or too long")) {
        log_number("lines", lost);
        (void)finish_line();
    }
    size_t len = buf_len(&self.lines);
    if (len > 0)
        memcpy(line, buf_slice(&self.lines).at, len);
    buf_fini(&self.lines);
    self = former;
    return len;
}

void log_message(enum log_level level, const char *format, ...)
{
    char text[VALUE_BYTES_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (log_begin(level, text))
        log_end();
}
