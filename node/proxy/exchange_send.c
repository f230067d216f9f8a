/* Sending to a provider, and what follows when that leads nowhere. The map stands in exchange.h. */
#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/exchange.h"
#include "proxy/forward.h"

static bool is_safe(struct slice method)
{
    return slice_eq(method, SLICE("GET")) || slice_eq(method, SLICE("HEAD")) ||
           slice_eq(method, SLICE("OPTIONS"));
}

/* The provider's time, which is not our overhead. */
static void count_wait(struct exchange *x)
{
    x->waited_ns += clock_ns() - x->attempt.started_ns;
}

static void log_cooling(const struct exchange *x)
{
    const struct attempt *a = &x->attempt;
    metrics_add(x->proxy->metrics, COUNT_COOLDOWNS, 1);
    if (!log_begin(LOG_WARN, "subscription cooling"))
        return;
    log_string("subscription", a->subscription->name);
    log_number("status", (uint64_t)a->status);
    log_number("seconds", (a->verdict.cooldown_ms + 999) / 1000);
    log_string("reason", a->verdict.reason);
    log_text("id", x->id);
    log_end();
}

static void start_collecting(struct exchange *x, const struct http1_response *response)
{
    struct attempt *a = &x->attempt;
    metrics_add(x->proxy->metrics,
                a->status == 429 ? COUNT_ATTEMPTS_LIMITED : COUNT_ATTEMPTS_FAILED, 1);
    if (a->verdict.cooldown_ms > 0)
        log_cooling(x);
    exchange_go(x, STEP_COLLECT);
    buf_clear(&x->error_body);
    exchange_keep_answer(x, response, &x->error_answer);
    x->is_error_whole = true;
    deadline_set(x->proxy->loop, &x->collect_deadline, COLLECT_MS);
}

static void on_head(const struct http1_response *response, void *arg)
{
    struct exchange *x = arg;
    struct attempt *a = &x->attempt;
    uint64_t now_ns = clock_ns(), sent_ns = upstream_sent_ns(a->upstream);
    metrics_observe(x->proxy->metrics, HISTOGRAM_FIRST_BYTE, now_ns - sent_ns);
    count_wait(x);
    x->first_byte_ns = now_ns;
    a->status = response->status;
    a->verdict = verdict_of(response, x->config, clock_wall_ms());
    if (a->verdict.is_next) {
        start_collecting(x, response);
        return;
    }
    exchange_go(x, STEP_RELAY);
    exchange_relay_start(x, response);
}

static void on_body(const struct slice *pieces, unsigned count, bool is_end, void *arg)
{
    struct exchange *x = arg;
    if (is_end)
        x->attempt.upstream = NULL;
    if (x->step == STEP_RELAY) {
        exchange_relay(x, pieces, count, is_end);
        return;
    }
    assert(x->step == STEP_COLLECT);
    for (unsigned i = 0; i < count; i++)
        if (!buf_append(&x->error_body, pieces[i]) || !answer_keep(x->call, x->error_body.cap))
            x->is_error_whole = false; /* too large; and in part it is not passed on */
    if (is_end)
        exchange_attempt_over(x);
}

static void on_failed(enum err err, const char *detail, void *arg)
{
    struct exchange *x = arg;
    x->attempt.upstream = NULL;
    if (x->step == STEP_RELAY) {
        exchange_relay_failed(x, err, detail);
        return;
    }
    if (x->step == STEP_COLLECT) {
        x->is_error_whole = false;
    } else {
        count_wait(x);
        metrics_add(x->proxy->metrics, COUNT_ATTEMPTS_FAILED, 1);
    }
    x->last_err = err;
    x->attempt.verdict = (struct verdict){true, true, 0, err_word(err)};
    if (log_begin(LOG_WARN, "attempt failed")) {
        log_text("id", x->id);
        log_string("subscription", x->attempt.subscription->name);
        log_string("error", err_word(err));
        log_string("detail", detail);
        log_end();
    }
    exchange_attempt_over(x);
}

/* Between the grant and the first byte this node may have stood still. */
static bool may_send(void *arg)
{
    const struct exchange *x = arg;
    return x->attempt.lease.is_held && state_lease_is_fresh(x->proxy->state);
}

static const struct upstream_events upstream_events = {may_send, on_head, on_body, on_failed};

void exchange_send(struct exchange *x)
{
    const struct subscription *s = x->attempt.subscription;
    struct upstream_request request = {
        .origin = &s->origin,
        .ca_file = s->ca_file,
        .head = forward_request_head(&x->message.request, s, x->body.len, &x->message.arena),
        .body = x->body,
        .is_safe = is_safe(x->message.request.method),
        .to_head = slice_eq(x->message.request.method, SLICE("HEAD")),
        .connect_ms = x->config->timeouts.connect_ms,
        .first_byte_ms = x->config->timeouts.first_byte_ms,
        .idle_ms = x->config->timeouts.idle_ms,
    };
    x->attempt.started_ns = clock_ns();
    x->attempt.upstream = upstream_send(x->proxy->upstream, &request, &upstream_events, x);
}

void exchange_settle(struct exchange *x, enum outcome outcome)
{
    struct attempt *a = &x->attempt;
    struct settlement s = {
        .status = a->status,
        .outcome = outcome,
        .cooldown_ms = a->verdict.cooldown_ms,
        .cooldown_reason = slice_of(a->verdict.reason != NULL ? a->verdict.reason : ""),
        .duration_ms = (clock_ns() - a->started_ns) / 1000000,
    };
    if (!a->lease.is_held)
        return;
    if (x->watch != NULL) {
        const struct usage *u = watch_usage(x->watch);
        x->usage = *u;
        s.model = watch_model(x->watch);
        s.input = u->input;
        s.output = u->output;
        s.cache_read = u->cache_read;
        s.cache_write_5m = u->cache_write_5m;
        s.cache_write_1h = u->cache_write_1h;
    }
    state_settle(x->proxy->state, &a->lease, &s);
}

static bool may_try_again(const struct exchange *x)
{
    return x->attempts < x->config->retry.total && x->attempts < x->config->subscription_count;
}

void exchange_attempt_over(struct exchange *x)
{
    const struct attempt *a = &x->attempt;
    deadline_clear(&x->collect_deadline);
    exchange_settle(x, OUTCOME_ERROR);
    watch_free(x->watch);
    x->watch = NULL;
    if (!may_try_again(x)) {
        exchange_go(x, STEP_ANSWER);
        exchange_answer_last_error(x);
        return;
    }
    metrics_add(x->proxy->metrics, COUNT_FAILOVERS, 1);
    if (log_begin(LOG_INFO, "failover")) {
        log_text("id", x->id);
        log_text("client", x->client);
        log_string("from", a->subscription->name);
        log_number("status", (uint64_t)a->status);
        log_string("reason", a->verdict.reason);
        log_end();
    }
    const struct subscription *last = a->subscription;
    exchange_go(x, STEP_ADMIT);
    exchange_admit(x);
    x->attempt.subscription = last; /* for the log, should nothing else be free */
}
