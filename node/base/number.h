/* number.h - numbers as text, for the paths where printf would cost more than all around it. */
#pragma once
#include <stdint.h>

#include "base/slice.h"

enum { NUMBER_TEXT_MAX = 24 };

/* Borrowed from `room`. */
struct slice number_decimal(uint64_t value, char room[NUMBER_TEXT_MAX]);
struct slice number_hex(uint64_t value,
                        char room[NUMBER_TEXT_MAX]); /* lower case, no leading zero */
