/* run.h - a whole measurement: when requests start, when measuring begins and ends, what was seen.
 * One thread, one loop. */
#pragma once

#include <event2/event.h>
#include <netinet/in.h>

#include "caller.h"
#include "histogram.h"
#include "options.h"

enum { RUN_BACKLOG_MAX = 65536, RUN_OPENING_MAX = 100 };

struct run {
    const struct options *options;
    struct event_base *base;
    struct sockaddr_in address;
    char *request; /* head and body, the same for all */
    size_t request_len;

    struct caller *callers;
    struct caller **idle; /* a stack */
    size_t idle_count;
    int64_t *backlog; /* due times of requests that found no idle caller; a ring */
    size_t backlog_first;
    size_t backlog_count;
    int64_t next_due_us; /* with a rate */
    uint64_t started;    /* requests, in all */
    uint64_t ended;
    int held;

    uint64_t warmup_errors;
    int64_t measure_from_us; /* 0 = still warming up */
    int64_t measured_us;
    int64_t watch_from_us[OPTIONS_WATCH_MAX];
    int64_t watch_used_us[OPTIONS_WATCH_MAX];

    /* seen since measuring began */
    uint64_t outcomes[OUTCOME_COUNT];
    uint64_t connects;
    uint64_t body_bytes;
    uint64_t events;
    uint64_t dropped; /* due, but the backlog was full */
    struct histogram latency;
    struct histogram first_byte;
    struct histogram event_delay;
};

int64_t run_now_us(void);
/* Reads the body, builds the request, makes the callers; exits with a message if it cannot. */
void run_init(struct run *run, const struct options *options);
/* Runs until it is over. */
void run_loop(struct run *run);
/* Of all that was started, warming up included: how much did not end as it should have. */
uint64_t run_errors(const struct run *run);
void run_fini(struct run *run);

/* For callers: a request has ended; the first bytes of an answer's body are there. */
void run_on_end(struct run *run, struct caller *caller, enum outcome outcome);
void run_on_flow(struct run *run);
