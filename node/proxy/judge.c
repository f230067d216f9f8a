/* What an answer means for those who wait for it: the dialect says what it is, verdict.c what
 * follows from that, and here it is noted, once, for the caller, the pool, the log, the metrics. */
#include "base/clock.h"
#include "proxy/exchange_priv.h"

/* What the pool concludes it says in its events; this is what this answer would have it do. */
static const char *what_follows(const struct verdict *verdict)
{
    if (verdict->health == HEALTH_SUSPECT)
        return verdict->closes == CLOSES_ALL ? "credential doubted" : "doubted for such requests";
    return verdict->closes == CLOSES_ALL ? "subscription cooling"
                                         : "subscription closed to such requests";
}

static void log_cooling(struct exchange *x)
{
    const struct attempt *a = &x->attempt;
    bool is_alert = a->meaning.subscription == SUBSCRIPTION_OUT ||
                    a->meaning.subscription == SUBSCRIPTION_NO_CREDIT;
    metrics_add(x->proxy->metrics, COUNT_COOLDOWNS, 1);
    if (!exchange_log(x, is_alert ? LOG_ERROR : LOG_WARN, what_follows(&a->verdict)))
        return;
    log_string("subscription", x->route.subscription->name);
    log_number("status", (uint64_t)a->status);
    log_string("class", answer_class_word(a->meaning.class));
    log_string("scope", answer_scope_word(a->meaning.scope));
    log_number("seconds", (a->verdict.cooldown_ms + 999) / 1000);
    log_string("reason", a->verdict.reason);
    heard_log(x);
    log_end();
}

/* It closes nothing, but the next one is asked. */
static void log_failed(struct exchange *x)
{
    const struct attempt *a = &x->attempt;
    if (!exchange_log(x, LOG_WARN, "attempt failed"))
        return;
    log_string("subscription", x->route.subscription->name);
    log_number("status", (uint64_t)a->status);
    log_string("class", answer_class_word(a->meaning.class));
    log_string("scope", answer_scope_word(a->meaning.scope));
    log_string("reason", a->verdict.reason);
    heard_log(x);
    log_end();
}

static bool is_limit(enum answer_class class)
{
    return class == CLASS_WINDOW || class == CLASS_LIMITED || class == CLASS_RAMP ||
           class == CLASS_EXTRA || class == CLASS_BARE;
}

/* Passed on as it is only if it is the API's own, whole, and says by its status that it is one. */
static void keep_words(struct exchange *x)
{
    struct last_error *last = &x->last_error;
    struct reply *reply = &x->reply;
    struct buf unused = last->body;
    bool is_of_api = reply->watch != NULL && watch_error(reply->watch).type.len > 0;
    *last = (struct last_error){
        .head = reply->head,
        .body = reply->held,
        .is_whole = reply->has_all && is_of_api && reply->head.status >= 400,
        .status = x->attempt.status,
        .reason = x->attempt.verdict.reason,
    };
    reply->held = unused;
    if (!last->is_whole)
        attempt_forget_error(x);
}

/* Which window it was, for people. */
static const char *reason_of(struct exchange *x)
{
    const struct meaning *m = &x->attempt.meaning;
    if (m->window[0] == '\0')
        return m->reason;
    return arena_printf(&x->request.message.arena, "%s: %s", m->reason, m->window).at;
}

bool judge_answer(struct exchange *x)
{
    struct attempt *a = &x->attempt;
    const struct watch *watch = x->reply.watch;
    struct error_words said = {SLICE_NONE, SLICE_NONE, SLICE_NONE};
    bool is_error = a->signs.status >= 400;
    if (watch != NULL) {
        said = watch_error(watch);
        is_error |= watch_said(watch) == SAID_ERROR;
    }
    a->meaning = x->request.dialect->meaning(&a->signs, is_error ? &said : NULL);
    a->status = a->meaning.status;
    a->verdict = verdict_of(&a->meaning, x->config, x->tried.has_hopped);
    x->tried.has_hopped |= a->meaning.request == REQUEST_ONE_HOP;
    if (is_error)
        heard_error(x);
    if (!a->verdict.is_next)
        return false;
    a->verdict.reason = reason_of(x);
    metrics_add(x->proxy->metrics,
                is_limit(a->meaning.class) ? COUNT_ATTEMPTS_LIMITED : COUNT_ATTEMPTS_FAILED, 1);
    if (a->verdict.cooldown_ms > 0)
        log_cooling(x);
    else
        log_failed(x);
    tried_note(&x->tried, a->verdict.hope, a->verdict.retry_ms, slice_of(a->verdict.reason),
               clock_ns());
    if (a->verdict.hope == HOPE_PASSED)
        keep_words(x);
    return true;
}
