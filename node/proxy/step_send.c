/* SEND: the request goes up, with the subscription's credential, and the head of an answer is
 * waited for. */
#include <assert.h>

#include "base/clock.h"
#include "proxy/exchange_priv.h"
#include "proxy/forward.h"

static bool is_safe(struct slice method)
{
    return slice_eq(method, SLICE("GET")) || slice_eq(method, SLICE("HEAD")) ||
           slice_eq(method, SLICE("OPTIONS"));
}

/* What an error says stands in its body; anything else is the caller's, unless it turns out to be
 * an error behind a good status. */
static void take_head(struct exchange *x, const struct http1_response *response)
{
    struct attempt *a = &x->attempt;
    move_end(x);
    x->times.first_byte_ns = clock_ns();
    metrics_observe(x->proxy->metrics, HISTOGRAM_FIRST_BYTE,
                    x->times.first_byte_ns - upstream_sent_ns(a->upstream));
    a->status = response->status;
    if (a->status == 200 && x->request.facts.is_stream)
        pace_note(&x->proxy->pace,
                  (x->times.first_byte_ns - upstream_sent_ns(a->upstream)) / 1000000);
    x->request.dialect->read_signs(&x->request.message.request, response, clock_wall_ms(),
                                   &a->signs);
    x->request.dialect->read_quota(response, a->signs.wall_ms, &a->quota);
    heard_head(x, response);
    head_keep(x, response, &x->reply.head);
    exchange_go(x, a->status >= 400 ? STEP_COLLECT : STEP_RELAY);
}

static void send_on_upstream(struct exchange *x, const struct upstream_event *e)
{
    assert(e->kind != UPSTREAM_BODY); /* that comes behind a head */
    x->times.waited_ns += clock_ns() - x->attempt.started_ns;
    if (e->kind == UPSTREAM_HEAD)
        take_head(x, e->head);
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
    x->heard = (struct heard){0};
    x->request.attempts++;
    x->attempt.tries++;
    x->attempt.started_ns = clock_ns();
    x->attempt.upstream = upstream_send(x->proxy->upstream, &request, &exchange_upstream_events, x);
    move_watch(x);
}

const struct step step_send = {
    .enter = send_enter,
    .on_upstream = send_on_upstream,
    .on_gone = attempt_left,
    .on_stop = attempt_stopped,
};
