/* ADMIT: one question to Redis, and with its answer the subscription is chosen and its slot taken.
 * A caller who leaves meanwhile ends the exchange at once; a slot granted to nobody goes back by
 * itself (state_admit_cancel). */
#include <string.h>

#include "base/clock.h"
#include "base/name.h"
#include "proxy/exchange_priv.h"

static void log_grant(struct exchange *x)
{
    const struct route *route = &x->route;
    if (!exchange_log(x, x->request.places > 1 ? LOG_INFO : LOG_DEBUG, "route"))
        return;
    log_string("subscription", route->subscription->name);
    log_text("reason", route->how);
    log_number("slots_used", route->slots_used);
    log_number("slots", route->slots);
    log_number("attempt", x->request.attempts + 1);
    log_end();
}

/* The pool lends a subscription that this request's configuration does not have: give it back, ask
 * for another. Happens for the moment in which a reload makes its way to the pool. */
static void return_grant(struct exchange *x, struct slice account)
{
    if (exchange_log(x, LOG_WARN,
                     "the pool has a subscription this node's configuration has not")) {
        log_text("account", account);
        log_end();
    }
    attempt_end(x, OUTCOME_UNUSED);
    exchange_go(x, STEP_ADMIT);
}

static void use_grant(struct exchange *x, const struct grant *grant)
{
    if (!attempt_route(x, grant)) {
        return_grant(x, grant->account);
        return;
    }
    log_grant(x);
    exchange_go(x, STEP_SEND);
}

/* Nothing is lent: what those that were tried have said counts too. */
static void say_refused(struct exchange *x, const struct refusal *refusal)
{
    tried_note_refusal(&x->tried, refusal, clock_ns(), &x->request.message.arena);
    if (x->request.attempts == 0 && !x->tried.is_restoring)
        metrics_add(x->proxy->metrics, COUNT_REFUSED, 1);
    exchange_go(x, STEP_ANSWER);
}

/* Redis has said something: the rest is waiting for others. */
static void note_answered(struct exchange *x)
{
    if (x->times.admitted_ns > 0)
        return;
    x->times.admitted_ns = clock_ns();
    metrics_observe(x->proxy->metrics, HISTOGRAM_ADMISSION,
                    x->times.admitted_ns - x->request.message.complete_ns);
}

static void on_queued(const struct refusal *why, void *arg)
{
    struct exchange *x = arg;
    note_answered(x);
    x->wait.why = refusal_copy(why, &x->request.message.arena);
    exchange_go(x, STEP_WAIT);
}

static void on_admitted(enum err err, const struct grant *grant, const struct refusal *refusal,
                        void *arg)
{
    struct exchange *x = arg;
    x->attempt.admission = NULL;
    wait_end(x);
    note_answered(x);
    if (err == OK)
        use_grant(x, grant);
    else if (err == ERR_REFUSED)
        say_refused(x, refusal);
    else if (x->request.attempts > 0)
        exchange_go(x, STEP_ANSWER);
    else if (err == ERR_STATE_DOWN)
        exchange_say(x, 503, 1000, "the node cannot reach its Redis at the moment; try again");
    else
        exchange_say(x, 503, 1000, "the node's Redis answered with an error; try again");
}

/* The SDKs say for how many seconds they wait for an answer: who is gone needs no slot, and who has
 * a second left hears why there is none. */
static uint64_t patience_ms(const struct http1_request *request)
{
    enum { SECONDS_MAX = 24 * 60 * 60 };
    const struct http1_header *h =
        http1_header(request->headers, request->header_count, SLICE("x-stainless-timeout"));
    uint64_t seconds;
    if (h == NULL || !slice_number(slice_trim(h->value), SECONDS_MAX, &seconds) || seconds == 0)
        return 0;
    return seconds > 1 ? (seconds - 1) * 1000 : 500;
}

/* What this request is, for what is closed to such requests only. */
static void label(struct request *r)
{
    char model[NAME_BYTES_MAX + 1];
    if (r->labels.len > 0)
        return;
    r->patience_ms = patience_ms(&r->message.request);
    const char *group = endpoint_group_word(r->dialect->group(&r->message.request));
    if (name_clean(r->facts.models[0], model, sizeof(model)) == 0) {
        r->labels = slice_of(group);
        r->model_label = r->labels; /* without a model it is for all of the group */
        return;
    }
    r->labels = arena_printf(&r->message.arena, "%s model:%s", group, model);
    r->model_label = slice_from(r->labels, strlen(group) + 1);
}

static void admit_enter(struct exchange *x)
{
    label(&x->request);
    attempt_begin(x);
    x->attempt.admission = attempt_admit(x, x->attempt.lease, on_admitted, on_queued);
}

const struct step step_admit = {
    .enter = admit_enter,
    .on_gone = attempt_left,
    .on_stop = attempt_stopped,
};
