/* answer.h - a node's answer, read for a person. */
#pragma once
#include <jansson.h>
#include <stdint.h>

#include "cli/cli.h"

/* A node of another version may leave a field out: then it is 0, or "". */
uint64_t cli_number_of(const json_t *object, const char *key);
/* Both into out[size], without what could drive a terminal. Give `out` back. */
const char *cli_clean(const char *text, char *out, size_t size);
const char *cli_text_of(const json_t *object, const char *key, char *out, size_t size);
/* "42 s", "5 min", "3 h" into out[32]. Gives `out` back. */
const char *cli_duration(uint64_t seconds, char out[32]);

/* What the node says is wrong, in its own words if it has any. Both give EXIT_FAILED. */
int cli_complain_answer(const struct cli_target *target, const struct cli_answer *answer,
                        const json_t *body);
int cli_complain_unreachable(const struct cli_target *target, const char *why);
/* {"KEY": "TEXT"}, to be asked with. Yours; NULL: `command` complained. */
char *cli_question(const char *command, const char *key, const char *text);
/* yours; NULL: it is no JSON */
json_t *cli_answer_json(const struct cli_answer *answer);
