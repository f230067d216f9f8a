/* libevent turns; around it each turn does three things of its own, in this order:
 *   events     callbacks of sockets, timers and posts (on_posted) run
 *   tasks      what was deferred in this turn, once; what they defer runs in the next
 *   hooks      those who want to act once per turn, after everything (one write for many commands)
 *
 * Deadlines are thousands and nearly all are cleared before they expire, so they stand in a wheel:
 * a slot a tick, setting and clearing are list operations, and the tick runs only while there are
 * any. A post is the one thing that another thread may do: a list under a lock, and an eventfd
 * that wakes. */
#include "loop/loop.h"

#include <assert.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tiny.h"

enum { WHEEL_SLOTS = TINY(1024, 4) }; /* with LOOP_TICK_MS: one turn of the wheel is 51 s */

struct post {
    struct list link;
    loop_fn run;
    void *arg;
};

struct loop {
    struct event_base *base;
    struct evdns_base *dns;
    bool is_stopping;
    uint64_t now_ms; /* 0: not taken yet in this turn */
    struct list tasks;
    struct list hooks;

    /* Deadlines: a deadline stands in the slot of its tick; one further away than a turn of the
     * wheel is looked at once a turn and left there. */
    struct list wheel[WHEEL_SLOTS];
    uint64_t wheel_tick; /* the last tick that was worked off */
    size_t deadline_count;
    struct event *tick;

    int post_fd;
    struct event *posted;
    pthread_mutex_t post_lock;
    struct list posts; /* guarded by post_lock */
};

struct loop_timer {
    struct event *event;
    loop_fn on_tick;
    void *arg;
};

static void on_posted(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct loop *loop = arg;
    struct list *link;
    uint64_t count;
    if (read(fd, &count, sizeof(count)) < 0)
        return; /* someone else's wake-up was enough */
    for (;;) {
        pthread_mutex_lock(&loop->post_lock);
        link = list_pop(&loop->posts);
        pthread_mutex_unlock(&loop->post_lock);
        if (link == NULL)
            return;
        struct post *post = LIST_OWNER(link, struct post, link);
        loop_fn run = post->run;
        void *run_arg = post->arg;
        free(post);
        run(run_arg);
    }
}

void loop_post(struct loop *loop, loop_fn run, void *arg)
{
    struct post *post = mem_new(sizeof(*post));
    uint64_t one = 1;
    *post = (struct post){.run = run, .arg = arg};
    pthread_mutex_lock(&loop->post_lock);
    list_push(&loop->posts, &post->link);
    pthread_mutex_unlock(&loop->post_lock);
    ssize_t n = write(loop->post_fd, &one, sizeof(one));
    assert(n == sizeof(one)); /* an eventfd takes 2^64 of them */
}

static uint64_t tick_of(uint64_t ms)
{
    return ms / LOOP_TICK_MS;
}

static void run_slot(struct loop *loop, struct list *slot, uint64_t now_ms)
{
    struct list *link, due, later;
    list_init(&due);
    list_init(&later);
    while ((link = list_pop(slot)) != NULL)
        list_push(&due, link);
    while ((link = list_pop(&due)) != NULL) {
        struct deadline *d = LIST_OWNER(link, struct deadline, link);
        if (d->at_ms > now_ms) {
            list_push(&later, link);
            continue;
        }
        d->loop = NULL;
        loop->deadline_count--;
        d->on_expired(d->arg);
    }
    while ((link = list_pop(&later)) != NULL)
        list_push(slot, link);
}

/* A tick is worked off only when it is over: no deadline in its slot can then still lie ahead. */
static void on_tick_event(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct loop *loop = arg;
    uint64_t now_ms = loop_now_ms(loop);
    uint64_t over = tick_of(now_ms) - 1;
    uint64_t behind = over - loop->wheel_tick;
    if (behind > WHEEL_SLOTS)
        loop->wheel_tick = over - WHEEL_SLOTS; /* stood still: every slot once is enough */
    while (loop->wheel_tick < over) {
        loop->wheel_tick++;
        run_slot(loop, &loop->wheel[loop->wheel_tick % WHEEL_SLOTS], now_ms);
    }
    if (loop->deadline_count == 0)
        event_del(loop->tick);
}

void deadline_init(struct deadline *d, loop_fn on_expired, void *arg)
{
    *d = (struct deadline){.on_expired = on_expired, .arg = arg};
    list_init(&d->link);
}

void deadline_set(struct loop *loop, struct deadline *d, uint64_t in_ms)
{
    deadline_clear(d);
    uint64_t now_ms = loop_now_ms(loop);
    if (loop->deadline_count == 0) {
        struct timeval tick = {.tv_usec = LOOP_TICK_MS * 1000L};
        loop->wheel_tick = tick_of(now_ms) - 1;
        event_add(loop->tick, &tick);
    }
    d->loop = loop;
    d->at_ms = now_ms + in_ms;
    loop->deadline_count++;
    list_push(&loop->wheel[tick_of(d->at_ms) % WHEEL_SLOTS], &d->link);
}

void deadline_clear(struct deadline *d)
{
    if (d->loop == NULL)
        return;
    d->loop->deadline_count--;
    d->loop = NULL;
    list_remove(&d->link);
}

bool deadline_is_set(const struct deadline *d)
{
    return d->loop != NULL;
}

/* libevent speaks of name servers that do not answer; who asked gets an error and logs it. */
static void on_libevent_log(int severity, const char *text)
{
    if (severity >= EVENT_LOG_WARN)
        log_message(severity == EVENT_LOG_ERR ? LOG_ERROR : LOG_DEBUG, "libevent: %s", text);
}

/* Not a bug of ours but a process without what it needs, above all descriptors: it says so and
 * ends. */
NORETURN static void give_up(int code)
{
    (void)code;
    log_message(LOG_ERROR, "the node cannot go on: %m (see ulimit -n)");
    log_stop();
    _exit(EXIT_FAILURE);
}

/* Loops need no locks, but libevent's random numbers (the ids of name look-ups) are one source for
 * all threads. */
static void set_up_libevent(void)
{
    int failed = evthread_use_pthreads();
    assert(failed == 0);
    event_set_log_callback(on_libevent_log);
    event_set_fatal_callback(give_up);
}

struct loop *loop_new(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_up_libevent);
    struct loop *loop = mem_new(sizeof(*loop));
    struct event_config *config = event_config_new();
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    loop->base = event_base_new_with_config(config);
    event_config_free(config);
    if (loop->base == NULL)
        give_up(0);
    list_init(&loop->tasks);
    list_init(&loop->hooks);
    list_init(&loop->posts);
    for (size_t i = 0; i < WHEEL_SLOTS; i++)
        list_init(&loop->wheel[i]);
    loop->tick = event_new(loop->base, -1, EV_PERSIST, on_tick_event, loop);
    pthread_mutex_init(&loop->post_lock, NULL);
    loop->post_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->post_fd < 0)
        give_up(0);
    loop->posted = event_new(loop->base, loop->post_fd, EV_READ | EV_PERSIST, on_posted, loop);
    event_add(loop->posted, NULL);
    return loop;
}

void loop_free(struct loop *loop)
{
    struct list *link;
    if (loop == NULL)
        return;
    while ((link = list_pop(&loop->tasks)) != NULL) { /* what was deferred last still runs */
        struct loop_task *task = LIST_OWNER(link, struct loop_task, link);
        task->run(task->arg);
    }
    while ((link = list_pop(&loop->posts)) != NULL)
        free(LIST_OWNER(link, struct post, link));
    if (loop->dns != NULL)
        evdns_base_free(loop->dns, 0);
    event_free(loop->tick);
    event_free(loop->posted);
    close(loop->post_fd);
    pthread_mutex_destroy(&loop->post_lock);
    event_base_free(loop->base);
    free(loop);
}

static void run_tasks(struct loop *loop)
{
    struct list *link, now;
    list_init(&now);
    while ((link = list_pop(&loop->tasks)) != NULL)
        list_push(&now, link);
    while ((link = list_pop(&now)) != NULL) {
        struct loop_task *task = LIST_OWNER(link, struct loop_task, link);
        task->run(task->arg);
    }
}

/* A hook may remove itself or others. */
static void run_hooks(struct loop *loop)
{
    struct list *link, now;
    list_init(&now);
    while ((link = list_pop(&loop->hooks)) != NULL)
        list_push(&now, link);
    while ((link = list_pop(&now)) != NULL) {
        struct loop_hook *hook = LIST_OWNER(link, struct loop_hook, link);
        list_push(&loop->hooks, link);
        hook->on_turn(hook->arg);
    }
}

void loop_run(struct loop *loop)
{
    while (!loop->is_stopping) {
        int wait = list_is_empty(&loop->tasks) ? 0 : EVLOOP_NONBLOCK;
        loop->now_ms = 0;
        event_base_loop(loop->base, EVLOOP_ONCE | wait);
        run_tasks(loop);
        run_hooks(loop);
    }
    loop->is_stopping = false; /* it may be run again */
}

void loop_stop(struct loop *loop)
{
    loop->is_stopping = true;
    event_base_loopbreak(loop->base);
}

struct event_base *loop_base(struct loop *loop)
{
    return loop->base;
}

struct evdns_base *loop_dns(struct loop *loop)
{
    if (loop->dns == NULL)
        loop->dns = evdns_base_new(loop->base, EVDNS_BASE_INITIALIZE_NAMESERVERS |
                                                   EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    return loop->dns;
}

uint64_t loop_now_ms(struct loop *loop)
{
    if (loop->now_ms == 0)
        loop->now_ms = clock_ms();
    return loop->now_ms;
}

void loop_hook_add(struct loop *loop, struct loop_hook *hook, loop_fn on_turn, void *arg)
{
    hook->on_turn = on_turn;
    hook->arg = arg;
    list_push(&loop->hooks, &hook->link);
}

void loop_hook_remove(struct loop_hook *hook)
{
    list_remove(&hook->link);
}

void loop_task_init(struct loop_task *task, loop_fn run, void *arg)
{
    *task = (struct loop_task){.run = run, .arg = arg};
    list_init(&task->link);
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
    if (!list_is_linked(&task->link))
        list_push(&loop->tasks, &task->link);
}

void loop_task_cancel(struct loop_task *task)
{
    list_remove(&task->link);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct loop_timer *timer = arg;
    timer->on_tick(timer->arg);
}

struct loop_timer *loop_every(struct loop *loop, uint64_t interval_ms, loop_fn on_tick, void *arg)
{
    struct timeval interval = {.tv_sec = (time_t)(interval_ms / 1000),
                               .tv_usec = (suseconds_t)(interval_ms % 1000 * 1000)};
    struct loop_timer *timer = mem_new(sizeof(*timer));
    timer->event = event_new(loop->base, -1, EV_PERSIST, on_timer, timer);
    timer->on_tick = on_tick;
    timer->arg = arg;
    event_add(timer->event, &interval);
    return timer;
}

void loop_timer_free(struct loop_timer *timer)
{
    if (timer == NULL)
        return;
    event_free(timer->event);
    free(timer);
}
