/* One table of rows, read from above: the first that fits is what an answer means. A row may name
 * an error's code, its type, words of its message, a status; what it does not name may be anything.
 * So codes stand first, then types, then wording within a status, and statuses last. What a 429
 * means is for its headers to say (limited()); and a path that does not speak for a credential
 * draws no conclusion about one (narrow()).
 * Sources: the API's error pages, and what its own clients know of its codes. */
#include <string.h>
#include <time.h>

#include "dialect/anthropic.h"

enum {
    SECOND_MS = 1000,
    BUSY_MS_MAX = 60 * SECOND_MS, /* overload passes sooner than that, whoever says otherwise */
    KEYS_AWAY_MS = 10 * SECOND_MS /* a customer's own key store, which comes back by itself */
};
/* A weekly window and a bit; the month that a spend limit counts. Longer is a mistake: it would
 * keep a subscription out for ever. */
#define WINDOW_MS_MAX (UINT64_C(8) * 24 * 3600 * SECOND_MS)
#define MONTH_MS_MAX (UINT64_C(31) * 24 * 3600 * SECOND_MS)

enum time_of { AS_TOLD, MONTHS_END, DATE_IN_TEXT, IN_TEN_SECONDS, LIMITS };

struct row {
    int status;          /* 0: any */
    const char *code;    /* NULL: any; a '*' at its end: any that begin so */
    const char *type;    /* NULL: any */
    const char *wording; /* NULL: any; else the message holds it */
    struct effect {
        enum answer_class class;
        enum answer_scope scope;
        enum for_request request;
        enum for_subscription subscription;
    } effect;
    enum time_of time;
    const char *reason;
};

/* clang-format off */
/* Class, scope, and both consequences: what many rows have in common. */
#define CALLERS {CLASS_REQUEST, SCOPE_REQUEST, REQUEST_VERBATIM, SUBSCRIPTION_NONE}
#define CALLERS_MODEL {CLASS_PERMISSION, SCOPE_MODEL, REQUEST_VERBATIM, SUBSCRIPTION_NONE}
#define CALLERS_FILES {CLASS_REQUEST, SCOPE_ENDPOINT, REQUEST_VERBATIM, SUBSCRIPTION_NONE}
#define SPENT {CLASS_CREDIT, SCOPE_SUBSCRIPTION, REQUEST_OURS, SUBSCRIPTION_NO_CREDIT}
#define OUT {CLASS_DISABLED, SCOPE_SUBSCRIPTION, REQUEST_OURS, SUBSCRIPTION_OUT}
#define KEY_OUT {CLASS_DISABLED, SCOPE_CREDENTIAL, REQUEST_OURS, SUBSCRIPTION_OUT}
#define REFUSED {CLASS_CREDENTIAL, SCOPE_CREDENTIAL, REQUEST_OURS, SUBSCRIPTION_SUSPECT}
#define NOT_HERE {CLASS_PERMISSION, SCOPE_ENDPOINT, REQUEST_OURS, SUBSCRIPTION_NONE}
#define NOT_THIS {CLASS_PERMISSION, SCOPE_REQUEST, REQUEST_ELSEWHERE, SUBSCRIPTION_NONE}
#define NOT_MODEL {CLASS_PERMISSION, SCOPE_MODEL, REQUEST_OURS, SUBSCRIPTION_SUSPECT}
#define EXTRA {CLASS_EXTRA, SCOPE_REQUEST, REQUEST_ELSEWHERE, SUBSCRIPTION_NONE}
#define RAMP {CLASS_RAMP, SCOPE_SUBSCRIPTION, REQUEST_OURS, SUBSCRIPTION_COOL}
#define LIMIT {CLASS_LIMITED, SCOPE_SUBSCRIPTION, REQUEST_OURS, SUBSCRIPTION_COOL}
#define BLOCKED {CLASS_BLOCKED, SCOPE_ADDRESS, REQUEST_OURS, SUBSCRIPTION_NONE}
#define BUSY {CLASS_OVERLOADED, SCOPE_PROVIDER, REQUEST_AGAIN, SUBSCRIPTION_NONE}
#define BROKEN {CLASS_FAILED, SCOPE_SUBSCRIPTION, REQUEST_ELSEWHERE, SUBSCRIPTION_PENALTY}
#define KEYS_AWAY {CLASS_FAILED, SCOPE_SUBSCRIPTION, REQUEST_ELSEWHERE, SUBSCRIPTION_COOL}
#define BARE {CLASS_BARE, SCOPE_ADDRESS, REQUEST_ONE_HOP, SUBSCRIPTION_NONE}
#define WINDOW {CLASS_WINDOW, SCOPE_WINDOW, REQUEST_OURS, SUBSCRIPTION_UNTIL_RESET}
#define FAMILY {CLASS_WINDOW, SCOPE_MODEL, REQUEST_OURS, SUBSCRIPTION_UNTIL_RESET}

#define CODE(name, effect, time, reason) {0, name, NULL, NULL, effect, time, reason}
#define TYPE(name, effect, time, reason) {0, NULL, name, NULL, effect, time, reason}
#define WORDS(status, words, effect, time, reason) {status, NULL, NULL, words, effect, time, reason}
#define STATUS(status, effect, time, reason) {status, NULL, NULL, NULL, effect, time, reason}

static const struct row rows[] = {
    /* codes that speak of the account */
    CODE("ramp_limit_exceeded", RAMP, AS_TOLD, "its load grew too fast"),
    CODE("enforced_spend_limit_reached", SPENT, MONTHS_END, "its tier's spend limit is reached"),
    CODE("contract_spend_limit_reached", SPENT, AS_TOLD, "its contract's spend limit is reached"),
    CODE("organization_on_hold", OUT, AS_TOLD, "its organisation is on hold"),
    CODE("claude_code_key_creator_not_member", KEY_OUT, AS_TOLD, "who made its key has left"),
    CODE("cmek_key_disabled", OUT, AS_TOLD, "its workspace's key is disabled"),
    CODE("cmek_key_network_blocked", OUT, AS_TOLD, "its workspace's key is blocked"),
    CODE("cmek_*", KEYS_AWAY, IN_TEN_SECONDS, "its workspace's key is away"),
    /* codes that speak of what this request asks for */
    CODE("credits_required", EXTRA, AS_TOLD, "the request needs usage credits"),
    CODE("extra_usage_out_of_credits", EXTRA, AS_TOLD, "the request needs usage credits"),
    CODE("linked_organization_*", CALLERS, AS_TOLD, "the caller's billing profile"),
    CODE("model_access_suspended", CALLERS_MODEL, AS_TOLD, "the model is suspended"),
    CODE("sandbox_egress_restricted", CALLERS_MODEL, AS_TOLD, "the sandbox may not reach that"),
    CODE("dlp_request_denied", CALLERS_MODEL, AS_TOLD, "data loss prevention denied it"),
    CODE("file_*", CALLERS_FILES, AS_TOLD, "the file"),
    CODE("storage_quota_exceeded", CALLERS_FILES, AS_TOLD, "the files' quota"),
    CODE("claude_code_version_too_old", CALLERS, AS_TOLD, "the caller's version"),
    CODE("request_body_*", CALLERS, AS_TOLD, "the request's coding"),
    CODE("compaction_*", CALLERS, AS_TOLD, "the compaction asked for"),
    CODE("image_*", CALLERS, AS_TOLD, "an image"),
    CODE("tool_*", CALLERS, AS_TOLD, "a tool"),
    CODE("available_tools_limit_exceeded", CALLERS, AS_TOLD, "too many tools"),
    CODE("workspace_human_review_disabled", CALLERS, AS_TOLD, "the review asked for"),
    CODE("thread_*", CALLERS, AS_TOLD, "the thread"),
    /* codes of relays that speak the other dialect's errors */
    CODE("insufficient_quota", SPENT, AS_TOLD, "its quota is spent"),
    CODE("billing_hard_limit_reached", SPENT, AS_TOLD, "its spend limit is reached"),
    CODE("billing_not_active", SPENT, AS_TOLD, "its billing is not active"),
    CODE("account_deactivated", OUT, AS_TOLD, "its account is deactivated"),
    CODE("invalid_api_key", REFUSED, AS_TOLD, "its credential was refused"),
    CODE("context_length_exceeded", CALLERS, AS_TOLD, "the prompt is too long"),
    CODE("model_not_found", CALLERS, AS_TOLD, "the model is not known"),

    /* types that mean one thing, whatever the status */
    TYPE("overloaded_error", BUSY, AS_TOLD, "overloaded"),

    /* wording, where neither code nor type tells */
    WORDS(400, "credit balance is too low", SPENT, AS_TOLD, "its credit balance is too low"),
    WORDS(400, "specified API usage limits", SPENT, DATE_IN_TEXT, "its spend limit is reached"),
    WORDS(400, "organization has been disabled", OUT, AS_TOLD, "its account is disabled"),
    WORDS(403, "organization has been disabled", OUT, AS_TOLD, "its account is disabled"),
    WORDS(400, "only authorized for use", NOT_THIS, AS_TOLD, "for one client only"),
    WORDS(0, "long context beta is not", EXTRA, AS_TOLD, "the request needs a long context"),
    WORDS(429, "xtra usage is required", EXTRA, AS_TOLD, "the request needs usage credits"),
    WORDS(429, "acceleration limit", RAMP, AS_TOLD, "its load grew too fast"),
    WORDS(401, "OAuth authentication is currently not s", NOT_HERE, AS_TOLD, "not taken here"),
    WORDS(403, "scope requirement", NOT_HERE, AS_TOLD, "its credential lacks a scope"),
    WORDS(403, "not allowed for this organization", REFUSED, AS_TOLD, "its credential was refused"),
    WORDS(403, "Request not allowed", BLOCKED, AS_TOLD, "address refused"),

    /* types and statuses; a 200 with an error has the status that its type would have */
    TYPE("billing_error", SPENT, AS_TOLD, "no credit"),
    STATUS(401, REFUSED, AS_TOLD, "its credential was refused"),
    STATUS(402, SPENT, AS_TOLD, "no credit"),
    STATUS(403, NOT_MODEL, AS_TOLD, "not permitted"),
    STATUS(407, BLOCKED, AS_TOLD, "a proxy on the way asks who we are"),
    STATUS(429, LIMIT, LIMITS, "rate limited"),
    TYPE("rate_limit_error", LIMIT, LIMITS, "rate limited"),
    STATUS(529, BUSY, AS_TOLD, "overloaded"),
};

static const struct row callers_own = {0, NULL, NULL, NULL, CALLERS, AS_TOLD, "answered"};
static const struct row fault = {0, NULL, NULL, NULL, BROKEN, AS_TOLD, "provider error"};
static const struct row page = {0, NULL, NULL, NULL, BLOCKED, AS_TOLD, "stopped on its way"};
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

static bool fits(const struct row *row, int status, const struct error_words *said)
{
    return (row->status == 0 || row->status == status) &&
           (row->code == NULL || is_code(row->code, said->code)) &&
           (row->type == NULL || slice_eq(said->type, slice_of(row->type))) &&
           (row->wording == NULL || holds(said->message, row->wording));
}

static const struct row *find_row(const struct answer_signs *signs, int status,
                                  const struct error_words *said)
{
    if (signs->is_page && (status == 401 || status == 403))
        return &page;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (fits(&rows[i], status, said))
            return &rows[i];
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
    else if (time == IN_TEN_SECONDS)
        set_time(m, true, KEYS_AWAY_MS);
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
        become(m, (struct effect)WINDOW, "its quota is used up");
    else
        become(m, (struct effect)FAMILY, "its quota for this family of models is used up");
    memcpy(m->window, signs->window, sizeof(m->window));
    if (signs->has_reset)
        set_time(m, true, least(signs->reset_ms, WINDOW_MS_MAX));
}

/* From the surest to the least sure: a lane of its own, a window, a limit with a time, a limit
 * without one, nothing at all. */
static void limited(const struct answer_signs *signs, struct meaning *m)
{
    bool is_unnamed = !signs->has_retry && !signs->has_limits;
    if (signs->is_low_lane)
        become(m, (struct effect)EXTRA, "its lane of low priority is taken");
    else if (signs->closed == CLOSED_WINDOW || signs->closed == CLOSED_FAMILY)
        close_window(signs, m);
    else if (signs->is_unsure || signs->is_page || is_unnamed)
        become(m, (struct effect)BARE, "refused, and no limit is named");
    else if (signs->closed == CLOSED_LANE && !signs->has_refill)
        become(m, (struct effect)EXTRA, "the request needs more than the subscription includes");
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
        become(m, (struct effect)CALLERS, "refused on a path that speaks for nothing else");
    bool is_too_far =
        (speaks_of_credential(m->class) || m->class == CLASS_FAILED) && !speaks_for_it;
    is_too_far |= (m->class == CLASS_LIMITED || m->class == CLASS_RAMP) && group != GROUP_MESSAGES;
    if (!is_too_far || m->scope == SCOPE_REQUEST || m->scope == SCOPE_ENDPOINT)
        return;
    m->scope = SCOPE_ENDPOINT;
    if (m->class != CLASS_LIMITED && m->class != CLASS_RAMP)
        m->subscription = SUBSCRIPTION_NONE;
}

struct meaning anthropic_meaning(const struct answer_signs *signs, const struct error_words *said)
{
    if (signs->status < 400 && said == NULL)
        return (struct meaning){.status = signs->status,
                                .class = CLASS_FINE,
                                .request = REQUEST_VERBATIM,
                                .reason = callers_own.reason};
    static const struct error_words nothing;
    if (said == NULL)
        said = &nothing;
    int status = signs->status < 400 ? anthropic_error_status(said->type) : signs->status;
    const struct row *row = find_row(signs, status, said);
    struct meaning m = {.status = status};
    become(&m, row->effect, row->reason);
    read_time(row->time, signs, said, &m);
    if (row->time == LIMITS)
        limited(signs, &m);
    narrow(signs->group, &m);
    return m;
}
