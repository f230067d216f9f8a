/* ANSWER: words of our own, in the shape the caller's API has, or, where it may speak of this
 * request, the last provider's error as it was. Given whole and at once, so nothing can happen in
 * this step. */
#include "base/clock.h"
#include "base/name.h"
#include "proxy/exchange_priv.h"

static void end(struct exchange *x, enum ending ending)
{
    struct connection *caller = x->caller;
    x->caller = NULL;
    answer_end(caller);
    exchange_end(x, ending);
}

static void say(struct exchange *x, const struct own_words *words)
{
    struct request *r = &x->request;
    struct http1_header headers[3];
    struct buf body;
    unsigned n = 0;
    headers[n++] = (struct http1_header){SLICE("content-type"), SLICE("application/json")};
    headers[n++] = (struct http1_header){SLICE("x-weir-request-id"), r->id};
    if (words->retry_ms > 0) {
        struct slice seconds = arena_printf(&r->message.arena, "%llu",
                                            (unsigned long long)((words->retry_ms + 999) / 1000));
        headers[n++] = (struct http1_header){SLICE("retry-after"), seconds};
    }
    buf_init(&body, DIALECT_ERROR_BYTES_MAX);
    r->dialect->write_error(&body, words->status, words->text, r->id);
    struct slice piece = buf_slice(&body);
    struct kept_head head = {.status = words->status,
                             .headers = headers,
                             .header_count = n,
                             .framing = HTTP1_SIZED,
                             .length = piece.len};
    head_begin(x, &head);
    x->reply.bytes += piece.len;
    x->reply.reason = words->text;
    answer_body(x->caller, &piece, 1, true);
    buf_fini(&body);
    end(x, words->status == 529 ? ENDING_REFUSED : ENDING_ERROR);
}

static void pass_error(struct exchange *x, struct last_error *last)
{
    struct slice body = buf_slice(&last->body);
    bool is_head = slice_eq(x->request.message.request.method, SLICE("HEAD"));
    if (last->head.framing != HTTP1_NO_BODY && !is_head) {
        last->head.framing = HTTP1_SIZED;
        last->head.length = body.len;
    }
    head_begin(x, &last->head);
    x->reply.bytes += body.len;
    answer_body(x->caller, &body, 1, true);
    end(x, ENDING_ERROR);
}

/* The last provider failed, and what it said is no answer for this caller: it was cut, too large,
 * or not in the shape of its own API. */
static struct own_words words_for(struct exchange *x, const struct last_error *last)
{
    struct arena *arena = &x->request.message.arena;
    if (last->status == 0)
        return (struct own_words){
            .status = err_status(last->err),
            .text = arena_printf(arena, "no provider gave an answer: %s", err_text(last->err))};
    return (struct own_words){
        .status = last->status,
        .text = arena_printf(arena, "the provider failed (%s), and said nothing to pass on",
                             last->reason)};
}

static struct own_words pool_words(struct exchange *x)
{
    char model[NAME_BYTES_MAX + 1];
    const struct tried_time now = {clock_ns(), clock_wall_ms()};
    (void)name_clean(x->request.facts.models[0], model, sizeof(model));
    return tried_words(&x->tried, slice_of(model), now, &x->request.message.arena);
}

static void answer_enter(struct exchange *x)
{
    struct last_error *last = &x->last_error;
    struct own_words words = x->words;
    if (words.status == 0)
        words = pool_words(x);
    if (words.status == 0 && !last->is_whole)
        words = words_for(x, last);
    if (words.status != 0)
        say(x, &words);
    else
        pass_error(x, last);
}

const struct step step_answer = {.enter = answer_enter};
