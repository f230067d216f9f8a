/* One try at one subscription, and what follows when it leads nowhere. attempt_end() is the only
 * place where a lease is settled, so it happens exactly once, with what was used until then. */
#include <assert.h>

#include "base/clock.h"
#include "proxy/exchange_priv.h"

static void on_lease_lost(struct lease *lease, void *arg)
{
    (void)lease;
    exchange_stop(arg, "the node stood still too long and lost its slot; try again");
}

void attempt_begin_with(struct exchange *x, struct lease *lease)
{
    struct attempt *a = &x->attempt;
    assert(a->admission == NULL && a->upstream == NULL);
    *a = (struct attempt){.started_ns = clock_ns(), .lease = lease};
    deadline_init(&a->deadline, (loop_fn)NULL, x);
}

void attempt_begin(struct exchange *x)
{
    assert(!x->lease.is_held);
    attempt_begin_with(x, &x->lease);
}

struct admission *attempt_admit(struct exchange *x, struct lease *lease, state_admit_fn on_admitted,
                                state_queued_fn on_queued)
{
    const struct request *r = &x->request;
    const struct admit_request request = {.client = r->client,
                                          .model = r->facts.models[0],
                                          .excluded = r->tried,
                                          .labels = r->labels,
                                          .wait_ms = on_queued != NULL ? wait_left_ms(x) : 0,
                                          .queue_max = x->config->queue.max_length,
                                          .on_queued = on_queued};
    *lease = (struct lease){.on_lost = on_lease_lost, .arg = x};
    list_init(&lease->link);
    return state_admit(x->proxy->state, lease, &request, on_admitted, x);
}

bool attempt_route(struct exchange *x, const struct grant *grant)
{
    struct request *r = &x->request;
    struct arena *arena = &r->message.arena;
    const struct subscription *s = config_account(x->config, grant->account);
    r->tried = r->tried.len == 0 ? arena_copy(arena, grant->account)
                                 : arena_printf(arena, "%.*s %.*s", SLICE_ARG(r->tried),
                                                SLICE_ARG(grant->account));
    if (s == NULL)
        return false;
    r->places++;
    x->route = (struct route){.subscription = s,
                              .how = arena_copy(arena, grant->how),
                              .slots_used = grant->active,
                              .slots = grant->max};
    return true;
}

static enum health health_of(const struct attempt *a, enum outcome outcome)
{
    bool is_served = outcome == OUTCOME_OK && a->status >= 200 && a->status < 300;
    return is_served ? HEALTH_GOOD : a->verdict.health;
}

/* The label of requests to which the subscription is closed. */
static struct slice scope_of(const struct exchange *x)
{
    const struct attempt *a = &x->attempt;
    if (a->verdict.closes == CLOSES_MODEL)
        return x->request.model_label;
    return a->verdict.closes == CLOSES_GROUP ? slice_of(endpoint_group_word(a->signs.group))
                                             : SLICE_NONE;
}

static void settle(struct exchange *x, enum outcome outcome)
{
    struct attempt *a = &x->attempt;
    char windows[QUOTA_TEXT_MAX];
    struct settlement s = {
        .status = a->status,
        .outcome = outcome,
        .health = health_of(a, outcome),
        .cooldown_ms = a->verdict.cooldown_ms,
        .is_cooldown_default = a->verdict.is_usual,
        .scope = scope_of(x),
        .cooldown_reason = slice_of(a->verdict.reason != NULL ? a->verdict.reason : ""),
        .duration_ms = (clock_ns() - a->started_ns) / 1000000,
        .windows = quota_text(&a->quota, windows),
    };
    if (a->quota.count > 0)
        s.windows_age_ms = (clock_ns() - x->times.first_byte_ns) / 1000000;
    if (x->reply.watch != NULL) {
        struct usage u = watch_usage(x->reply.watch);
        x->reply.usage = u;
        s.model = watch_model(x->reply.watch);
        s.input = u.input;
        s.output = u.output;
        s.output_estimated = u.is_estimated ? u.output : 0;
        s.cache_read = u.cache_read;
        s.cache_write_5m = u.cache_write_5m;
        s.cache_write_1h = u.cache_write_1h;
        metrics_add(x->proxy->metrics, COUNT_USAGE_ESTIMATED, u.is_estimated ? 1 : 0);
    }
    state_settle(x->proxy->state, a->lease, &s);
}

static void forget_answer(struct exchange *x)
{
    watch_free(x->reply.watch);
    x->reply.watch = NULL;
    buf_clear(&x->reply.held);
    x->reply.has_all = false;
}

void attempt_end(struct exchange *x, enum outcome outcome)
{
    struct attempt *a = &x->attempt;
    move_end(x);
    wait_end(x);
    state_admit_cancel(a->admission);
    a->admission = NULL;
    upstream_cancel(a->upstream);
    a->upstream = NULL;
    deadline_clear(&a->deadline);
    doubt_end(&x->doubt);
    if (a->lease != NULL && a->lease->is_held)
        settle(x, outcome);
    forget_answer(x);
}

/* What has closed the subscription to such requests cannot happen to many of them. */
static bool may_afford(struct exchange *x)
{
    if (x->attempt.verdict.cooldown_ms > 0 || retry_budget_spend(x->proxy->retries, clock_ms()))
        return true;
    metrics_add(x->proxy->metrics, COUNT_RETRIES_DENIED, 1);
    return false;
}

/* Whoever wants to be left alone for longer than we would wait is. */
static bool may_stay(const struct exchange *x)
{
    const struct attempt *a = &x->attempt;
    return a->verdict.is_again && a->tries < x->config->retry.attempts && a->lease->is_held &&
           a->verdict.retry_ms <= x->config->retry.delay_ms;
}

static void stay(struct exchange *x)
{
    struct attempt *a = &x->attempt;
    upstream_cancel(a->upstream);
    a->upstream = NULL;
    deadline_clear(&a->deadline);
    forget_answer(x);
    exchange_go(x, STEP_AGAIN);
}

void attempt_failed(struct exchange *x)
{
    const struct attempt *a = &x->attempt;
    bool stays = may_stay(x);
    bool may_go = x->request.attempts < x->config->retry.total &&
                  (stays || x->request.places < x->config->subscription_count) && may_afford(x);
    if (may_go && stays) {
        stay(x);
        return;
    }
    attempt_end(x, OUTCOME_ERROR);
    if (!may_go) {
        exchange_go(x, STEP_ANSWER);
        return;
    }
    metrics_add(x->proxy->metrics, COUNT_FAILOVERS, 1);
    if (exchange_log(x, LOG_INFO, "failover")) {
        log_string("from", x->route.subscription->name);
        log_number("status", (uint64_t)a->status);
        log_string("reason", a->verdict.reason);
        log_end();
    }
    exchange_go(x, STEP_ADMIT);
}

/* What this node lacks says nothing of a subscription: none is blamed, none would do better. */
static void say_shortage(struct exchange *x)
{
    attempt_end(x, OUTCOME_CANCELLED);
    exchange_say(x, err_status(ERR_SHORTAGE), 1000, err_text(ERR_SHORTAGE));
}

void attempt_no_answer(struct exchange *x, enum err err, const char *detail)
{
    struct last_error *last = &x->last_error;
    *last = (struct last_error){.body = last->body, .err = err};
    x->attempt.verdict = verdict_no_answer(err);
    if (exchange_log(x, LOG_WARN, "attempt failed")) {
        log_string("subscription", x->route.subscription->name);
        log_string("error", err_word(err));
        log_string("detail", detail);
        heard_log(x);
        log_end();
    }
    if (err == ERR_SHORTAGE) {
        say_shortage(x);
        return;
    }
    tried_note(&x->tried, x->attempt.verdict.hope, x->attempt.verdict.retry_ms,
               slice_of(x->attempt.verdict.reason), clock_ns());
    metrics_add(x->proxy->metrics, COUNT_ATTEMPTS_FAILED, 1);
    attempt_failed(x);
}

void attempt_forget_error(struct exchange *x)
{
    x->last_error.is_whole = false;
    buf_fini(&x->last_error.body);
    (void)answer_keep(x->caller, x->reply.held.cap);
}

bool attempt_hold(struct exchange *x, const struct slice *pieces, unsigned count)
{
    struct buf *held = &x->reply.held;
    size_t kept = x->last_error.body.cap + held->cap, more = 0;
    for (unsigned i = 0; i < count; i++)
        more += pieces[i].len;
    if (more > HELD_MAX - buf_len(held) || !answer_keep(x->caller, kept + more)) {
        (void)answer_keep(x->caller, kept);
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        bool fits = buf_append(held, pieces[i]);
        assert(fits);
    }
    (void)answer_keep(x->caller, x->last_error.body.cap + held->cap);
    return true;
}

void attempt_left(struct exchange *x)
{
    attempt_end(x, OUTCOME_CANCELLED);
    exchange_end(x, ENDING_GONE);
}

void attempt_stopped(struct exchange *x, const char *why)
{
    attempt_end(x, OUTCOME_ERROR);
    exchange_say(x, 503, 1000, why);
}
