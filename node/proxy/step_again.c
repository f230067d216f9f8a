/* AGAIN: what the provider has too much of at the moment it may not have in another. The slot is
 * kept, and the same subscription is asked once more after a while. */
#include "base/clock.h"
#include "base/hash.h"
#include "proxy/exchange_priv.h"

/* retry.delay_ms times retry.backoff for each try before; less up to its half, so that those who
 * were turned away together do not come back together. */
static uint64_t delay_ms(const struct exchange *x)
{
    uint64_t ms = x->config->retry.delay_ms;
    for (unsigned i = 1; i < x->attempt.tries && ms < RETRY_DELAY_MAX_MS; i++)
        ms *= x->config->retry.backoff;
    if (ms > RETRY_DELAY_MAX_MS)
        ms = RETRY_DELAY_MAX_MS;
    return ms - hash_bytes(clock_ns(), x->request.id) % (ms / 2 + 1);
}

static void on_time(void *arg)
{
    if (!doubt_delays(arg))
        exchange_go(arg, STEP_SEND);
}

static void again_enter(struct exchange *x)
{
    uint64_t in_ms = delay_ms(x);
    metrics_add(x->proxy->metrics, COUNT_RETRIES, 1);
    if (exchange_log(x, LOG_INFO, "retry")) {
        log_string("subscription", x->route.subscription->name);
        log_number("status", (uint64_t)x->attempt.status);
        log_string("reason", x->attempt.verdict.reason);
        log_number("in_ms", in_ms);
        log_end();
    }
    x->times.waited_ns += in_ms * 1000000;
    deadline_init(&x->attempt.deadline, on_time, x);
    deadline_set(x->proxy->loop, &x->attempt.deadline, in_ms);
}

const struct step step_again = {
    .enter = again_enter,
    .on_gone = attempt_left,
    .on_stop = attempt_stopped,
};
