#include "base/number.h"

#include "check.h"

int main(void)
{
    char room[NUMBER_TEXT_MAX];
    PROMISE("numbers are written as people read them")
    {
        CHECK_TEXT(number_decimal(0, room), "0");
        CHECK_TEXT(number_decimal(1234567890123, room), "1234567890123");
        CHECK_TEXT(number_decimal(UINT64_MAX, room), "18446744073709551615");
        CHECK_TEXT(number_hex(0, room), "0");
        CHECK_TEXT(number_hex(0xbeef, room), "beef");
        CHECK_TEXT(number_hex(UINT64_MAX, room), "ffffffffffffffff");
    }
    return check_done();
}
