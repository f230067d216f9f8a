#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char HELP[] =
    "weir-load - requests over kept-alive connections, measured\n"
    "\n"
    "  weir-load [options] http://ADDRESS:PORT/PATH\n"
    "\n"
    "  -c, --connections N   at once (1)\n"
    "      --rate R          requests a second in all, evenly spaced, measured from when each was\n"
    "                        due (0 = each connection asks again as soon as it has its answer)\n"
    "  -n, --requests N      stop after so many\n"
    "  -s, --seconds S       stop after so long (5 if neither is given)\n"
    "      --warmup S        first so long without measuring (0)\n"
    "      --body FILE       request body\n"
    "      --body-bytes N    a made-up message request of about that size (500)\n"
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
    "Prints one JSON object; times are in microseconds. Status 1 if anything went wrong.\n";

enum { BODY_BYTES = 500, TIMEOUT_MS = 30000, CONNECTIONS_MAX = 60000 };

static void complain(const char *what, const char *value)
{
    fprintf(stderr, "weir-load: %s: '%s' (see --help)\n", what, value);
    exit(2);
}

static double read_number(const char *name, const char *text, double most)
{
    char *end = NULL;
    errno = 0;
    double number = strtod(text, &end);
    if (errno != 0 || end == text || *end != '\0' || !(number >= 0 && number <= most))
        complain(name, text);
    return number;
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

static void read_option(struct options *options, const char *name, const char *value)
{
    const double any = 1e15;
    if (strcmp(name, "connections") == 0)
        options->connections = (int)read_number(name, value, CONNECTIONS_MAX);
    else if (strcmp(name, "rate") == 0)
        options->rate = read_number(name, value, 1e6);
    else if (strcmp(name, "requests") == 0)
        options->requests = (uint64_t)read_number(name, value, any);
    else if (strcmp(name, "seconds") == 0)
        options->seconds = read_number(name, value, 86400);
    else if (strcmp(name, "warmup") == 0)
        options->warmup_seconds = read_number(name, value, 86400);
    else if (strcmp(name, "body") == 0)
        options->body_file = value;
    else if (strcmp(name, "body-bytes") == 0)
        options->body_bytes = (int64_t)read_number(name, value, 1e9);
    else if (strcmp(name, "stream") == 0)
        options->is_stream = true;
    else if (strcmp(name, "hold") == 0)
        options->hold = (int)read_number(name, value, CONNECTIONS_MAX);
    else if (strcmp(name, "method") == 0)
        options->method = value;
    else if (strcmp(name, "status") == 0)
        options->expect_status = (int)read_number(name, value, 999);
    else if (strcmp(name, "bytes") == 0)
        options->expect_bytes = (int64_t)read_number(name, value, any);
    else if (strcmp(name, "timeout-ms") == 0)
        options->timeout_ms = (int)read_number(name, value, 1e9);
    else if (strcmp(name, "header") == 0 && options->header_count < OPTIONS_HEADERS_MAX)
        options->headers[options->header_count++] = value;
    else if (strcmp(name, "watch") == 0 && options->watch_count < OPTIONS_WATCH_MAX)
        options->watch[options->watch_count++] = (int)read_number(name, value, 1e9);
    else
        complain("too many", name);
}

void options_read(struct options *options, int argc, char **argv)
{
    static const struct option NAMES[] = {
        {"connections", required_argument, NULL, 'c'},
        {"requests", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 's'},
        {"header", required_argument, NULL, 'H'},
        {"help", no_argument, NULL, 'h'},
        {"rate", required_argument, NULL, 0},
        {"warmup", required_argument, NULL, 0},
        {"body", required_argument, NULL, 0},
        {"body-bytes", required_argument, NULL, 0},
        {"stream", no_argument, NULL, 0},
        {"hold", required_argument, NULL, 0},
        {"method", required_argument, NULL, 0},
        {"status", required_argument, NULL, 0},
        {"bytes", required_argument, NULL, 0},
        {"timeout-ms", required_argument, NULL, 0},
        {"watch", required_argument, NULL, 0},
        {0},
    };
    *options = (struct options){.connections = 1,
                                .method = "POST",
                                .body_bytes = BODY_BYTES,
                                .expect_status = 200,
                                .expect_bytes = -1,
                                .timeout_ms = TIMEOUT_MS};
    int index = 0, code = 0;
    while ((code = getopt_long(argc, argv, "c:n:s:H:h", NAMES, &index)) != -1) {
        if (code == 'h') {
            fputs(HELP, stdout);
            exit(0);
        }
        if (code == '?')
            exit(2);
        for (index = code == 0 ? index : 0; code != 0 && NAMES[index].val != code; index++)
            ;
        read_option(options, NAMES[index].name, optarg);
    }
    if (optind + 1 != argc)
        complain("expected one address", optind < argc ? argv[optind + 1] : "");
    read_url(options, argv[optind]);
    if (options->requests == 0 && options->seconds <= 0)
        options->seconds = 5;
    if (options->hold > 0) {
        options->connections = options->hold;
        options->is_stream = true;
    }
}
