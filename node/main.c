/* main.c - which command is meant. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/suggest.h"
#include "cli/cli.h"
#include "run/node.h"

static int serve(const struct cli_options *options)
{
    return node_serve(options->config);
}

static int version(const struct cli_options *options)
{
    (void)options;
    printf("weir %s\n", WEIR_VERSION);
    return EXIT_FINE;
}

static int help(const struct cli_options *options);

static const struct cli_command commands[] = {
    {"serve", CLI_CONFIG | CLI_PORT, serve, "run a node until it is told to stop",
     "SIGTERM, SIGINT: no new requests, running ones end, then the node leaves.\n"
     "SIGHUP: the config is read again; a bad one changes nothing. Where it comes because the\n"
     "terminal was closed, the node leaves.\n"},
    {"check", CLI_CONFIG | CLI_PORT | CLI_LIVE, cli_check,
     "read the config and say what a node would do",
     "Exits with 2 if anything in the config is wrong.\n"
     "With --live each key is shown to its provider (GET /v1/models, which is free), all at once\n"
     "and for 10 seconds at most: valid, refused, unreachable, or not told if the answer does not\n"
     "say. Exits with 1 unless all are valid.\n"},
    {"status", CLI_CONFIG | CLI_URL | CLI_PORT | CLI_JSON, cli_status,
     "show subscriptions and nodes as a running node sees them",
     "Asks the node that the config describes, or the one at --url or WEIR_URL, and shows it\n"
     "admin.token or WEIR_ADMIN_TOKEN if there is one, in the header x-admin-token. With curl:\n"
     "curl -H \"x-admin-token: $WEIR_ADMIN_TOKEN\" http://127.0.0.1:8080/status\n"},
    {"health", CLI_CONFIG | CLI_URL | CLI_PORT | CLI_JSON | CLI_READY, cli_health,
     "exit with 0 if a node answers",
     "With --ready only if it takes requests, too: not if it is leaving, or its Redis is away.\n"
     "Finds the node as `weir status` does. Made for the health checks of containers.\n"},
    {"cooldown", CLI_CONFIG | CLI_URL | CLI_PORT | CLI_TOPIC | CLI_NAME | CLI_ALL, cli_cooldown,
     "list what closes subscriptions, or lift it: list, clear NAME, clear --all",
     "weir cooldown list         which subscriptions are closed, why, for how long\n"
     "weir cooldown clear NAME   try it now: one request goes there first, cluster-wide. If it\n"
     "                           fails, what closed the subscription is back as it was\n"
     "weir cooldown clear --all  the same for each that is closed\n\n"
     "Finds the node as `weir status` does. Exits with 0 too if nothing was closed.\n"},
    {"strategy", CLI_CONFIG | CLI_PORT | CLI_URL | CLI_TOPIC, cli_strategy,
     "show or set how one is chosen of several subscriptions",
     "weir strategy              which one holds, and who said so\n"
     "weir strategy NAME         choose so from now on, on all nodes: headroom, priority, "
     "session,\n"
     "                           least-requests, round-robin, weighted, weighted-round-robin\n"
     "weir strategy configured   as the configuration says, again\n\n"
     "Finds the node as `weir status` does. What was said holds before what is configured, and\n"
     "survives restarts. docs/strategies.md tells them apart.\n"},
    {"why", CLI_CONFIG | CLI_PORT | CLI_URL | CLI_TOPIC | CLI_JSON, cli_why,
     "tell the story of a request: why it was refused, failed, or took long",
     "weir why ID     its id, which callers got as x-weir-request-id, or a provider's id of it\n\n"
     "Asks any node, whichever it ran on: the pool remembers the last history.requests, for seven\n"
     "days at most. What is older stands in the nodes' logs: see `weir logs --help`.\n\n"
     "Finds the node as `weir status` does. Exits with 1 if there is no such request.\n"},
    {"logs", CLI_TOPIC | CLI_JSON | CLI_NODE | CLI_ID | CLI_LEVEL | CLI_SINCE, cli_logs,
     "show nodes' logs, which are JSON, as a person reads them",
     "weir logs FILE                       or through a pipe:\n"
     "journalctl -u weir -o cat -f | weir logs --level warn\n"
     "docker compose logs -f | weir logs --node n1\n"
     "cat n1.log n2.log | weir logs --id weir_5f3a91c0-0-12\n\n"
     "What is no line of a node's log is shown as it is, unless only some lines are wanted.\n"},
    {"reload", CLI_CONFIG | CLI_PORT | CLI_URL | CLI_JSON | CLI_ALL, cli_reload,
     "have a node read its config again, and say what that changed",
     "Names what was read (files with the beginning of their SHA-256), and what was added, "
     "removed,\n"
     "renamed, rotated (a key, by the beginning of its SHA-256), changed, or needs a restart.\n"
     "Refused, with 1 and the reason, the node goes on with what it had.\n"
     "--all asks every node of the pool, and tells of each what came of it; 0 if all took it.\n\n"
     "Finds the node as `weir status` does.\n"},
    {"drain", CLI_CONFIG | CLI_PORT | CLI_URL, cli_drain,
     "have a node leave, and wait until nothing runs there",
     "As SIGTERM does: /ready says no at once, what runs may end for server.drain_seconds, then\n"
     "the process ends. Until nothing runs the door stays open, so take the node out of its\n"
     "balancer. What restarts it always (docker, systemd) starts it again.\n"
     "Exits with 0 once nothing runs and its door is closed.\n\n"
     "Finds the node as `weir status` does.\n"},
    {"version", 0, version, "print the version", ""},
    {"help", CLI_TOPIC | CLI_MARKDOWN, help, "this text; `weir help config` explains every setting",
     "weir help COMMAND is the same as weir COMMAND --help.\n"},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static const struct cli_command *find_command(const char *name)
{
    struct suggestion near = {0};
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0)
        name = "version";
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
        suggest_consider(&near, slice_of(name), slice_of(commands[i].name));
    }
    struct slice word;
    (void)slice_cut(slice_of(name), '=', &word); /* --config=FILE */
    if (cli_complain_foreign(NULL, word))
        return NULL;
    if (near.best.len > 0)
        (void)cli_complain(EXIT_USAGE, "unknown command \"%s\"; did you mean \"%.*s\"?", name,
                           SLICE_ARG(near.best));
    else
        (void)cli_complain(EXIT_USAGE, "unknown command \"%s\"; `weir help` lists them", name);
    return NULL;
}

static void print_overview(FILE *to)
{
    fputs("Weir spreads requests to the Anthropic API over several subscriptions.\n\n"
          "Usage: weir COMMAND [OPTION...]\n\n",
          to);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].summary);
    fputs("\n`weir COMMAND --help` says more. Exit codes: 0 fine, 1 failed, 2 usage or config.\n",
          to);
}

static int explain(const struct cli_command *command)
{
    printf("weir %s: %s\n\n", command->name, command->summary);
    if (command->more[0] != '\0')
        printf("%s\n", command->more);
    cli_options_print(command);
    return EXIT_FINE;
}

static int help(const struct cli_options *options)
{
    if (options->topic == NULL) {
        print_overview(stdout);
        return EXIT_FINE;
    }
    if (strcmp(options->topic, "config") == 0)
        return cli_help_config(options->is_markdown);
    const struct cli_command *command = find_command(options->topic);
    return command != NULL ? explain(command) : EXIT_USAGE;
}

/* Where a standard stream is closed the next file or socket would take its number, and get the log
 * or the answer that is written there. What stands in cannot be written: that is told as before. */
static void keep_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", O_RDONLY); /* takes the lowest number, which is this one */
    }
}

int main(int argc, char **argv)
{
    struct cli_options options;
    keep_standard_streams();
    if (argc < 2) {
        print_overview(stderr);
        return EXIT_USAGE;
    }
    const struct cli_command *command = find_command(argv[1]);
    if (command == NULL || !cli_options_read(&options, command, argv + 2))
        return EXIT_USAGE;
    if (!cli_take_port(&options))
        return EXIT_USAGE;
    int code = options.wants_help ? explain(command) : command->run(&options);
    if (fflush(stdout) != 0 && code == EXIT_FINE)
        return cli_complain(EXIT_FAILED, "cannot write to standard output");
    return code;
}
