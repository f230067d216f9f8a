/* doubt.h - bytes that come while it is in doubt whether the request still has its slot.
 * A node that stood still for longer than a lease lives may have lost it: not a byte more goes to
 * the caller until Redis has said. What comes meanwhile is held, and told again as if it came then.
 * While something is held the provider is not read any further. */
#pragma once
#include <stdbool.h>

#include "base/buf.h"
#include "state/lease.h"

struct exchange;
struct upstream_event;

enum { DOUBT_HELD_MAX = 512 * 1024 };

struct doubt {
    struct renewal_wait wait;
    struct buf held;
    bool has_end; /* of the answer's body, behind what is held */
};

void doubt_init(struct doubt *doubt);
void doubt_end(struct doubt *doubt); /* what is held is dropped */
bool doubt_holds(const struct doubt *doubt);
/* Whether this piece of a body must not pass now. It has been taken then; x may be gone. */
bool doubt_takes(struct exchange *x, const struct upstream_event *event);
