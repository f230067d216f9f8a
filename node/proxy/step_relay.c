/* RELAY: the answer is the caller's, and its bytes pass as they come; watch looks on. The head goes
 * with the first byte of body: until then the request may still go elsewhere. A caller who takes
 * nothing makes the provider wait. How the answer ends decides how the exchange does: whole, broken
 * off by the provider, or by us. */
#include <assert.h>

#include "proxy/exchange_priv.h"

enum { EVENT_BYTES_MAX = DIALECT_ERROR_BYTES_MAX + 2 }; /* an error event, and the end of another */

static void free_body_if_sent(struct exchange *x)
{
    struct request *r = &x->request;
    if (r->body.at == NULL ||
        (x->attempt.upstream != NULL && !upstream_is_sent(x->attempt.upstream)))
        return;
    r->body = SLICE_NONE;
    http_message_drop_body(&r->message);
}

/* Say in the stream itself that this was not the end, where the caller's reader understands it. */
static void say_broken(struct exchange *x, const char *why)
{
    const struct reply *reply = &x->reply;
    struct buf event;
    if (!reply->head.is_sse || reply->head.is_coded || reply->head.framing == HTTP1_SIZED)
        return;
    buf_init(&event, EVENT_BYTES_MAX);
    if (reply->watch != NULL && !watch_at_event_start(reply->watch)) {
        bool fits = buf_append(&event, SLICE("\n\n"));
        assert(fits); /* it is empty */
    }
    x->request.dialect->write_error_event(&event, 502, slice_of(why), x->request.id);
    struct slice piece = buf_slice(&event);
    answer_body(x->caller, &piece, 1, false);
    buf_fini(&event);
}

static void break_answer(struct exchange *x, const char *why)
{
    struct connection *caller = x->caller;
    metrics_add(x->proxy->metrics, COUNT_ATTEMPTS_BROKEN, 1);
    say_broken(x, why);
    attempt_end(x, OUTCOME_ERROR);
    x->caller = NULL;
    answer_break(caller);
    exchange_end(x, ENDING_BROKEN);
}

static void end_whole(struct exchange *x)
{
    struct connection *caller = x->caller;
    metrics_add(x->proxy->metrics, COUNT_ATTEMPTS_OK, 1);
    attempt_end(x, OUTCOME_OK);
    x->caller = NULL;
    answer_end(caller);
    exchange_end(x, ENDING_OK);
}

/* A message stream that ends without its stop event was cut, however politely it was closed. */
static bool looks_cut(const struct reply *reply)
{
    return reply->watch != NULL && reply->head.is_sse && !reply->head.is_coded &&
           (watch_said(reply->watch) == SAID_PART || watch_said(reply->watch) == SAID_NOTHING);
}

static void pass_on(struct exchange *x, const struct upstream_event *e)
{
    struct reply *reply = &x->reply;
    if (!reply->has_begun) {
        attempt_forget_error(x); /* a stream may last for hours */
        head_begin(x, &reply->head);
    }
    free_body_if_sent(x);
    for (unsigned i = 0; i < e->count; i++)
        reply->bytes += e->pieces[i].len;
    bool is_cut = e->is_end && looks_cut(reply);
    answer_body(x->caller, e->pieces, e->count, e->is_end && !is_cut);
    if (is_cut) {
        if (exchange_log(x, LOG_WARN, "the provider's stream ended without finishing its message"))
            log_end();
        break_answer(x, "the provider ended its stream without finishing the message");
    } else if (e->is_end) {
        end_whole(x);
    } else if (answer_is_full(x->caller) && !reply->is_paused) {
        reply->is_paused = true;
        upstream_pause(x->attempt.upstream);
    }
}

static void take_body(struct exchange *x, const struct upstream_event *e)
{
    for (unsigned i = 0; i < e->count && x->reply.watch != NULL; i++)
        watch_feed(x->reply.watch, e->pieces[i]);
    pass_on(x, e);
}

/* An error that has turned out to be the caller's comes with what is read of it already. */
static void pass_held(struct exchange *x)
{
    struct buf held = x->reply.held;
    const struct upstream_event *unheld = x->reply.unheld;
    struct slice piece = buf_slice(&held);
    const struct upstream_event event = {.kind = UPSTREAM_BODY,
                                         .pieces = &piece,
                                         .count = piece.len > 0 ? 1 : 0,
                                         .is_end = x->reply.has_all};
    buf_init(&x->reply.held, HELD_MAX);
    x->reply.unheld = NULL;
    pass_on(x, &event);
    if (unheld != NULL) /* it is not all, so x is still there */
        pass_on(x, unheld);
    buf_fini(&held);
}

static void relay_enter(struct exchange *x)
{
    const struct kept_head *head = &x->reply.head;
    const struct watch_words *words = x->request.dialect->words;
    if (head->status == 200 && head->is_readable && (head->is_sse || head->is_json))
        x->reply.watch = watch_new(words, head->is_sse ? WATCH_SSE : WATCH_JSON, head->coding);
    else if (head->status >= 400)
        pass_held(x);
}

static void take_failure(struct exchange *x, const struct upstream_event *e)
{
    if (exchange_log(x, LOG_WARN, "answer broken off")) {
        log_string("subscription", x->route.subscription->name);
        log_string("error", err_word(e->err));
        log_string("detail", e->detail);
        log_number("bytes_out", x->reply.bytes);
        log_end();
    }
    if (x->reply.has_begun) {
        break_answer(x, "the provider broke off its answer");
        return;
    }
    attempt_no_answer(x, e->err, e->detail);
}

static void relay_on_upstream(struct exchange *x, const struct upstream_event *e)
{
    if (e->kind == UPSTREAM_FAILED)
        take_failure(x, e);
    else if (!doubt_takes(x, e))
        take_body(x, e);
}

static void relay_on_taken(struct exchange *x)
{
    if (!x->reply.is_paused || x->attempt.upstream == NULL || answer_waiting(x->caller) > 0)
        return;
    x->reply.is_paused = false;
    if (!doubt_holds(&x->doubt))
        upstream_resume(x->attempt.upstream);
}

static void relay_on_stop(struct exchange *x, const char *why)
{
    if (x->reply.has_begun)
        break_answer(x, why);
    else
        attempt_stopped(x, why);
}

const struct step step_relay = {
    .enter = relay_enter,
    .on_upstream = relay_on_upstream,
    .on_taken = relay_on_taken,
    .on_gone = attempt_left,
    .on_stop = relay_on_stop,
};
