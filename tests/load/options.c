/* options.c - one row an option: its name, what it sets, and between which bounds. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char HELP[] =
    "weir-load - one request over and over, measured\n"
    "\n"
    "  weir-load [options] http://ADDRESS:PORT/PATH\n"
    "\n"
    "  -c, --connections N   at once (1)\n"
    "      --rate R          requests a second in all, evenly spaced, measured from when each was\n"
    "                        due (0 = each connection asks again as soon as it has its answer)\n"
    "      --no-keep-alive   a new connection for each request, which says connection: close\n"
    "  -n, --requests N      stop after so many; if the time is over first, that is an error\n"
    "  -s, --seconds S       stop after so long (5; with --requests 600, with --hold 3600)\n"
    "      --warmup S        first so long without measuring (0)\n"
    "      --body FILE       request body\n"
    "      --body-bytes N    a made-up message request of that size (500); from 4 KB on an "
    "agent's\n"
    "                        conversation: instructions, tools, calls of them and their results\n"
    "      --stream          ask for streams, count events, and the delay of those that carry "
    "sent_us\n"
    "      --hold N          open N streams, say {\"held\":N}, keep them until standard input "
    "closes\n"
    "  -H, --header 'N: V'   another header (several)\n"
    "      --method M        (POST)\n"
    "      --status S        expected status (200)\n"
    "      --bytes N         expected size of each answer's body (any)\n"
    "      --timeout-ms N    longest silence of a connection that waits (30000)\n"
    "      --watch PID       report that process's CPU time during the measurement (several)\n"
    "      --help            this text\n"
    "\n"
    "Prints one JSON object; times are in microseconds. Status 1 if anything went wrong, while\n"
    "warming up too.\n";

enum {
    BODY_BYTES = 500,
    BODY_BYTES_MAX = 64 * 1024 * 1024,
    TIMEOUT_MS = 30000,
    CONNECTIONS_MAX = 60000,
    REQUESTS_MAX = 100000000,
    SECONDS = 5,
    SECONDS_FOR_REQUESTS = 600,
    SECONDS_MAX = 3600,
};

enum kind { KIND_WHOLE, KIND_REAL, KIND_TEXT, KIND_FLAG, KIND_NO_FLAG, KIND_HEADER, KIND_WATCH };

struct knob {
    const char *name;
    int letter; /* short form, 0 = none */
    enum kind kind;
    size_t offset; /* of the member it sets */
    double least, most;
};

#define SETS(member) offsetof(struct options, member)

static const struct knob KNOBS[] = {
    {"connections", 'c', KIND_WHOLE, SETS(connections), 1, CONNECTIONS_MAX},
    {"rate", 0, KIND_REAL, SETS(rate), 0, 1e6},
    {"no-keep-alive", 0, KIND_NO_FLAG, SETS(is_keep_alive), 0, 0},
    {"requests", 'n', KIND_WHOLE, SETS(requests), 1, REQUESTS_MAX},
    {"seconds", 's', KIND_REAL, SETS(seconds), 0.001, SECONDS_MAX},
    {"warmup", 0, KIND_REAL, SETS(warmup_seconds), 0, SECONDS_MAX},
    {"body", 0, KIND_TEXT, SETS(body_file), 0, 0},
    {"body-bytes", 0, KIND_WHOLE, SETS(body_bytes), 0, BODY_BYTES_MAX},
    {"stream", 0, KIND_FLAG, SETS(is_stream), 0, 0},
    {"hold", 0, KIND_WHOLE, SETS(hold), 1, CONNECTIONS_MAX},
    {"header", 'H', KIND_HEADER, SETS(headers), 0, 0},
    {"method", 0, KIND_TEXT, SETS(method), 0, 0},
    {"status", 0, KIND_WHOLE, SETS(expect_status), 100, 999},
    {"bytes", 0, KIND_WHOLE, SETS(expect_bytes), 0, 1e15},
    {"timeout-ms", 0, KIND_WHOLE, SETS(timeout_ms), 1, 1e9},
    {"watch", 0, KIND_WATCH, SETS(watch), 1, 1e9},
};

enum { KNOB_COUNT = sizeof(KNOBS) / sizeof(KNOBS[0]) };

static void complain(const char *what, const char *value)
{
    fprintf(stderr, "weir-load: %s: '%s' (see --help)\n", what, value);
    exit(2);
}

static double read_number(const struct knob *knob, const char *text)
{
    char *end = NULL;
    errno = 0;
    double number = strtod(text, &end);
    bool is_number = errno == 0 && end != text && *end == '\0';
    bool is_good = is_number && number >= knob->least && number <= knob->most;
    if (is_good && (knob->kind == KIND_REAL || number == (double)(int64_t)number))
        return number;
    fprintf(stderr, "weir-load: --%s: expected a %snumber from %.15g to %.15g, not '%s'\n",
            knob->name, knob->kind == KIND_REAL ? "" : "whole ", knob->least, knob->most, text);
    exit(2);
}

static void read_url(struct options *options, const char *url)
{
    const char scheme[] = "http://";
    const char *host = url + sizeof(scheme) - 1;
    if (strncmp(url, scheme, sizeof(scheme) - 1) != 0)
        complain("not a plain http:// address", url);
    size_t len = strcspn(host, ":/");
    if (len == 0 || len >= sizeof(options->host) || host[len] != ':')
        complain("an address needs host and port", url);
    memcpy(options->host, host, len);
    char *end = NULL;
    long port = strtol(host + len + 1, &end, 10);
    if (port <= 0 || port > 65535 || (*end != '/' && *end != '\0'))
        complain("not a port", url);
    options->port = (int)port;
    options->path = *end == '/' ? end : "/";
}

static void read_option(struct options *options, const struct knob *knob, const char *value)
{
    void *member = (char *)options + knob->offset;
    switch (knob->kind) {
    case KIND_WHOLE:
        *(int64_t *)member = (int64_t)read_number(knob, value);
        break;
    case KIND_REAL:
        *(double *)member = read_number(knob, value);
        break;
    case KIND_TEXT:
        *(const char **)member = value;
        break;
    case KIND_FLAG:
    case KIND_NO_FLAG:
        *(bool *)member = knob->kind == KIND_FLAG;
        break;
    case KIND_HEADER:
        if (options->header_count == OPTIONS_HEADERS_MAX)
            complain("too many", knob->name);
        options->headers[options->header_count++] = value;
        break;
    case KIND_WATCH:
        if (options->watch_count == OPTIONS_WATCH_MAX)
            complain("too many", knob->name);
        options->watch[options->watch_count++] = (int)read_number(knob, value);
        break;
    }
}

/* What getopt is to know: the rows, each named by its place, and help behind them. */
static void read_arguments(struct options *options, int argc, char **argv)
{
    struct option names[KNOB_COUNT + 2] = {{0}};
    char letters[2 * KNOB_COUNT + 2] = "h";
    size_t used = 1;
    for (size_t i = 0; i < KNOB_COUNT; i++) {
        bool is_flag = KNOBS[i].kind == KIND_FLAG || KNOBS[i].kind == KIND_NO_FLAG;
        names[i] = (struct option){KNOBS[i].name, is_flag ? no_argument : required_argument, NULL,
                                   KNOBS[i].letter};
        if (KNOBS[i].letter != 0) {
            letters[used++] = (char)KNOBS[i].letter;
            letters[used++] = ':';
        }
    }
    names[KNOB_COUNT] = (struct option){"help", no_argument, NULL, 'h'};
    int code = 0, index = 0;
    while ((code = getopt_long(argc, argv, letters, names, &index)) != -1) {
        if (code == 'h') {
            fputs(HELP, stdout);
            exit(0);
        }
        if (code == '?')
            exit(2);
        for (index = code == 0 ? index : 0; code != 0 && KNOBS[index].letter != code; index++)
            ;
        read_option(options, &KNOBS[index], optarg);
    }
}

static double default_seconds(const struct options *options)
{
    if (options->hold > 0)
        return SECONDS_MAX;
    return options->requests > 0 ? SECONDS_FOR_REQUESTS : SECONDS;
}

void options_read(struct options *options, int argc, char **argv)
{
    *options = (struct options){.connections = 1,
                                .method = "POST",
                                .is_keep_alive = true,
                                .body_bytes = BODY_BYTES,
                                .expect_status = 200,
                                .expect_bytes = -1,
                                .timeout_ms = TIMEOUT_MS};
    read_arguments(options, argc, argv);
    if (optind + 1 != argc)
        complain("expected one address", optind < argc ? argv[optind + 1] : "");
    read_url(options, argv[optind]);
    if (options->seconds <= 0)
        options->seconds = default_seconds(options);
    if (options->hold > 0) {
        options->connections = options->hold;
        options->is_stream = true;
    }
}
