/* One table of options; a command names those it takes, and all others are refused with a guess at
 * what was meant. */
#include <stdio.h>
#include <string.h>

#include "base/suggest.h"
#include "cli/cli.h"

enum { EVERY_COMMAND = 0 };

static const struct option {
    const char *name;
    const char *argument; /* NULL: none */
    unsigned bit;
    const char *summary;
} known[] = {
    {"--config", "FILE", CLI_CONFIG, "the config; else WEIR_CONFIG, ./config.json, ..."},
    {"--url", "URL", CLI_URL, "the node, like 127.0.0.1:8080 or https://weir.lan"},
    {"--port", "N", CLI_PORT, "the node's port; goes before PORT and server.port"},
    {"--json", NULL, CLI_JSON, "as it came, for a program"},
    {"--node", "NAME", CLI_NODE, "only lines of this node"},
    {"--id", "ID", CLI_ID, "only lines of this request: its id, or a provider's"},
    {"--level", "WORD", CLI_LEVEL, "error, warn, info or debug: this and what is more important"},
    {"--since", "TIME", CLI_SINCE, "90s, 10m, 2h, 3d ago, or a time in UTC: 2026-11-27T09:30"},
    {"--all", NULL, CLI_ALL,
     "of the pool: every subscription that something closes, or every node"},
    {"--live", NULL, CLI_LIVE, "ask each provider whether it takes its key; costs nothing"},
    {"--ready", NULL, CLI_READY, "whether it takes requests, not only whether it lives"},
    {"--markdown", NULL, CLI_MARKDOWN, "`weir help config` as the tables of docs/config.md"},
    {"--help", NULL, EVERY_COMMAND, "this text"},
};

enum { OPTIONS = sizeof(known) / sizeof(known[0]) };

static bool takes(const struct cli_command *command, const struct option *option)
{
    return option->bit == EVERY_COMMAND || (command->takes & option->bit) != 0;
}

void cli_options_print(const struct cli_command *command)
{
    for (size_t i = 0; i < OPTIONS; i++)
        if (takes(command, &known[i]))
            printf("  %-10s %-4s  %s\n", known[i].name,
                   known[i].argument != NULL ? known[i].argument : "", known[i].summary);
}

static const struct option *find_option(const struct cli_command *command, struct slice name)
{
    struct suggestion near = {0};
    if (slice_eq(name, SLICE("-h")))
        name = SLICE("--help");
    for (size_t i = 0; i < OPTIONS; i++) {
        if (!takes(command, &known[i]))
            continue;
        if (slice_eq(name, slice_of(known[i].name)))
            return &known[i];
        suggest_consider(&near, name, slice_of(known[i].name));
    }
    if (cli_complain_foreign(command->name, name))
        return NULL;
    if (near.best.len > 0)
        (void)cli_complain(EXIT_USAGE, "%s: unknown option %.*s; did you mean %.*s?", command->name,
                           SLICE_ARG(name), SLICE_ARG(near.best));
    else
        (void)cli_complain(EXIT_USAGE, "%s: unknown option %.*s; `weir %s --help` lists them",
                           command->name, SLICE_ARG(name), command->name);
    return NULL;
}

static void store(struct cli_options *options, const struct option *option, const char *value)
{
    switch (option->bit) {
    case CLI_CONFIG:
        options->config = value;
        break;
    case CLI_URL:
        options->url = value;
        break;
    case CLI_PORT:
        options->port = value;
        break;
    case CLI_JSON:
        options->is_json = true;
        break;
    case CLI_NODE:
        options->node = value;
        break;
    case CLI_ID:
        options->id = value;
        break;
    case CLI_LEVEL:
        options->level = value;
        break;
    case CLI_SINCE:
        options->since = value;
        break;
    case CLI_ALL:
        options->is_all = true;
        break;
    case CLI_LIVE:
        options->is_live = true;
        break;
    case CLI_READY:
        options->is_ready = true;
        break;
    case CLI_MARKDOWN:
        options->is_markdown = true;
        break;
    default:
        options->wants_help = true;
    }
}

/* --name, --name=value or --name value. *at is moved to the last argument used. */
static bool read_option(struct cli_options *options, const struct cli_command *command, char ***at)
{
    struct slice text = slice_of(**at), name;
    struct slice behind = slice_cut(text, '=', &name);
    bool has_value = name.len < text.len;
    const char *value = behind.at;
    const struct option *option = find_option(command, name);
    if (option == NULL)
        return false;
    if (option->argument == NULL && has_value) {
        (void)cli_complain(EXIT_USAGE, "%s: %s takes no value", command->name, option->name);
        return false;
    }
    if (option->argument != NULL && !has_value) {
        value = (*at)[1];
        *at += value != NULL;
    }
    if (option->argument != NULL && (value == NULL || value[0] == '\0')) {
        (void)cli_complain(EXIT_USAGE, "%s: %s wants a %s behind it", command->name, option->name,
                           option->argument);
        return false;
    }
    store(options, option, value);
    return true;
}

bool cli_options_read(struct cli_options *options, const struct cli_command *command,
                      char **arguments)
{
    *options = (struct cli_options){0};
    for (char **at = arguments; *at != NULL; at++) {
        if ((*at)[0] == '-') {
            if (!read_option(options, command, &at))
                return false;
            continue;
        }
        const char **place = options->topic == NULL ? &options->topic : &options->name;
        unsigned needed = options->topic == NULL ? CLI_TOPIC : CLI_NAME;
        if ((command->takes & needed) == 0 || *place != NULL) {
            (void)cli_complain(EXIT_USAGE, "%s: did not expect \"%s\"", command->name, *at);
            return false;
        }
        *place = *at;
    }
    return true;
}
