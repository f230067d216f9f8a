/* story.h - a request's log lines as a story: when it came, from whom, which subscriptions were
 * asked, what each said and what followed, how it ended, and who said so. */
#pragma once
#include <jansson.h>

/* Of a list of lines, oldest first. A line that is not known here is shown as it is, so a node of
 * another version can be asked. */
void cli_story_print(const char *id, const json_t *lines);
