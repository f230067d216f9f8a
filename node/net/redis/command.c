/* A command is an array of strings whose lengths are told before them, so any bytes may be in it.
 * Room for the longest form is reserved at once; then it is written from front to back. */
#include "net/redis/command.h"

#include <string.h>

#include "base/number.h"

static char *put_number(char *to, char mark, size_t value)
{
    char room[NUMBER_TEXT_MAX];
    struct slice digits = number_decimal(value, room);
    *to++ = mark;
    memcpy(to, digits.at, digits.len);
    to += digits.len;
    *to++ = '\r';
    *to++ = '\n';
    return to;
}

bool redis_command_put(struct buf *out, const struct slice *args, size_t count)
{
    enum { HEAD_MAX = 24 }; /* a mark, 20 digits, CR LF */
    size_t bytes_max = HEAD_MAX;
    char *start, *to;
    for (size_t i = 0; i < count; i++)
        bytes_max += HEAD_MAX + args[i].len + 2;
    if (!buf_reserve(out, bytes_max, &start))
        return false;
    to = put_number(start, '*', count);
    for (size_t i = 0; i < count; i++) {
        to = put_number(to, '$', args[i].len);
        if (args[i].len > 0)
            memcpy(to, args[i].at, args[i].len);
        to += args[i].len;
        *to++ = '\r';
        *to++ = '\n';
    }
    buf_commit(out, (size_t)(to - start));
    return true;
}
