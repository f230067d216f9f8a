/* Loops on threads of their own, of which one can be made to stand still. */
#include "run/roll_call.h"

#include <pthread.h>
#include <stdatomic.h>

#include "run_until.h"

enum { LOOPS = 3 };

static struct loop *home, *loops[LOOPS];
static pthread_t threads[LOOPS];
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* who waits for it is stuck */
static _Atomic unsigned answered, ran;
static _Atomic bool is_fine = true;
static struct roll_call call;
static unsigned complete;

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

static void get_stuck(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
}

static bool say(void *arg)
{
    (void)arg;
    atomic_fetch_add(&answered, 1);
    return atomic_load(&is_fine);
}

static void on_complete(void *arg)
{
    (void)arg;
    complete++;
}

static void ran_before(void *arg)
{
    (void)arg;
    atomic_fetch_add(&ran, 1);
}

static void set_up(void)
{
    home = loop_new();
    roll_call_init(&call, home, on_complete, NULL);
    for (unsigned i = 0; i < LOOPS; i++) {
        loops[i] = loop_new();
        pthread_create(&threads[i], NULL, run_loop, loops[i]);
        roll_call_add(&call, loops[i], say, NULL);
    }
}

static void is_answered(void)
{
    PROMISE("it is complete when all have answered, once")
    {
        CHECK(roll_call_start(&call));
        CHECK(complete == 0);
        RUN_UNTIL(home, complete == 1);
        CHECK(answered == LOOPS && call.are_all_fine);
        CHECK(roll_call_first_missing(&call) == LOOPS);
    }
    PROMISE("what was posted before has run by then")
    {
        for (unsigned i = 0; i < LOOPS; i++)
            loop_post(loops[i], ran_before, NULL);
        CHECK(roll_call_start(&call));
        RUN_UNTIL(home, complete == 2);
        CHECK(ran == LOOPS);
    }
    PROMISE("one that says no is heard, and forgotten with the next call")
    {
        is_fine = false;
        CHECK(roll_call_start(&call));
        RUN_UNTIL(home, complete == 3);
        CHECK(!call.are_all_fine);
        is_fine = true;
        CHECK(roll_call_start(&call));
        RUN_UNTIL(home, complete == 4);
        CHECK(call.are_all_fine);
    }
}

static void is_kept_waiting(void)
{
    PROMISE(
        "while a loop is stuck it is not complete, names who is missing, and is not asked twice")
    {
        pthread_mutex_lock(&gate);
        loop_post(loops[1], get_stuck, NULL);
        answered = 0;
        CHECK(roll_call_start(&call));
        RUN_UNTIL(home, answered == LOOPS - 1 && call.missing == 1);
        for (int turn = 0; turn < 5; turn++)
            run_turn(home);
        CHECK(complete == 4);
        CHECK(roll_call_first_missing(&call) == 1);
        CHECK(!roll_call_start(&call));
    }
    PROMISE("once that loop turns again it is complete, and can be started again")
    {
        pthread_mutex_unlock(&gate);
        RUN_UNTIL(home, complete == 5);
        CHECK(answered == LOOPS);
        CHECK(roll_call_start(&call));
        RUN_UNTIL(home, complete == 6);
    }
}

static void ends(void)
{
    PROMISE("loops that end while it is under way leave nothing behind")
    {
        CHECK(roll_call_start(&call));
        for (unsigned i = 0; i < LOOPS; i++) {
            loop_post(loops[i], stop_loop, loops[i]);
            pthread_join(threads[i], NULL);
            loop_free(loops[i]);
        }
        loop_free(home);
    }
}

int main(void)
{
    set_up();
    is_answered();
    is_kept_waiting();
    ends();
    return check_done();
}
