/* Sources: the API's error pages, and what its own clients know of its codes. How a table is read
 * stands in meaning_priv.h. */
#include "dialect/anthropic.h"
#include "dialect/meaning_priv.h"

/* clang-format off */
static const struct meaning_row rows[] = {
    /* codes that speak of the account */
    CODE("ramp_limit_exceeded", RAMP, AS_TOLD, "its load grew too fast"),
    CODE("enforced_spend_limit_reached", SPENT, MONTHS_END, "its tier's spend limit is reached"),
    CODE("contract_spend_limit_reached", SPENT, AS_TOLD, "its contract's spend limit is reached"),
    CODE("organization_on_hold", OUT, AS_TOLD, "its organisation is on hold"),
    CODE("claude_code_key_creator_not_member", KEY_OUT, AS_TOLD, "who made its key has left"),
    CODE("cmek_key_disabled", OUT, AS_TOLD, "its workspace's key is disabled"),
    CODE("cmek_key_network_blocked", OUT, AS_TOLD, "its workspace's key is blocked"),
    CODE("cmek_*", NOT_YET, IN_TEN_SECONDS, "its workspace's key is away"),
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
/* clang-format on */

static int error_status(const struct error_words *said)
{
    return anthropic_error_status(said->type);
}

struct meaning anthropic_meaning(const struct answer_signs *signs, const struct error_words *said)
{
    static const struct meaning_table table = {rows, sizeof(rows) / sizeof(rows[0]), error_status};
    return meaning_by(&table, signs, said);
}
