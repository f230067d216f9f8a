/* Which heads are unusually late. */
#include "proxy/pace.h"

#include "check.h"

int main(void)
{
    PROMISE("a few answers say nothing")
    {
        struct pace pace = {0};
        for (unsigned i = 0; i + 1 < PACE_KNOWN; i++)
            pace_note(&pace, 500);
        CHECK(pace_p99_ms(&pace) == 0);
        pace_note(&pace, 500);
        CHECK(pace_p99_ms(&pace) >= 500);
    }
    PROMISE("it is what 99 of 100 keep to, within a fifth, and one odd one moves nothing")
    {
        struct pace pace = {0};
        for (unsigned i = 0; i < 1000; i++)
            pace_note(&pace, i % 200 == 0 ? 100000 : 1000);
        CHECK(pace_p99_ms(&pace) >= 1000 && pace_p99_ms(&pace) <= 1250);
        for (unsigned i = 0; i < 100; i++)
            pace_note(&pace, 30000);
        CHECK(pace_p99_ms(&pace) >= 30000);
    }
    PROMISE("what was long ago is forgotten")
    {
        struct pace pace = {0};
        for (unsigned i = 0; i < 4000; i++)
            pace_note(&pace, 60000);
        for (unsigned i = 0; i < 40000; i++)
            pace_note(&pace, 100);
        CHECK(pace_p99_ms(&pace) <= 150);
    }
    PROMISE("the shortest and the longest have their place")
    {
        struct pace pace = {0};
        for (unsigned i = 0; i < PACE_KNOWN; i++)
            pace_note(&pace, 0);
        CHECK(pace_p99_ms(&pace) == 25);
        for (unsigned i = 0; i < PACE_KNOWN; i++)
            pace_note(&pace, UINT64_MAX);
        CHECK(pace_p99_ms(&pace) > 1800000);
    }
    return check_done();
}
