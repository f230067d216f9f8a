/* An exchange is driven from outside: by its caller's connection, by the provider's call, by Redis
 * and by the node. Each of these events is told to the present step, by the table; what a step
 * decides goes through one door, exchange_go(). Nothing here knows what any step does. */
#include <assert.h>

#include "auth/client.h"
#include "base/mem.h"
#include "proxy/exchange_priv.h"

static const struct {
    const char *word;
    unsigned to; /* bit set of steps */
    const struct step *step;
} steps[STEPS] = {
#define X(NAME, word, to) [STEP_##NAME] = {#word, to, &step_##word},
    STEP_TABLE(X)
#undef X
};

/* ---- the door ---- */

const char *exchange_step_word(const struct exchange *x)
{
    return steps[x->step].word;
}

bool exchange_may_go(enum step_name from, enum step_name to)
{
    return (steps[from].to >> to & 1U) != 0;
}

bool exchange_log(struct exchange *x, enum log_level level, const char *event)
{
    bool is_kept = level <= LOG_INFO && x->config->history.requests > 0;
    if (!log_begin_kept(level, event, is_kept ? &x->kept : NULL))
        return false;
    log_text("id", x->request.id);
    log_text("client", x->request.client);
    return true;
}

void exchange_go(struct exchange *x, enum step_name step)
{
    assert(exchange_may_go(x->step, step));
    if (exchange_log(x, LOG_DEBUG, "step")) {
        log_string("from", steps[x->step].word);
        log_string("to", steps[step].word);
        log_end();
    }
    x->step = step;
    steps[step].step->enter(x);
}

void exchange_end(struct exchange *x, enum ending ending)
{
    x->ending = ending;
    exchange_go(x, STEP_FINISH);
}

void exchange_say(struct exchange *x, int status, uint64_t retry_ms, const char *text)
{
    struct slice copy = arena_copy(&x->request.message.arena, slice_of(text));
    x->words = (struct own_words){.status = status, .retry_ms = retry_ms, .text = copy};
    exchange_go(x, STEP_ANSWER);
}

/* ---- what happens to it ---- */

void exchange_tell(struct exchange *x, const struct upstream_event *event)
{
    assert(steps[x->step].step->on_upstream != NULL);
    steps[x->step].step->on_upstream(x, event);
}

void exchange_stop(struct exchange *x, const char *why)
{
    assert(steps[x->step].step->on_stop != NULL);
    steps[x->step].step->on_stop(x, why);
}

static void on_caller_taken(void *arg)
{
    struct exchange *x = arg;
    if (steps[x->step].step->on_taken != NULL)
        steps[x->step].step->on_taken(x);
}

static void on_caller_gone(void *arg)
{
    struct exchange *x = arg;
    assert(steps[x->step].step->on_gone != NULL);
    x->caller = NULL;
    steps[x->step].step->on_gone(x);
}

/* Between the grant and the first byte this node may have stood still. */
static bool may_send(void *arg)
{
    const struct exchange *x = arg;
    return x->attempt.lease->is_held && state_lease_is_fresh(x->proxy->state);
}

static void on_upstream_head(const struct http1_response *response, void *arg)
{
    const struct upstream_event event = {.kind = UPSTREAM_HEAD, .head = response};
    exchange_tell(arg, &event);
}

static void on_upstream_body(const struct slice *pieces, unsigned count, bool is_end, void *arg)
{
    struct exchange *x = arg;
    const struct upstream_event event = {
        .kind = UPSTREAM_BODY, .pieces = pieces, .count = count, .is_end = is_end};
    if (is_end)
        x->attempt.upstream = NULL;
    exchange_tell(x, &event);
}

static void on_upstream_failed(enum err err, const char *detail, void *arg)
{
    struct exchange *x = arg;
    const struct upstream_event event = {.kind = UPSTREAM_FAILED, .err = err, .detail = detail};
    x->attempt.upstream = NULL;
    exchange_tell(x, &event);
}

static void on_upstream_sent_again(void *arg)
{
    struct exchange *x = arg;
    x->request.sent_again++;
    metrics_add(x->proxy->metrics, COUNT_SENT_AGAIN, 1);
}

const struct upstream_events exchange_upstream_events = {
    .may_send = may_send,
    .on_head = on_upstream_head,
    .on_body = on_upstream_body,
    .on_sent_again = on_upstream_sent_again,
    .on_failed = on_upstream_failed,
};

/* ---- its beginning ---- */

static struct exchange *exchange_new(struct proxy *p, struct connection *caller,
                                     struct http_message *message)
{
    struct exchange *x = mem_new(sizeof(*x));
    x->proxy = p;
    x->config = config_hold(p->config);
    x->caller = caller;
    http_message_move(&x->request.message, message);
    buf_init(&x->last_error.body, HELD_MAX);
    buf_init(&x->reply.held, HELD_MAX);
    buf_init(&x->kept.lines, KEPT_LINES_MAX);
    doubt_init(&x->doubt);
    deadline_init(&x->move.deadline, (loop_fn)NULL, x);
    list_push(&p->exchanges, &x->link);
    p->exchange_count++;
    metrics_move(p->metrics, GAUGE_EXCHANGES_ACTIVE, 1);
    return x;
}

void exchange_open(struct proxy *p, struct connection *caller, struct http_message *message)
{
    static const struct connection_events events = {on_caller_taken, on_caller_gone};
    struct exchange *x = exchange_new(p, caller, message);
    struct request *r = &x->request;
    struct http_message *m = &r->message;
    connection_bind(caller, &events, x);
    retry_budget_earn(p->retries, x->config->retry.percent);
    r->dialect = m->purpose;
    r->id = m->id;
    r->client = client_name(&m->request, m->peer, &m->arena);
    r->body = buf_slice(&m->body);
    r->body_bytes = r->body.len;
    r->dialect->read_facts(&m->request, r->body, &m->arena, &r->facts);
    exchange_go(x, STEP_ADMIT); /* where it is: as it goes when a grant is given back */
}
