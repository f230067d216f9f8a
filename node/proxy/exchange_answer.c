/* Our own words to a caller, in the shape its API has. The map stands in exchange.h. */
#include <assert.h>

#include "base/clock.h"
#include "dialect/anthropic.h"
#include "proxy/exchange.h"

enum { ANSWER_BYTES_MAX = 8192 };

static void end(struct exchange *x, enum ending ending)
{
    struct connection *call = x->call;
    x->call = NULL;
    answer_end(call);
    exchange_finish(x, ending);
}

void exchange_answer_error(struct exchange *x, int status, uint64_t retry_ms, const char *message)
{
    struct http1_header headers[4];
    struct buf body;
    unsigned n = 0;
    headers[n++] = (struct http1_header){SLICE("content-type"), SLICE("application/json")};
    headers[n++] = (struct http1_header){SLICE("x-weir-request-id"), x->id};
    if (retry_ms > 0) {
        struct slice seconds =
            arena_printf(&x->message.arena, "%llu", (unsigned long long)((retry_ms + 999) / 1000));
        headers[n++] = (struct http1_header){SLICE("retry-after"), seconds};
    }
    buf_init(&body, ANSWER_BYTES_MAX);
    anthropic_error_json(&body, status, slice_of(message), x->id);
    struct kept_answer answer = {.status = status,
                                 .headers = headers,
                                 .header_count = n,
                                 .framing = HTTP1_SIZED,
                                 .length = buf_len(&body)};
    struct slice piece = buf_slice(&body);
    exchange_begin(x, &answer);
    x->bytes_down += piece.len;
    answer_body(x->call, &piece, 1, true);
    buf_fini(&body);
    end(x, status == 529 ? ENDING_REFUSED : ENDING_ERROR);
}

void exchange_answer_refused(struct exchange *x, const struct refusal *refusal)
{
    struct slice text = arena_printf(&x->message.arena,
                                     "no subscription can take this request now (%.*s); try again "
                                     "after the time given in retry-after",
                                     SLICE_ARG(refusal->reason));
    metrics_add(x->proxy->metrics, COUNT_REFUSED, 1);
    exchange_answer_error(x, 529, refusal->retry_ms > 0 ? refusal->retry_ms : 1000, text.at);
}

void exchange_answer_last_error(struct exchange *x)
{
    if (x->error_answer.status == 0) {
        struct slice text = arena_printf(&x->message.arena, "no provider could be reached: %s",
                                         err_text(x->last_err));
        exchange_answer_error(x, err_status(x->last_err), 0, text.at);
        return;
    }
    if (!x->is_error_whole) {
        exchange_answer_error(x, x->error_answer.status, 0,
                              "the provider's error came in part only, or was too large");
        return;
    }
    struct kept_answer *kept = &x->error_answer;
    struct slice body = buf_slice(&x->error_body);
    if (kept->framing != HTTP1_NO_BODY && !slice_eq(x->message.request.method, SLICE("HEAD"))) {
        kept->framing = HTTP1_SIZED;
        kept->length = body.len;
    }
    exchange_begin(x, kept);
    x->bytes_down += body.len;
    answer_body(x->call, &body, 1, true);
    end(x, ENDING_ERROR);
}
