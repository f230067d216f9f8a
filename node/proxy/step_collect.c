/* COLLECT: the answer says "elsewhere", and is read to its end: the connection can then be used
 * again, and if no other subscription helps, the caller gets this error as it was. It is not waited
 * for long: another attempt is worth more than the end of an error. */
#include "proxy/exchange_priv.h"

enum { COLLECT_MS = 3000 };

static void on_collect_late(void *arg)
{
    struct exchange *x = arg;
    x->last_error.is_whole = false;
    attempt_failed(x);
}

static void collect_on_upstream(struct exchange *x, const struct upstream_event *e)
{
    struct last_error *last = &x->last_error;
    if (e->kind == UPSTREAM_FAILED) {
        last->is_whole = false;
        attempt_no_answer(x, e->err, e->detail);
        return;
    }
    for (unsigned i = 0; i < e->count; i++)
        if (!buf_append(&last->body, e->pieces[i]) || !answer_keep(x->caller, last->body.cap))
            last->is_whole = false; /* too large; and in part it is not passed on */
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
