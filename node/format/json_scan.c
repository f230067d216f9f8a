/* json_scan.c - see json_scan.h.
 *
 *     VALUE -> OBJECT_START -> (string) -> COLON -> VALUE ... NEXT -> KEY | end of object -> NEXT
 *                                                                        top level ended -> ENDED
 *
 * A value is entered in one of three ways (begin_value): an object with paths through it becomes a
 * level of its own; a string or literal is read, into `text` if a path ends there; all else is
 * skipped: an object or array by json_skip, a string with one memchr, because a quote ends it
 * exactly if an even number of backslashes stands before it. */
#include "format/json_scan.h"

#include <assert.h>
#include <string.h>

enum state {
    VALUE,
    OBJECT_START,
    KEY,
    COLON,
    NEXT,
    ENDED,
    STRING,
    ESCAPE,  /* behind a backslash */
    UNICODE, /* in the digits of \uXXXX */
    LITERAL,
    SKIP,
    SKIP_STRING,
    BROKEN
};

_Static_assert(sizeof(struct json_scan) < 600, "one is in every watch, and there are thousands");

void json_scan_init(struct json_scan *scan, const char *const *paths, unsigned path_count,
                    json_scan_fn on_value, void *arg)
{
    assert(path_count <= JSON_SCAN_PATHS_MAX);
    memset(scan, 0, offsetof(struct json_scan, text));
    scan->paths = paths;
    scan->on_value = on_value;
    scan->arg = arg;
    scan->deeper = (1u << path_count) - 1;
}

void json_scan_want_raw(struct json_scan *scan, unsigned path)
{
    scan->raw |= 1u << path;
}

bool json_scan_is_complete(const struct json_scan *scan)
{
    return scan->state == ENDED;
}

bool json_scan_is_broken(const struct json_scan *scan)
{
    return scan->state == BROKEN;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* --- text being read --- */

static void put(struct json_scan *scan, struct slice bytes)
{
    if (scan->is_cut || bytes.len > sizeof(scan->text) - scan->text_len) {
        scan->is_cut = true;
        return;
    }
    memcpy(scan->text + scan->text_len, bytes.at, bytes.len);
    scan->text_len = (uint16_t)(scan->text_len + bytes.len);
}

static void put_code_point(struct json_scan *scan, uint32_t code)
{
    char bytes[4];
    size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len; i-- > 1; code >>= 6)
        bytes[i] = (char)(0x80 | (code & 0x3f));
    bytes[0] = (char)(leads[len] | code);
    put(scan, (struct slice){bytes, len});
}

/* Half a surrogate pair without its other half. */
static void flush_high(struct json_scan *scan)
{
    if (scan->high == 0)
        return;
    scan->high = 0;
    put_code_point(scan, 0xfffd);
}

static void put_unit(struct json_scan *scan, uint16_t unit)
{
    bool is_high = unit >= 0xd800 && unit < 0xdc00;
    bool is_low = unit >= 0xdc00 && unit < 0xe000;
    if (is_low && scan->high != 0) {
        put_code_point(scan, 0x10000u + ((scan->high - 0xd800u) << 10) + (unit - 0xdc00u));
        scan->high = 0;
        return;
    }
    flush_high(scan);
    if (is_high)
        scan->high = unit;
    else
        put_code_point(scan, is_low ? 0xfffd : unit);
}

/* --- where we are --- */

static void end_value(struct json_scan *scan)
{
    scan->state = scan->depth == 0 ? ENDED : NEXT;
}

static void report(struct json_scan *scan, enum json_kind kind)
{
    struct slice value = {scan->text, scan->text_len};
    for (unsigned path = 0; scan->wanted >> path != 0; path++) {
        if ((scan->wanted >> path & 1) != 0)
            scan->on_value(scan->arg, path, kind, value);
    }
}

static void report_raw(struct json_scan *scan, const char *end)
{
    uint32_t raw = scan->wanted & scan->raw;
    if (scan->raw_at == NULL)
        return;
    struct slice value = {scan->raw_at, (size_t)(end - scan->raw_at)};
    for (unsigned path = 0; raw >> path != 0; path++) {
        if ((raw >> path & 1) != 0)
            scan->on_value(scan->arg, path, JSON_SCAN_RAW, value);
    }
}

/* A key has been read: which paths end at its value, and which go on inside it? */
static void match_key(struct json_scan *scan)
{
    unsigned level = scan->depth - 1u;
    size_t from = scan->prefix[level];
    scan->wanted = 0;
    scan->deeper = 0;
    if (scan->is_cut)
        return;
    for (unsigned path = 0; scan->open[level] >> path != 0; path++) {
        if ((scan->open[level] >> path & 1) == 0)
            continue;
        const char *key = scan->paths[path] + from;
        if (scan->text_len == 0 || key[0] != scan->text[0])
            continue; /* nearly all of them */
        size_t len = strcspn(key, ".");
        if (len != scan->text_len || memcmp(key, scan->text, len) != 0)
            continue;
        uint32_t bit = 1u << path;
        if (key[len] == '\0')
            scan->wanted |= bit;
        else
            scan->deeper |= bit;
        scan->next_prefix = (uint16_t)(from + len + 1);
    }
}

static void begin_text(struct json_scan *scan, enum state state)
{
    scan->state = (uint8_t)state;
    scan->text_len = 0;
    scan->is_cut = false;
    scan->is_odd = false;
    scan->high = 0;
}

static void begin_string(struct json_scan *scan, bool is_key)
{
    scan->is_key = is_key;
    bool is_read = is_key || (scan->wanted & ~scan->raw) != 0;
    begin_text(scan, is_read ? STRING : SKIP_STRING);
}

static void end_string(struct json_scan *scan, const char *end)
{
    flush_high(scan);
    if (scan->is_key) {
        match_key(scan);
        scan->state = COLON;
        return;
    }
    if ((scan->wanted & scan->raw) != 0)
        report_raw(scan, end);
    else
        report(scan, JSON_SCAN_STRING);
    end_value(scan);
}

static void begin_object(struct json_scan *scan)
{
    scan->open[scan->depth] = scan->deeper;
    scan->prefix[scan->depth] = scan->next_prefix;
    scan->depth++;
    scan->state = OBJECT_START;
}

static void begin_value(struct json_scan *scan, const char *at)
{
    char c = *at;
    scan->raw_at = at;
    if (c == '{' && scan->deeper != 0 && scan->depth < JSON_SCAN_DEPTH_MAX) {
        begin_object(scan);
    } else if (c == '{' || c == '[') {
        scan->skip = (struct json_skip){.nesting = 1};
        scan->state = SKIP;
    } else if (c == '"') {
        begin_string(scan, false);
    } else if (c == '-' || (c >= '0' && c <= '9') || c == 't' || c == 'f' || c == 'n') {
        begin_text(scan, LITERAL);
        put(scan, (struct slice){&c, 1});
    } else {
        scan->state = BROKEN;
    }
}

/* One byte between values. Afterwards the state is another, or BROKEN. */
static void read_structure(struct json_scan *scan, const char *at)
{
    char c = *at;
    enum state state = (enum state)scan->state;
    if (state == VALUE) {
        begin_value(scan, at);
    } else if ((state == OBJECT_START || state == KEY) && c == '"') {
        begin_string(scan, true);
    } else if (state == COLON && c == ':') {
        scan->state = VALUE;
    } else if (state == NEXT && c == ',') {
        scan->state = KEY;
    } else if ((state == OBJECT_START || state == NEXT) && c == '}') {
        scan->depth--;
        end_value(scan);
    } else {
        scan->state = BROKEN;
    }
}

/* --- strings and literals --- */

static void read_escape(struct json_scan *scan, char c)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    if (c == 'u') {
        scan->digits = 0;
        scan->unit = 0;
        scan->state = UNICODE;
        return;
    }
    const char *name = memchr(names, c, sizeof(names) - 1);
    if (name == NULL) {
        scan->state = BROKEN;
        return;
    }
    flush_high(scan);
    put(scan, (struct slice){values + (name - names), 1});
    scan->state = STRING;
}

static void read_unicode_digit(struct json_scan *scan, char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *digit = memchr(digits, c >= 'A' && c <= 'F' ? c | 0x20 : c, sizeof(digits) - 1);
    if (digit == NULL) {
        scan->state = BROKEN;
        return;
    }
    scan->unit = (uint16_t)(scan->unit << 4 | (digit - digits));
    if (++scan->digits < 4)
        return;
    put_unit(scan, scan->unit);
    scan->state = STRING;
}

/* Up to the next byte that means something in a string. Most strings that are read are keys, and
 * those are so short that a call would cost more than the loop. */
static size_t plain_bytes(const char *at, const char *end)
{
    size_t len = 0;
    while (at + len < end && at[len] != '"' && at[len] != '\\')
        len++;
    return len;
}

/* A string whose content matters. Once it is cut, the rest of it is skipped. */
static const char *read_string(struct json_scan *scan, const char *at, const char *end)
{
    size_t len = plain_bytes(at, end);
    if (len > 0) {
        flush_high(scan);
        size_t room = sizeof(scan->text) - scan->text_len;
        put(scan, (struct slice){at, len < room ? len : room});
        at += len;
        scan->is_cut |= len > room;
    }
    if (len > 0 && scan->is_cut) {
        scan->state = SKIP_STRING;
    } else if (at < end && *at == '"') {
        end_string(scan, ++at);
    } else if (at < end) {
        scan->state = ESCAPE;
        at++;
    }
    return at;
}

/* Near enough: a reader, not a validator. */
static bool is_number(struct slice text)
{
    static const char bytes[] = "0123456789+-.eE";
    for (size_t i = 0; i < text.len; i++) {
        if (memchr(bytes, text.at[i], sizeof(bytes) - 1) == NULL)
            return false;
    }
    return true;
}

static void end_literal(struct json_scan *scan)
{
    struct slice text = {scan->text, scan->text_len};
    enum json_kind kind = JSON_SCAN_NUMBER;
    if (slice_eq(text, SLICE("true")))
        kind = JSON_SCAN_TRUE;
    else if (slice_eq(text, SLICE("false")))
        kind = JSON_SCAN_FALSE;
    else if (slice_eq(text, SLICE("null")))
        kind = JSON_SCAN_NULL;
    else if (!is_number(text)) {
        scan->state = BROKEN;
        return;
    }
    if (!scan->is_cut)
        report(scan, kind);
    end_value(scan);
}

static const char *read_literal(struct json_scan *scan, const char *at, const char *end)
{
    for (; at < end; at++) {
        char lower = (char)(*at | 0x20);
        bool goes_on = (lower >= 'a' && lower <= 'z') || (*at >= '0' && *at <= '9') || *at == '+' ||
                       *at == '-' || *at == '.';
        if (!goes_on) {
            end_literal(scan);
            return at;
        }
        put(scan, (struct slice){at, 1});
    }
    return at;
}

/* --- what no path leads to --- */

static const char *skip_string(struct json_scan *scan, const char *at, const char *end)
{
    const char *start = at;
    for (;;) {
        const char *quote = memchr(at, '"', (size_t)(end - at));
        if (quote == NULL) {
            scan->is_odd = json_is_escaped(start, end, scan->is_odd);
            return end;
        }
        at = quote + 1;
        if (!json_is_escaped(start, quote, scan->is_odd))
            break;
    }
    end_string(scan, at);
    return at;
}

static const char *skip_brackets(struct json_scan *scan, const char *at, const char *end)
{
    at = json_skip(&scan->skip, at, end, JSON_SCAN_NESTING_MAX);
    if (scan->skip.nesting == 0) {
        report_raw(scan, at);
        end_value(scan);
    } else if (scan->skip.nesting > JSON_SCAN_NESTING_MAX) {
        scan->state = BROKEN;
    }
    return at;
}

void json_scan_feed(struct json_scan *scan, struct slice bytes)
{
    if (bytes.len == 0)
        return;
    const char *at = bytes.at;
    const char *end = at + bytes.len;
    scan->raw_at = NULL;
    while (at < end && scan->state != BROKEN) {
        switch ((enum state)scan->state) {
        case STRING:
            at = read_string(scan, at, end);
            break;
        case ESCAPE:
            read_escape(scan, *at++);
            break;
        case UNICODE:
            read_unicode_digit(scan, *at++);
            break;
        case LITERAL:
            at = read_literal(scan, at, end);
            break;
        case SKIP:
            at = skip_brackets(scan, at, end);
            break;
        case SKIP_STRING:
            at = skip_string(scan, at, end);
            break;
        case VALUE:
        case OBJECT_START:
        case KEY:
        case COLON:
        case NEXT:
        case ENDED:
            if (!is_space(*at))
                read_structure(scan, at);
            at++;
            break;
        case BROKEN:
            break;
        }
    }
}
