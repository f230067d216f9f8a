/* The machine behind the dialects' tables (meaning_priv.h): which row fits, until when it holds,
 * what a 429's headers say, how far a path may speak. And the words of meaning.h's tables. */
#include <string.h>
#include <time.h>

#include "dialect/meaning_priv.h"
#include "format/delay.h"

enum {
    SECOND_MS = 1000,
    BUSY_MS_MAX = 60 * SECOND_MS, /* overload passes sooner than that, whoever says otherwise */
    NOT_YET_MS = 10 * SECOND_MS   /* what comes back by itself: a key store, a model being loaded */
};
/* A weekly window and a bit; the month that a spend limit counts. Longer is a mistake: it would
 * keep a subscription out for ever. */
#define WINDOW_MS_MAX (UINT64_C(8) * 24 * 3600 * SECOND_MS)
#define MONTH_MS_MAX (UINT64_C(31) * 24 * 3600 * SECOND_MS)

/* clang-format off */
static const struct meaning_row callers_own = {0, NULL, NULL, NULL, CALLERS, AS_TOLD, "answered"};
static const struct meaning_row fault = {0, NULL, NULL, NULL, BROKEN, AS_TOLD, "provider error"};
static const struct meaning_row page = {0, NULL, NULL, NULL, BLOCKED, AS_TOLD, "not let through"};

static const struct effect bare = {CLASS_BARE, SCOPE_ADDRESS, REQUEST_ONE_HOP, SUBSCRIPTION_NONE};
static const struct effect lane = EXTRA;
static const struct effect callers = CALLERS;
static const struct effect window =
    {CLASS_WINDOW, SCOPE_WINDOW, REQUEST_OURS, SUBSCRIPTION_UNTIL_RESET};
static const struct effect family =
    {CLASS_WINDOW, SCOPE_MODEL, REQUEST_OURS, SUBSCRIPTION_UNTIL_RESET};
/* clang-format on */

/* --- which row --- */

static bool is_code(const char *pattern, struct slice code)
{
    struct slice name = slice_of(pattern);
    if (name.at[name.len - 1] == '*')
        return slice_starts(code, (struct slice){name.at, name.len - 1});
    return slice_eq(code, name);
}

/* A quotation mark, not an apostrophe within a word. */
static bool opens_quote(struct slice text, size_t at)
{
    return strchr("'\"`", text.at[at]) != NULL && (at == 0 || strchr(" (:=[", text.at[at - 1]));
}

/* Behind a quotation mark may stand what the caller has sent: it speaks for nobody but him. */
static bool holds(struct slice text, const char *words)
{
    size_t own = 0;
    while (own < text.len && !opens_quote(text, own))
        own++;
    return own > 0 && memmem(text.at, own, words, strlen(words)) != NULL;
}

static bool fits(const struct meaning_row *row, int status, const struct error_words *said)
{
    return (row->status == 0 || row->status == status) &&
           (row->code == NULL || is_code(row->code, said->code)) &&
           (row->type == NULL || slice_eq(said->type, slice_of(row->type))) &&
           (row->wording == NULL || holds(said->message, row->wording));
}

static const struct meaning_row *find_row(const struct meaning_table *table,
                                          const struct answer_signs *signs, int status,
                                          const struct error_words *said)
{
    if (signs->is_page && (status == 401 || status == 403))
        return &page;
    for (unsigned i = 0; i < table->count; i++)
        if (fits(&table->rows[i], status, said))
            return &table->rows[i];
    return status >= 500 ? &fault : &callers_own;
}

/* --- times --- */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void set_time(struct meaning *m, bool is_known, uint64_t ms)
{
    m->has_time = is_known;
    m->time_ms = is_known ? ms : 0;
}

static uint64_t told_ms_max(enum answer_class class)
{
    if (class == CLASS_OVERLOADED || class == CLASS_FAILED)
        return BUSY_MS_MAX;
    return class == CLASS_CREDIT || class == CLASS_DISABLED ? MONTH_MS_MAX : WINDOW_MS_MAX;
}

static uint64_t until(const struct tm *date, uint64_t wall_ms)
{
    struct tm copy = *date;
    time_t at = timegm(&copy);
    uint64_t at_ms = at > 0 ? (uint64_t)at * SECOND_MS : 0;
    return at_ms > wall_ms ? least(at_ms - wall_ms, MONTH_MS_MAX) : 0;
}

/* The first of the next month, UTC: when a tier's spend limit begins anew. */
static uint64_t months_end_ms(uint64_t wall_ms)
{
    time_t now = (time_t)(wall_ms / SECOND_MS);
    struct tm tm;
    gmtime_r(&now, &tm);
    struct tm first = {.tm_year = tm.tm_year, .tm_mon = tm.tm_mon + 1, .tm_mday = 1};
    return until(&first, wall_ms);
}

/* "You will regain access on 2026-12-01 at 00:00 UTC." */
static bool read_date_in_text(struct slice message, uint64_t wall_ms, uint64_t *ms)
{
    static const char before[] = "regain access on ";
    char copy[] = "2026-12-01 at 00:00 UTC";
    const char *at = memmem(message.at, message.len, before, sizeof(before) - 1);
    struct tm tm = {0};
    if (at == NULL)
        return false;
    struct slice date = slice_from(message, (size_t)(at - message.at) + sizeof(before) - 1);
    if (date.len < sizeof(copy) - 1)
        return false;
    memcpy(copy, date.at, sizeof(copy) - 1);
    if (strptime(copy, "%Y-%m-%d at %H:%M UTC", &tm) == NULL)
        return false;
    *ms = until(&tm, wall_ms);
    return true;
}

/* "Please try again in 1m30s." */
static bool read_wait_in_text(struct slice message, uint64_t wall_ms, uint64_t *ms)
{
    static const char before[] = "try again in ";
    const char *at =
        message.len > 0 ? memmem(message.at, message.len, before, sizeof(before) - 1) : NULL;
    struct slice wait;
    if (at == NULL)
        return false;
    slice_cut(slice_from(message, (size_t)(at - message.at) + sizeof(before) - 1), ' ', &wait);
    while (wait.len > 0 && strchr(".,;", wait.at[wait.len - 1]) != NULL)
        wait.len--;
    return delay_read(wait, wall_ms, ms);
}

static void read_time(enum time_of time, const struct answer_signs *signs,
                      const struct error_words *said, struct meaning *m)
{
    uint64_t ms;
    if (time == MONTHS_END)
        set_time(m, true, months_end_ms(signs->wall_ms));
    else if (time == DATE_IN_TEXT && read_date_in_text(said->message, signs->wall_ms, &ms))
        set_time(m, true, ms);
    else if (signs->has_retry)
        set_time(m, true, least(signs->retry_ms, told_ms_max(m->class)));
    else if (time == LIMITS && read_wait_in_text(said->message, signs->wall_ms, &ms))
        set_time(m, true, least(ms, told_ms_max(m->class)));
    else if (time == IN_TEN_SECONDS)
        set_time(m, true, NOT_YET_MS);
}

/* --- what a 429 means --- */

static void become(struct meaning *m, struct effect effect, const char *reason)
{
    m->class = effect.class;
    m->scope = effect.scope;
    m->request = effect.request;
    m->subscription = effect.subscription;
    m->reason = reason;
}

static void close_window(const struct answer_signs *signs, struct meaning *m)
{
    if (signs->closed == CLOSED_WINDOW)
        become(m, window, "its quota is used up");
    else
        become(m, family, "its quota for this family of models is used up");
    memcpy(m->window, signs->window, sizeof(m->window));
    if (signs->has_reset)
        set_time(m, true, least(signs->reset_ms, WINDOW_MS_MAX));
}

/* From the surest to the least sure: a lane of its own, a window, a limit with a time, a limit
 * without one, nothing at all. */
static void limited(const struct answer_signs *signs, struct meaning *m)
{
    bool is_unnamed = !m->has_time && !signs->has_limits;
    if (signs->is_low_lane)
        become(m, lane, "its lane of low priority is taken");
    else if (signs->closed == CLOSED_WINDOW || signs->closed == CLOSED_FAMILY)
        close_window(signs, m);
    else if (signs->is_unsure || signs->is_page || is_unnamed)
        become(m, bare, "refused, and no limit is named");
    else if (signs->closed == CLOSED_LANE && !signs->has_refill)
        become(m, lane, "the request needs more than the subscription includes");
    else if (!m->has_time && signs->has_refill)
        set_time(m, true, least(signs->refill_ms, WINDOW_MS_MAX));
}

/* --- how far it reaches --- */

static bool speaks_of_credential(enum answer_class class)
{
    return class == CLASS_CREDENTIAL || class == CLASS_CREDIT || class == CLASS_DISABLED ||
           class == CLASS_PERMISSION;
}

/* No path draws a conclusion that is not its to draw. */
static void narrow(enum endpoint_group group, struct meaning *m)
{
    bool speaks_for_it = group == GROUP_MESSAGES || group == GROUP_COUNTING;
    if (speaks_of_credential(m->class) && group == GROUP_OTHER)
        become(m, callers, "refused on a path that speaks for nothing else");
    bool is_too_far =
        (speaks_of_credential(m->class) || m->class == CLASS_FAILED) && !speaks_for_it;
    is_too_far |= (m->class == CLASS_LIMITED || m->class == CLASS_RAMP) && group != GROUP_MESSAGES;
    if (!is_too_far || m->scope == SCOPE_REQUEST || m->scope == SCOPE_ENDPOINT)
        return;
    m->scope = SCOPE_ENDPOINT;
    if (m->class != CLASS_LIMITED && m->class != CLASS_RAMP)
        m->subscription = SUBSCRIPTION_NONE;
}

struct meaning meaning_by(const struct meaning_table *table, const struct answer_signs *signs,
                          const struct error_words *said)
{
    if (signs->status < 400 && said == NULL)
        return (struct meaning){.status = signs->status,
                                .class = CLASS_FINE,
                                .request = REQUEST_VERBATIM,
                                .reason = callers_own.reason};
    static const struct error_words nothing;
    if (said == NULL)
        said = &nothing;
    int status = signs->status < 400 ? table->error_status(said) : signs->status;
    const struct meaning_row *row = find_row(table, signs, status, said);
    struct meaning m = {.status = status};
    become(&m, row->effect, row->reason);
    read_time(row->time, signs, said, &m);
    if (row->time == LIMITS)
        limited(signs, &m);
    narrow(signs->group, &m);
    return m;
}

/* --- words --- */

const char *answer_class_word(enum answer_class class)
{
    static const char *const words[] = {
#define X(name, word) [CLASS_##name] = (word),
        ANSWER_CLASS_TABLE(X)
#undef X
    };
    return words[class];
}

const char *answer_scope_word(enum answer_scope scope)
{
    static const char *const words[] = {
#define X(name, word) [SCOPE_##name] = (word),
        ANSWER_SCOPE_TABLE(X)
#undef X
    };
    return words[scope];
}

const char *endpoint_group_word(enum endpoint_group group)
{
    static const char *const words[] = {
#define X(name, word) [GROUP_##name] = (word),
        ENDPOINT_GROUP_TABLE(X)
#undef X
    };
    return words[group];
}
