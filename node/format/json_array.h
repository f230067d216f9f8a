/* json_array.h - walks over the elements of an array that stands in memory, without building
 * anything. A reader like json_scan.h: what lies inside an element is only checked for its brackets
 * and strings. */
#pragma once
#include <stdbool.h>

#include "base/slice.h"

/* Inside the brackets of `array`, to walk over with json_array_next(). False: it is no array. */
bool json_array_open(struct slice array, struct slice *rest);
/* The next element as it stands, quotes and brackets included; *rest moves on behind it. One that
 * does not end within *rest is all of the rest. False: there is none any more. */
bool json_array_next(struct slice *rest, struct slice *element);
