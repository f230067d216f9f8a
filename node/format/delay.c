/* A number comes first in all forms but the dates that begin with a day's name. Which number means
 * a moment shows its size: as a delay it would be longer than thirty years. */
#include "format/delay.h"

#include <string.h>
#include <time.h>

enum { TEXT_MAX = 48, NANOS = 1000000000, MS_PER_SECOND = 1000, NANOS_PER_MS = 1000000 };

#define SECONDS_MAX UINT64_C(1000000000)         /* as a delay thirty years, as a moment 2001 */
#define MOMENT_SECONDS_MAX UINT64_C(99999999999) /* the year 5138 */
#define MOMENT_MS_MAX (MOMENT_SECONDS_MAX * MS_PER_SECOND)

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits, perhaps with a fraction; what is behind them stays in `text`. */
static bool read_decimal(struct slice *text, uint64_t *whole, uint64_t *nanos)
{
    size_t digits = 0;
    while (digits < text->len && is_digit(text->at[digits]))
        digits++;
    if (!slice_number((struct slice){text->at, digits}, UINT64_MAX, whole))
        return false;
    *text = slice_from(*text, digits);
    *nanos = 0;
    if (text->len == 0 || text->at[0] != '.')
        return true;
    *text = slice_from(*text, 1);
    for (uint64_t unit = NANOS / 10; text->len > 0 && is_digit(text->at[0]); unit /= 10) {
        bool is_too_fine = unit == 0 && text->at[0] != '0';
        *nanos += is_too_fine ? 1 : unit * (uint64_t)(text->at[0] - '0');
        *text = slice_from(*text, 1);
    }
    return true;
}

static uint64_t until(uint64_t moment_ms, uint64_t wall_ms)
{
    return moment_ms > wall_ms ? moment_ms - wall_ms : 0;
}

static bool read_plain(uint64_t whole, uint64_t nanos, uint64_t wall_ms, uint64_t *after_ms)
{
    uint64_t part_ms = (nanos + NANOS_PER_MS - 1) / NANOS_PER_MS;
    if (whole < SECONDS_MAX)
        *after_ms = whole * MS_PER_SECOND + part_ms;
    else if (whole <= MOMENT_SECONDS_MAX)
        *after_ms = until(whole * MS_PER_SECOND + part_ms, wall_ms);
    else if (whole >= SECONDS_MAX * MS_PER_SECOND && whole <= MOMENT_MS_MAX)
        *after_ms = until(whole, wall_ms);
    else
        return false;
    return true;
}

/* --- durations --- */

static const struct {
    struct slice name;
    uint64_t nanos;
} units[] = {
    {.name = SLICE_ROW("ns"), .nanos = 1},
    {.name = SLICE_ROW("us"), .nanos = 1000},
    {.name = SLICE_ROW("ms"), .nanos = NANOS_PER_MS},
    {.name = SLICE_ROW("s"), .nanos = NANOS},
    {.name = SLICE_ROW("sec"), .nanos = NANOS},
    {.name = SLICE_ROW("secs"), .nanos = NANOS},
    {.name = SLICE_ROW("second"), .nanos = NANOS},
    {.name = SLICE_ROW("seconds"), .nanos = NANOS},
    {.name = SLICE_ROW("m"), .nanos = 60ULL * NANOS},
    {.name = SLICE_ROW("min"), .nanos = 60ULL * NANOS},
    {.name = SLICE_ROW("mins"), .nanos = 60ULL * NANOS},
    {.name = SLICE_ROW("minute"), .nanos = 60ULL * NANOS},
    {.name = SLICE_ROW("minutes"), .nanos = 60ULL * NANOS},
    {.name = SLICE_ROW("h"), .nanos = 3600ULL * NANOS},
    {.name = SLICE_ROW("hour"), .nanos = 3600ULL * NANOS},
    {.name = SLICE_ROW("hours"), .nanos = 3600ULL * NANOS},
    {.name = SLICE_ROW("d"), .nanos = 24ULL * 3600 * NANOS},
    {.name = SLICE_ROW("day"), .nanos = 24ULL * 3600 * NANOS},
    {.name = SLICE_ROW("days"), .nanos = 24ULL * 3600 * NANOS},
};

static bool read_unit(struct slice *text, uint64_t *unit_nanos)
{
    size_t len = 0;
    *text = slice_trim(*text);
    while (len < text->len && !is_digit(text->at[len]) && text->at[len] != ' ')
        len++;
    struct slice name = {text->at, len};
    *text = slice_trim(slice_from(*text, len));
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (slice_eq_nocase(name, units[i].name)) {
            *unit_nanos = units[i].nanos;
            return true;
        }
    }
    return false;
}

/* Numbers with units until the text ends; the first number has been read. */
static bool read_duration(struct slice text, uint64_t whole, uint64_t nanos, uint64_t *after_ms)
{
    const uint64_t sum_max = SECONDS_MAX * NANOS;
    uint64_t sum = 0, unit;
    for (;;) {
        if (!read_unit(&text, &unit) || whole > sum_max / unit)
            return false;
        /* a part of a unit that is whole seconds, or less than one: neither can overflow */
        uint64_t part = unit >= NANOS ? nanos * (unit / NANOS) : nanos * unit / NANOS;
        sum += whole * unit + part;
        if (sum > sum_max)
            return false;
        if (text.len == 0)
            break;
        if (!read_decimal(&text, &whole, &nanos))
            return false;
    }
    *after_ms = (sum + NANOS_PER_MS - 1) / NANOS_PER_MS;
    return true;
}

/* --- dates --- */

/* "Z", "+01:00": how far this zone is ahead of UTC, in seconds. */
static bool read_zone(const char *text, int64_t *ahead)
{
    struct tm tm = {0};
    *ahead = 0;
    if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
        return true;
    if (text[0] != '+' && text[0] != '-')
        return false;
    const char *end = strptime(text + 1, "%H:%M", &tm);
    *ahead = ((int64_t)tm.tm_hour * 60 + tm.tm_min) * 60;
    if (text[0] == '-')
        *ahead = -*ahead;
    return end != NULL && *end == '\0';
}

static bool read_stamp(const char *text, int64_t *seconds)
{
    struct tm tm = {0};
    int64_t ahead;
    const char *zone = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (zone == NULL)
        return false;
    if (*zone == '.') {
        tm.tm_sec++; /* rounded up */
        zone += 1 + strspn(zone + 1, "0123456789");
    }
    if (!read_zone(zone, &ahead))
        return false;
    *seconds = timegm(&tm) - ahead;
    return true;
}

static bool read_http_date(const char *text, int64_t *seconds)
{
    static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S", "%A, %d-%b-%y %H:%M:%S",
                                        "%a %b %e %H:%M:%S %Y"};
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct tm tm = {0};
        const char *end = strptime(text, forms[i], &tm);
        if (end != NULL &&
            (strcmp(end, " GMT") == 0 || strcmp(end, " UTC") == 0 || (i == 2 && *end == '\0'))) {
            *seconds = timegm(&tm);
            return true;
        }
    }
    return false;
}

static bool read_date(struct slice text, uint64_t wall_ms, uint64_t *after_ms)
{
    char copy[TEXT_MAX];
    int64_t seconds;
    if (text.len == 0 || text.len >= sizeof(copy))
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    if (!read_stamp(copy, &seconds) && !read_http_date(copy, &seconds))
        return false;
    *after_ms = until(seconds > 0 ? (uint64_t)seconds * MS_PER_SECOND : 0, wall_ms);
    return true;
}

bool delay_read(struct slice text, uint64_t wall_ms, uint64_t *after_ms)
{
    uint64_t whole, nanos;
    text = slice_trim(text);
    struct slice rest = text;
    if (!read_decimal(&rest, &whole, &nanos))
        return read_date(text, wall_ms, after_ms);
    if (rest.len == 0)
        return read_plain(whole, nanos, wall_ms, after_ms);
    return read_duration(rest, whole, nanos, after_ms) || read_date(text, wall_ms, after_ms);
}

bool delay_read_ms(struct slice text, uint64_t *after_ms)
{
    uint64_t nanos;
    text = slice_trim(text);
    if (!read_decimal(&text, after_ms, &nanos) || text.len > 0 || *after_ms > UINT64_MAX / 2)
        return false;
    *after_ms += nanos > 0 ? 1 : 0;
    return true;
}
