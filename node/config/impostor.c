/* What stands where a key belongs, and is none: a placeholder nobody filled in, a reference nobody
 * resolved, a key of another maker, or one of ours that is not for sending requests. Each would be
 * a 401 for ever, and the maker's key would have been shown to a stranger, so all are refused.
 *
 * At a base URL of one's own anything may be a key, so the maker, and words that are somebody's
 * key, are only looked at where Anthropic is asked. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "config/config_priv.h"

enum { WORD_MAX = 32, FILLED_MIN = 3 };

static const char expected_anthropic[] =
    "a key of Anthropic's (sk-ant-...), or the base_url of where this one is taken "
    "(SERVICE_ENDPOINTS for keys of the environment)";

/* ---- not to be used anywhere ---- */

/* What kind of reference it is, or NULL. Never what is in it: ${NAME:-...} may have a key for its
 * default, and people fill a key in between < and >. */
static const char *kind_of_reference(struct slice key)
{
    char first = key.at[0], last = key.at[key.len - 1];
    size_t names = 1;
    if (slice_starts(key, SLICE("${")))
        return "${...}";
    if (slice_starts(key, SLICE("$(")))
        return "$(...)";
    if (slice_starts(key, SLICE("{{")))
        return "{{...}}";
    if (first == '<' && last == '>')
        return "<...>";
    if (first != '$' && (first != '%' || last != '%'))
        return NULL;
    while (names < key.len && (isupper((unsigned char)key.at[names]) || key.at[names] == '_' ||
                               isdigit((unsigned char)key.at[names])))
        names++;
    if (key.len <= 2 || names < key.len - (first == '%' ? 1 : 0))
        return NULL;
    return first == '%' ? "%NAME%" : "$NAME";
}

/* Another file's whole line: ANTHROPIC_API_KEY=sk-... */
static bool is_line(struct slice key)
{
    size_t len = 0;
    while (len < key.len && (isupper((unsigned char)key.at[len]) || key.at[len] == '_'))
        len++;
    return len > 3 && len < key.len && key.at[len] == '=' && memchr(key.at, '_', len) != NULL;
}

static bool has_dots(struct slice key)
{
    size_t at;
    for (struct slice rest = key; slice_find(rest, '.', &at); rest = slice_from(rest, at + 1))
        if (slice_starts(slice_from(rest, at), SLICE("...")))
            return true;
    return false;
}

/* Without the beginning that all keys have. */
static struct slice body_of(struct slice key)
{
    /* clang-format off */
    static const struct slice beginnings[] = {
        SLICE_ROW("sk-ant-api03-"),
        SLICE_ROW("sk-ant-oat01-"),
        SLICE_ROW("sk-ant-"),
        SLICE_ROW("sk-"),
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++)
        if (slice_starts(key, beginnings[i]))
            return slice_from(key, beginnings[i].len);
    return key;
}

static char small(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return c;
}

/* In small letters, without what separates words. "" if it is too long to be one. */
static void put_word(struct slice text, char word[WORD_MAX])
{
    size_t len = 0;
    for (size_t i = 0; i < text.len && len < WORD_MAX - 1; i++)
        if (text.at[i] != '-' && text.at[i] != '_' && text.at[i] != '.')
            word[len++] = small(text.at[i]);
    word[len < WORD_MAX - 1 ? len : 0] = '\0';
}

static bool is_among(const char *const *words, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(words[i], word) == 0)
            return true;
    return false;
}

/* So often this alone, and what separates words. 0: there is more. */
static size_t count_only(struct slice text, char c)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (small(text.at[i]) == c)
            count++;
        else if (text.at[i] != '-' && text.at[i] != '_' && text.at[i] != '.')
            return 0;
    }
    return count;
}

static bool is_placeholder(struct slice key)
{
    static const char *const words[] = {
        "changeme",
        "replaceme",
        "replacethis",
        "placeholder",
        "yourkey",
        "yourkeyhere",
        "yourapikey",
        "yourtoken",
        "yourtokenhere",
        "yourapikeyhere",
        "youranthropickey",
        "keyhere",
        "apikeyhere",
        "insertkeyhere",
        "insertyourkeyhere",
        "addyourkeyhere",
        "putyourkeyhere",
        "todo",
        "fixme",
        "youranthropicapikey",
        "youranthropicapikeyhere",
    };
    char word[WORD_MAX];
    struct slice body = body_of(key);
    put_word(body, word);
    if (has_dots(key) || (body.len == 0 && key.len > 0) ||
        is_among(words, sizeof(words) / sizeof(words[0]), word))
        return true;
    return count_only(body, 'x') >= FILLED_MIN || count_only(body, '*') > 0;
}

/* Where claude-code-provider-balancer has these in the place of a key, it uses no key. */
static bool is_said_instead(struct slice key)
{
    return slice_eq(key, SLICE("passthrough")) || slice_eq(key, SLICE("oauth"));
}

static const char *wrong_kind(struct slice key)
{
    if (slice_starts(key, SLICE("sk-ant-admin")))
        return "this is an admin key (sk-ant-admin...): it manages an organisation, and can send "
               "no requests";
    if (slice_starts(key, SLICE("sk-ant-ort")))
        return "this is a refresh token (sk-ant-ort...): it only gets other tokens";
    if (slice_starts(key, SLICE("sk-ant-sid")))
        return "this is a browser's session (sk-ant-sid...), not a key";
    return NULL;
}

/* ---- not to be sent to Anthropic ---- */

static bool is_anthropic(const struct origin *origin)
{
    struct slice host = slice_of(origin->host), domain = SLICE("anthropic.com");
    return slice_eq_nocase(host, SLICE("api.anthropic.com")) || slice_eq_nocase(host, domain);
}

static const char *maker_of(struct slice key)
{
    /* clang-format off */
    static const struct {
        const char *beginning, *maker;
    } makers[] = {
        {"sk-proj-", "OpenAI"},
        {"sk-svcacct-", "OpenAI"},
        {"sk-or-", "OpenRouter"},
        {"sk-lf-", "Langfuse"},
        {"sk-litellm-", "LiteLLM"},
        {"AIza", "Google"},
        {"ya29.", "Google"},
        {"AKIA", "AWS"},
        {"ASIA", "AWS"},
        {"ABSK", "AWS Bedrock"},
        {"ghp_", "GitHub"},
        {"gho_", "GitHub"},
        {"ghu_", "GitHub"},
        {"ghs_", "GitHub"},
        {"github_pat_", "GitHub"},
        {"glpat-", "GitLab"},
        {"xai-", "xAI"},
        {"gsk_", "Groq"},
        {"hf_", "Hugging Face"},
        {"r8_", "Replicate"},
        {"pplx-", "Perplexity"},
        {"nvapi-", "NVIDIA"},
        {"fw_", "Fireworks"},
        {"csk-", "Cerebras"},
        {"tgp_v1_", "Together AI"},
        {"xoxb-", "Slack"},
        {"xoxp-", "Slack"},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++)
        if (slice_starts(key, slice_of(makers[i].beginning)))
            return makers[i].maker;
    return NULL;
}

/* What clients are told to send, and what programs write for "none". */
static bool is_said_to_clients(struct slice key)
{
    static const char *const words[] = {"any",  "anything",  "dummy",  "fake", "none",
                                        "null", "undefined", "unused", "nil",  "empty"};
    char word[WORD_MAX];
    put_word(key, word);
    return is_among(words, sizeof(words) / sizeof(words[0]), word);
}

static bool mind_anthropic(struct config_reader *r, struct slice key)
{
    const char *maker = maker_of(key);
    if (maker != NULL)
        return config_fail(r, expected_anthropic,
                           "this is a key of %s's, and would be sent to "
                           "Anthropic",
                           maker);
    if (is_said_to_clients(key))
        return config_fail(r, expected_anthropic,
                           "this is a word for clients, who need no key: a node does");
    return true;
}

bool config_mind_key(struct config_reader *r, const struct subscription *s)
{
    static const char expected[] = "the key itself";
    struct slice key = secret_reveal(&s->api_key);
    if (key.len == 0)
        return true; /* that is said elsewhere */
    if (kind_of_reference(key) != NULL)
        return config_fail(r, expected, "found %s, which nothing has replaced by a key",
                           kind_of_reference(key));
    if (is_line(key))
        return config_fail(r, expected, "found NAME=value, a whole line");
    if (is_placeholder(key))
        return config_fail(r, expected, "the key is a placeholder");
    if (is_said_instead(key))
        return config_fail(r,
                           "a key or a token; see "
                           "docs/switch.md#claude-code-provider-balancer",
                           "\"%.*s\" is a word of claude-code-provider-balancer, and no key",
                           SLICE_ARG(key));
    if (wrong_kind(key) != NULL)
        return config_fail(r, "an API key (sk-ant-api...) or an OAuth token (sk-ant-oat...)", "%s",
                           wrong_kind(key));
    return !is_anthropic(&s->origin) || mind_anthropic(r, key);
}
