/* config_priv.h - how the files of the config share the work.
 *
 *     config.c    the order of things: defaults, file, variables, checks; ownership
 *     knobs.c     the table of knobs, and questions to it (knobs.h)
 *     fields.c    the walk over the JSON with that table
 *     values.c    one kind of value after the other: read, compare, free
 *     places.c    the same of hosts, URLs and networks
 *     limits.c    the same of ceilings
 *     env.c       variables; subscriptions made from keys found there (env.h)
 *     face.c      what those are called by, and what is shown of a key (face.h)
 *     impostor.c  what stands where a key belongs and is none
 *     strangers.c variables that look like ours, and are not read
 *     endpoints.c SERVICE_ENDPOINTS, the URLs of those
 *     dotenv.c    ./.env
 *     itself.c    base URLs that lead back to the node
 *     check.c     what no single field shows: names, keys, files, who can reach us
 *     compare.c   the digest, and what differs between two configs
 *     changes.c   that in words, for whoever asked for a reload (changes.h)
 *     file.c      bytes of files, within limits; what is wrong with JSON that is none
 *     message.c   words for errors and warnings
 *     foreign.c   what is said of predecessors' words and files (predecessors.h)
 *
 * Everything works on one struct config_reader. A function that gives false has written its error
 * with config_fail(), and stops. Where the next field, variable or check has nothing to do with it,
 * its caller puts the error to the others with config_collect() and goes on: so all are found at
 * once, and what only follows from one that is listed is not. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "config/config.h"
#include "config/knobs.h"

enum {
    CONFIG_FILE_MAX = 1024 * 1024,
    CONFIG_KEY_MAX = 4096,
    CONFIG_URL_MAX = 2048,
    CONFIG_NETWORKS_MAX = 64,
    CONFIG_HOST_NAMES_MAX = 64,
    CONFIG_WARNINGS_MAX = 32,
    CONFIG_FOUND_MAX = 64
};

struct config_environment;

struct config_reader {
    struct config *config;                  /* being made */
    struct config_environment *environment; /* NULL: no variables and no files are looked at */
    struct config_error *error;
    const char *source;        /* what messages begin with: a file, a variable */
    char variable[160];        /* room for a source that is one */
    unsigned line;             /* of source; 0: not known */
    unsigned column;           /* the same */
    char path[256];            /* of the value being read: "server.port"; "" at the top */
    struct config_error first; /* of those that were collected; count and all are of them */
    char failed[4096];         /* where they are: "\nSOURCE|PATH\n" */
    unsigned unlisted;         /* errors that found no room */
    bool are_keys_bad;         /* of the environment: there is no more to say about subscriptions */
    bool are_keys_named;       /* the subscriptions are keys of the environment */
    bool has_secrets;          /* the file itself holds some */
    enum { DOTENV_IF_THERE, DOTENV_MUST, DOTENV_NOT, DOTENV_BY_NOW } dotenv;
};

/* ---- config.c ---- */

void config_note_source(struct config_reader *r, const char *path, struct slice content);

/* ---- fields.c ---- */

MUST_USE bool config_read_defaults(struct config_reader *r);
/* Every member of `object`, whose knobs' paths begin with `section` ("", "server."). */
MUST_USE bool config_read_members(struct config_reader *r, json_t *object, const char *section,
                                  void *base);
MUST_USE bool config_read_knob(struct config_reader *r, const struct config_knob *knob,
                               json_t *value, void *base);
/* A new one with its defaults. Valid until the next. */
MUST_USE bool config_add_subscription(struct config_reader *r, struct subscription **added);
void config_drop_subscription(struct config *c, size_t index); /* config.c */

/* ---- values.c and places.c ---- */

struct slice config_text_of(const json_t *value);
/* A string within the knob's range, without control characters. */
bool config_is_text(const struct config_knob *knob, const json_t *value);
void config_put(struct buf *out, const char *format, ...) PRINTF_LIKE(2, 3);
/* Printable ASCII without blanks: what can stand in a header. Says what is wrong, never the key. */
MUST_USE bool config_set_key(struct config_reader *r, struct secret *key, struct slice value);
/* No provider's key has a quote: one that was left by a shell, a file or a container's variables is
 * refused here, not with a 401 for ever. */
MUST_USE bool config_mind_quotes(struct config_reader *r, struct slice key);

/* ---- check.c, compare.c ---- */

/* Keys fetched, everything checked together. */
MUST_USE bool config_finish(struct config_reader *r);
void config_make_digest(struct config *c);
/* Both in one struct config, or in one struct subscription. */
bool config_knob_differs(const struct config_knob *knob, const void *a, const void *b);
bool config_knob_needs_restart(const struct config_knob *knob, const struct config *running,
                               const struct config *wanted);

/* account.c */
void config_make_accounts(struct config *c);

/* ---- file.c ---- */

enum config_file_result { CONFIG_FILE_READ, CONFIG_FILE_ABSENT, CONFIG_FILE_FAILED };
/* All of a regular file. Else the error is written. is_public may be NULL: others may read it. */
enum config_file_result config_file_read(struct config_reader *r, const char *path,
                                         struct buf *content, bool *is_public);
MUST_USE bool config_file_check(struct config_reader *r, const char *path); /* readable at all */
/* yours; NULL: the error is written, with line and column */
json_t *config_json_parse(struct config_reader *r, struct slice text);

/* ---- foreign.c: words of predecessors. The three of failing give true if it is none ---- */

MUST_USE bool config_fail_field(struct config_reader *r, const char *key, bool is_later);
MUST_USE bool config_fail_word(struct config_reader *r, const json_t *value, bool is_later);
MUST_USE bool config_fail_content(struct config_reader *r, struct slice text);
void config_mind_variables(struct config_reader *r); /* warns of those that are set */
/* Warns of SERVICE_ENDPOINTS, where no keys from the environment get them. */
void config_mind_endpoints(struct config_reader *r);
bool config_variable_is_foreign(struct slice name);
/* "; FILE is of PROGRAM, see PAGE" of the first thing found that a predecessor left, or "". */
const char *config_foreign_trace(const struct config_environment *e, char *out, size_t size);

/* ---- impostor.c, itself.c, strangers.c ---- */

/* The subscription has its key and base URL; the path is that of the key. */
MUST_USE bool config_mind_key(struct config_reader *r, const struct subscription *s);
MUST_USE bool config_mind_itself(struct config_reader *r);
void config_mind_strangers(struct config_reader *r); /* warns of those that are set */
bool config_variable_is_strange(struct slice name);  /* a line of ./.env sets one */

/* ---- endpoints.c ---- */

/* The value of SERVICE_ENDPOINTS; the source of messages is set. */
MUST_USE bool config_read_endpoints(struct config_reader *r, struct slice text);
/* In a file that goes on behind it: its JSON, over however many lines, without quotes around it.
 * *used: bytes up to behind the closing quote. False: its end is not found. */
MUST_USE bool config_endpoints_span(struct slice from, struct slice *json, size_t *used);

/* ---- message.c ---- */

/* Both give false. The format is of what was found, a clause: "found 7", "is empty". */
bool config_fail(struct config_reader *r, const char *expected, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* The error just written is one of several: reading may go on. */
void config_collect(struct config_reader *r);
/* Whether there was none, the last function's result among them; the error says all. */
MUST_USE bool config_conclude(struct config_reader *r, bool is_read);
bool config_fail_value(struct config_reader *r, const struct config_knob *knob,
                       const json_t *value);
void config_warn(struct config_reader *r, const char *format, ...) PRINTF_LIKE(2, 3);
const char *config_found(const json_t *value, bool is_secret, char out[CONFIG_FOUND_MAX]);
/* Makes the path longer for what comes next; config_path_end() with the result undoes it. */
size_t config_path_begin(struct config_reader *r, const char *format, ...) PRINTF_LIKE(2, 3);
void config_path_end(struct config_reader *r, size_t mark);
