/* options.h - the command line. */
#pragma once

#include "bytes.h"

struct options {
    const char *host;
    int port;
    int tls_port; /* -1 = no TLS */
    int control_port;
    const char *certificate; /* PEM files */
    const char *private_key;
    const char *keys;   /* NULL = any */
    const char *say;    /* NULL = an echo */
    int64_t limit;      /* 0 = none */
    int64_t text_bytes; /* -1 = not set, likewise below */
    int64_t events;
    int64_t event_delay_ms;
    bool is_stamped;
    bool is_logging;
};

/* Reads the arguments; prints help or a complaint and exits where that is all there is to do. */
void options_read(struct options *options, int argc, char **argv);
