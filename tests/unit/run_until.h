/* run_until.h - run a loop, turn by turn, until something is so.
 * A test waits for what it promises, not for a time; the deadline only ends a broken one. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "check.h"
#include "loop/loop.h"

enum { UNTIL_MS = 20000, UNTIL_TICK_MS = 20 };

static inline void until_turn_over(void *arg)
{
    loop_stop(arg);
}

static inline void until_tick(void *arg)
{
    (void)arg; /* only wakes the loop, so that a turn ends */
}

static inline void run_turn(struct loop *loop)
{
    struct loop_hook hook;
    struct loop_timer *timer = loop_every(loop, UNTIL_TICK_MS, until_tick, NULL);
    loop_hook_add(loop, &hook, until_turn_over, loop);
    loop_run(loop);
    loop_hook_remove(&hook);
    loop_timer_free(timer);
}

#define RUN_UNTIL(loop, condition)                \
    do {                                          \
        uint64_t end_ = clock_ms() + UNTIL_MS;    \
        while (!(condition) && clock_ms() < end_) \
            run_turn(loop);                       \
        CHECK(condition);                         \
    } while (0)
