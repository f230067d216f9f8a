/* Ceilings, from their JSON to what the pool is told. */
#include "config/parsing.h"

static void test_limits(void)
{
    PROMISE("ceilings are shares of windows: a number is the soft one")
    {
        struct config *c = parse(SUB("\"limits\":{\"5h\":0.9,\"7d\":{\"soft\":0.8,\"hard\":0.95},"
                                     "\"7d_opus\":{\"hard\":1},\"1m.requests\":0.00001}"));
        CHECK(c != NULL && strcmp(c->subscriptions[0].limits,
                                  "5h:9000:0,7d:8000:9500,7d_opus:0:10000,1m.requests:1:0") == 0);
        config_release(c);
        c = parse(SUB("\"limits\":{}"));
        CHECK(c != NULL && c->subscriptions[0].limits == NULL);
        config_release(c);
    }
    PROMISE("what is no ceiling is refused by its place")
    {
        CHECK(refused(SUB("\"limits\":0.9"), "subscriptions[0].limits: found 0.9, expected at most "
                                             "16 windows"));
        CHECK(refused(SUB("\"limits\":{\"5h\":90}"), "subscriptions[0].limits.5h: found 90, "
                                                     "expected a share of the window"));
        CHECK(refused(SUB("\"limits\":{\"5h\":0}"), "found 0"));
        CHECK(refused(SUB("\"limits\":{\"5h\":\"90%\"}"), "found \"90%\""));
        CHECK(refused(SUB("\"limits\":{\"week\":0.5}"),
                      "subscriptions[0].limits.week: not the name of a window"));
        CHECK(refused(SUB("\"limits\":{\"7d_a,b\":0.5}"), "not the name of a window"));
        CHECK(refused(SUB("\"limits\":{\"7d\":{\"hard\":2}}"), "limits.7d.hard: found 2"));
        CHECK(refused(SUB("\"limits\":{\"7d\":{}}"), "limits.7d: found"));
        CHECK(refused(SUB("\"limits\":{\"7d\":{\"stop\":1}}"), "unknown field \"stop\""));
        CHECK(refused(SUB("\"limits\":{\"7d\":{\"soft\":0.9,\"hard\":0.8}}"), "above the hard"));
    }
}

int main(void)
{
    test_limits();
    return check_done();
}
