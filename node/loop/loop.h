/* loop.h - one thread's event loop: libevent underneath, and the few things every user of it needs.
 * What belongs to a loop is touched on its thread only; other threads may call loop_post() alone.
 *
 * Promises to all code above: a callback never fires before the call that asked for it has
 * returned; what is given to loop_defer() runs once the present callbacks are over, so an object
 * may end itself there while its own callbacks are still on the stack. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct event_base;
struct evdns_base;
struct loop;

typedef void (*loop_fn)(void *arg);

struct loop *loop_new(void); /* yours */
void loop_free(struct loop *loop);
void loop_run(struct loop *loop); /* until loop_stop() */
void loop_stop(struct loop *loop);

struct event_base *loop_base(struct loop *loop);
struct evdns_base *loop_dns(struct loop *loop); /* made at first use */
uint64_t loop_now_ms(struct loop *loop); /* monotonic; taken once per turn: cheap and a bit old */

/* Call on_turn after every turn, last of all. The hook lies in its owner, which removes it. */
struct loop_hook {
    struct list link;
    loop_fn on_turn;
    void *arg;
};
void loop_hook_add(struct loop *loop, struct loop_hook *hook, loop_fn on_turn, void *arg);
void loop_hook_remove(struct loop_hook *hook);

/* Work for later in this turn. Embedded in its owner; linking it twice is the same as once. */
struct loop_task {
    struct list link;
    loop_fn run;
    void *arg;
};
void loop_task_init(struct loop_task *task, loop_fn run, void *arg);
void loop_defer(struct loop *loop, struct loop_task *task);
void loop_task_cancel(struct loop_task *task);

/* From any thread: run(arg) on the loop's thread, in order. Never lost while the loop runs. */
void loop_post(struct loop *loop, loop_fn run, void *arg);

/* Deadlines, thousands of them: armed and disarmed with every request, so both cost a few stores.
 * They fire up to two ticks late, never early. A deadline fires once. */
enum { LOOP_TICK_MS = 50 };
struct deadline {
    struct list link;
    struct loop *loop; /* where it is set, else NULL */
    uint64_t at_ms;
    loop_fn on_expired;
    void *arg;
};
void deadline_init(struct deadline *d, loop_fn on_expired, void *arg);
void deadline_set(struct loop *loop, struct deadline *d, uint64_t in_ms); /* again: moves it */
void deadline_clear(struct deadline *d);
bool deadline_is_set(const struct deadline *d);

/* A recurring timer. */
struct loop_timer;
struct loop_timer *loop_every(struct loop *loop, uint64_t interval_ms, loop_fn on_tick, void *arg);
void loop_timer_free(struct loop_timer *timer); /* NULL is fine */
