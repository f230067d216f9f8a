#include "format/moment.h"

#include <stdbool.h>
#include <string.h>

#include "check.h"

static const uint64_t ten_ms = UINT64_C(1795773600000); /* 2026-11-27 10:00:00 UTC */
static const uint64_t minute_ms = 60000;

static bool reads(uint64_t wall_ms, uint64_t in_ms, const char *wanted)
{
    char text[MOMENT_TEXT_MAX];
    size_t len = moment_words(wall_ms, in_ms, text);
    return len == strlen(wanted) && strcmp(text, wanted) == 0;
}

int main(void)
{
    PROMISE("what is near is told to the second, what is today to the minute, else with its day")
    {
        CHECK(reads(ten_ms, 0, "10:00:00 UTC"));
        CHECK(reads(ten_ms, 5000, "10:00:05 UTC"));
        CHECK(reads(ten_ms, 10 * minute_ms, "10:10 UTC"));
        CHECK(reads(ten_ms, 19 * 60 * minute_ms, "05:00 UTC"));
        CHECK(reads(ten_ms, 20 * 60 * minute_ms, "2026-11-28 06:00 UTC"));
    }
    PROMISE("a moment that is told has not come before it is told for")
    {
        CHECK(reads(ten_ms, 1, "10:00:01 UTC"));
        CHECK(reads(ten_ms + 999, 1, "10:00:01 UTC"));
        CHECK(reads(ten_ms + 1, 10 * minute_ms, "10:11 UTC"));
        CHECK(reads(ten_ms, 24 * 60 * minute_ms + 1, "2026-11-28 10:01 UTC"));
    }
    PROMISE("a time beyond all calendars is told without a mishap")
    {
        char text[MOMENT_TEXT_MAX];
        CHECK(moment_words(UINT64_MAX / 2, UINT64_MAX / 4, text) < sizeof(text));
    }
    return check_done();
}
