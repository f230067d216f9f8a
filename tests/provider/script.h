/* script.h - how one request is to be answered: what a test queues over the control port or puts
 * into the header x-provider-script. One table in script.c names every field; README.md explains
 * them. A script is immutable and shared by the requests it serves. */
#pragma once

#include <jansson.h>

#include "bytes.h"

enum { SCRIPT_UNSET = -1 };

/* Token counts of an answer; SCRIPT_UNSET members take the default. */
struct usage {
    int64_t input;
    int64_t output;
    int64_t cache_read;
    int64_t cache_write;
    int64_t cache_write_5m;
    int64_t cache_write_1h;
};

/* Numbers are SCRIPT_UNSET when not given, switches are 0, 1 or SCRIPT_UNSET. */
struct script {
    int64_t refs;
    int64_t times; /* requests left to serve, -1 = until reset */
    int64_t status;
    int64_t close_before_answer;
    int64_t close_head_after_bytes;
    int64_t close_after_bytes;
    int64_t close_after_events;
    int64_t reset;
    int64_t stall;
    int64_t stall_after_bytes;
    int64_t stall_after_events;
    int64_t drip_bytes;
    int64_t drip_ms;
    int64_t gzip;
    int64_t text_bytes;
    int64_t events;
    int64_t event_delay_ms;
    int64_t raw_bytes;
    int64_t chunked;
    int64_t content_length;
    int64_t until_close;
    int64_t hold;
    int64_t delay_ms;
    int64_t keep_alive;
    int64_t silently_close_idle;
    int64_t early_answer;
    int64_t stamp;
    int64_t no_usage;
    int64_t error_after_events;
    struct usage usage;
    char *error_type; /* of the error event; NULL = none */
    char *error_message;
    char *body;      /* instead of the usual one; NULL = none */
    char *bad_head;  /* sent raw instead of an answer; NULL = none */
    json_t *headers; /* name -> value, list of values, or null; NULL = none */
    char *say;       /* of the defaults only: the text of every message; NULL = none */
};

/* Builds a script (yours: script_unref). NULL and a sentence in fault (>= 200 bytes) if the object
 * has an unknown field or a wrong value. */
struct script *script_new(json_t *object, char *fault, size_t fault_len);
/* The same from text. */
struct script *script_parse(struct slice text, char *fault, size_t fault_len);
struct script *script_ref(struct script *script);
void script_unref(struct script *script);

/* The first value that is set. */
int64_t script_pick(int64_t value, int64_t otherwise);
