/* http1_chunked.c - takes chunked framing off (RFC 9112, 7.1), a byte at a time outside the data.
 * Everything that is skipped is still checked: what we would skip and another reader would refuse,
 * or end elsewhere, is refused here. No blanks around sizes and extensions, CR LF only. */
#include "format/http1.h"

#include <string.h>

enum { SIZE_DIGITS_MAX = 16, EXTENSION_BYTES_MAX = 1024, TRAILER_BYTES_MAX = 16384 };

enum state {
    SIZE_START, /* the first digit must come */
    SIZE,
    EXT_NAME_START, /* behind ';' */
    EXT_NAME,
    EXT_VALUE_START, /* behind '=' */
    EXT_VALUE,
    EXT_QUOTED,
    EXT_QUOTED_PAIR,
    EXT_QUOTED_END,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_START,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    ENDED,
    BROKEN
};

static int hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    unsigned char lower = c | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static bool is_token_byte(unsigned char c)
{
    static const char signs[] = "!#$%&'*+-.^_`|~";
    unsigned char lower = c | 0x20;
    if ((c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z'))
        return true;
    return memchr(signs, c, sizeof(signs) - 1) != NULL;
}

static bool is_text_byte(unsigned char c)
{
    return c == '\t' || (c >= 0x20 && c != 0x7f);
}

/* Where a chunk's first line goes on behind a complete size, name or value. */
static enum state end_of_item(unsigned char c)
{
    if (c == ';')
        return EXT_NAME_START;
    return c == '\r' ? SIZE_LF : BROKEN;
}

static enum state step_size(struct http1_chunked *chunked, enum state state, unsigned char c)
{
    int digit = hex_value(c);
    if (digit < 0)
        return state == SIZE ? end_of_item(c) : BROKEN;
    if (chunked->digits++ == SIZE_DIGITS_MAX)
        return BROKEN;
    chunked->left = chunked->left << 4 | (uint64_t)digit;
    return chunked->left > INT64_MAX ? BROKEN : SIZE;
}

static enum state step_extension(struct http1_chunked *chunked, enum state state, unsigned char c)
{
    if (++chunked->line_bytes > EXTENSION_BYTES_MAX)
        return BROKEN;
    if (state == EXT_QUOTED_PAIR)
        return is_text_byte(c) ? EXT_QUOTED : BROKEN;
    if (state == EXT_QUOTED) {
        if (c == '"')
            return EXT_QUOTED_END;
        if (c == '\\')
            return EXT_QUOTED_PAIR;
        return is_text_byte(c) ? EXT_QUOTED : BROKEN;
    }
    if (state == EXT_QUOTED_END)
        return end_of_item(c);
    if (state == EXT_VALUE_START && c == '"')
        return EXT_QUOTED;
    bool is_name = state == EXT_NAME_START || state == EXT_NAME;
    if (is_token_byte(c))
        return is_name ? EXT_NAME : EXT_VALUE;
    if (state == EXT_NAME && c == '=')
        return EXT_VALUE_START;
    return state == EXT_NAME || state == EXT_VALUE ? end_of_item(c) : BROKEN;
}

/* A trailer that frames, routes or closes comes too late to be obeyed, and some readers obey it. */
static bool is_trailer_allowed(const struct http1_chunked *chunked)
{
    /* clang-format off */
    static const struct slice refused[] = {
        SLICE_ROW("connection"),
        SLICE_ROW("content-length"),
        SLICE_ROW("expect"),
        SLICE_ROW("host"),
        SLICE_ROW("keep-alive"),
        SLICE_ROW("proxy-connection"),
        SLICE_ROW("te"),
        SLICE_ROW("trailer"),
        SLICE_ROW("transfer-encoding"),
        SLICE_ROW("upgrade"),
    };
    /* clang-format on */
    struct slice name = {chunked->name, chunked->name_len};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (slice_eq_nocase(name, refused[i]))
            return false;
    }
    return true;
}

static enum state step_trailer_name(struct http1_chunked *chunked, enum state state,
                                    unsigned char c)
{
    if (state == TRAILER_NAME && c == ':')
        return is_trailer_allowed(chunked) ? TRAILER_VALUE : BROKEN;
    if (!is_token_byte(c))
        return BROKEN;
    if (state == TRAILER_START)
        chunked->name_len = 0;
    if (chunked->name_len < sizeof(chunked->name))
        chunked->name[chunked->name_len++] = (char)c;
    return TRAILER_NAME;
}

static enum state step_trailer(struct http1_chunked *chunked, enum state state, unsigned char c)
{
    if (++chunked->line_bytes > TRAILER_BYTES_MAX)
        return BROKEN;
    if (state == TRAILER_LF)
        return c == '\n' ? TRAILER_START : BROKEN;
    if (state == TRAILER_VALUE && c == '\r')
        return TRAILER_LF;
    if (state == TRAILER_VALUE)
        return is_text_byte(c) ? TRAILER_VALUE : BROKEN;
    if (state == TRAILER_START && c == '\r')
        return END_LF;
    return step_trailer_name(chunked, state, c);
}

/* A chunk's first line is complete: data, or the trailers behind the last chunk. */
static enum state begin_data(struct http1_chunked *chunked)
{
    chunked->digits = 0;
    chunked->line_bytes = 0;
    return chunked->left > 0 ? DATA : TRAILER_START;
}

/* One byte of framing. Never called in DATA, ENDED or BROKEN. */
static enum state step(struct http1_chunked *chunked, unsigned char c)
{
    enum state state = (enum state)chunked->state;
    switch (state) {
    case SIZE_START:
    case SIZE:
        return step_size(chunked, state, c);
    case EXT_NAME_START:
    case EXT_NAME:
    case EXT_VALUE_START:
    case EXT_VALUE:
    case EXT_QUOTED:
    case EXT_QUOTED_PAIR:
    case EXT_QUOTED_END:
        return step_extension(chunked, state, c);
    case SIZE_LF:
        return c == '\n' ? begin_data(chunked) : BROKEN;
    case DATA_CR:
        return c == '\r' ? DATA_LF : BROKEN;
    case DATA_LF:
        return c == '\n' ? SIZE_START : BROKEN;
    case TRAILER_START:
    case TRAILER_NAME:
    case TRAILER_VALUE:
    case TRAILER_LF:
        return step_trailer(chunked, state, c);
    case END_LF:
        return c == '\n' ? ENDED : BROKEN;
    case DATA:
    case ENDED:
    case BROKEN:
        break;
    }
    return state;
}

/* The next piece of the chunk being read, as much as is there. */
static void take_data(struct http1_chunked *chunked, struct slice *in, struct slice *data)
{
    size_t len = chunked->left < in->len ? (size_t)chunked->left : in->len;
    *data = (struct slice){in->at, len};
    *in = slice_from(*in, len);
    chunked->left -= len;
    if (chunked->left == 0)
        chunked->state = DATA_CR;
}

enum http1_progress http1_chunked_read(struct http1_chunked *chunked, struct slice *in,
                                       struct slice *data)
{
    *data = SLICE_NONE;
    while (chunked->state != ENDED && chunked->state != BROKEN) {
        if (in->len == 0)
            return HTTP1_MORE;
        if (chunked->state == DATA) {
            take_data(chunked, in, data);
            return HTTP1_MORE;
        }
        chunked->state = (int)step(chunked, (unsigned char)in->at[0]);
        *in = slice_from(*in, 1);
    }
    return chunked->state == ENDED ? HTTP1_DONE : HTTP1_BAD;
}
