/* doubt.h - what happens while it is in doubt whether the request still has its slot.
 * A node that stood still for longer than a lease lives may have lost it: from then on nothing of
 * the provider's is judged or given to the caller's side until Redis has said, neither what comes
 * nor what was kept back before. What comes is held and told again as if it came then, a deadline
 * comes again then. While something is held the provider is not read any further. */
#pragma once
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "state/lease.h"

struct exchange;
struct upstream_event;

enum { DOUBT_HELD_MAX = 512 * 1024 };

struct doubt {
    struct renewal_wait wait;
    struct buf held;
    bool has_end;    /* of the answer's body, behind what is held */
    bool has_failed; /* likewise, with: */
    enum err err;
    const char *detail;
    bool is_due; /* the attempt's deadline has come */
};

void doubt_init(struct doubt *doubt);
void doubt_end(struct doubt *doubt); /* what is held is dropped */
bool doubt_holds(const struct doubt *doubt);
/* Whether this piece of a body, or this failure, must not be looked at now. It has been taken then;
 * x may be gone. */
bool doubt_takes(struct exchange *x, const struct upstream_event *event);
/* Whether the attempt's deadline that has come must do nothing now. It comes again then. */
bool doubt_delays(struct exchange *x);
