/* options.h - the command line. Whatever it says, a run ends: each number has a ceiling, and there
 * is always a limit of time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OPTIONS_HEADERS_MAX = 32, OPTIONS_WATCH_MAX = 16 };

struct options {
    char host[128];
    int port;
    const char *path;
    const char *method;
    int64_t connections;
    double rate;           /* requests a second, 0 = as fast as answers come */
    int64_t requests;      /* stop after so many, 0 = only time counts */
    double seconds;        /* stop after so long */
    double warmup_seconds; /* not measured, comes before */
    bool is_keep_alive;    /* else a connection for each request */
    const char *body_file;
    int64_t body_bytes; /* size of a made-up body */
    bool is_stream;
    int64_t hold; /* streams to open and keep, 0 = no such run */
    int64_t expect_status;
    int64_t expect_bytes; /* of each answer's body, -1 = any */
    int64_t timeout_ms;
    const char *headers[OPTIONS_HEADERS_MAX];
    size_t header_count;
    int watch[OPTIONS_WATCH_MAX]; /* processes whose CPU time is reported */
    size_t watch_count;
};

/* Reads the arguments; prints help or a complaint and exits where that is all there is to do. */
void options_read(struct options *options, int argc, char **argv);
