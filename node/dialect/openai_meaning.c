/* Sources: the error codes of the API's documentation and of its own clients; what OpenRouter,
 * DeepSeek, Azure, vLLM and llama.cpp document of theirs. How a table is read stands in
 * meaning_priv.h. A key's limits are counted for each model: a 429 closes no other. */
#include "dialect/meaning_priv.h"
#include "dialect/openai.h"

/* clang-format off */
#define LIMIT_MODEL {CLASS_LIMITED, SCOPE_MODEL, REQUEST_OURS, SUBSCRIPTION_COOL}
#define NO_MODEL {CLASS_PERMISSION, SCOPE_MODEL, REQUEST_ELSEWHERE, SUBSCRIPTION_NONE}

static const struct meaning_row rows[] = {
    /* codes that speak of the account */
    CODE("insufficient_quota", SPENT, AS_TOLD, "its quota is spent"),
    CODE("billing_hard_limit_reached", SPENT, AS_TOLD, "its spend limit is reached"),
    CODE("billing_not_active", SPENT, AS_TOLD, "its billing is not active"),
    CODE("credits_exhausted", SPENT, AS_TOLD, "its credits are spent"),
    CODE("usage_not_included", SPENT, AS_TOLD, "its plan does not include this"),
    TYPE("usage_not_included", SPENT, AS_TOLD, "its plan does not include this"),
    CODE("account_deactivated", OUT, AS_TOLD, "its account is deactivated"),
    CODE("account_suspended", OUT, AS_TOLD, "its account is suspended"),
    CODE("access_terminated", OUT, AS_TOLD, "its access is terminated"),
    CODE("organization_deactivated", OUT, AS_TOLD, "its organisation is deactivated"),
    CODE("invalid_api_key", REFUSED, AS_TOLD, "its credential was refused"),
    CODE("invalid_organization", REFUSED, AS_TOLD, "its organisation was refused"),
    CODE("mismatched_organization", REFUSED, AS_TOLD, "its organisation was refused"),
    CODE("token_*", REFUSED, AS_TOLD, "its token was refused"),
    CODE("ip_not_authorized", BLOCKED, AS_TOLD, "address refused"),
    CODE("unsupported_country_region_territory", BLOCKED, AS_TOLD, "country refused"),
    CODE("usage_limit_reached", LIMIT, LIMITS, "its usage limit is reached"),
    TYPE("usage_limit_reached", LIMIT, LIMITS, "its usage limit is reached"),
    /* codes that speak of what this request asks for */
    CODE("model_not_found", NO_MODEL, AS_TOLD, "it has not this model"),
    CODE("DeploymentNotFound", NO_MODEL, AS_TOLD, "it has not this model"),
    CODE("resource_unavailable", EXTRA, AS_TOLD, "its lane of low priority is taken"),
    CODE("context_length_exceeded", CALLERS, AS_TOLD, "the prompt is too long"),
    CODE("content_filter", CALLERS, AS_TOLD, "the prompt was refused"),
    CODE("content_policy_violation", CALLERS, AS_TOLD, "the prompt was refused"),
    CODE("invalid_prompt", CALLERS, AS_TOLD, "the prompt was refused"),
    CODE("cyber_policy", CALLERS, AS_TOLD, "the prompt was refused"),
    CODE("previous_response_not_found", CALLERS, AS_TOLD, "the conversation"),
    CODE("missing_scope*", NOT_HERE, AS_TOLD, "its credential lacks a scope"),
    CODE("insufficient_permissions", NOT_HERE, AS_TOLD, "its credential lacks a scope"),
    /* codes that speak of the provider */
    CODE("engine_overloaded", BUSY, AS_TOLD, "overloaded"),
    CODE("server_is_overloaded", BUSY, AS_TOLD, "overloaded"),
    CODE("overloaded_error", BUSY, AS_TOLD, "overloaded"),
    TYPE("overloaded_error", BUSY, AS_TOLD, "overloaded"),
    TYPE("service_unavailable_error", BUSY, AS_TOLD, "overloaded"),

    /* wording, where neither code nor type tells */
    WORDS(429, "Request too large for", EXTRA, AS_TOLD, "the request is larger than its limit"),
    WORDS(429, "engine is currently overloaded", BUSY, AS_TOLD, "overloaded"),
    WORDS(429, "exceeded your current quota", SPENT, AS_TOLD, "its quota is spent"),
    WORDS(503, "Slow Down", RAMP, AS_TOLD, "its load grew too fast"),
    CODE("slow_down", RAMP, AS_TOLD, "its load grew too fast"),
    WORDS(503, "overloaded", BUSY, AS_TOLD, "overloaded"),
    WORDS(503, "Loading model", NOT_YET, IN_TEN_SECONDS, "its model is being loaded"),
    WORDS(503, "No available model provider", NO_MODEL, AS_TOLD, "nobody behind it has this model"),
    WORDS(401, "member of an organization", REFUSED, AS_TOLD, "its organisation was refused"),
    WORDS(401, "IP not authorized", BLOCKED, AS_TOLD, "address refused"),
    WORDS(403, "equires moderation", CALLERS, AS_TOLD, "the prompt was refused"),
    WORDS(404, "No endpoints found", NO_MODEL, AS_TOLD, "nobody behind it has this model"),
    WORDS(404, "does not exist or you do not have access", NO_MODEL, AS_TOLD, "no such model"),

    /* types and statuses; an error in a 200 has the status that its words would have */
    TYPE("insufficient_quota", SPENT, AS_TOLD, "its quota is spent"),
    CODE("rate_limit_exceeded", LIMIT_MODEL, LIMITS, "rate limited"),
    STATUS(401, REFUSED, AS_TOLD, "its credential was refused"),
    STATUS(402, SPENT, AS_TOLD, "no credit"),
    STATUS(403, NOT_MODEL, AS_TOLD, "not permitted"),
    STATUS(407, BLOCKED, AS_TOLD, "a proxy on the way asks who we are"),
    STATUS(429, LIMIT_MODEL, LIMITS, "rate limited"),
    STATUS(529, BUSY, AS_TOLD, "overloaded"),
};
/* clang-format on */

/* Relays write a status where a code should be; the API itself words. */
static int error_status(const struct error_words *said)
{
    /* clang-format off */
    static const struct {
        struct slice code;
        int status;
    } codes[] = {
        {SLICE_ROW("rate_limit_exceeded"), 429},
        {SLICE_ROW("invalid_request_error"), 400},
        {SLICE_ROW("invalid_prompt"), 400},
        {SLICE_ROW("authentication_error"), 401},
        {SLICE_ROW("permission_error"), 403},
        {SLICE_ROW("not_found_error"), 404},
    };
    /* clang-format on */
    uint64_t number;
    if (slice_number(said->code, 599, &number) && number >= 400)
        return (int)number;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (slice_eq(said->code, codes[i].code) || slice_eq(said->type, codes[i].code))
            return codes[i].status;
    return 500;
}

struct meaning openai_meaning(const struct answer_signs *signs, const struct error_words *said)
{
    static const struct meaning_table table = {rows, sizeof(rows) / sizeof(rows[0]), error_status};
    return meaning_by(&table, signs, said);
}
