/* look.h - one look at the pool for all who ask on this node.
 * Any number of callers of any worker ask for /status and /metrics; the control thread reads Redis
 * for all of them, at most once a second. Who asks while it is being read waits for that; within
 * the second everybody gets what there is. The snapshot is shared by reference count and never
 * changes. What went wrong is told to all who waited.
 *
 * A worker asks at its desk; the desk asks the control thread once for all who stand there. */
#pragma once
#include "base/slice.h"

struct look;
struct look_desk;
struct loop;
struct pool_snapshot;
struct state;

/* Both of the control thread. The state outlives look_end(). */
struct look *look_new(struct loop *loop, struct state *state); /* yours */
void look_end(struct look *look);  /* while the desks are there: from now on nobody is answered */
void look_free(struct look *look); /* when the state has gone; NULL is fine */

/* snapshot: borrowed; NULL: `why` says what was in the way. */
typedef void (*look_fn)(const struct pool_snapshot *snapshot, struct slice why, void *arg);

/* A worker's, on its loop: yours. Who still waits when it is freed is told so. */
struct look_desk *look_desk_new(struct look *look, struct loop *home);
void look_desk_free(struct look_desk *desk);

/* on_seen: once, on the desk's loop, within 5 s. */
void look_ask(struct look_desk *desk, look_fn on_seen, void *arg);
