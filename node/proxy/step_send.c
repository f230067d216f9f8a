/* SEND: the request goes up, with the subscription's credential, and the head of an answer is
 * waited for. What that answer means (verdict.h) says where it goes from here. */
#include <assert.h>

#include "base/clock.h"
#include "proxy/exchange_priv.h"
#include "proxy/forward.h"

static bool is_safe(struct slice method)
{
    return slice_eq(method, SLICE("GET")) || slice_eq(method, SLICE("HEAD")) ||
           slice_eq(method, SLICE("OPTIONS"));
}

static void log_cooling(const struct exchange *x)
{
    const struct attempt *a = &x->attempt;
    metrics_add(x->proxy->metrics, COUNT_COOLDOWNS, 1);
    if (!exchange_log(x, LOG_WARN, "subscription cooling"))
        return;
    log_string("subscription", x->route.subscription->name);
    log_number("status", (uint64_t)a->status);
    log_number("seconds", (a->verdict.cooldown_ms + 999) / 1000);
    log_string("reason", a->verdict.reason);
    log_end();
}

static void judge_answer(struct exchange *x, const struct http1_response *response)
{
    struct attempt *a = &x->attempt;
    struct metrics *metrics = x->proxy->metrics;
    x->times.first_byte_ns = clock_ns();
    metrics_observe(metrics, HISTOGRAM_FIRST_BYTE,
                    x->times.first_byte_ns - upstream_sent_ns(a->upstream));
    a->status = response->status;
    a->verdict = verdict_of(x->request.dialect, response, x->config, clock_wall_ms());
    if (!a->verdict.is_next) {
        head_keep(x, response, &x->reply.head);
        exchange_go(x, STEP_RELAY);
        return;
    }
    metrics_add(metrics, a->status == 429 ? COUNT_ATTEMPTS_LIMITED : COUNT_ATTEMPTS_FAILED, 1);
    if (a->verdict.cooldown_ms > 0)
        log_cooling(x);
    head_keep(x, response, &x->last_error.head);
    exchange_go(x, STEP_COLLECT);
}

static void send_on_upstream(struct exchange *x, const struct upstream_event *e)
{
    assert(e->kind != UPSTREAM_BODY); /* that comes behind a head */
    x->times.waited_ns += clock_ns() - x->attempt.started_ns;
    if (e->kind == UPSTREAM_HEAD)
        judge_answer(x, e->head);
    else
        attempt_no_answer(x, e->err, e->detail);
}

static void send_enter(struct exchange *x)
{
    struct request *r = &x->request;
    const struct subscription *s = x->route.subscription;
    const struct http1_request *head = &r->message.request;
    struct upstream_request request = {
        .origin = &s->origin,
        .ca_file = s->ca_file,
        .head = forward_request_head(r->dialect, head, s, r->body.len, &r->message.arena),
        .body = r->body,
        .is_safe = is_safe(head->method),
        .to_head = slice_eq(head->method, SLICE("HEAD")),
        .connect_ms = x->config->timeouts.connect_ms,
        .first_byte_ms = x->config->timeouts.first_byte_ms,
        .idle_ms = x->config->timeouts.idle_ms,
    };
    x->attempt.started_ns = clock_ns();
    x->attempt.upstream = upstream_send(x->proxy->upstream, &request, &exchange_upstream_events, x);
}

const struct step step_send = {
    .enter = send_enter,
    .on_upstream = send_on_upstream,
    .on_gone = attempt_left,
    .on_stop = attempt_stopped,
};
