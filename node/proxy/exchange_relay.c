/* Relaying an answer: bytes pass as they come; watch looks on. The map stands in exchange.h. */
#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "dialect/anthropic.h"
#include "proxy/exchange.h"
#include "proxy/forward.h"

enum { EVENT_BYTES_MAX = 4096 };

static struct slice header_value(const struct http1_response *r, struct slice name)
{
    const struct http1_header *h = http1_header(r->headers, r->header_count, name);
    return h != NULL ? h->value : SLICE_NONE;
}

static void add_header(struct kept_answer *kept, struct slice name, struct slice value)
{
    kept->headers[kept->header_count++] = (struct http1_header){name, value};
}

void exchange_keep_answer(struct exchange *x, const struct http1_response *r,
                          struct kept_answer *kept)
{
    *kept = (struct kept_answer){
        .status = r->status,
        .reason = arena_copy(&x->message.arena, r->reason),
        .framing = r->framing,
        .length = r->length,
        .is_sse =
            slice_starts_nocase(header_value(r, SLICE("content-type")), SLICE("text/event-stream")),
        .is_coded = header_value(r, SLICE("content-encoding")).len > 0,
    };
    kept->headers = forward_response_headers(r, x->config->server.pass_limits, &x->message.arena,
                                             &kept->header_count);
    add_header(kept, SLICE("x-weir-request-id"), x->id);
    if (x->config->server.expose_subscription) {
        add_header(kept, SLICE("x-weir-subscription"), slice_of(x->attempt.subscription->name));
        add_header(kept, SLICE("x-weir-attempts"),
                   arena_printf(&x->message.arena, "%u", x->attempts));
    }
}

void exchange_begin(struct exchange *x, const struct kept_answer *kept)
{
    struct answer answer = {
        .status = kept->status,
        .reason = kept->reason,
        .headers = kept->headers,
        .header_count = kept->header_count,
        .framing = kept->framing,
        .length = kept->length,
    };
    x->has_begun = true;
    x->status = kept->status;
    x->out_ns = clock_ns();
    answer_begin(x->call, &answer);
}

/* Usage stands in JSON and SSE answers that we can read. */
static struct watch *watch_for(const struct http1_response *r, const struct kept_answer *kept)
{
    enum watch_coding coding;
    if (r->status != 200 ||
        !watch_coding_parse(header_value(r, SLICE("content-encoding")), &coding))
        return NULL;
    if (kept->is_sse)
        return watch_new(WATCH_SSE, coding);
    if (slice_starts_nocase(header_value(r, SLICE("content-type")), SLICE("application/json")))
        return watch_new(WATCH_JSON, coding);
    return NULL;
}

void exchange_relay_start(struct exchange *x, const struct http1_response *response)
{
    exchange_keep_answer(x, response, &x->answer);
    x->watch = watch_for(response, &x->answer);
}

static void free_body_if_sent(struct exchange *x)
{
    if (x->body.at == NULL ||
        (x->attempt.upstream != NULL && !upstream_is_sent(x->attempt.upstream)))
        return;
    x->body = SLICE_NONE;
    http_message_drop_body(&x->message);
}

static void relay_end(struct exchange *x)
{
    struct connection *call = x->call;
    metrics_add(x->proxy->metrics, COUNT_ATTEMPTS_OK, 1);
    exchange_settle(x, OUTCOME_OK);
    x->call = NULL;
    answer_end(call);
    exchange_finish(x, ENDING_OK);
}

/* Say in the stream itself that this was not the end, where the caller's reader can understand it.
 */
static void say_broken(struct exchange *x, const char *message)
{
    struct buf event;
    if (!x->answer.is_sse || x->answer.is_coded || x->answer.framing == HTTP1_SIZED)
        return;
    buf_init(&event, EVENT_BYTES_MAX);
    if (x->watch != NULL && !watch_at_event_start(x->watch)) {
        bool fits = buf_append(&event, SLICE("\n\n"));
        assert(fits);
    }
    anthropic_error_event(&event, 502, slice_of(message), x->id);
    struct slice piece = buf_slice(&event);
    answer_body(x->call, &piece, 1, false);
    buf_fini(&event);
}

static void break_off(struct exchange *x, const char *message)
{
    struct connection *call = x->call;
    metrics_add(x->proxy->metrics, COUNT_ATTEMPTS_BROKEN, 1);
    say_broken(x, message);
    exchange_settle(x, OUTCOME_ERROR);
    x->call = NULL;
    answer_break(call);
    exchange_finish(x, ENDING_BROKEN);
}

/* A message stream that ends without message_stop was cut, however politely its connection ended.
 */
static bool looks_cut(const struct exchange *x)
{
    return x->watch != NULL && x->answer.is_sse && !x->answer.is_coded &&
           watch_is_message(x->watch) && !watch_saw_stop(x->watch) &&
           watch_error_type(x->watch).len == 0;
}

static void pass_on(struct exchange *x, const struct slice *pieces, unsigned count, bool is_end)
{
    if (!x->has_begun)
        exchange_begin(x, &x->answer);
    free_body_if_sent(x);
    for (unsigned i = 0; i < count; i++) {
        x->bytes_down += pieces[i].len;
        if (x->watch != NULL)
            watch_feed(x->watch, pieces[i]);
    }
    bool is_cut = is_end && looks_cut(x);
    answer_body(x->call, pieces, count, is_end && !is_cut);
    if (is_cut) {
        log_message(LOG_WARN, "%.*s: the provider's stream ended without message_stop",
                    SLICE_ARG(x->id));
        break_off(x, "the provider ended its stream without finishing the message");
    } else if (is_end) {
        relay_end(x);
    } else if (answer_is_full(x->call) && !x->is_paused) {
        x->is_paused = true;
        upstream_pause(x->attempt.upstream);
    }
}

static void on_renewed(void *arg)
{
    struct exchange *x = arg;
    if (!state_lease_is_fresh(x->proxy->state)) {
        state_wait_renewal(x->proxy->state, &x->renewal);
        return;
    }
    struct buf held = x->held;
    bool is_end = x->has_held_end;
    buf_init(&x->held, HELD_MAX);
    if (x->attempt.upstream != NULL && !x->is_paused)
        upstream_resume(x->attempt.upstream);
    struct slice piece = buf_slice(&held);
    pass_on(x, &piece, piece.len > 0 ? 1 : 0, is_end); /* may end x */
    buf_fini(&held);
}

/* This node stood still so long that the slot may be someone else's by now: not a byte more until
 * Redis has said. */
static void hold_back(struct exchange *x, const struct slice *pieces, unsigned count, bool is_end)
{
    for (unsigned i = 0; i < count; i++)
        if (!buf_append(&x->held, pieces[i])) {
            upstream_cancel(x->attempt.upstream);
            x->attempt.upstream = NULL;
            exchange_broken(x, "too much arrived while the request's slot was in doubt");
            return;
        }
    x->has_held_end = is_end;
    if (!is_end)
        upstream_pause(x->attempt.upstream);
    if (list_is_linked(&x->renewal.link))
        return;
    x->renewal.on_renewed = on_renewed;
    x->renewal.arg = x;
    state_wait_renewal(x->proxy->state, &x->renewal);
}

void exchange_relay(struct exchange *x, const struct slice *pieces, unsigned count, bool is_end)
{
    if (list_is_linked(&x->renewal.link) || !state_lease_is_fresh(x->proxy->state))
        hold_back(x, pieces, count, is_end);
    else
        pass_on(x, pieces, count, is_end);
}

void exchange_relay_drained(struct exchange *x)
{
    if (!x->is_paused || x->attempt.upstream == NULL || answer_waiting(x->call) > 0)
        return;
    x->is_paused = false;
    if (!list_is_linked(&x->renewal.link))
        upstream_resume(x->attempt.upstream);
}

void exchange_relay_failed(struct exchange *x, enum err err, const char *detail)
{
    if (log_begin(LOG_WARN, "answer broken off")) {
        log_text("id", x->id);
        log_string("subscription", x->attempt.subscription->name);
        log_string("error", err_word(err));
        log_string("detail", detail);
        log_number("bytes_out", x->bytes_down);
        log_end();
    }
    if (x->has_begun) {
        break_off(x, "the provider broke off its answer");
        return;
    }
    x->last_err = err;
    x->attempt.verdict = (struct verdict){true, true, 0, err_word(err)};
    metrics_add(x->proxy->metrics, COUNT_ATTEMPTS_FAILED, 1);
    state_wait_cancel(&x->renewal);
    buf_clear(&x->held);
    exchange_attempt_over(x);
}

void exchange_lease_lost(struct exchange *x)
{
    upstream_cancel(x->attempt.upstream);
    x->attempt.upstream = NULL;
    exchange_broken(x, "the node stood still too long and lost its slot; try again");
}

void exchange_broken(struct exchange *x, const char *message)
{
    if (x->has_begun) {
        break_off(x, message);
        return;
    }
    exchange_settle(x, OUTCOME_ERROR);
    exchange_go(x, STEP_ANSWER);
    exchange_answer_error(x, 503, 1000, message);
}
