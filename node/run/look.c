/* Two halves. A desk is touched by its worker's thread alone, but for `asking`, which is the
 * control thread's; a look is touched by the control thread alone. A question goes over as a post
 * with nothing but the desk, an answer as a post that holds the snapshot. The control thread posts
 * all its answers before it stops a worker, and takes no question any more by then: so no answer is
 * lost, and none comes to a desk that has gone. */
#include "run/look.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "state/snapshot.h"
#include "state/state.h"

enum {
    READ_EVERY_MS = 1000,
    WAIT_MS = 5000, /* longer than a call to Redis takes that fails */
    WHY_MAX = 256
};

struct look {
    struct loop *loop;
    struct state *state;
    struct list asking; /* struct look_desk: waits for what is being read */
    bool is_reading;

    /* What came of the last read, for all who ask until its second is over. Where Redis was not
     * even asked (it is away), there is nothing to spare it. */
    bool is_kept;
    uint64_t read_ms;
    struct pool_snapshot *snapshot; /* or NULL: */
    char why[WHY_MAX];
};

struct look_desk {
    struct look *look;
    struct loop *home;
    struct list asking;  /* in the look's list; the control thread's */
    struct list waiting; /* struct asker, oldest first */
    bool is_asking;      /* an answer is on its way */
};

struct asker {
    struct list link;
    struct deadline late;
    look_fn on_seen;
    void *arg;
};

struct answer {
    struct look_desk *desk;
    struct pool_snapshot *snapshot; /* a reference, or NULL */
    char why[WHY_MAX];
};

/* ---- the worker's half ---- */

static void tell(struct asker *asker, const struct pool_snapshot *snapshot, struct slice why)
{
    list_remove(&asker->link);
    deadline_clear(&asker->late);
    asker->on_seen(snapshot, why, asker->arg);
    free(asker);
}

static void tell_all(struct look_desk *desk, const struct pool_snapshot *snapshot, struct slice why)
{
    struct list *link, now;
    list_init(&now);
    while ((link = list_pop(&desk->waiting)) != NULL)
        list_push(&now, link);
    while (!list_is_empty(&now))
        tell(LIST_OWNER(now.next, struct asker, link), snapshot, why);
}

static void on_answer(void *arg)
{
    struct answer *answer = arg;
    answer->desk->is_asking = false;
    tell_all(answer->desk, answer->snapshot, slice_of(answer->why));
    snapshot_release(answer->snapshot);
    free(answer);
}

static void on_late(void *arg)
{
    tell(arg, NULL, SLICE("this node did not look in time"));
}

static void take_question(void *arg);

void look_ask(struct look_desk *desk, look_fn on_seen, void *arg)
{
    struct asker *asker = mem_new(sizeof(*asker));
    *asker = (struct asker){.on_seen = on_seen, .arg = arg};
    deadline_init(&asker->late, on_late, asker);
    deadline_set(desk->home, &asker->late, WAIT_MS);
    list_push(&desk->waiting, &asker->link);
    if (desk->is_asking)
        return;
    desk->is_asking = true;
    loop_post(desk->look->loop, take_question, desk);
}

struct look_desk *look_desk_new(struct look *look, struct loop *home)
{
    struct look_desk *desk = mem_new(sizeof(*desk));
    *desk = (struct look_desk){.look = look, .home = home};
    list_init(&desk->asking);
    list_init(&desk->waiting);
    return desk;
}

void look_desk_free(struct look_desk *desk)
{
    if (desk == NULL)
        return;
    tell_all(desk, NULL, SLICE("this node is leaving"));
    free(desk);
}

/* ---- the control thread's half ---- */

static void answer(struct look *look, struct look_desk *desk)
{
    struct answer *answer = mem_new(sizeof(*answer));
    answer->desk = desk;
    answer->snapshot = look->snapshot != NULL ? snapshot_hold(look->snapshot) : NULL;
    snprintf(answer->why, sizeof(answer->why), "%s", look->why);
    loop_post(desk->home, on_answer, answer);
}

static void on_read(enum err err, struct pool_snapshot *snapshot, void *arg)
{
    struct look *look = arg;
    struct list *link;
    look->is_reading = false;
    look->is_kept = err != ERR_STATE_DOWN;
    snapshot_release(look->snapshot);
    look->snapshot = snapshot != NULL ? snapshot_hold(snapshot) : NULL;
    snprintf(look->why, sizeof(look->why), "%.*s", SLICE_ARG(state_last_error(look->state)));
    while ((link = list_pop(&look->asking)) != NULL)
        answer(look, LIST_OWNER(link, struct look_desk, asking));
}

static void take_question(void *arg)
{
    struct look_desk *desk = arg;
    struct look *look = desk->look;
    uint64_t now_ms = clock_ms();
    if (look->is_kept && now_ms - look->read_ms < READ_EVERY_MS) {
        answer(look, desk);
        return;
    }
    list_push(&look->asking, &desk->asking);
    if (look->is_reading)
        return;
    look->is_reading = true;
    look->is_kept = false;
    look->read_ms = now_ms;
    state_snapshot(look->state, on_read, look);
}

struct look *look_new(struct loop *loop, struct state *state)
{
    struct look *look = mem_new(sizeof(*look));
    *look = (struct look){.loop = loop, .state = state};
    list_init(&look->asking);
    return look;
}

void look_end(struct look *look)
{
    while (list_pop(&look->asking) != NULL)
        continue;
}

void look_free(struct look *look)
{
    if (look == NULL)
        return;
    snapshot_release(look->snapshot);
    free(look);
}
