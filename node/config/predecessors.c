/* Where a word has no equal the row says "nothing", why, and what comes nearest. Each row's section
 * stands in docs/switch.md: a test looks. Order within a kind is that of the programs there. */
#include "config/predecessors.h"

#include <stdio.h>
#include <string.h>

static const struct predecessor anthropic_load_balancer = {"anthropic-load-balancer",
                                                           "anthropic-load-balancer"};
static const struct predecessor llm_lb = {"llm-lb", "llm-lb"};
static const struct predecessor provider_balancer = {"claude-code-provider-balancer",
                                                     "claude-code-provider-balancer"};
static const struct predecessor claude_load_balancer = {"Claude Load Balancer",
                                                        "claude-load-balancer"};
static const struct predecessor claudeflare = {"Claudeflare", "claudeflare"};
/* What two of them have in common is told in the section that has more of it. */
static const struct predecessor both_with_yaml = {"claude-code-provider-balancer and llm-lb",
                                                  "claude-code-provider-balancer"};
static const struct predecessor both_with_accounts = {"Claude Load Balancer and Claudeflare",
                                                      "claudeflare"};

#define NO_LOGINS                                                                                \
    "nothing yet: this version makes no OAuth logins and refreshes no tokens; a key or a token " \
    "stands in \"api_key\""
#define NO_MODELS "nothing yet: a model passes as the caller named it"
#define BY_ITSELF "nothing: what is kept of requests goes by itself (history.requests)"
#define ONE_REQUEST "one request at a time: GET /api/requests/ID, or `weir why ID`; the log has all"
#define NO_TEXT_SIGNS "nothing: what closes a subscription is told by docs/answers.md"
#define BY_STRATEGY "\"routing\": {\"strategy\": \"headroom\"}, or another of docs/strategies.md"
#define BY_SESSION "\"routing\": {\"session_duration_ms\": N}, with the strategy \"session\""
#define BOOKS "the books in Redis, which docs/redis-keys.md reads"
#define REDIS "WEIR_REDIS_URL, or WEIR_STATE_DIR for a Redis of its own"
#define NO_COSTS "nothing yet: tokens are booked, not what they cost"
#define STATUS "GET /status, or `weir status`"
#define AN_ACCOUNT \
    "\"tier\", \"enabled\" and \"name\" of its subscription in config.json; or its whole entry"
#define ACCOUNTS "\"subscriptions\" in config.json, each with a name and an \"api_key\""

/* clang-format off */

static const struct predecessor_word fields[] = {
    {"external", &anthropic_load_balancer,
     "\"auth\": \"open\" if others than local callers may call, which asks them for no token"},

    {"apiKeyEnvVar", &llm_lb, "\"api_key_env\""},
    {"baseUrl", &llm_lb, "\"base_url\", without /v1"},
    {"mode", &llm_lb, BY_STRATEGY},
    {"models", &llm_lb, NO_MODELS},

    {"providers", &both_with_yaml,
     "\"subscriptions\": [{\"name\": ..., \"api_key\": ..., \"base_url\": ...}]"},
    {"auth_value", &provider_balancer, "\"api_key\", \"api_key_env\" or \"api_key_file\""},
    {"account_email", &provider_balancer, NO_LOGINS},
    {"oauth", &provider_balancer, NO_LOGINS},
    {"proxy", &provider_balancer, "nothing yet: providers are reached directly"},
    {"streaming_mode", &provider_balancer, "nothing: streams pass event by event"},
    {"big_model", &provider_balancer, NO_MODELS},
    {"small_model", &provider_balancer, NO_MODELS},
    {"model_routes", &provider_balancer, NO_MODELS ", to any subscription"},
    {"settings", &provider_balancer,
     "its fields in \"server\", \"timeouts\", \"rate_limit\" and \"logging\""},
    {"selection_strategy", &provider_balancer, BY_STRATEGY},
    {"failure_cooldown", &provider_balancer, "\"rate_limit\": {\"cooldown_seconds\": N}"},
    {"unhealthy_threshold", &provider_balancer, NO_TEXT_SIGNS},
    {"unhealthy_reset_on_success", &provider_balancer, NO_TEXT_SIGNS},
    {"unhealthy_reset_timeout", &provider_balancer, NO_TEXT_SIGNS},
    {"unhealthy_exception_patterns", &provider_balancer, NO_TEXT_SIGNS},
    {"unhealthy_response_body_patterns", &provider_balancer, NO_TEXT_SIGNS},
    {"unhealthy_http_codes", &provider_balancer, NO_TEXT_SIGNS},
    {"sticky_provider_duration", &provider_balancer,
     BY_SESSION},
    {"request_timeout", &provider_balancer, "\"timeouts\": {\"first_byte_ms\": N}"},
    {"non_streaming", &provider_balancer, "connect_ms, first_byte_ms and idle_ms, for all answers"},
    {"streaming", &provider_balancer, "connect_ms, first_byte_ms and idle_ms, for all answers"},
    {"caching", &provider_balancer, "nothing: no answer is shared by two callers"},
    {"deduplication", &provider_balancer, "nothing: no answer is shared by two callers"},
    {"token_counting", &provider_balancer, "nothing: /v1/messages/count_tokens is asked upstream"},
    {"testing", &provider_balancer, "nothing"},
    {"log_level", &provider_balancer, "\"logging\": {\"level\": \"info\"}"},
    {"log_color", &provider_balancer, "nothing: a terminal has colours"},
    {"log_file_path", &provider_balancer, "nothing: the log goes to standard error"},
    {"app_name", &provider_balancer, "nothing"},
    {"app_version", &provider_balancer, "nothing"},
    {"reload", &provider_balancer, "nothing: a changed file is read again by itself"},
    {"reload_includes", &provider_balancer, "nothing: a changed file is read again by itself"},

    {"lb_strategy", &claudeflare, BY_STRATEGY},
    {"client_id", &claudeflare, NO_LOGINS},
    {"retry_attempts", &claudeflare, "\"retry\": {\"attempts\": N}"},
    {"retry_delay_ms", &claudeflare, "\"retry\": {\"delay_ms\": N}"},
    {"retry_backoff", &claudeflare, "\"retry\": {\"backoff\": N}"},
    {"session_duration_ms", &claudeflare, BY_SESSION},
    {"default_agent_model", &claudeflare, NO_MODELS},
    {"data_retention_days", &claudeflare, BY_ITSELF},
    {"request_retention_days", &claudeflare, "nothing: days of usage are kept for 35 days"},
    {"account_tier", &claudeflare, "\"tier\": N of a subscription"},
};

static const struct predecessor_word values[] = {
    {"priority-based", &llm_lb, "\"priority\""},
    {"round_robin", &provider_balancer, "\"round-robin\""},
    {"random", &provider_balancer, "\"round-robin\" or \"headroom\""},
    {"session-affinity", &claudeflare, "\"session\", one for all callers: not one for each yet"},
    {"session-drain-soonest", &claudeflare, "\"drain-soonest\""},
    {"least-used", &claudeflare, "\"headroom\""},
    {"pretty", &claudeflare, "\"text\""},
};

static const struct predecessor_word variables[] = {
    {"PREFERRED_PROVIDER", &llm_lb, "nothing: Anthropic is the only provider yet"},
    {"BIG_MODEL", &llm_lb, NO_MODELS},
    {"SMALL_MODEL", &llm_lb, NO_MODELS},
    {"CLAUDE_CODE_MODEL", &llm_lb, NO_MODELS},
    {"PROVIDERS_CONFIG_PATH", &provider_balancer, "WEIR_CONFIG, which names a file in JSON"},
    {"REFERRER_URL", &provider_balancer, "nothing: Anthropic is the only provider yet"},
    {"CLAUDEFLARE_CONFIG_PATH", &claudeflare, "WEIR_CONFIG"},
    {"CLAUDEFLARE_DB_PATH", &claudeflare, REDIS},
    {"ccflare_CONFIG_PATH", &claudeflare, "WEIR_CONFIG"},
    {"ccflare_DB_PATH", &claudeflare, REDIS},
    {"RETRY_ATTEMPTS", &claudeflare, "\"retry\": {\"attempts\": N} in the config"},
    {"RETRY_DELAY_MS", &claudeflare, "\"retry\": {\"delay_ms\": N} in the config"},
    {"RETRY_BACKOFF", &claudeflare, "\"retry\": {\"backoff\": N} in the config"},
    {"DEFAULT_AGENT_MODEL", &claudeflare, NO_MODELS},
    {"DATA_RETENTION_DAYS", &claudeflare, BY_ITSELF},
    {"REQUEST_RETENTION_DAYS", &claudeflare, "nothing: days of usage are kept for 35 days"},
    {"STORE_PAYLOADS", &claudeflare, "nothing: no request or answer is kept"},
    {"CF_PRICING_REFRESH_HOURS", &claudeflare, NO_COSTS},
    {"CF_PRICING_OFFLINE", &claudeflare, NO_COSTS},
    {"CF_STREAM_USAGE_BUFFER_KB", &claudeflare, "nothing: usage is read as the stream passes"},
    {"CF_STREAM_TIMEOUT_MS", &claudeflare, "\"timeouts\": {\"idle_ms\": N} in the config"},
};

static const struct predecessor_word common_variables[] = {
    {"GEMINI_API_KEY", &llm_lb, "nothing: Anthropic is the only provider yet"},
    {"HOST", &provider_balancer, "WEIR_HOST"},
    {"LOG_FILE_PATH", &provider_balancer, "nothing: the log goes to standard error"},
    {"APP_NAME", &provider_balancer, "nothing"},
    {"APP_VERSION", &provider_balancer, "nothing"},
    {"RELOAD", &provider_balancer, "nothing: a changed file is read again by itself"},
    {"CLIENT_ID", &claudeflare, NO_LOGINS},
    {"LOG_FORMAT", &claudeflare, "\"logging\": {\"format\": \"text\"} in the config"},
};

static const struct predecessor_word files[] = {
    {"config.yaml", &both_with_yaml, "config.json"},
    {"providers.yaml", &provider_balancer, "config.json"},
    {"claude-accounts.db", &claude_load_balancer, ACCOUNTS},
    {"claudeflare.json", &claudeflare, "config.json"},
    {"claudeflare/claudeflare.json", &claudeflare, "weir/config.json beside that folder"},
    {"ccflare/ccflare.json", &claudeflare, "weir/config.json beside that folder"},
    {"better-ccflare/better-ccflare.json", &claudeflare, "weir/config.json beside that folder"},
};

static const struct predecessor_word paths[] = {
    {"/admin/clients", &anthropic_load_balancer, STATUS},
    {"/admin/usage", &anthropic_load_balancer, BOOKS},
    {"/admin/client/", &anthropic_load_balancer, BOOKS},
    {"/admin/profiles", &anthropic_load_balancer, "nothing: clients are not classified"},
    {"/admin/flow", &anthropic_load_balancer, "GET /metrics, for a graph of one's own"},
    {"/admin/limits", &anthropic_load_balancer, STATUS ", windows of each subscription"},
    {"/admin/dashboard", &anthropic_load_balancer, "no page yet: `weir status`, or GET /metrics"},

    {"/stats", &llm_lb, STATUS},

    {"/providers", &provider_balancer, STATUS},
    {"/providers/reload", &provider_balancer, "POST /admin/reload"},
    {"/cleanup", &provider_balancer, "nothing: there is nothing to clean up"},
    {"/oauth/", &provider_balancer, NO_LOGINS},

    {"/dashboard", &both_with_accounts, "no page yet: `weir status`, or GET /metrics"},
    {"/api/stats", &both_with_accounts, STATUS ", or GET /metrics"},
    {"/api/accounts", &both_with_accounts, STATUS},
    {"/api/requests", &both_with_accounts, ONE_REQUEST},

    {"/api/stats/reset", &claudeflare, "nothing: the books are kept"},
    {"/api/accounts/", &claudeflare, AN_ACCOUNT},
    {"/api/oauth/init", &claudeflare, NO_LOGINS},
    {"/api/oauth/callback", &claudeflare, NO_LOGINS},
    {"/api/requests/detail", &claudeflare, ONE_REQUEST},
    {"/api/requests/stream", &claudeflare, "the log on standard error: `weir logs` reads it"},
    {"/api/config", &claudeflare, "config.json, which `weir check` shows"},
    {"/api/config/model", &claudeflare, NO_MODELS},
    {"/api/config/retention", &claudeflare, BY_ITSELF},
    {"/api/maintenance/", &claudeflare, "nothing: there is nothing to clean up"},
    {"/api/logs/", &claudeflare, "the log on standard error"},
    {"/api/analytics", &claudeflare, "GET /metrics, and the books in Redis (docs/redis-keys.md)"},
    {"/api/agents", &claudeflare, NO_MODELS},
    {"/api/agents/", &claudeflare, NO_MODELS},
    {"/api/workspaces", &claudeflare, "nothing: callers' files are not looked at"},
};

static const struct predecessor_word typed[] = {
    {"--config", &both_with_yaml, "weir serve --config FILE"},
    {"-c", &llm_lb, "weir serve --config FILE"},
    {"-p", &llm_lb, "weir serve --port N"},
    {"--port", &both_with_yaml, "weir serve --port N"},
    {"--host", &provider_balancer, "WEIR_HOST=ADDRESS weir serve"},
    {"--env", &provider_balancer, "nothing: another --config FILE for another environment"},
    {"--workers", &anthropic_load_balancer, "\"server\": {\"workers\": N} in config.json"},

    {"add", &both_with_accounts, ACCOUNTS},
    {"remove", &both_with_accounts, "its entry taken out of \"subscriptions\" in config.json"},
    {"list", &both_with_accounts, "weir status"},
    {"reset-stats", &both_with_accounts, "nothing: the books are kept"},
    {"clear-history", &both_with_accounts, BY_ITSELF},

    {"account", &claudeflare, ACCOUNTS},
    {"accounts", &claudeflare, "weir status; accounts are " ACCOUNTS},
    {"stats", &claudeflare, "weir status"},
    {"pause", &claudeflare, "\"enabled\": false for the subscription, in config.json"},
    {"resume", &claudeflare, "\"enabled\": true for the subscription, in config.json"},
    {"start", &claudeflare, "weir serve"},
    {"--serve", &claudeflare, "weir serve"},
    {"--add-account", &claudeflare, ACCOUNTS},
    {"--remove", &claudeflare, "its entry taken out of \"subscriptions\" in config.json"},
    {"--list", &claudeflare, "weir status"},
    {"--stats", &claudeflare, "weir status --json"},
    {"--pause", &claudeflare, "\"enabled\": false for the subscription, in config.json"},
    {"--resume", &claudeflare, "\"enabled\": true for the subscription, in config.json"},
    {"--set-priority", &claudeflare, "\"priority\": N of it, with the strategy \"priority\""},
    {"--force-reset-rate-limit", &claudeflare, "weir cooldown clear NAME"},
    {"--reauthenticate", &claudeflare, NO_LOGINS},
    {"--logs", &claudeflare, "the log on standard error"},
    {"--analyze", &claudeflare, "nothing: Redis needs no upkeep of this kind"},
    {"--reset-stats", &claudeflare, "nothing: the books are kept"},
    {"--clear-history", &claudeflare, BY_ITSELF},
    {"--get-model", &claudeflare, NO_MODELS},
    {"--set-model", &claudeflare, NO_MODELS},
};

static const struct {
    const struct predecessor_word *words;
    size_t count;
} kinds[PREDECESSOR_KINDS] = {
#define KIND(words) {words, sizeof(words) / sizeof((words)[0])}
    [PREDECESSOR_FIELD] = KIND(fields),
    [PREDECESSOR_VALUE] = KIND(values),
    [PREDECESSOR_VARIABLE] = KIND(variables),
    [PREDECESSOR_COMMON] = KIND(common_variables),
    [PREDECESSOR_FILE] = KIND(files),
    [PREDECESSOR_PATH] = KIND(paths),
    [PREDECESSOR_TYPED] = KIND(typed),
#undef KIND
};

/* clang-format on */

const struct predecessor_word *predecessor_words(enum predecessor_kind kind, size_t *count)
{
    *count = kinds[kind].count;
    return kinds[kind].words;
}

static bool is_meant(enum predecessor_kind kind, struct slice known, struct slice word)
{
    bool is_folder = kind == PREDECESSOR_PATH && known.at[known.len - 1] == '/';
    return is_folder ? slice_starts(word, known) : slice_eq(word, known);
}

const struct predecessor_word *predecessor_find(enum predecessor_kind kind, struct slice word)
{
    size_t count;
    const struct predecessor_word *words = predecessor_words(kind, &count);
    for (size_t i = 0; i < count; i++)
        if (is_meant(kind, slice_of(words[i].word), word))
            return &words[i];
    return NULL;
}

const struct predecessor *predecessor_of_yaml(struct slice text)
{
    static const struct {
        const char *sign;
        const struct predecessor *whose;
    } signs[] = {{"apiKeyEnvVar:", &llm_lb}, {"providers:", &provider_balancer}};
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
        if (text.len > 0 && memmem(text.at, text.len, signs[i].sign, strlen(signs[i].sign)) != NULL)
            return signs[i].whose;
    return NULL;
}

const char *predecessor_here(const struct predecessor_word *w, char out[PREDECESSOR_HERE_MAX])
{
    snprintf(out, PREDECESSOR_HERE_MAX, "%s; see docs/switch.md#%s", w->here, w->whose->section);
    return out;
}
