/* One rule for each consequence. */
#include "proxy/verdict.h"

/* Nothing but another request tells that a bill was paid: one is spent on it that often. */
enum { ASK_AGAIN_MS = 10 * 60 * 1000 };

static bool closes_something(enum answer_scope scope)
{
    return scope != SCOPE_REQUEST && scope != SCOPE_ADDRESS && scope != SCOPE_PROVIDER;
}

static enum closes closes_of(enum answer_scope scope)
{
    if (scope == SCOPE_MODEL)
        return CLOSES_MODEL;
    return scope == SCOPE_ENDPOINT ? CLOSES_GROUP : CLOSES_ALL;
}

static enum health health_of(enum for_subscription consequence)
{
    if (consequence == SUBSCRIPTION_SUSPECT)
        return HEALTH_SUSPECT;
    return consequence == SUBSCRIPTION_PENALTY ? HEALTH_BAD : HEALTH_NONE;
}

static uint64_t cooldown_ms(const struct meaning *m, const struct config *config)
{
    uint64_t usual_ms = (uint64_t)config->rate_limit.cooldown_seconds * 1000;
    if (!closes_something(m->scope))
        return 0;
    switch (m->subscription) {
    case SUBSCRIPTION_COOL:
    case SUBSCRIPTION_UNTIL_RESET:
        return m->has_time ? m->time_ms : usual_ms;
    case SUBSCRIPTION_SUSPECT:
        return usual_ms;
    case SUBSCRIPTION_NO_CREDIT:
    case SUBSCRIPTION_OUT:
        return m->has_time ? m->time_ms : ASK_AGAIN_MS;
    case SUBSCRIPTION_NONE:
    case SUBSCRIPTION_PENALTY:
        break;
    }
    return 0;
}

static enum hope hope_of(const struct meaning *m)
{
    if (m->class == CLASS_OVERLOADED)
        return HOPE_BUSY;
    if (m->class == CLASS_WINDOW || m->class == CLASS_LIMITED || m->class == CLASS_RAMP)
        return HOPE_LIMITED;
    return m->request == REQUEST_OURS ? HOPE_REFUSED : HOPE_PASSED;
}

struct verdict verdict_of(const struct meaning *m, const struct config *config, bool has_hopped)
{
    uint64_t cool_ms = cooldown_ms(m, config);
    bool is_hop = m->request == REQUEST_ONE_HOP && !has_hopped;
    return (struct verdict){
        .is_next = is_hop || (m->request != REQUEST_VERBATIM && m->request != REQUEST_ONE_HOP),
        .is_again = m->request == REQUEST_AGAIN,
        .hope = hope_of(m),
        .retry_ms = m->has_time ? m->time_ms : cool_ms,
        .health = health_of(m->subscription),
        .cooldown_ms = cool_ms,
        .is_usual = cool_ms > 0 && !m->has_time && m->subscription == SUBSCRIPTION_COOL,
        .closes = closes_of(m->scope),
        .reason = m->reason,
    };
}

/* A node that lacks something, or stood still, has not heard what the subscription would say. */
struct verdict verdict_no_answer(enum err err)
{
    bool is_ours = err == ERR_SHORTAGE || err == ERR_LOST;
    return (struct verdict){.is_next = true,
                            .hope = HOPE_PASSED,
                            .health = is_ours ? HEALTH_NONE : HEALTH_BAD,
                            .reason = err_word(err)};
}
