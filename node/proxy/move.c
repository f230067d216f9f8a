/* on_late -> admission -> on_granted -> SEND again, with the new slot. */
#include "proxy/move.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "proxy/exchange_priv.h"

enum { LATE_MS_MIN = 1000 };

void move_end(struct exchange *x)
{
    struct move *m = &x->move;
    deadline_clear(&m->deadline);
    state_admit_cancel(m->admission);
    m->admission = NULL;
}

void move_fini(struct exchange *x)
{
    move_end(x);
    free(x->move.lease);
    x->move.lease = NULL;
}

static void give_back(struct exchange *x)
{
    const struct settlement nothing = {.outcome = OUTCOME_UNUSED};
    state_settle(x->proxy->state, x->move.lease, &nothing);
}

static void go(struct exchange *x, const char *from)
{
    metrics_add(x->proxy->metrics, COUNT_MOVES, 1);
    if (exchange_log(x, LOG_INFO, "moved")) {
        log_string("from", from);
        log_number("late_ms", (clock_ns() - x->attempt.started_ns) / 1000000);
        log_end();
    }
    x->times.waited_ns += clock_ns() - x->attempt.started_ns;
    attempt_end(x, OUTCOME_CANCELLED);
    attempt_begin_with(x, x->move.lease);
    exchange_go(x, STEP_SEND);
}

/* Idle: the slot we were just given is the only one taken. */
static void on_granted(enum err err, const struct grant *grant, const struct refusal *refusal,
                       void *arg)
{
    struct exchange *x = arg;
    (void)refusal;
    x->move.admission = NULL;
    if (err != OK)
        return;
    const char *from = x->route.subscription->name;
    if (grant->active > 1 || !retry_budget_spend(x->proxy->retries, clock_ms()) ||
        !attempt_route(x, grant))
        give_back(x);
    else
        go(x, from);
}

static void on_late(void *arg)
{
    struct exchange *x = arg;
    if (x->attempt.upstream == NULL || !upstream_is_sent(x->attempt.upstream))
        return; /* it is not the provider who is late */
    x->move.is_done = true;
    x->move.lease = mem_new(sizeof(*x->move.lease));
    x->move.admission = attempt_admit(x, x->move.lease, on_granted, NULL);
}

void move_watch(struct exchange *x)
{
    uint64_t late_ms = pace_p99_ms(&x->proxy->pace);
    if (x->move.is_done || !x->request.facts.is_stream || late_ms == 0 ||
        x->request.places >= x->config->subscription_count ||
        x->request.attempts >= x->config->retry.total)
        return;
    deadline_init(&x->move.deadline, on_late, x);
    deadline_set(x->proxy->loop, &x->move.deadline, late_ms > LATE_MS_MIN ? late_ms : LATE_MS_MIN);
}
