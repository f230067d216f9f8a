/* move.h - a request whose answer's head is later than nearly all goes to another subscription, if
 * one is idle: a slot there is taken first, then this one is cancelled. Never are both asked at
 * once, and it is done once for a request, before a byte of an answer. */
#pragma once
#include <stdbool.h>

#include "loop/loop.h"
#include "state/lease.h"

struct exchange;

struct move {
    struct admission *admission; /* NULL: nothing is asked */
    struct lease *lease;         /* asked for, then the attempt's; NULL: it never was. Owned */
    struct deadline deadline;
    bool is_done; /* once is enough */
};

/* The request has gone up: see whether the head is late. */
void move_watch(struct exchange *x);
void move_end(struct exchange *x);  /* it came, or the attempt is over; twice is fine */
void move_fini(struct exchange *x); /* no attempt may be left */
