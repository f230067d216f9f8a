/* COLLECT: the answer says "elsewhere", and is read to its end: the connection can then be used
 * again, and if no other subscription helps, the caller gets this error as it was. It is not waited
 * for long: another attempt is worth more than the end of an error. */
#include "proxy/exchange_priv.h"

enum { COLLECT_MS = 3000 };

static void on_collect_late(void *arg)
{
    struct exchange *x = arg;
    attempt_forget_error(x);
    attempt_failed(x);
}

/* What its head said holds all the same: the verdict stays. */
static void broken_off(struct exchange *x, const struct upstream_event *e)
{
    if (exchange_log(x, LOG_WARN, "a provider's error broke off")) {
        log_string("subscription", x->route.subscription->name);
        log_number("status", (uint64_t)x->attempt.status);
        log_string("error", err_word(e->err));
        log_string("detail", e->detail);
        log_end();
    }
    attempt_forget_error(x);
    attempt_failed(x);
}

static void collect_on_upstream(struct exchange *x, const struct upstream_event *e)
{
    struct last_error *last = &x->last_error;
    if (e->kind == UPSTREAM_FAILED) {
        broken_off(x, e);
        return;
    }
    for (unsigned i = 0; i < e->count && last->is_whole; i++)
        if (!buf_append(&last->body, e->pieces[i]) || !answer_keep(x->caller, last->body.cap))
            attempt_forget_error(x); /* too large; and in part it is not passed on */
    if (e->is_end)
        attempt_failed(x);
}

static void collect_enter(struct exchange *x)
{
    buf_clear(&x->last_error.body);
    x->last_error.is_whole = true;
    deadline_init(&x->attempt.deadline, on_collect_late, x);
    deadline_set(x->proxy->loop, &x->attempt.deadline, COLLECT_MS);
}

const struct step step_collect = {
    .enter = collect_enter,
    .on_upstream = collect_on_upstream,
    .on_gone = attempt_left,
    .on_stop = attempt_stopped,
};
