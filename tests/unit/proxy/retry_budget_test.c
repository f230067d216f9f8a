/* How often requests may be sent again. */
#include "proxy/retry_budget.h"

#include "check.h"

enum { START_MS = 1000000 };

static unsigned spend_all(struct retry_budget *b, uint64_t now_ms)
{
    unsigned tries = 0;
    while (retry_budget_spend(b, now_ms))
        tries++;
    return tries;
}

int main(void)
{
    struct retry_budget b;
    PROMISE("a few tries at once, then none")
    {
        retry_budget_init(&b, START_MS);
        CHECK(spend_all(&b, START_MS) == 5);
        CHECK(!retry_budget_spend(&b, START_MS));
    }
    PROMISE("of a thousand requests that all fail, at most one in five is sent again")
    {
        unsigned tries = 0;
        retry_budget_init(&b, START_MS);
        for (unsigned i = 0; i < 1000; i++) {
            retry_budget_earn(&b, 15);
            tries += retry_budget_spend(&b, START_MS) ? 1 : 0;
        }
        CHECK(tries >= 150 && tries <= 200);
    }
    PROMISE("what is not used is kept up to a few only, earned by requests or by time")
    {
        for (unsigned i = 0; i < 1000; i++)
            retry_budget_earn(&b, 15);
        CHECK(spend_all(&b, START_MS) == 5);
        CHECK(spend_all(&b, START_MS + RETRY_REFILL_MS) == 1);
        CHECK(spend_all(&b, START_MS + 1000 * (uint64_t)RETRY_REFILL_MS) == 5);
    }
    PROMISE("a clock that stands still or goes back earns nothing")
    {
        CHECK(spend_all(&b, START_MS) == 0);
    }
    return check_done();
}
