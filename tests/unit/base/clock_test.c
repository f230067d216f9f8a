#include "base/clock.h"

#include <time.h>

#include "base/slice.h"
#include "check.h"

static void says(uint64_t wall_ms, const char *expected)
{
    char text[CLOCK_TEXT_MAX];
    size_t len = clock_text(wall_ms, text);
    CHECK(len == strlen(text));
    CHECK_TEXT(slice_of(text), expected);
}

static void test_text(void)
{
    PROMISE("a time is written as RFC 3339 has it, in UTC, with milliseconds")
    {
        says(1795255200123, "2026-11-21T10:00:00.123Z");
        says(951782400000, "2000-02-29T00:00:00.000Z");
        says(1709251199999, "2024-02-29T23:59:59.999Z");
        says(253402300799999, "9999-12-31T23:59:59.999Z");
    }
    PROMISE("a time beyond the year 9999 is written as its end")
    {
        says(253402300800000, "9999-12-31T23:59:59.999Z");
        says(UINT64_MAX, "9999-12-31T23:59:59.999Z");
    }
    PROMISE("what was written before does not show in what is written next")
    {
        says(1795255200007, "2026-11-21T10:00:00.007Z");
        says(1795255200070, "2026-11-21T10:00:00.070Z");
        says(1795255201070, "2026-11-21T10:00:01.070Z");
        says(1795255200070, "2026-11-21T10:00:00.070Z");
    }
}

static void test_first_second(void)
{
    PROMISE("the first second of 1970 is written like any other")
    {
        says(0, "1970-01-01T00:00:00.000Z");
        says(1000, "1970-01-01T00:00:01.000Z");
        says(999, "1970-01-01T00:00:00.999Z");
    }
}

static void test_clocks(void)
{
    PROMISE("the monotonic clock never goes back, and both units are one clock")
    {
        uint64_t last_ns = clock_ns();
        for (int i = 0; i < 1000; i++) {
            uint64_t ns = clock_ns();
            CHECK(ns >= last_ns);
            last_ns = ns;
        }
        CHECK(clock_ms() >= last_ns / 1000000 && clock_ms() <= clock_ns() / 1000000);
    }
    PROMISE("the wall clock is Unix time")
    {
        uint64_t before_s = (uint64_t)time(NULL);
        uint64_t wall_ms = clock_wall_ms();
        uint64_t after_s = (uint64_t)time(NULL);
        CHECK(wall_ms / 1000 + 1 >= before_s && wall_ms / 1000 <= after_s + 1);
    }
}

int main(void)
{
    test_first_second(); /* before anything else was written */
    test_text();
    test_clocks();
    return check_done();
}
