/* Opening, admitting and finishing. The map stands in exchange.h. */
#include "proxy/exchange.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "auth/client.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/number.h"
#include "proxy/forward.h"

static const char *const step_words[] = {
#define X(name, word) [STEP_##name] = word,
    STEP_TABLE(X)
#undef X
};

#define BIT(name) (1U << STEP_##name)
static const unsigned step_moves[] = {
    [STEP_RECEIVE] = BIT(ADMIT) | BIT(ANSWER),
    [STEP_ADMIT] = BIT(SEND) | BIT(ANSWER) | BIT(FINISH),
    [STEP_SEND] = BIT(RELAY) | BIT(COLLECT) | BIT(ADMIT) | BIT(ANSWER) | BIT(FINISH),
    [STEP_COLLECT] = BIT(ADMIT) | BIT(ANSWER) | BIT(FINISH),
    [STEP_RELAY] = BIT(FINISH) | BIT(ADMIT) | BIT(ANSWER),
    [STEP_ANSWER] = BIT(FINISH),
    [STEP_FINISH] = 0,
};

void exchange_go(struct exchange *x, enum step step)
{
    assert(step_moves[x->step] & (1U << step));
    if (log_begin(LOG_DEBUG, "step")) {
        log_text("id", x->id);
        log_string("from", step_words[x->step]);
        log_string("to", step_words[step]);
        log_end();
    }
    x->step = step;
}

void proxy_init(struct proxy *p)
{
    list_init(&p->exchanges);
}

void proxy_fini(struct proxy *p)
{
    config_release(p->config);
}

void proxy_use_config(struct proxy *p, struct config *config)
{
    config_release(p->config);
    p->config = config_hold(config);
}

void proxy_handle(struct proxy *p, struct connection *call, struct http_message *message)
{
    exchange_open(p, call, message);
}

static void on_drained(void *arg)
{
    exchange_relay_drained(arg);
}

static void on_gone(void *arg);

static const struct connection_events call_events = {on_drained, on_gone};

static void on_collect_late(void *arg)
{
    struct exchange *x = arg;
    upstream_cancel(x->attempt.upstream);
    x->attempt.upstream = NULL;
    x->is_error_whole = false;
    exchange_attempt_over(x);
}

static struct exchange *exchange_new(struct proxy *p, struct connection *call,
                                     struct http_message *message)
{
    struct exchange *x = mem_new(sizeof(*x));
    x->proxy = p;
    x->config = config_hold(p->config);
    x->call = call;
    http_message_move(&x->message, message);
    x->body = buf_slice(&x->message.body);
    x->body_bytes = x->body.len;
    x->head_ns = x->message.head_ns;
    x->complete_ns = x->message.complete_ns;
    buf_init(&x->error_body, ERROR_BODY_MAX);
    buf_init(&x->held, HELD_MAX);
    deadline_init(&x->collect_deadline, on_collect_late, x);
    list_init(&x->renewal.link);
    list_init(&x->attempt.lease.link);
    list_push(&p->exchanges, &x->link);
    p->exchange_count++;
    metrics_move(p->metrics, GAUGE_EXCHANGES_ACTIVE, 1);
    return x;
}

/* weir_<boot>-<worker>-<count>: told to the caller, found in the log. */
static struct slice make_id(struct proxy *p, struct arena *arena)
{
    char worker[NUMBER_TEXT_MAX], count[NUMBER_TEXT_MAX], id[3 * NUMBER_TEXT_MAX];
    const struct slice parts[] = {SLICE("weir_"), slice_of(p->node->boot),
                                  SLICE("-"),     number_decimal(p->worker, worker),
                                  SLICE("-"),     number_decimal(++p->sequence, count)};
    size_t len = 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        memcpy(id + len, parts[i].at, parts[i].len);
        len += parts[i].len;
    }
    return arena_copy(arena, (struct slice){id, len});
}

void exchange_open(struct proxy *p, struct connection *call, struct http_message *message)
{
    struct exchange *x = exchange_new(p, call, message);
    struct request_facts facts = {0};
    connection_bind(call, &call_events, x);
    x->id = make_id(p, &x->message.arena);
    x->client = client_name(&x->message.request, x->message.peer, &x->message.arena);
    if (!access_to_proxy(x->config, x->message.is_local)) {
        exchange_go(x, STEP_ANSWER);
        exchange_answer_error(x, 401, 0,
                              "this caller is not local to the node, and callers from elsewhere "
                              "are not admitted (\"auth\" in the node's configuration)");
        return;
    }
    const char *refusal = forward_refusal(&x->message.request);
    if (refusal != NULL) {
        exchange_go(x, STEP_ANSWER);
        exchange_answer_error(x, 400, 0, refusal);
        return;
    }
    request_facts_read(x->body, &facts);
    x->model = arena_copy(&x->message.arena, slice_of(facts.model));
    exchange_go(x, STEP_ADMIT);
    exchange_admit(x);
}

static void log_route(const struct exchange *x, const struct grant *grant)
{
    if (!log_begin(x->attempts > 1 ? LOG_INFO : LOG_DEBUG, "route"))
        return;
    log_text("id", x->id);
    log_text("client", x->client);
    log_text("subscription", grant->subscription);
    log_text("reason", x->how);
    log_number("slots_used", x->slots_used);
    log_number("slots", x->slots);
    log_number("attempt", x->attempts);
    log_end();
}

static void on_lease_lost(struct lease *lease, void *arg)
{
    (void)lease;
    exchange_lease_lost(arg);
}

/* The pool lends a subscription that this node's configuration does not have: give it back, ask for
 * another. Happens while a changed configuration makes its way around. */
static void give_back(struct exchange *x, const struct grant *grant)
{
    struct settlement nothing = {.outcome = OUTCOME_CANCELLED};
    log_message(LOG_WARN, "the pool has a subscription this node's configuration has not: %.*s",
                SLICE_ARG(grant->subscription));
    state_settle(x->proxy->state, &x->attempt.lease, &nothing);
    exchange_admit(x);
}

static void remember_tried(struct exchange *x, struct slice name)
{
    x->tried = x->tried.len == 0 ? arena_copy(&x->message.arena, name)
                                 : arena_printf(&x->message.arena, "%.*s %.*s", SLICE_ARG(x->tried),
                                                SLICE_ARG(name));
}

static void on_granted(struct exchange *x, const struct grant *grant)
{
    struct attempt *a = &x->attempt;
    remember_tried(x, grant->subscription);
    if (x->call == NULL) { /* the caller left while we asked */
        exchange_settle(x, OUTCOME_CANCELLED);
        exchange_finish(x, ENDING_GONE);
        return;
    }
    a->subscription = config_subscription(x->config, grant->subscription);
    if (a->subscription == NULL) {
        give_back(x, grant);
        return;
    }
    x->attempts++;
    x->how = arena_copy(&x->message.arena, grant->how);
    x->slots_used = grant->active;
    x->slots = grant->max;
    log_route(x, grant);
    exchange_go(x, STEP_SEND);
    exchange_send(x);
}

static void on_admitted(enum err err, const struct grant *grant, const struct refusal *refusal,
                        void *arg)
{
    struct exchange *x = arg;
    if (x->admitted_ns == 0) {
        x->admitted_ns = clock_ns();
        metrics_observe(x->proxy->metrics, HISTOGRAM_ADMISSION, x->admitted_ns - x->complete_ns);
    }
    if (err == OK) {
        on_granted(x, grant);
        return;
    }
    if (x->call == NULL) {
        exchange_finish(x, ENDING_GONE);
        return;
    }
    exchange_go(x, STEP_ANSWER);
    if (x->attempts > 0)
        exchange_answer_last_error(x);
    else if (err == ERR_REFUSED)
        exchange_answer_refused(x, refusal);
    else
        exchange_answer_error(x, 503, 1000,
                              err == ERR_STATE_DOWN
                                  ? "the node cannot reach its Redis at the moment; try again"
                                  : "the node's Redis answered with an error; try again");
}

void exchange_admit(struct exchange *x)
{
    struct admit_request request = {x->client, x->model, x->tried};
    struct lease *lease = &x->attempt.lease;
    x->attempt = (struct attempt){.started_ns = clock_ns()};
    list_init(&lease->link);
    lease->on_lost = on_lease_lost;
    lease->arg = x;
    state_admit(x->proxy->state, lease, &request, on_admitted, x);
}

/* The caller has gone: the provider's request ends now, the lease is settled with what was used. */
static void on_gone(void *arg)
{
    struct exchange *x = arg;
    x->call = NULL;
    if (x->step == STEP_ADMIT)
        return; /* on_admitted finishes it */
    upstream_cancel(x->attempt.upstream);
    x->attempt.upstream = NULL;
    exchange_settle(x, OUTCOME_CANCELLED);
    exchange_finish(x, ENDING_GONE);
}

/* The node must stop: cut the answer off; where none has begun, say why (but not while Redis is
 * still to answer, for then x must stay). */
static void break_now(struct exchange *x)
{
    if (x->step == STEP_ADMIT) {
        answer_abandon(x->call);
        x->call = NULL;
        return; /* on_admitted finishes it */
    }
    upstream_cancel(x->attempt.upstream);
    x->attempt.upstream = NULL;
    exchange_broken(x, "the node is stopping; try again");
}

void proxy_break_all(struct proxy *p)
{
    LIST_EACH (link, &p->exchanges) {
        struct exchange *x = LIST_OWNER(link, struct exchange, link);
        if (x->call != NULL)
            break_now(x);
    }
}

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

static void log_finished(const struct exchange *x, enum ending ending, uint64_t now_ns)
{
    const struct usage *u = &x->usage;
    if (!log_begin(LOG_INFO, "exchange finished"))
        return;
    log_text("id", x->id);
    log_text("client", x->client);
    log_text("method", x->message.request.method);
    log_text("path", x->message.request.path);
    if (x->model.len > 0)
        log_text("model", x->model);
    log_number("status", (uint64_t)x->status);
    if (x->attempt.subscription != NULL)
        log_string("subscription", x->attempt.subscription->name);
    log_number("attempts", x->attempts);
    if (x->how.len > 0) {
        log_text("route", x->how);
        log_number("slots_used", x->slots_used);
        log_number("slots", x->slots);
    }
    log_number("bytes_in", x->body_bytes);
    log_number("bytes_out", x->bytes_down);
    if (u->is_known) {
        log_number("input", u->input);
        log_number("output", u->output);
        log_number("cache_read", u->cache_read);
        log_number("cache_write", u->cache_write_5m + u->cache_write_1h);
    }
    if (x->admitted_ns > 0)
        log_micros("admission_ms", x->admitted_ns - x->complete_ns);
    if (x->first_byte_ns > 0)
        log_micros("first_byte_ms", x->first_byte_ns - x->complete_ns);
    log_micros("total_ms", now_ns - x->head_ns);
    log_string("end", ending_word(ending));
    log_end();
}

static void count_finished(const struct exchange *x, enum ending ending, uint64_t now_ns)
{
    struct metrics *m = x->proxy->metrics;
    enum counter c = COUNT_REQUESTS_2XX;
    if (ending == ENDING_GONE)
        c = COUNT_REQUESTS_GONE;
    else if (x->status == 429)
        c = COUNT_REQUESTS_429;
    else if (x->status == 529)
        c = COUNT_REQUESTS_529;
    else if (x->status >= 500)
        c = COUNT_REQUESTS_5XX;
    else if (x->status >= 400)
        c = COUNT_REQUESTS_4XX;
    else if (x->status >= 300)
        c = COUNT_REQUESTS_3XX;
    metrics_add(m, c, 1);
    metrics_observe(m, HISTOGRAM_TOTAL, now_ns - x->head_ns);
    if (x->out_ns > x->complete_ns + x->waited_ns)
        metrics_observe(m, HISTOGRAM_OVERHEAD, x->out_ns - x->complete_ns - x->waited_ns);
}

void exchange_finish(struct exchange *x, enum ending ending)
{
    uint64_t now_ns = clock_ns();
    exchange_go(x, STEP_FINISH);
    assert(x->attempt.upstream == NULL && !x->attempt.lease.is_held);
    log_finished(x, ending, now_ns);
    count_finished(x, ending, now_ns);
    deadline_clear(&x->collect_deadline);
    state_wait_cancel(&x->renewal);
    watch_free(x->watch);
    buf_fini(&x->error_body);
    buf_fini(&x->held);
    list_remove(&x->link);
    x->proxy->exchange_count--;
    metrics_move(x->proxy->metrics, GAUGE_EXCHANGES_ACTIVE, -1);
    config_release(x->config);
    http_message_fini(&x->message);
    free(x);
}
