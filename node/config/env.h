/* env.h - variables: the process' own, and those of ./.env where that is read.
 * Whoever asks gets the line of ./.env with the value, so that a message can name it. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/slice.h"

struct config_reader;

enum { CONFIG_DOTENV_MAX = 64 * 1024, CONFIG_VARIABLES_MAX = 256 };

/* One line of ./.env. */
struct config_variable {
    char *name;
    char *value;
    unsigned line;
};

struct config_environment {
    struct config_variable *variables;
    size_t count;
};

/* The process' own, else that of ./.env if it was read. Without quotes around all of it, as some
 * programs pass them on. Empty: not set, or empty. *line: of ./.env, else 0. */
struct slice config_variable_get(const struct config_environment *e, const char *name,
                                 unsigned *line);
bool config_variable_is_ours(struct slice name); /* a line of ./.env may set it */
MUST_USE bool config_read_dotenv(struct config_reader *r);
/* A subscription for each, named by its key (face.h). */
MUST_USE bool config_read_keys(struct config_reader *r);
MUST_USE bool config_read_overrides(struct config_reader *r);
void config_environment_fini(struct config_environment *e);
/* yours: where a node keeps its state if nobody says; e NULL: a relative one */
char *config_state_dir(const struct config_environment *e);
/* Messages are about this setting now, wherever its value has come from. */
void config_at(struct config_reader *r, const char *path);
/* The same of a variable; line: of ./.env, else 0. */
void config_at_variable(struct config_reader *r, const char *name, unsigned line);
