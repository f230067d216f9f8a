/* WAIT: all is full, and the request stands in the pool's line until it is granted a slot. Whoever
 * asked for it (step_admit.c) goes on then; here is what ends the wait before that: its time, its
 * caller, the node. */
#include "base/clock.h"
#include "proxy/exchange_priv.h"

uint64_t wait_left_ms(const struct exchange *x)
{
    uint64_t waited_ms = x->wait.total_ns / 1000000, patience_ms = x->config->queue.max_wait_ms;
    uint64_t own_ms = x->request.patience_ms;
    if (own_ms > 0 && own_ms < patience_ms)
        patience_ms = own_ms;
    return waited_ms < patience_ms ? patience_ms - waited_ms : 0;
}

void wait_end(struct exchange *x)
{
    deadline_clear(&x->wait.deadline);
    if (x->wait.since_ns == 0)
        return;
    uint64_t ns = clock_ns() - x->wait.since_ns;
    x->wait.since_ns = 0;
    x->wait.total_ns += ns;
    x->times.waited_ns += ns;
    metrics_move(x->proxy->metrics, GAUGE_QUEUE_WAITING, -1);
    metrics_observe(x->proxy->metrics, HISTOGRAM_QUEUE, ns);
}

static void on_time(void *arg)
{
    struct exchange *x = arg;
    state_admit_cancel(x->attempt.admission);
    x->attempt.admission = NULL;
    wait_end(x);
    metrics_add(x->proxy->metrics, COUNT_QUEUE_TIMEOUTS, 1);
    if (x->request.attempts == 0)
        metrics_add(x->proxy->metrics, COUNT_REFUSED, 1);
    tried_note_refusal(&x->tried, &x->wait.why, clock_ns(), &x->request.message.arena);
    exchange_go(x, STEP_ANSWER);
}

static void wait_enter(struct exchange *x)
{
    uint64_t in_ms = wait_left_ms(x);
    x->wait.since_ns = clock_ns();
    metrics_add(x->proxy->metrics, COUNT_QUEUED, 1);
    metrics_move(x->proxy->metrics, GAUGE_QUEUE_WAITING, 1);
    if (exchange_log(x, LOG_DEBUG, "queued")) {
        log_text("reason", x->wait.why.reason);
        log_number("at_most_ms", in_ms);
        log_end();
    }
    deadline_init(&x->wait.deadline, on_time, x);
    deadline_set(x->proxy->loop, &x->wait.deadline, in_ms > 0 ? in_ms : 1);
}

const struct step step_wait = {
    .enter = wait_enter,
    .on_gone = attempt_left,
    .on_stop = attempt_stopped,
};
