#include "loop/loop.h"

/* The clock of this program: the real one and what has been skipped, as it seems to a process that
 * was stopped. It replaces base/clock.c. */
#define clock_ms real_clock_ms
/* NOLINTNEXTLINE(bugprone-suspicious-include): to replace it, as said */
#include "base/clock.c"
#undef clock_ms

static uint64_t skipped_ms;

uint64_t clock_ms(void);

uint64_t clock_ms(void)
{
    return real_clock_ms() + skipped_ms;
}

#include <pthread.h>

#include "run_until.h"

static struct loop *loop;

/* ---- deadlines ---- */

struct alarm {
    struct deadline deadline;
    unsigned fired;
    uint64_t due_ms;
    struct alarm *clears; /* when it fires */
    uint64_t again_ms;    /* set again when it fires; 0: not */
};

static void on_alarm(void *arg)
{
    struct alarm *a = arg;
    a->fired++;
    CHECK(!deadline_is_set(&a->deadline));
    CHECK(clock_ms() >= a->due_ms);
    if (a->clears != NULL)
        deadline_clear(&a->clears->deadline);
    if (a->again_ms > 0)
        deadline_set(loop, &a->deadline, a->again_ms);
    a->again_ms = 0;
}

static void set(struct alarm *a, uint64_t in_ms)
{
    if (!deadline_is_set(&a->deadline))
        deadline_init(&a->deadline, on_alarm, a);
    a->due_ms = loop_now_ms(loop) + in_ms;
    deadline_set(loop, &a->deadline, in_ms);
    CHECK(deadline_is_set(&a->deadline));
}

static void test_deadlines(void)
{
    PROMISE("deadlines fire once each, never early")
    {
        struct alarm alarms[60] = {0};
        unsigned fired = 0;
        for (unsigned i = 0; i < 60; i++)
            set(&alarms[i], i * 7 % 200);
        struct alarm last = {0};
        set(&last, 4ULL * LOOP_TICK_MS + 200);
        RUN_UNTIL(loop, last.fired > 0);
        for (unsigned i = 0; i < 60; i++)
            fired += alarms[i].fired == 1 && !deadline_is_set(&alarms[i].deadline);
        CHECK(fired == 60 && last.fired == 1);
    }
    PROMISE("one that was cleared never fires, and clearing twice is fine")
    {
        struct alarm cleared = {0}, later = {0};
        set(&cleared, 10);
        set(&later, 100);
        deadline_clear(&cleared.deadline);
        deadline_clear(&cleared.deadline);
        CHECK(!deadline_is_set(&cleared.deadline));
        RUN_UNTIL(loop, later.fired > 0);
        CHECK(cleared.fired == 0);
    }
    PROMISE("setting one again moves it")
    {
        struct alarm moved = {0}, between = {0};
        set(&moved, 10);
        set(&between, 100);
        set(&moved, 300);
        RUN_UNTIL(loop, between.fired > 0);
        CHECK(moved.fired == 0);
        RUN_UNTIL(loop, moved.fired > 0);
        CHECK(moved.fired == 1);
    }
}

static void test_deadlines_in_callbacks(void)
{
    PROMISE("one that is cleared by another of the same tick does not fire any more")
    {
        struct alarm first = {0}, second = {0}, last = {0};
        set(&first, 10);
        set(&second, 10);
        set(&last, 200);
        first.clears = &second;
        second.clears = &first; /* whichever comes first */
        RUN_UNTIL(loop, last.fired > 0);
        CHECK(first.fired + second.fired == 1);
    }
    PROMISE("one may set itself again while it fires, also as the only one")
    {
        struct alarm alarm = {.again_ms = 20};
        set(&alarm, 20);
        RUN_UNTIL(loop, alarm.fired == 2);
        CHECK(!deadline_is_set(&alarm.deadline));
    }
    PROMISE("a deadline of no time fires too, but not before the call returns")
    {
        struct alarm alarm = {0};
        set(&alarm, 0);
        CHECK(alarm.fired == 0);
        RUN_UNTIL(loop, alarm.fired == 1);
    }
}

static void test_far_deadlines(void)
{
    enum { FAR_MS = 3 * 1024 * LOOP_TICK_MS }; /* three turns of the wheel */
    PROMISE("a deadline that is minutes away waits for its own time")
    {
        struct alarm far = {0}, near = {0};
        set(&far, FAR_MS);
        for (int i = 0; i < 3; i++) {
            near.fired = 0;
            set(&near, 2);
            skipped_ms += FAR_MS / 3 - 10;
            RUN_UNTIL(loop, near.fired > 0);
            CHECK(far.fired == 0 || clock_ms() >= far.due_ms);
        }
        skipped_ms += 100;
        RUN_UNTIL(loop, far.fired > 0);
        CHECK(far.fired == 1);
    }
    PROMISE("after standing still for hours everything that is due fires once")
    {
        struct alarm alarms[100] = {0}, tomorrow = {0};
        for (unsigned i = 0; i < 100; i++)
            set(&alarms[i], i * 1000ULL);
        set(&tomorrow, 24ULL * 3600 * 1000);
        skipped_ms += 5ULL * 3600 * 1000;
        struct alarm last = {0};
        set(&last, 200);
        RUN_UNTIL(loop, last.fired > 0);
        unsigned fired = 0;
        for (unsigned i = 0; i < 100; i++)
            fired += alarms[i].fired == 1;
        CHECK(fired == 100 && tomorrow.fired == 0 && deadline_is_set(&tomorrow.deadline));
        deadline_clear(&tomorrow.deadline);
    }
}

/* ---- posts ---- */

enum { POSTERS = 4, POSTS = 2000 };

struct posted {
    unsigned poster, number;
};

static struct posted posts[POSTERS][POSTS];
static unsigned seen[POSTERS], seen_in_all;
static pthread_t loop_thread;

static void on_post(void *arg)
{
    const struct posted *p = arg;
    CHECK(p->number == seen[p->poster] && pthread_equal(pthread_self(), loop_thread));
    seen[p->poster]++;
    seen_in_all++;
}

static void *post_all(void *arg)
{
    struct posted *mine = arg;
    for (unsigned i = 0; i < POSTS; i++)
        loop_post(loop, on_post, &mine[i]);
    return NULL;
}

static void count(void *arg)
{
    ++*(unsigned *)arg;
}

static void post_again(void *arg)
{
    loop_post(loop, count, arg);
    CHECK(*(unsigned *)arg == 0);
}

static void test_posts(void)
{
    PROMISE("what other threads post runs on the loop's thread, each thread's in order, all of it")
    {
        pthread_t threads[POSTERS];
        loop_thread = pthread_self();
        for (unsigned i = 0; i < POSTERS; i++) {
            for (unsigned k = 0; k < POSTS; k++)
                posts[i][k] = (struct posted){i, k};
            pthread_create(&threads[i], NULL, post_all, posts[i]);
        }
        RUN_UNTIL(loop, seen_in_all == POSTERS * POSTS);
        for (unsigned i = 0; i < POSTERS; i++)
            pthread_join(threads[i], NULL);
    }
    PROMISE("a post from the loop's own thread comes after the call, also out of a post")
    {
        unsigned counted = 0;
        loop_post(loop, post_again, &counted);
        CHECK(counted == 0);
        RUN_UNTIL(loop, counted == 1);
    }
}

/* ---- tasks and hooks ---- */

static char order[32];

static void note(void *arg)
{
    size_t len = strlen(order);
    if (len < sizeof(order) - 1)
        order[len] = *(const char *)arg;
}

struct turn {
    struct loop_task task, other;
    struct loop_hook hook;
    const char *name;
};

static void on_hook(void *arg)
{
    struct turn *turn = arg;
    char mark[] = "h";
    note(mark);
    loop_hook_remove(&turn->hook);
}

static void defer_and_go_on(void *arg)
{
    struct turn *turn = arg;
    char before[] = "(", after[] = ")";
    note(before);
    loop_defer(loop, &turn->task);
    loop_defer(loop, &turn->task); /* the same as once */
    note(after);
}

static void test_tasks(void)
{
    char task_name[] = "t", other_name[] = "o";
    struct turn turn = {0};
    loop_task_init(&turn.task, note, task_name);
    loop_task_init(&turn.other, note, other_name);
    PROMISE("a deferred task runs once, when the callback is over, and a hook after that")
    {
        memset(order, 0, sizeof(order));
        loop_hook_add(loop, &turn.hook, on_hook, &turn);
        loop_post(loop, defer_and_go_on, &turn);
        RUN_UNTIL(loop, strchr(order, 't') != NULL && strchr(order, 'h') != NULL);
        run_turn(loop);
        const char *task = strchr(order, 't'), *open = strchr(order, '(');
        CHECK(open != NULL && strncmp(open, "()t", 3) == 0 && strrchr(order, 't') == task);
        CHECK(strchr(order, 'h') == strrchr(order, 'h'));
    }
    PROMISE("tasks run in the order they were given, and one that was cancelled does not")
    {
        struct loop_task cancelled;
        char name[] = "x";
        loop_task_init(&cancelled, note, name);
        memset(order, 0, sizeof(order));
        loop_defer(loop, &turn.other);
        loop_defer(loop, &cancelled);
        loop_defer(loop, &turn.task);
        loop_task_cancel(&cancelled);
        loop_task_cancel(&cancelled);
        run_turn(loop);
        CHECK(strcmp(order, "ot") == 0);
    }
}

struct chain {
    struct loop_task task;
    unsigned ran, left;
    struct loop_task *cancels;
};

static void run_chain(void *arg)
{
    struct chain *c = arg;
    c->ran++;
    if (c->cancels != NULL)
        loop_task_cancel(c->cancels);
    if (c->left > 0) {
        c->left--;
        loop_defer(loop, &c->task);
    }
}

static void test_tasks_in_tasks(void)
{
    PROMISE("a task may defer itself again: it runs in the next turn, which does not wait")
    {
        struct chain chain = {.left = 3};
        loop_task_init(&chain.task, run_chain, &chain);
        loop_defer(loop, &chain.task);
        run_turn(loop);
        CHECK(chain.ran == 1);
        RUN_UNTIL(loop, chain.ran == 4);
        run_turn(loop);
        CHECK(chain.ran == 4);
    }
    PROMISE("a task may cancel the next one of the same turn")
    {
        struct chain first = {0}, second = {0};
        loop_task_init(&first.task, run_chain, &first);
        loop_task_init(&second.task, run_chain, &second);
        first.cancels = &second.task;
        loop_defer(loop, &first.task);
        loop_defer(loop, &second.task);
        run_turn(loop);
        run_turn(loop);
        CHECK(first.ran == 1 && second.ran == 0);
    }
}

static void test_hooks(void)
{
    PROMISE("a hook is called after every turn until it is removed, also by itself")
    {
        struct loop_hook every;
        struct turn once = {0};
        unsigned turns = 0;
        memset(order, 0, sizeof(order));
        loop_hook_add(loop, &once.hook, on_hook, &once);
        loop_hook_add(loop, &every, count, &turns);
        run_turn(loop);
        run_turn(loop);
        CHECK(turns == 2 && strcmp(order, "h") == 0);
        loop_hook_remove(&every);
        run_turn(loop);
        CHECK(turns == 2);
    }
}

/* ---- timers, and the loop's own end ---- */

static void test_timers(void)
{
    PROMISE("a timer ticks again and again, and never after it was freed")
    {
        unsigned ticks = 0, others = 0;
        struct loop_timer *timer = loop_every(loop, 5, count, &ticks);
        CHECK(ticks == 0);
        RUN_UNTIL(loop, ticks >= 3);
        loop_timer_free(timer);
        loop_timer_free(NULL);
        ticks = 0;
        timer = loop_every(loop, 5, count, &others);
        RUN_UNTIL(loop, others >= 3);
        loop_timer_free(timer);
        CHECK(ticks == 0);
    }
}

static void stop(void *arg)
{
    loop_stop(arg);
}

static void test_end(void)
{
    struct loop *other = loop_new();
    unsigned ran = 0, lost = 0;
    struct loop_task task;
    PROMISE("a loop that was stopped can be run again")
    {
        for (int i = 0; i < 3; i++) {
            loop_post(other, stop, other);
            loop_run(other);
        }
        CHECK(loop_base(other) != NULL);
    }
    PROMISE("what was deferred last still runs when the loop is freed; what was posted is dropped")
    {
        loop_task_init(&task, count, &ran);
        loop_defer(other, &task);
        loop_post(other, count, &lost);
        loop_free(other);
        loop_free(NULL);
        CHECK(ran == 1 && lost == 0);
    }
}

static uint64_t inner_ms[2];

static void look_at_clock(void *arg)
{
    (void)arg;
    inner_ms[0] = loop_now_ms(loop);
    skipped_ms += 1000;
    inner_ms[1] = loop_now_ms(loop);
}

static void test_now(void)
{
    PROMISE("the loop's time stands still within a turn and goes on with the next")
    {
        unsigned counted = 0;
        loop_post(loop, look_at_clock, NULL);
        RUN_UNTIL(loop, inner_ms[1] != 0);
        CHECK(inner_ms[0] == inner_ms[1]);
        loop_post(loop, count, &counted);
        RUN_UNTIL(loop, counted == 1);
        run_turn(loop);
        CHECK(loop_now_ms(loop) >= inner_ms[0] + 1000);
    }
}

int main(void)
{
    loop = loop_new();
    test_deadlines();
    test_deadlines_in_callbacks();
    test_far_deadlines();
    test_posts();
    test_tasks();
    test_tasks_in_tasks();
    test_hooks();
    test_timers();
    test_now();
    test_end();
    loop_free(loop);
    return check_done();
}
