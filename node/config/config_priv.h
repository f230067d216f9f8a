/* config_priv.h - how the files of the config share the work.
 *
 *     config.c          the order of things: defaults, file, variables, checks; ownership
 *     knobs.c    the table of knobs
 *     fields.c   the walk over the JSON with that table
 *     values.c   one reader per kind of value
 *     (format/origin.c)  URLs, hosts and networks taken apart
 *     env.c      variables and ./.env; subscriptions made from keys found there
 *     check.c    what no single field shows: names, keys, who can reach us; the digest
 *     file.c     bytes of files, within limits; what is wrong with JSON that is none
 *     message.c  words for errors and warnings
 *
 * Everything works on one struct config_reader and stops at the first error: a function that gives
 * false has written it with config_fail(). */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "config/config.h"

enum {
    CONFIG_FILE_MAX = 1024 * 1024,
    CONFIG_DOTENV_MAX = 64 * 1024,
    CONFIG_VARIABLES_MAX = 256,
    CONFIG_KEY_MAX = 4096,
    CONFIG_URL_MAX = 2048,
    CONFIG_NETWORKS_MAX = 64,
    CONFIG_WARNINGS_MAX = 32,
    CONFIG_PATH_MAX = 256,
    CONFIG_FOUND_MAX = 64
};

/* A subscription being read. */
struct config_draft {
    struct subscription made;
    char *api_key_env; /* where the key is, if it is not in the file */
    char *api_key_file;
};

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

struct config_reader {
    struct config *config; /* being made */
    struct config_draft *drafts;
    size_t draft_count;
    struct config_environment *environment; /* NULL: no variables and no files are looked at */
    struct config_error *error;
    const char *source;         /* what messages begin with: a file, a variable */
    char path[CONFIG_PATH_MAX]; /* of the value being read: "server.port"; "" at the top */
    bool has_file;              /* else all comes from the environment */
    bool has_secrets;           /* the file itself holds some */
};

struct config_knob;

struct config_kind {
    bool (*read)(struct config_reader *r, const struct config_knob *knob, json_t *value, void *to);
    const char *expected; /* NULL: made from the knob's range or words */
    bool is_number;
    bool is_secret; /* its value never appears in a message */
};

struct config_knob {
    const char *path;
    const struct config_kind *kind;
    size_t offset;         /* in struct config, or in struct config_draft for subscriptions[]. */
    uint64_t min, max;     /* of a number; bytes of a text */
    const char *initial;   /* as JSON; NULL: none */
    const char *otherwise; /* what it is when initial is NULL, in words */
    const char *variable;
    const char *words; /* allowed ones, separated by a space, in the order of their enum */
    const char *later; /* words of the design that this version does not support */
    const char *help;
};

extern const struct config_kind config_name, config_secret, config_file_name, config_directory,
    config_number, config_bytes, config_port, config_flag, config_word, config_choice, config_auth,
    config_host, config_url, config_redis_url, config_networks, config_subscriptions,
    config_variable_name;

/* ---- knobs.c ---- */

extern const struct config_knob config_knobs[];
extern const size_t config_knob_count;
/* Of the design, and not built yet: whoever uses one should hear that, not "unknown". */
extern const char *const config_later_paths[];
extern const size_t config_later_path_count;

/* ---- fields.c ---- */

MUST_USE bool config_read_defaults(struct config_reader *r);
MUST_USE bool config_read_draft_defaults(struct config_reader *r, struct config_draft *draft);
/* Every member of `object`, whose knobs' paths begin with `section` ("", "server."). */
MUST_USE bool config_read_members(struct config_reader *r, json_t *object, const char *section,
                                  void *base);
MUST_USE bool config_read_knob(struct config_reader *r, const struct config_knob *knob,
                               json_t *value, void *base);
/* "a whole number from 1 to 5" */
void config_expected(const struct config_knob *knob, char *out, size_t size);
/* A new, zeroed draft with its defaults. Valid until the next. */
MUST_USE bool config_add_draft(struct config_reader *r, struct config_draft **draft);

/* ---- values.c ---- */

/* Printable ASCII without blanks: what can stand in a header. Writes what is wrong, never the key.
 */
MUST_USE bool config_set_key(struct config_reader *r, struct secret *key, struct slice value);

/* ---- env.c ---- */

/* The process' own, else that of ./.env if it was read; NULL: none, or empty. *line: of ./.env,
 * else 0. */
const char *config_variable_get(const struct config_environment *e, const char *name,
                                unsigned *line);
MUST_USE bool config_read_dotenv(struct config_reader *r);
MUST_USE bool config_read_keys(struct config_reader *r); /* subscriptions key-1, key-2, ... */
MUST_USE bool config_read_overrides(struct config_reader *r);
void config_environment_fini(struct config_environment *e);
/* yours: where a node keeps its state if nobody says; e NULL: a relative one */
char *config_state_dir(const struct config_environment *e);

/* ---- check.c ---- */

/* Keys fetched, drafts moved into the config, everything checked together. */
MUST_USE bool config_finish(struct config_reader *r);

/* ---- file.c ---- */

enum config_file_result { CONFIG_FILE_READ, CONFIG_FILE_ABSENT, CONFIG_FILE_FAILED };
/* All of a regular file. FAILED: the error is written. is_public may be NULL: others may read it.
 */
enum config_file_result config_file_read(struct config_reader *r, const char *path,
                                         struct buf *content, bool *is_public);
MUST_USE bool config_file_check(struct config_reader *r, const char *path); /* readable at all */
/* yours; NULL: the error is written, with line and column */
json_t *config_json_parse(struct config_reader *r, struct slice text);

/* ---- message.c ---- */

bool config_fail(struct config_reader *r, const char *format, ...) PRINTF_LIKE(2, 3); /* false */
bool config_fail_expected(struct config_reader *r, const struct config_knob *knob,
                          const json_t *value); /* false */
void config_warn(struct config_reader *r, const char *format, ...) PRINTF_LIKE(2, 3);
const char *config_found(const json_t *value, bool is_secret, char out[CONFIG_FOUND_MAX]);
/* The path is made longer by this for what comes next; the result undoes it, see config_path_end.
 */
size_t config_path_begin(struct config_reader *r, const char *format, ...) PRINTF_LIKE(2, 3);
void config_path_end(struct config_reader *r, size_t mark);
