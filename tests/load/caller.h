/* caller.h - one connection that sends the run's request over and over, one at a time.
 *
 *   CLOSED --start--> CONNECTING --> WAITING --answer complete--> IDLE --start--> WAITING ...
 *
 * Whatever goes wrong ends the request with an outcome and the connection with it; the next start
 * connects anew. */
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stddef.h>

#include "reply.h"

enum caller_state { CALLER_CLOSED, CALLER_CONNECTING, CALLER_IDLE, CALLER_WAITING };

enum outcome {
    OUTCOME_OK,
    OUTCOME_CONNECT, /* refused, or no socket */
    OUTCOME_CLOSED,  /* the answer broke off, or never came */
    OUTCOME_TIMEOUT,
    OUTCOME_STATUS,    /* not the expected one */
    OUTCOME_BYTES,     /* likewise */
    OUTCOME_MALFORMED, /* no HTTP */
    OUTCOME_COUNT
};

struct run;

struct caller {
    struct run *run;
    enum caller_state state;
    int fd;
    size_t sent;           /* of the request */
    int64_t due_us;        /* when the request was to start */
    int64_t first_byte_us; /* 0 = none yet */
    int64_t active_us;     /* last progress, for the timeout */
    struct event read_event;
    struct event write_event;
    struct reply reply;
};

void caller_init(struct caller *caller, struct run *run);
/* Sends the request (connecting first if need be); run_on_end() tells how it went, once. */
void caller_start(struct caller *caller, int64_t due_us);
/* Ends a request that has made no progress for too long. */
void caller_check_timeout(struct caller *caller, int64_t now_us);
void caller_close(struct caller *caller);
