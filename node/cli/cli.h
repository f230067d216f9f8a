/* cli.h - what the commands of `weir` share: their options, how they speak, how they reach a node.
 * Results go to standard output, complaints to standard error. Exit codes: 0 fine, 1 it failed
 * while running, 2 usage or config. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/secret.h"
#include "base/slice.h"

enum { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct cli_options {
    const char *config; /* NULL: not given */
    const char *url;
    const char *port;
    const char
        *topic;       /* of `help`; what `cooldown` does; what `strategy` sets; whose id `why` asks;
                        * the file of `logs` */
    const char *name; /* of what it does that to */
    const char *node, *since, *level, *id; /* which lines of a log */
    bool is_all;                           /* to all */
    bool is_json;
    bool is_live;  /* ask the providers too */
    bool is_ready; /* not only alive */
    bool is_markdown;
    bool wants_help;
};

int cli_check(const struct cli_options *options);
int cli_status(const struct cli_options *options);
int cli_health(const struct cli_options *options);
int cli_cooldown(const struct cli_options *options);
int cli_strategy(const struct cli_options *options);
int cli_reload(const struct cli_options *options);
int cli_drain(const struct cli_options *options);
int cli_why(const struct cli_options *options);
int cli_logs(const struct cli_options *options);
int cli_help_config(bool is_markdown);

/* ---- options.c: what stands on the command line ---- */

enum {
    CLI_CONFIG = 1,
    CLI_URL = 2,
    CLI_JSON = 4,
    CLI_TOPIC = 8,
    CLI_MARKDOWN = 16,
    CLI_NAME = 32, /* behind a topic */
    CLI_ALL = 64,
    CLI_PORT = 128,
    CLI_LIVE = 256,
    CLI_NODE = 512,
    CLI_SINCE = 1024,
    CLI_LEVEL = 2048,
    CLI_ID = 4096,
    CLI_READY = 8192
};

struct cli_command {
    const char *name;
    unsigned takes; /* of the options above */
    int (*run)(const struct cli_options *options);
    const char *summary;
    const char *more; /* lines, or "" */
};

/* arguments: what stands behind the command, up to a NULL; borrowed. False: complained. */
MUST_USE bool cli_options_read(struct cli_options *options, const struct cli_command *command,
                               char **arguments);
void cli_options_print(const struct cli_command *command);

/* ---- foreign.c: what other programs' users type ---- */

/* command: that it stood behind; NULL: it stood in a command's place. False: nobody's word, and
 * nothing is said. */
MUST_USE bool cli_complain_foreign(const char *command, struct slice word);

/* ---- terminal.c: how we speak ---- */

/* "weir: ..." in red on standard error. Gives `code` back. */
int cli_complain(int code, const char *format, ...) PRINTF_LIKE(2, 3);
void cli_warn(const char *format, ...) PRINTF_LIKE(1, 2);

enum cli_colour { CLI_PLAIN, CLI_BOLD, CLI_DIM, CLI_RED, CLI_GREEN, CLI_YELLOW };

/* Standard output is a terminal, or CLICOLOR_FORCE is set; and NO_COLOR is not. */
bool cli_has_colour(void);
void cli_put(enum cli_colour colour, const char *format, ...) PRINTF_LIKE(2, 3);

enum { CLI_COLUMNS_MAX = 10 };

struct cli_cell {
    char *text;
    enum cli_colour colour;
};

struct cli_table {
    const char *heads; /* separated by '|'; a column whose head begins with '>' is right-aligned */
    struct cli_cell *cells;
    size_t count;
};

void cli_table_init(struct cli_table *table, const char *heads);
void cli_table_add(struct cli_table *table, enum cli_colour colour, const char *format, ...)
    PRINTF_LIKE(3, 4);
void cli_table_print(struct cli_table *table); /* and empties it */
/* "[####......]" or the same in blocks, `width` characters, into out[CLI_BAR_MAX]. */
enum { CLI_BAR_WIDTH_MAX = 20, CLI_BAR_MAX = CLI_BAR_WIDTH_MAX * 3 + 3 };
void cli_bar(char *out, size_t part, size_t whole, size_t width);

/* ---- where.c: what a person says of where a node is ---- */

/* --port, before anything reads a config. False: complained. */
MUST_USE bool cli_take_port(const struct cli_options *options);
/* "host:port" or a URL as a URL without a slash at its end: yours; NULL: complained. */
char *cli_url_of(const char *text);

/* ---- ask.c: one request to a node ---- */

struct cli_target {
    char *url;           /* "http://127.0.0.1:8080" */
    char *certificate;   /* the node's own, to be trusted; NULL: the system's */
    struct secret token; /* of the admin */
    bool is_guess;       /* no valid config says where the node is */
    long wait_ms;        /* for an answer; 0: the usual 5 s */
};

struct cli_answer {
    long status;
    struct buf body;
};

/* Who to ask: --url, --port, WEIR_URL, what the config says, else the default port.
 * False: complained. */
MUST_USE bool cli_target_init(struct cli_target *target, const struct cli_options *options);
void cli_target_fini(struct cli_target *target);
/* A GET, or a POST of that JSON if `body` is not NULL. False: *why says it; the text lives as long
 * as the program. The answer is yours either way. */
MUST_USE bool cli_ask(const struct cli_target *target, const char *path, const char *body,
                      struct cli_answer *answer, const char **why);
void cli_answer_fini(struct cli_answer *answer);
