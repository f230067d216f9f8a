#include "run.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "cpu_watch.h"
#include "fail.h"
#include "request.h"

enum { TICK_US_MIN = 50, CHECK_US = 500000 };

int64_t run_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- measuring ---- */

uint64_t run_errors(const struct run *run)
{
    uint64_t errors = run->warmup_errors + run->dropped;
    for (size_t i = OUTCOME_OK + 1; i < OUTCOME_COUNT; i++)
        errors += run->outcomes[i];
    return errors;
}

static void begin_measuring(struct run *run)
{
    run->warmup_errors = run_errors(run);
    memset(run->outcomes, 0, sizeof(run->outcomes));
    run->connects = run->body_bytes = run->events = run->dropped = 0;
    run->latency = run->first_byte = run->event_delay = (struct histogram){0};
    for (size_t i = 0; i < run->options->watch_count; i++)
        run->watch_from_us[i] = cpu_watch_read_us(run->options->watch[i]);
    run->measure_from_us = run_now_us();
}

static void stop(struct run *run)
{
    if (run->measured_us > 0)
        return;
    if (run->measure_from_us == 0)
        begin_measuring(run);
    run->measured_us = run_now_us() - run->measure_from_us;
    for (size_t i = 0; i < run->options->watch_count; i++) {
        int64_t now_us = cpu_watch_read_us(run->options->watch[i]);
        bool is_known = now_us >= 0 && run->watch_from_us[i] >= 0;
        run->watch_used_us[i] = is_known ? now_us - run->watch_from_us[i] : -1;
    }
    event_base_loopbreak(run->base);
}

/* ---- starting requests ---- */

static bool may_start(const struct run *run)
{
    int64_t most = run->options->hold > 0 ? run->options->hold : run->options->requests;
    return run->measured_us == 0 && (most == 0 || run->started < (uint64_t)most);
}

static void start(struct run *run, int64_t due_us)
{
    run->started++;
    caller_start(run->idle[--run->idle_count], due_us);
}

static void start_due(struct run *run)
{
    int64_t now_us = run_now_us();
    while (run->next_due_us <= now_us && may_start(run)) {
        int64_t due_us = run->next_due_us;
        run->next_due_us += (int64_t)(1e6 / run->options->rate);
        if (run->idle_count > 0)
            start(run, due_us);
        else if (run->backlog_count < RUN_BACKLOG_MAX)
            run->backlog[(run->backlog_first + run->backlog_count++) % RUN_BACKLOG_MAX] = due_us;
        else
            run->dropped++;
    }
}

/* What an idle caller is to do next: nothing, with a rate and no backlog. */
static void start_next(struct run *run)
{
    if (run->idle_count == 0 || !may_start(run))
        return;
    if (run->backlog_count > 0) {
        int64_t due_us = run->backlog[run->backlog_first];
        run->backlog_first = (run->backlog_first + 1) % RUN_BACKLOG_MAX;
        run->backlog_count--;
        start(run, due_us);
        return;
    }
    bool is_crowded = run->options->hold > 0 &&
                      run->started - (uint64_t)run->held - run->ended >= RUN_OPENING_MAX;
    if (run->options->rate <= 0 && !is_crowded)
        start(run, run_now_us());
}

/* ---- events ---- */

void run_on_end(struct run *run, struct caller *caller, enum outcome outcome)
{
    int64_t now_us = run_now_us();
    bool was_due_before = caller->due_us < run->measure_from_us;
    run->idle[run->idle_count++] = caller;
    run->ended++;
    run->outcomes[outcome]++;
    if (outcome == OUTCOME_OK && !was_due_before) {
        histogram_add(&run->latency, now_us - caller->due_us);
        histogram_add(&run->first_byte, caller->first_byte_us - caller->due_us);
    }
    if (run->options->requests > 0 && run->ended >= (uint64_t)run->options->requests)
        stop(run);
    else if (outcome != OUTCOME_CONNECT) /* else at the next tick, not in a tight circle */
        start_next(run);
}

static void on_input(evutil_socket_t fd, short what, void *arg)
{
    char scratch[256];
    (void)what;
    if (read(fd, scratch, sizeof(scratch)) <= 0)
        stop(arg);
}

void run_on_flow(struct run *run)
{
    if (run->options->hold == 0)
        return;
    run->held++;
    if (run->held < run->options->hold) {
        start_next(run);
        return;
    }
    printf("{\"held\":%d}\n", run->held);
    fflush(stdout);
    begin_measuring(run);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    uint64_t expirations;
    (void)what;
    if (read(fd, &expirations, sizeof(expirations)) > 0)
        start_due(arg);
}

static void on_check(evutil_socket_t fd, short what, void *arg)
{
    struct run *run = arg;
    int64_t now_us = run_now_us();
    (void)fd;
    (void)what;
    for (int i = 0; i < run->options->connections && run->options->hold == 0; i++)
        caller_check_timeout(&run->callers[i], now_us);
    size_t idle = run->idle_count;
    while (idle-- > 0 && run->options->rate <= 0)
        start_next(run);
}

static void on_warm(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    begin_measuring(arg);
}

static void on_over(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    stop(arg);
}

static void after(struct run *run, double seconds, event_callback_fn callback)
{
    struct timeval wait = {(time_t)seconds,
                           (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)};
    event_base_once(run->base, -1, EV_TIMEOUT, callback, run, &wait);
}

static int start_ticking(const struct run *run)
{
    int64_t interval_us = (int64_t)(1e6 / run->options->rate);
    interval_us = interval_us < TICK_US_MIN ? TICK_US_MIN : interval_us;
    struct timespec interval = {interval_us / 1000000, (interval_us % 1000000) * 1000};
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    const struct itimerspec timer = {interval, interval};
    if (fd < 0 || timerfd_settime(fd, 0, &timer, NULL) != 0)
        fail("timer");
    return fd;
}

void run_loop(struct run *run)
{
    const struct options *options = run->options;
    struct event *tick = NULL, *input = NULL;
    struct timeval check_wait = {0, CHECK_US};
    struct event *check = event_new(run->base, -1, EV_PERSIST, on_check, run);
    event_add(check, &check_wait);
    if (options->hold > 0) {
        input = event_new(run->base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, run);
        event_add(input, NULL);
        after(run, options->seconds, on_over);
    } else {
        if (options->warmup_seconds > 0)
            after(run, options->warmup_seconds, on_warm);
        else
            begin_measuring(run);
        after(run, options->warmup_seconds + options->seconds, on_over);
    }
    if (options->rate > 0) {
        run->next_due_us = run_now_us();
        tick = event_new(run->base, start_ticking(run), EV_READ | EV_PERSIST, on_tick, run);
        event_add(tick, NULL);
    }
    for (int i = 0; i < options->connections && options->rate <= 0; i++)
        start_next(run);
    event_base_dispatch(run->base);
    event_free(check);
    if (input != NULL)
        event_free(input);
    if (tick != NULL) {
        close(event_get_fd(tick));
        event_free(tick);
    }
}

void run_init(struct run *run, const struct options *options)
{
    size_t count = (size_t)options->connections;
    *run = (struct run){.options = options, .base = event_base_new()};
    run->address.sin_family = AF_INET;
    run->address.sin_port = htons((uint16_t)options->port);
    if (inet_pton(AF_INET, options->host, &run->address.sin_addr) != 1) {
        fprintf(stderr, "weir-load: %s: not an IPv4 address\n", options->host);
        exit(2);
    }
    run->request = request_build(options, &run->request_len);
    run->callers = make(count, sizeof(run->callers[0]));
    run->idle = make(count, sizeof(struct caller *));
    run->backlog = make(RUN_BACKLOG_MAX, sizeof(run->backlog[0]));
    for (size_t i = 0; i < count; i++) {
        caller_init(&run->callers[i], run);
        run->idle[run->idle_count++] = &run->callers[count - 1 - i];
    }
}

void run_fini(struct run *run)
{
    for (int i = 0; i < run->options->connections; i++)
        caller_close(&run->callers[i]);
    free(run->callers);
    free(run->idle);
    free(run->backlog);
    free(run->request);
    event_base_free(run->base);
}
