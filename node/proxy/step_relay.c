/* RELAY: the answer is the caller's, and its bytes pass as they come; watch looks on.
 *
 * It is held back until it says something, for until then the request can still go elsewhere: hold
 * -> commit -> pass. What says nothing for retry.hold_ms is passed on all the same. How it ends is
 * told by what it said (stream_end.h). One deadline at a time: of holding, then of silence, in
 * which a stream gets pings of ours, then of what follows the last word. A caller who takes nothing
 * makes the provider wait. */
#include <assert.h>

#include "proxy/exchange_priv.h"
#include "proxy/stream_end.h"

enum {
    EVENT_BYTES_MAX = DIALECT_ERROR_BYTES_MAX + 2, /* an error event, and the end of another */
    TRAIL_MS = 200 /* the end of coding and framing comes with the last word, or just behind it */
};

static void set_deadline(struct exchange *x, loop_fn on_expired, uint64_t in_ms)
{
    deadline_clear(&x->attempt.deadline);
    deadline_init(&x->attempt.deadline, on_expired, x);
    deadline_set(x->proxy->loop, &x->attempt.deadline, in_ms);
}

static void free_body_if_sent(struct exchange *x)
{
    struct request *r = &x->request;
    if (r->body.at == NULL ||
        (x->attempt.upstream != NULL && !upstream_is_sent(x->attempt.upstream)))
        return;
    r->body = SLICE_NONE;
    http_message_drop_body(&r->message);
}

static void put(struct exchange *x, const struct slice *pieces, unsigned count, bool is_last)
{
    free_body_if_sent(x);
    for (unsigned i = 0; i < count; i++)
        x->reply.bytes += pieces[i].len;
    x->reply.passed_ms = loop_now_ms(x->proxy->loop);
    answer_body(x->caller, pieces, count, is_last);
}

/* ---- its end ---- */

/* Puts this behind all that has passed, in the answer's coding, and ends that. Not where a length
 * was promised: there is no room. */
static bool seal(struct exchange *x, struct slice plain)
{
    const struct reply *reply = &x->reply;
    struct buf out;
    if (reply->head.framing == HTTP1_SIZED)
        return false;
    buf_init(&out, EVENT_BYTES_MAX + UNPACK_SEAL_BYTES);
    bool is_sealed = reply->watch != NULL ? watch_seal(reply->watch, plain, &out)
                                          : !reply->head.is_coded && buf_append(&out, plain);
    struct slice piece = buf_slice(&out);
    if (is_sealed && piece.len > 0)
        answer_body(x->caller, &piece, 1, false);
    buf_fini(&out);
    return is_sealed;
}

/* Say in the stream itself that this was not the end, where the caller's reader understands it. */
static void say_broken(struct exchange *x, const char *why)
{
    const struct reply *reply = &x->reply;
    struct buf event;
    if (!reply->head.is_sse)
        return;
    buf_init(&event, EVENT_BYTES_MAX);
    if (reply->watch == NULL || !watch_at_event_start(reply->watch)) {
        bool fits = buf_append(&event, SLICE("\n\n"));
        assert(fits); /* it is empty */
    }
    x->request.dialect->write_error_event(&event, 502, slice_of(why), x->request.id);
    (void)seal(x, buf_slice(&event)); /* else the missing end of the framing says it alone */
    buf_fini(&event);
}

static void break_answer(struct exchange *x, const char *why)
{
    struct connection *caller = x->caller;
    metrics_add(x->proxy->metrics, COUNT_ATTEMPTS_BROKEN, 1);
    x->reply.reason = arena_copy(&x->request.message.arena, slice_of(why));
    say_broken(x, why);
    attempt_end(x, OUTCOME_ERROR);
    x->caller = NULL;
    answer_break(caller);
    exchange_end(x, ENDING_BROKEN);
}

static void end_whole(struct exchange *x)
{
    struct connection *caller = x->caller;
    bool has_failed = x->reply.watch != NULL && watch_said(x->reply.watch) == SAID_ERROR;
    metrics_add(x->proxy->metrics, has_failed ? COUNT_ATTEMPTS_BROKEN : COUNT_ATTEMPTS_OK, 1);
    if (x->reply.watch != NULL && !watch_is_unpacked(x->reply.watch))
        (void)seal(x, SLICE_NONE); /* readers have all of it even if that cannot be */
    if (has_failed)
        heard_error(x);
    attempt_end(x, has_failed ? OUTCOME_ERROR : OUTCOME_OK);
    x->caller = NULL;
    answer_end(caller);
    exchange_end(x, has_failed ? ENDING_BROKEN : ENDING_OK);
}

static void on_trail_over(void *arg)
{
    if (!doubt_delays(arg))
        end_whole(arg);
}

/* All is said, and the provider's connection stays open: for a moment only. An answer whose length
 * was promised has to come to it. */
static void await_trail(struct exchange *x)
{
    if (x->reply.is_trailing || x->reply.head.framing == HTTP1_SIZED)
        return;
    x->reply.is_trailing = true;
    set_deadline(x, on_trail_over, TRAIL_MS);
}

/* What looked like the end of a JSON answer was the end of its first value. */
static void forget_trail(struct exchange *x)
{
    if (!x->reply.is_trailing || x->reply.head.is_sse)
        return;
    x->reply.is_trailing = false;
    deadline_clear(&x->attempt.deadline);
}

static void keep_pace(struct exchange *x)
{
    if (x->reply.is_paused || x->attempt.upstream == NULL || !answer_is_full(x->caller))
        return;
    x->reply.is_paused = true;
    upstream_pause(x->attempt.upstream);
}

static void break_off(struct exchange *x, enum transport transport)
{
    if (transport == TRANSPORT_BROKEN) {
        break_answer(x, "the provider broke off its answer");
        return;
    }
    if (exchange_log(x, LOG_WARN, "the provider's stream ended without finishing its message"))
        log_end();
    break_answer(x, "the provider ended its stream without finishing the message");
}

/* The caller has what came; what of the rest? */
static void go_on(struct exchange *x, enum stream_end end, enum transport transport)
{
    switch (end) {
    case STREAM_GOES_ON:
        forget_trail(x);
        keep_pace(x);
        break;
    case STREAM_FAILED:
    case STREAM_ALL_SAID:
        if (transport == TRANSPORT_OPEN) {
            await_trail(x);
            keep_pace(x);
        } else if (transport == TRANSPORT_BROKEN && x->reply.head.framing == HTTP1_SIZED) {
            break_answer(x, "the provider broke off its answer");
        } else {
            end_whole(x);
        }
        break;
    case STREAM_WHOLE:
        end_whole(x);
        break;
    case STREAM_UNSAID:
    case STREAM_CUT:
        break_off(x, transport);
        break;
    }
}

/* ---- its course ---- */

static void on_silence(void *arg);

static void watch_silence(struct exchange *x, uint64_t in_ms)
{
    bool is_stream = x->reply.watch != NULL && x->reply.head.is_sse;
    if (is_stream && x->reply.head.coding == CODING_IDENTITY && x->config->queue.ping_ms > 0)
        set_deadline(x, on_silence, in_ms);
}

/* A tunnel or a caller between us and silence gives it up after a while. Nothing of ours may stand
 * within an event, nor before what the caller has not taken yet. */
static void on_silence(void *arg)
{
    struct exchange *x = arg;
    uint64_t ping_ms = x->config->queue.ping_ms;
    uint64_t silent_ms = loop_now_ms(x->proxy->loop) - x->reply.passed_ms;
    if (silent_ms < ping_ms) {
        watch_silence(x, ping_ms - silent_ms);
        return;
    }
    if (watch_at_event_start(x->reply.watch) && answer_waiting(x->caller) == 0 &&
        !doubt_holds(&x->doubt)) {
        struct slice ping = x->request.dialect->ping_event;
        metrics_add(x->proxy->metrics, COUNT_PINGS, 1);
        put(x, &ping, 1, false);
    }
    watch_silence(x, ping_ms);
}

/* From here on it is this answer or none. */
static void commit(struct exchange *x)
{
    struct buf held = x->reply.held;
    struct slice piece = buf_slice(&held);
    assert(!x->reply.has_begun);
    deadline_clear(&x->attempt.deadline); /* of holding; not every answer gets another */
    buf_init(&x->reply.held, HELD_MAX);
    attempt_forget_error(x); /* a stream may last for hours */
    head_begin(x, &x->reply.head);
    if (piece.len > 0)
        put(x, &piece, 1, false);
    buf_fini(&held);
    (void)answer_keep(x->caller, 0);
    x->reply.passed_ms = loop_now_ms(x->proxy->loop);
    watch_silence(x, x->config->queue.ping_ms);
}

static void on_hold_over(void *arg)
{
    struct exchange *x = arg;
    if (doubt_delays(x))
        return;
    commit(x);
    answer_flush(x->caller);
    keep_pace(x);
}

static void say_nothing_came(struct exchange *x, const struct upstream_event *e)
{
    if (e->kind == UPSTREAM_FAILED)
        attempt_no_answer(x, e->err, e->detail);
    else
        attempt_no_answer(x, ERR_EMPTY, "it ended before it said anything");
}

static enum transport transport_of(const struct upstream_event *e)
{
    if (e->kind == UPSTREAM_FAILED)
        return TRANSPORT_BROKEN;
    return e->is_end ? TRANSPORT_ENDED : TRANSPORT_OPEN;
}

/* Nothing of it has passed. True: nor does this, or it has. */
static bool hold(struct exchange *x, const struct upstream_event *e, enum stream_end end,
                 enum said said)
{
    bool is_undecided = end == STREAM_FAILED || (end == STREAM_GOES_ON && said == SAID_NOTHING);
    if (end == STREAM_UNSAID) {
        say_nothing_came(x, e);
        return true;
    }
    if (!is_undecided || x->config->retry.hold_ms == 0 || !attempt_hold(x, e->pieces, e->count)) {
        commit(x);
        return false;
    }
    if (end == STREAM_GOES_ON)
        return true;
    x->reply.has_all = true;
    if (judge_answer(x)) {
        attempt_failed(x);
        return true;
    }
    commit(x);
    go_on(x, end, transport_of(e));
    return true;
}

static void take(struct exchange *x, const struct upstream_event *e)
{
    struct reply *reply = &x->reply;
    for (unsigned i = 0; i < e->count && reply->watch != NULL; i++)
        watch_feed(reply->watch, e->pieces[i]);
    enum transport transport = transport_of(e);
    enum said said = reply->watch == NULL ? SAID_OTHER : watch_said(reply->watch);
    enum stream_end end = stream_end_of(said, transport);
    if (!reply->has_begun && hold(x, e, end, said))
        return;
    bool is_last =
        end == STREAM_WHOLE || (transport == TRANSPORT_ENDED && end == STREAM_ALL_SAID &&
                                (reply->watch == NULL || watch_is_unpacked(reply->watch)));
    if (e->count > 0 || is_last)
        put(x, e->pieces, e->count, is_last);
    go_on(x, end, transport);
}

/* An error that has turned out to be the caller's comes with what is read of it already; more is
 * not to be learned from it. */
static void pass_held(struct exchange *x)
{
    const struct upstream_event *unheld = x->reply.unheld;
    const struct upstream_event end = {.kind = UPSTREAM_BODY, .is_end = true};
    x->reply.unheld = NULL;
    watch_free(x->reply.watch);
    x->reply.watch = NULL;
    commit(x);
    if (unheld != NULL)
        take(x, unheld);
    else if (x->reply.has_all)
        take(x, &end);
}

static void relay_enter(struct exchange *x)
{
    struct kept_head *head = &x->reply.head;
    if (head->status >= 400) {
        pass_held(x);
        return;
    }
    if (head->status == 200 && head->framing != HTTP1_NO_BODY && head->is_readable &&
        (head->is_sse || head->is_json)) {
        x->reply.watch = watch_new(x->request.dialect->words, head->is_sse ? WATCH_SSE : WATCH_JSON,
                                   head->coding);
        if (head->is_sse)
            head->framing = HTTP1_CHUNKED; /* a word of ours may have to stand behind it */
    }
    set_deadline(x, on_hold_over, x->config->retry.hold_ms);
}

static void log_broken_off(struct exchange *x, const struct upstream_event *e)
{
    if (!exchange_log(x, LOG_WARN, "answer broken off"))
        return;
    log_string("subscription", x->route.subscription->name);
    log_string("error", err_word(e->err));
    log_string("detail", e->detail);
    log_number("bytes_out", x->reply.bytes);
    log_end();
}

static void relay_on_upstream(struct exchange *x, const struct upstream_event *e)
{
    if (doubt_takes(x, e))
        return;
    if (e->kind == UPSTREAM_FAILED && !x->reply.is_trailing)
        log_broken_off(x, e);
    take(x, e);
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
    if (x->reply.is_trailing)
        end_whole(x); /* all is said */
    else if (x->reply.has_begun)
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
