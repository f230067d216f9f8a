#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char HELP[] =
    "weir-provider - a fake Anthropic API that can be told to fail\n"
    "\n"
    "  --host ADDRESS        listen here (127.0.0.1)\n"
    "  --port P              plain HTTP (0 = any free port)\n"
    "  --control-port P      scripts, log and counts (0 = any free port)\n"
    "  --tls-port P          HTTPS as well, with --cert FILE and --key FILE (PEM)\n"
    "  --keys K1,K2          credentials that are known; others get 401 (any)\n"
    "  --limit N             requests at once of one credential; more get 429 (0 = no limit)\n"
    "  --say TEXT            what every message answers; no tool is called (an echo)\n"
    "  --text-bytes N        size of an answer's text (an echo of the question)\n"
    "  --events N            deltas of a stream (5)\n"
    "  --event-delay-ms N    pause before each of them (0)\n"
    "  --stamp               deltas carry their time of sending, sent_us\n"
    "  --no-log              keep no log of requests\n"
    "  --help                this text\n"
    "\n"
    "Ready when it prints {\"port\":..,\"tls_port\":..,\"control_port\":..,\"pid\":..}.\n"
    "SIGTERM or SIGINT ends it. The control port is described in tests/provider/README.md.\n";

static int64_t read_number(const char *name, const char *text, int64_t most)
{
    char *end = NULL;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && number >= 0 && number <= most)
        return number;
    fprintf(stderr, "weir-provider: --%s: expected a number from 0 to %" PRId64 ", not '%s'\n",
            name, most, text);
    exit(2);
}

static void read_option(struct options *options, const char *name, const char *value)
{
    const int port_max = 65535;
    if (strcmp(name, "host") == 0)
        options->host = value;
    else if (strcmp(name, "port") == 0)
        options->port = (int)read_number(name, value, port_max);
    else if (strcmp(name, "tls-port") == 0)
        options->tls_port = (int)read_number(name, value, port_max);
    else if (strcmp(name, "control-port") == 0)
        options->control_port = (int)read_number(name, value, port_max);
    else if (strcmp(name, "cert") == 0)
        options->certificate = value;
    else if (strcmp(name, "key") == 0)
        options->private_key = value;
    else if (strcmp(name, "keys") == 0)
        options->keys = value;
    else if (strcmp(name, "say") == 0)
        options->say = value;
    else if (strcmp(name, "limit") == 0)
        options->limit = read_number(name, value, INT32_MAX);
    else if (strcmp(name, "text-bytes") == 0)
        options->text_bytes = read_number(name, value, INT32_MAX);
    else if (strcmp(name, "events") == 0)
        options->events = read_number(name, value, INT32_MAX);
    else if (strcmp(name, "event-delay-ms") == 0)
        options->event_delay_ms = read_number(name, value, 3600000);
    else if (strcmp(name, "stamp") == 0)
        options->is_stamped = true;
    else if (strcmp(name, "no-log") == 0)
        options->is_logging = false;
}

void options_read(struct options *options, int argc, char **argv)
{
    static const struct option NAMES[] = {
        {"host", required_argument, NULL, 'o'},
        {"port", required_argument, NULL, 'o'},
        {"tls-port", required_argument, NULL, 'o'},
        {"control-port", required_argument, NULL, 'o'},
        {"cert", required_argument, NULL, 'o'},
        {"key", required_argument, NULL, 'o'},
        {"keys", required_argument, NULL, 'o'},
        {"say", required_argument, NULL, 'o'},
        {"limit", required_argument, NULL, 'o'},
        {"text-bytes", required_argument, NULL, 'o'},
        {"events", required_argument, NULL, 'o'},
        {"event-delay-ms", required_argument, NULL, 'o'},
        {"stamp", no_argument, NULL, 'o'},
        {"no-log", no_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    *options = (struct options){.host = "127.0.0.1",
                                .tls_port = -1,
                                .text_bytes = -1,
                                .events = -1,
                                .event_delay_ms = -1,
                                .is_logging = true};
    int index = 0, code = 0;
    while ((code = getopt_long(argc, argv, "h", NAMES, &index)) != -1) {
        if (code == 'h') {
            fputs(HELP, stdout);
            exit(0);
        }
        if (code != 'o')
            exit(2);
        read_option(options, NAMES[index].name, optarg);
    }
    bool has_files = options->certificate != NULL && options->private_key != NULL;
    if (optind < argc)
        fprintf(stderr, "weir-provider: unexpected argument '%s'\n", argv[optind]);
    else if (options->tls_port >= 0 && !has_files)
        fprintf(stderr, "weir-provider: --tls-port needs --cert and --key\n");
    else
        return;
    exit(2);
}
