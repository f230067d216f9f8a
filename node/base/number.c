/* Digits are written from the back of the caller's room, so nothing is moved. */
#include "base/number.h"

static struct slice in_base(uint64_t value, unsigned base, char *room)
{
    char *end = room + NUMBER_TEXT_MAX, *at = end;
    do {
        *--at = "0123456789abcdef"[value % base];
        value /= base;
    } while (value > 0);
    return (struct slice){at, (size_t)(end - at)};
}

struct slice number_decimal(uint64_t value, char room[NUMBER_TEXT_MAX])
{
    return in_base(value, 10, room);
}

struct slice number_hex(uint64_t value, char room[NUMBER_TEXT_MAX])
{
    return in_base(value, 16, room);
}
