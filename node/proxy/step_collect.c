/* COLLECT: an error is read to its end, for what it says decides whose it is: the caller's, who
 * gets it as it was, or a reason to ask elsewhere. The connection can then be used again. It is not
 * waited for long, and not kept at any size: what came so far must do. */
#include "proxy/exchange_priv.h"

enum { COLLECT_MS = 3000 };

static void decide(struct exchange *x, const struct upstream_event *unheld)
{
    deadline_clear(&x->attempt.deadline);
    if (judge_answer(x)) {
        attempt_failed(x);
        return;
    }
    x->reply.unheld = unheld;
    exchange_go(x, STEP_RELAY);
}

static void on_collect_late(void *arg)
{
    if (!doubt_delays(arg))
        decide(arg, NULL);
}

/* What its head said holds all the same, but for the caller there is nothing whole. */
static void broken_off(struct exchange *x, const struct upstream_event *e)
{
    if (exchange_log(x, LOG_WARN, "a provider's error broke off")) {
        log_string("subscription", x->route.subscription->name);
        log_number("status", (uint64_t)x->attempt.status);
        log_string("error", err_word(e->err));
        log_string("detail", e->detail);
        log_end();
    }
    if (judge_answer(x))
        attempt_failed(x);
    else
        attempt_no_answer(x, e->err, e->detail);
}

static void collect_on_upstream(struct exchange *x, const struct upstream_event *e)
{
    struct reply *reply = &x->reply;
    if (doubt_takes(x, e))
        return;
    for (unsigned i = 0; i < e->count && reply->watch != NULL; i++)
        watch_feed(reply->watch, e->pieces[i]);
    if (e->kind == UPSTREAM_FAILED) {
        broken_off(x, e);
        return;
    }
    bool is_held = attempt_hold(x, e->pieces, e->count);
    reply->has_all = e->is_end && is_held;
    if (e->is_end || !is_held)
        decide(x, is_held ? NULL : e);
}

static void collect_enter(struct exchange *x)
{
    struct reply *reply = &x->reply;
    const struct kept_head *head = &reply->head;
    if (head->is_readable && (head->is_sse || head->is_json))
        reply->watch = watch_new(x->request.dialect->words, head->is_sse ? WATCH_SSE : WATCH_JSON,
                                 head->coding);
    deadline_init(&x->attempt.deadline, on_collect_late, x);
    deadline_set(x->proxy->loop, &x->attempt.deadline, COLLECT_MS);
}

const struct step step_collect = {
    .enter = collect_enter,
    .on_upstream = collect_on_upstream,
    .on_gone = attempt_left,
    .on_stop = attempt_stopped,
};
