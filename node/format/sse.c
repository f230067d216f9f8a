/* Whole stretches of a line are handed on as they come, in pieces; of a value nothing is kept but
 * the event's name. CR, LF and CRLF end a line, and a CR at the end of a piece may be half of a
 * CRLF. */
#include "format/sse.h"

#include <string.h>

#include "base/tiny.h"

enum { STRETCH_BYTES = TINY(1024, 7) };

enum state {
    FIELD,       /* a line's beginning, up to its colon */
    VALUE_START, /* behind the colon: one space is not part of the value */
    NAME,        /* value of `event` */
    DATA,        /* value of `data` */
    IGNORED      /* any other field, or a comment */
};

void sse_init(struct sse *sse, const struct sse_handler *handler, void *arg)
{
    *sse = (struct sse){.handler = handler, .arg = arg};
}

struct slice sse_name(const struct sse *sse)
{
    return (struct slice){sse->name, sse->name_len};
}

bool sse_is_between_events(const struct sse *sse)
{
    return sse->state == FIELD && sse->field_len == 0 && !sse->has_fields;
}

/* The field's name is complete: what becomes of its value? */
static void begin_value(struct sse *sse)
{
    struct slice field = {sse->field, sse->field_len};
    if (slice_eq(field, SLICE("data"))) {
        if (sse->has_data)
            sse->handler->on_data(sse->arg, SLICE("\n"));
        sse->has_data = true;
        sse->has_fields = true;
        sse->state = DATA;
    } else if (slice_eq(field, SLICE("event"))) {
        sse->name_len = 0;
        sse->has_fields = true;
        sse->state = NAME;
    } else {
        sse->state = IGNORED;
    }
}

/* Gathers the field's name; returns what is behind its colon. */
static struct slice read_field(struct sse *sse, struct slice piece)
{
    for (size_t i = 0; i < piece.len; i++) {
        if (piece.at[i] == ':') {
            sse->state = VALUE_START;
            return slice_from(piece, i + 1);
        }
        if (sse->field_len < sizeof(sse->field))
            sse->field[sse->field_len++] = piece.at[i];
    }
    return SLICE_NONE;
}

static void read_name(struct sse *sse, struct slice piece)
{
    size_t room = sizeof(sse->name) - sse->name_len;
    size_t len = piece.len < room ? piece.len : room;
    memcpy(sse->name + sse->name_len, piece.at, len);
    sse->name_len = (uint8_t)(sse->name_len + len);
}

/* A line, or the part of it that has arrived. */
static void read_line(struct sse *sse, struct slice piece)
{
    if (sse->state == FIELD)
        piece = read_field(sse, piece);
    if (piece.len == 0)
        return;
    if (sse->state == VALUE_START) {
        begin_value(sse);
        if (piece.at[0] == ' ')
            piece = slice_from(piece, 1);
    }
    if (sse->state == NAME && piece.len > 0)
        read_name(sse, piece);
    else if (sse->state == DATA && piece.len > 0)
        sse->handler->on_data(sse->arg, piece);
}

static void end_event(struct sse *sse)
{
    if (sse->has_fields)
        sse->handler->on_end(sse->arg);
    sse->name_len = 0;
    sse->has_fields = false;
    sse->has_data = false;
}

static void end_line(struct sse *sse)
{
    bool is_empty = sse->state == FIELD && sse->field_len == 0;
    if (is_empty)
        end_event(sse);
    else if (sse->state == FIELD || sse->state == VALUE_START)
        begin_value(sse); /* a field whose value is empty */
    sse->state = FIELD;
    sse->field_len = 0;
}

/* Where the first line ends, or bytes.len. Both kinds of end are looked for in one stretch after
 * the other, so that a stream using only one of them is not searched to its end for the other. */
static size_t find_line_end(struct slice bytes)
{
    for (size_t from = 0; from < bytes.len; from += STRETCH_BYTES) {
        struct slice rest = slice_from(bytes, from);
        struct slice stretch = {rest.at, rest.len < STRETCH_BYTES ? rest.len : STRETCH_BYTES};
        size_t at;
        bool is_found = slice_find(stretch, '\n', &at);
        if (is_found)
            stretch.len = at;
        if (slice_find(stretch, '\r', &at) || is_found)
            return from + at;
    }
    return bytes.len;
}

void sse_feed(struct sse *sse, struct slice bytes)
{
    while (bytes.len > 0) {
        if (sse->is_after_cr && bytes.at[0] == '\n')
            bytes = slice_from(bytes, 1);
        sse->is_after_cr = false;
        size_t at = find_line_end(bytes);
        read_line(sse, (struct slice){bytes.at, at});
        if (at == bytes.len)
            return;
        sse->is_after_cr = bytes.at[at] == '\r';
        end_line(sse);
        bytes = slice_from(bytes, at + 1);
    }
}
