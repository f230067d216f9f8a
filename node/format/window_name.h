/* window_name.h - names of quota windows, as providers' headers and our settings have them: a
 * length of time, "5h", "7d", with a family of models ("7d_opus") or a kind ("1m.requests") behind
 * it. */
#pragma once
#include <stdbool.h>

#include "base/slice.h"

/* `suffix` gets what stands behind the length: empty, or beginning with one of _ - and . */
bool window_name_is(struct slice name, struct slice *suffix);
