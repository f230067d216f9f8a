/* FINISH: whatever happened, one log line tells it, the metrics count it, and the memory goes. */
#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "proxy/exchange_priv.h"

static const char *ending_word(enum ending ending)
{
    switch (ending) {
    case ENDING_OK:
        return "ok";
    case ENDING_GONE:
        return "client_gone";
    case ENDING_BROKEN:
        return "broken";
    case ENDING_REFUSED:
        return "refused";
    case ENDING_ERROR:
        return "error";
    }
    return "?";
}

static void log_route(const struct route *route, unsigned attempts)
{
    if (route->subscription != NULL)
        log_string("subscription", route->subscription->name);
    log_number("attempts", attempts);
    if (route->how.len > 0) {
        log_text("route", route->how);
        log_number("slots_used", route->slots_used);
        log_number("slots", route->slots);
    }
}

static void log_usage(const struct usage *u)
{
    if (!u->is_known)
        return;
    log_number("input", u->input);
    log_number("output", u->output);
    if (u->is_estimated)
        log_string("output_is", "estimated");
    log_number("cache_read", u->cache_read);
    log_number("cache_write", u->cache_write_5m + u->cache_write_1h);
}

static void log_times(const struct exchange *x, uint64_t now_ns)
{
    const struct http_message *m = &x->request.message;
    if (x->times.admitted_ns > 0)
        log_micros("admission_ms", x->times.admitted_ns - m->complete_ns);
    if (x->wait.total_ns > 0)
        log_micros("queued_ms", x->wait.total_ns);
    if (x->times.first_byte_ns > 0)
        log_micros("first_byte_ms", x->times.first_byte_ns - m->complete_ns);
    log_micros("total_ms", now_ns - m->head_ns);
}

/* Our refusal's reason, and what the last provider said of it. */
static void log_why(const struct exchange *x)
{
    if (x->ending == ENDING_REFUSED && x->tried.has_pool)
        log_text("refused", x->tried.pool.reason);
    if (x->reply.reason.len > 0)
        log_text("reason", x->reply.reason);
    heard_log(x);
}

/* What a caller does is no failure of ours. */
static bool is_well(const struct exchange *x)
{
    return x->ending == ENDING_GONE || (x->ending == ENDING_OK && x->reply.status < 400);
}

static void log_finished(struct exchange *x, uint64_t now_ns)
{
    const struct request *r = &x->request;
    x->kept.lines.max = HISTORY_LINES_MAX; /* there is room for this one */
    if (!exchange_log(x, is_well(x) ? LOG_INFO : LOG_WARN, "exchange finished"))
        return;
    log_text("method", r->message.request.method);
    log_text("path", r->message.request.path);
    if (r->facts.model_count > 0)
        log_text("model", r->facts.models[0]);
    log_number("status", (uint64_t)x->reply.status);
    log_route(&x->route, r->attempts);
    if (r->attempts > r->places)
        log_number("tries_in_place", r->attempts - r->places);
    if (r->sent_again > 0)
        log_number("sent_again", r->sent_again);
    log_number("bytes_in", r->body_bytes);
    log_number("bytes_out", x->reply.bytes);
    log_usage(&x->reply.usage);
    log_times(x, now_ns);
    log_why(x);
    if (x->kept.left_out > 0)
        log_number("lines_left_out", x->kept.left_out);
    log_string("end", ending_word(x->ending));
    log_end();
}

/* For whoever asks later why it went so. */
static void remember(struct exchange *x)
{
    const struct finished_request finished = {
        .id = x->request.id, .others = x->heard_ids, .lines = buf_slice(&x->kept.lines)};
    if (finished.lines.len > 0)
        state_remember(x->proxy->state, &finished, x->config->history.requests);
    buf_fini(&x->kept.lines);
}

static void count_finished(const struct exchange *x, uint64_t now_ns)
{
    struct metrics *m = x->proxy->metrics;
    const struct http_message *message = &x->request.message;
    uint64_t not_ours_ns = message->complete_ns + x->times.waited_ns;
    int status = x->reply.status;
    enum counter c = COUNT_REQUESTS_2XX;
    if (x->ending == ENDING_GONE)
        c = COUNT_REQUESTS_GONE;
    else if (status == 429)
        c = COUNT_REQUESTS_429;
    else if (status == 529)
        c = COUNT_REQUESTS_529;
    else if (status >= 500)
        c = COUNT_REQUESTS_5XX;
    else if (status >= 400)
        c = COUNT_REQUESTS_4XX;
    else if (status >= 300)
        c = COUNT_REQUESTS_3XX;
    metrics_add(m, c, 1);
    metrics_observe(m, HISTOGRAM_TOTAL, now_ns - message->head_ns);
    if (x->times.out_ns > not_ours_ns)
        metrics_observe(m, HISTOGRAM_OVERHEAD, x->times.out_ns - not_ours_ns);
}

static void finish_enter(struct exchange *x)
{
    uint64_t now_ns = clock_ns();
    assert(x->attempt.admission == NULL && x->attempt.upstream == NULL && x->caller == NULL);
    assert(!x->lease.is_held && !doubt_holds(&x->doubt));
    move_fini(x);
    log_finished(x, now_ns);
    remember(x);
    count_finished(x, now_ns);
    buf_fini(&x->last_error.body);
    buf_fini(&x->reply.held);
    list_remove(&x->link);
    x->proxy->exchange_count--;
    metrics_move(x->proxy->metrics, GAUGE_EXCHANGES_ACTIVE, -1);
    config_release(x->config);
    http_message_fini(&x->request.message);
    free(x);
}

const struct step step_finish = {.enter = finish_enter};
