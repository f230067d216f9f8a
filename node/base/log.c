#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/number.h"

enum {
    GATHER_MAX = 1 << 20,  /* bytes a thread holds back while nobody reads */
    LINE_MAX_BYTES = 8192, /* a line is complete or not there at all */
    VALUE_MAX = 1024,
    PIPE_ATOMIC = 4096 /* a pipe that polls writable takes this much without blocking */
};

static _Atomic int current_level = LOG_INFO;
static enum log_format current_format = LOG_TEXT;
static bool use_colour;
static bool is_pipe;

struct thread_log {
    struct buf lines;
    size_t line_start; /* where the line being written begins, as a length of `lines` */
    uint64_t dropped;
    bool is_gathering;
    bool is_overflowing; /* the line being written did not fit */
    char name[32];
};

static _Thread_local struct thread_log self = {.lines = {.max = GATHER_MAX}};

static const char *const level_words[] = {"error", "warn", "info", "debug"};
static const char *const level_colours[] = {"\033[31m", "\033[33m", "\033[32m", "\033[90m"};

void log_setup(enum log_level level, enum log_format format)
{
    struct stat st;
    log_set_level(level);
    current_format = format;
    use_colour = isatty(STDERR_FILENO) != 0;
    is_pipe = fstat(STDERR_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
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
    while (buf_len(&self.lines) > 0) {
        struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
        if (is_pipe && self.is_gathering && poll(&p, 1, 0) == 0)
            return;
        struct slice out = buf_slice(&self.lines);
        if (is_pipe && out.len > PIPE_ATOMIC)
            out.len = PIPE_ATOMIC;
        ssize_t n = write(STDERR_FILENO, out.at, out.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN && self.is_gathering)
            return; /* made non-blocking by whom we share it with: as a full pipe */
        if (n <= 0) {
            buf_clear(&self.lines); /* nobody will ever read: stderr is gone */
            return;
        }
        buf_consume(&self.lines, (size_t)n);
    }
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
    if (buf_len(&self.lines) - self.line_start + bytes.len > LINE_MAX_BYTES ||
        !buf_append(&self.lines, bytes))
        self.is_overflowing = true;
}

static void put_string(const char *s)
{
    put(slice_of(s));
}

/* Quotes, backslashes and everything that is not printable ASCII or valid high bytes is escaped, so
 * that a line stays one line and a terminal is never driven by a client's bytes. */
static void put_escaped(struct slice s)
{
    size_t plain = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
            continue;
        put((struct slice){s.at + plain, i - plain});
        plain = i + 1;
        char code[8];
        snprintf(code, sizeof(code), "\\u%04x", c);
        if (c == '"' || c == '\\')
            snprintf(code, sizeof(code), "\\%c", c);
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
    if (value.len > VALUE_MAX)
        value.len = VALUE_MAX;
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

void log_end(void)
{
    if (current_format == LOG_JSON)
        put(SLICE("}"));
    put(SLICE("\n"));
    if (self.is_overflowing) {
        self.lines.end = self.lines.start + self.line_start; /* take the torn line back */
        self.dropped++;
    } else if (self.dropped > 0 && buf_len(&self.lines) < GATHER_MAX / 2) {
        uint64_t dropped = self.dropped;
        self.dropped = 0;
        if (log_begin(LOG_WARN, "log lines were dropped: nobody reads them fast enough")) {
            log_number("lines", dropped);
            log_end();
        }
    }
    if (!self.is_gathering)
        log_flush();
}

void log_message(enum log_level level, const char *format, ...)
{
    char text[VALUE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (log_begin(level, text))
        log_end();
}
