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

/* Where a line is being written: into the log, and beside it if somebody keeps it. */
struct sink {
    struct buf *to;
    enum log_format format;
    size_t line_start;   /* as a length of `to` */
    bool is_overflowing; /* it did not fit */
};

struct thread_log {
    struct buf lines;
    uint64_t line_count;
    bool is_gathering;
    struct buf beside; /* a line that is kept, and not in `lines` as JSON anyway */
    struct sink sinks[2];
    unsigned sink_count;
    bool is_logged;        /* the first of them is the log */
    struct log_kept *kept; /* by whom; NULL: nobody */
    char name[32];
};

static _Thread_local struct thread_log self = {.lines = {.max = GATHER_BYTES + LINE_BYTES_MAX},
                                               .beside = {.max = LINE_BYTES_MAX}};

/* NOLINTBEGIN(bugprone-macro-parentheses): `sink` is a name that is declared here */
#define EACH_SINK(sink) \
    for (struct sink *sink = self.sinks; sink < self.sinks + self.sink_count; sink++)
/* NOLINTEND(bugprone-macro-parentheses) */

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
    buf_fini(&self.beside);
    self.is_gathering = false;
}

/* Where so many bytes of the line are to be written, all of them; NULL: the line has become too
 * long. */
static char *room(struct sink *sink, size_t len)
{
    char *to;
    if (sink->is_overflowing)
        return NULL;
    sink->is_overflowing = buf_len(sink->to) - sink->line_start + len > LINE_BYTES_MAX ||
                           !buf_reserve(sink->to, len, &to);
    if (sink->is_overflowing)
        return NULL;
    buf_commit(sink->to, len);
    return to;
}

static void put(struct sink *sink, struct slice bytes)
{
    char *to = bytes.len > 0 ? room(sink, bytes.len) : NULL;
    if (to != NULL)
        memcpy(to, bytes.at, bytes.len);
}

static void put_string(struct sink *sink, const char *s)
{
    put(sink, slice_of(s));
}

/* All but printable ASCII is escaped, so that a line stays one line and a terminal is never driven
 * by a client's bytes. */
static size_t plain_len(struct slice s)
{
    size_t i = 0;
    while (i < s.len && s.at[i] >= 0x20 && s.at[i] < 0x7f && s.at[i] != '"' && s.at[i] != '\\')
        i++;
    return i;
}

static void put_escaped(struct sink *sink, struct slice s)
{
    while (s.len > 0) {
        char code[UTF8_ESCAPE_MAX];
        size_t plain = plain_len(s);
        put(sink, (struct slice){s.at, plain});
        s = slice_from(s, plain);
        if (s.len == 0)
            return;
        s = slice_from(s, utf8_escape(s, code));
        put_string(sink, code);
    }
}

static bool is_plain(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] <= ' ' || s.at[i] >= 0x7f || s.at[i] == '"' || s.at[i] == '\\' ||
            s.at[i] == '=')
            return false;
    return s.len > 0;
}

static void put_key(struct sink *sink, const char *key)
{
    struct slice name = slice_of(key);
    bool is_json = sink->format == LOG_JSON;
    char *to = room(sink, name.len + (is_json ? 4 : 2));
    if (to == NULL)
        return;
    *to++ = is_json ? ',' : ' ';
    if (is_json)
        *to++ = '"';
    memcpy(to, name.at, name.len);
    to += name.len;
    if (is_json)
        *to++ = '"';
    *to = is_json ? ':' : '=';
}

static void put_quoted(struct sink *sink, struct slice value)
{
    bool is_whole = plain_len(value) == value.len; /* as it nearly always is */
    char *to = is_whole ? room(sink, value.len + 2) : NULL;
    if (to != NULL) {
        *to = '"';
        if (value.len > 0)
            memcpy(to + 1, value.at, value.len);
        to[value.len + 1] = '"';
    } else if (!is_whole) {
        put(sink, SLICE("\""));
        put_escaped(sink, value);
        put(sink, SLICE("\""));
    }
}

static void put_text(struct sink *sink, const char *key, struct slice value)
{
    put_key(sink, key);
    if (sink->format == LOG_TEXT && is_plain(value))
        put(sink, value);
    else
        put_quoted(sink, value);
}

static void begin_json(struct sink *sink, const char *time, enum log_level level, const char *event)
{
    put(sink, SLICE("{\"time\":\""));
    put_string(sink, time);
    put(sink, SLICE("\",\"level\":\""));
    put_string(sink, level_words[level]);
    put(sink, SLICE("\",\"event\":"));
    put_quoted(sink, slice_of(event));
    if (self.name[0] != '\0')
        put_text(sink, "thread", slice_of(self.name));
}

static void begin_text(struct sink *sink, const char *time, enum log_level level, const char *event)
{
    put(sink, (struct slice){time + 11, 12}); /* the time of day */
    put(sink, SLICE(" "));
    if (use_colour)
        put_string(sink, level_colours[level]);
    put_string(sink, level_words[level]);
    put(sink, (struct slice){"     ", 6 - strlen(level_words[level])});
    if (use_colour)
        put(sink, SLICE("\033[0m"));
    put_escaped(sink, slice_of(event));
}

static void add_sink(struct buf *to, enum log_format format)
{
    self.sinks[self.sink_count++] =
        (struct sink){.to = to, .format = format, .line_start = buf_len(to)};
}

bool log_begin_kept(enum log_level level, const char *event, struct log_kept *kept)
{
    char time[CLOCK_TEXT_MAX];
    self.is_logged = (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
    if (!self.is_logged && kept == NULL)
        return false;
    self.kept = kept;
    self.sink_count = 0;
    if (self.is_logged)
        add_sink(&self.lines, current_format);
    if (kept != NULL && !(self.is_logged && current_format == LOG_JSON))
        add_sink(&self.beside, LOG_JSON);
    clock_text(clock_wall_ms(), time);
    EACH_SINK (sink)
        (sink->format == LOG_JSON ? begin_json : begin_text)(sink, time, level, event);
    return true;
}

bool log_begin(enum log_level level, const char *event)
{
    return log_begin_kept(level, event, NULL);
}

void log_text(const char *key, struct slice value)
{
    value = utf8_cut(value, VALUE_BYTES_MAX);
    EACH_SINK (sink)
        put_text(sink, key, value);
}

void log_string(const char *key, const char *value)
{
    log_text(key, slice_of(value));
}

static void put_plain(const char *key, struct slice value)
{
    EACH_SINK (sink) {
        put_key(sink, key);
        put(sink, value);
    }
}

void log_number(const char *key, uint64_t value)
{
    char digits[NUMBER_TEXT_MAX];
    put_plain(key, number_decimal(value, digits));
}

void log_micros(const char *key, uint64_t ns)
{
    char text[NUMBER_TEXT_MAX + 4];
    uint64_t us = ns / 1000;
    struct slice whole = number_decimal(us / 1000, text);
    memmove(text, whole.at, whole.len);
    text[whole.len] = '.';
    for (size_t i = 3; i > 0; i--, us /= 10)
        text[whole.len + i] = (char)('0' + us % 10);
    put_plain(key, (struct slice){text, whole.len + 4});
}

/* Without its newline; empty if it was too long, and is not there. */
static struct slice finish_line(struct sink *sink)
{
    const struct node_text *node = atomic_load_explicit(&node_text, memory_order_acquire);
    if (node != NULL)
        put(sink, (struct slice){node->at[sink->format], node->len[sink->format]});
    put(sink, sink->format == LOG_JSON ? SLICE("}\n") : SLICE("\n"));
    if (sink->is_overflowing)
        buf_truncate(sink->to, sink->line_start);
    struct slice line = slice_from(buf_slice(sink->to), sink->line_start);
    line.len -= line.len > 0;
    return line;
}

static void keep(struct log_kept *kept, struct slice line)
{
    char *to;
    size_t newline = buf_len(&kept->lines) > 0;
    if (line.len == 0 || !buf_reserve(&kept->lines, newline + line.len, &to)) {
        kept->left_out++;
        return;
    }
    *to = '\n';
    memcpy(to + newline, line.at, line.len);
    buf_commit(&kept->lines, newline + line.len);
}

void log_end(void)
{
    EACH_SINK (sink) {
        struct slice line = finish_line(sink);
        if (self.kept != NULL && sink->format == LOG_JSON)
            keep(self.kept, line);
        if (sink->to == &self.beside)
            buf_clear(&self.beside);
        else if (line.len > 0)
            self.line_count++;
        else
            log_writer_lose(1);
    }
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
        (void)finish_line(&self.sinks[0]);
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
