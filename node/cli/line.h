/* line.h - one line of a node's log, as JSON, shown to a person on one line. Nothing of it is
 * believed to be there, or to be harmless. */
#pragma once
#include <jansson.h>
#include <stddef.h>

#include "cli/cli.h"

enum { CLI_TIME_MAX = 24 };
/* "2026-11-27 09:12:03.123" of the line's "time", into out. Gives `out` back. */
const char *cli_line_time(const json_t *line, char out[CLI_TIME_MAX]);
/* Of its level: red for an error, yellow for a warning. */
enum cli_colour cli_line_colour(const json_t *line);
/* " key=value" for each field but `time`, `level`, `event` and those named in `without`, with one
 * space between. */
void cli_line_fields(json_t *line, const char *without);
