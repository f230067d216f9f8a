/* request.h - the one request that every connection sends over and over. */
#pragma once

#include <stddef.h>

#include "options.h"

/* Head and body as they go out, yours; ends the program if the body's file cannot be read. */
char *request_build(const struct options *options, size_t *len);
