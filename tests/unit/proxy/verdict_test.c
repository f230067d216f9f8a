#include "proxy/verdict.h"

#include "check.h"

static const struct config config = {.rate_limit = {.cooldown_seconds = 60}};

static struct verdict verdict(enum answer_scope scope, enum for_request request,
                              enum for_subscription subscription, long long time_ms)
{
    struct meaning m = {.class = CLASS_LIMITED,
                        .scope = scope,
                        .request = request,
                        .subscription = subscription,
                        .has_time = time_ms >= 0,
                        .time_ms = time_ms >= 0 ? (uint64_t)time_ms : 0,
                        .reason = "why"};
    return verdict_of(&m, &config, false);
}

static uint64_t cooling(enum answer_scope scope, enum for_subscription subscription,
                        long long time_ms)
{
    return verdict(scope, REQUEST_OURS, subscription, time_ms).cooldown_ms;
}

static void test_request(void)
{
    struct meaning bare = {.class = CLASS_BARE, .request = REQUEST_ONE_HOP};
    PROMISE("what is the caller's goes to the caller, anything else to the next subscription")
    {
        CHECK(!verdict(SCOPE_REQUEST, REQUEST_VERBATIM, SUBSCRIPTION_NONE, -1).is_next);
        CHECK(verdict(SCOPE_REQUEST, REQUEST_ELSEWHERE, SUBSCRIPTION_NONE, -1).is_next);
        CHECK(verdict(SCOPE_PROVIDER, REQUEST_AGAIN, SUBSCRIPTION_NONE, -1).is_next);
        CHECK(verdict(SCOPE_WINDOW, REQUEST_OURS, SUBSCRIPTION_UNTIL_RESET, -1).is_next);
    }
    PROMISE("a limit without a name is worth one hop, not a walk through the pool")
    {
        CHECK(verdict_of(&bare, &config, false).is_next);
        CHECK(!verdict_of(&bare, &config, true).is_next);
    }
}

static void test_cooling(void)
{
    static const enum answer_scope others[] = {SCOPE_REQUEST, SCOPE_ADDRESS, SCOPE_PROVIDER};
    PROMISE("it cools for as long as it was told, as configured if it was told nothing")
    {
        CHECK(cooling(SCOPE_SUBSCRIPTION, SUBSCRIPTION_COOL, 17000) == 17000);
        CHECK(cooling(SCOPE_SUBSCRIPTION, SUBSCRIPTION_COOL, -1) == 60000);
        CHECK(cooling(SCOPE_SUBSCRIPTION, SUBSCRIPTION_COOL, 0) == 0);
        CHECK(cooling(SCOPE_WINDOW, SUBSCRIPTION_UNTIL_RESET, 3600000) == 3600000);
        CHECK(cooling(SCOPE_CREDENTIAL, SUBSCRIPTION_SUSPECT, -1) == 60000);
    }
    PROMISE("an unpaid bill is looked at again after a while, if nobody said when")
    {
        CHECK(cooling(SCOPE_SUBSCRIPTION, SUBSCRIPTION_NO_CREDIT, -1) == 600000);
        CHECK(cooling(SCOPE_SUBSCRIPTION, SUBSCRIPTION_OUT, -1) == 600000);
        CHECK(cooling(SCOPE_SUBSCRIPTION, SUBSCRIPTION_NO_CREDIT, 5000) == 5000);
    }
    PROMISE("what speaks of a request alone, or of more than the subscription, closes nothing")
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        CHECK(cooling(others[i], SUBSCRIPTION_COOL, 17000) == 0);
        CHECK(cooling(others[i], SUBSCRIPTION_UNTIL_RESET, 17000) == 0);
        CHECK(cooling(others[i], SUBSCRIPTION_SUSPECT, -1) == 0);
    }
    PROMISE("what speaks of a model or a group of paths closes it to these, and to no others")
    {
        CHECK(verdict(SCOPE_MODEL, REQUEST_OURS, SUBSCRIPTION_COOL, 9).closes == CLOSES_MODEL);
        CHECK(verdict(SCOPE_ENDPOINT, REQUEST_OURS, SUBSCRIPTION_COOL, 9).closes == CLOSES_GROUP);
        CHECK(verdict(SCOPE_WINDOW, REQUEST_OURS, SUBSCRIPTION_COOL, 9).closes == CLOSES_ALL);
        CHECK(cooling(SCOPE_MODEL, SUBSCRIPTION_UNTIL_RESET, 17000) == 17000);
        CHECK(verdict(SCOPE_ENDPOINT, REQUEST_OURS, SUBSCRIPTION_COOL, -1).is_usual);
    }
}

static void test_health(void)
{
    PROMISE("a refused credential is doubted, a fault is told, a limit says nothing of health")
    {
        CHECK(verdict(SCOPE_CREDENTIAL, REQUEST_OURS, SUBSCRIPTION_SUSPECT, -1).health ==
              HEALTH_SUSPECT);
        CHECK(verdict(SCOPE_SUBSCRIPTION, REQUEST_OURS, SUBSCRIPTION_PENALTY, -1).health ==
              HEALTH_BAD);
        CHECK(verdict(SCOPE_SUBSCRIPTION, REQUEST_OURS, SUBSCRIPTION_COOL, 9).health ==
              HEALTH_NONE);
    }
    PROMISE("no answer is the subscription's fault, unless it was this node that could not ask")
    {
        CHECK(verdict_no_answer(ERR_CONNECT).health == HEALTH_BAD);
        CHECK(verdict_no_answer(ERR_SHORTAGE).health == HEALTH_NONE);
        CHECK(verdict_no_answer(ERR_LOST).health == HEALTH_NONE);
    }
    PROMISE("a fault and an overload cool nothing")
    {
        CHECK(cooling(SCOPE_SUBSCRIPTION, SUBSCRIPTION_PENALTY, 5000) == 0);
        CHECK(cooling(SCOPE_SUBSCRIPTION, SUBSCRIPTION_NONE, 5000) == 0);
    }
}

static void test_no_answer(void)
{
    PROMISE("no answer at all: the next subscription, nothing cools, and the reason is the error's")
    {
        struct verdict v = verdict_no_answer(ERR_CONNECT);
        CHECK(v.is_next && v.cooldown_ms == 0 && strcmp(v.reason, "connect") == 0);
    }
}

int main(void)
{
    test_request();
    test_cooling();
    test_health();
    test_no_answer();
    return check_done();
}
