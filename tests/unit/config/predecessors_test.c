/* Words of the programs people come from: that each is met with ours, and with a section of
 * docs/switch.md that is there. */
#include <ctype.h>

#include "config/fixture.h"
#include "config/predecessors.h"

/* ---- the table ---- */

static char page[256 * 1024];

static void read_page(void)
{
    FILE *file = fopen(TESTS_FOLDER "/../docs/switch.md", "r");
    size_t len = file != NULL ? fread(page, 1, sizeof(page) - 1, file) : 0;
    CHECK(len > 0 && len < sizeof(page) - 1);
    if (file != NULL)
        (void)fclose(file);
}

/* A heading's address: in small letters, a dash for each blank, of other signs only dashes. */
static void address_of(const char *heading, char out[128])
{
    size_t len = 0;
    for (; *heading != '\0' && *heading != '\n' && len < 127; heading++) {
        int c = (unsigned char)*heading;
        if (c == ' ' || c == '-')
            out[len++] = '-';
        else if (isalnum(c))
            out[len++] = (char)(c | 0x20); /* small; digits have this bit */
    }
    out[len] = '\0';
}

static bool is_of_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '/';
}

/* The word as such, not as a part of another; with a slash at its end it may go on. */
static bool is_said(const char *from, const char *to, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = strstr(from, word); at != NULL && at < to; at = strstr(at + 1, word))
        if ((at[-1] == '/' || !is_of_word(at[-1])) &&
            (word[len - 1] == '/' || !is_of_word(at[len])))
            return true;
    return false;
}

/* Its program's section is there, and tells of the word. */
static bool section_tells_of(const struct predecessor_word *w)
{
    char address[128];
    for (const char *at = strstr(page, "\n## "); at != NULL; at = strstr(at + 1, "\n## ")) {
        const char *next = strstr(at + 1, "\n## ");
        address_of(at + 4, address);
        if (strcmp(address, w->whose->section) == 0)
            return is_said(at, next != NULL ? next : at + strlen(at), w->word);
    }
    return false;
}

static void test_table(void)
{
    char here[PREDECESSOR_HERE_MAX];
    PROMISE("every row names a section of docs/switch.md, which tells of its word")
    for (int kind = 0; kind < PREDECESSOR_KINDS; kind++) {
        size_t count;
        const struct predecessor_word *words = predecessor_words(kind, &count);
        CHECK(count > 0);
        for (size_t i = 0; i < count; i++) {
            bool is_told = section_tells_of(&words[i]);
            if (!is_told)
                fprintf(stderr, "    docs/switch.md#%s: %s\n", words[i].whose->section,
                        words[i].word);
            CHECK(is_told);
            CHECK(strlen(predecessor_here(&words[i], here)) < PREDECESSOR_HERE_MAX - 1);
            CHECK(predecessor_find(kind, slice_of(words[i].word)) == &words[i]);
        }
    }
    PROMISE("a path with a slash at its end is for all below it, others for themselves")
    {
        CHECK(predecessor_find(PREDECESSOR_PATH, SLICE("/api/accounts/7/pause")) != NULL);
        CHECK(predecessor_find(PREDECESSOR_PATH, SLICE("/api/stats/x")) == NULL);
        CHECK(predecessor_find(PREDECESSOR_PATH, SLICE("/status")) == NULL);
    }
}

/* ---- configs ---- */

static bool config_refused(const char *text, const char *words, const char *section)
{
    write_file("their.json", text, 0600);
    return load_refused("their.json", words) && load_refused("their.json", section);
}

#define WITH(member) "{" member ",\"subscriptions\":[" ONE "]}"

static void test_fields(void)
{
    PROMISE("a field of a predecessor is met with ours and the page")
    {
        CHECK(config_refused("{\"providers\":[{\"name\":\"a\"}]}",
                             "their.json: providers: a word of claude-code-provider-balancer and "
                             "llm-lb, "
                             "expected \"subscriptions\": [",
                             "see docs/switch.md#claude-code-provider-balancer"));
        CHECK(config_refused("{\"subscriptions\":[{\"name\":\"a\",\"auth_value\":\"sk-x\"}]}",
                             "subscriptions[0].auth_value: a word of", "expected \"api_key\""));
        CHECK(strstr(failure.text, "sk-x") == NULL);
        CHECK(config_refused("{\"lb_strategy\":\"session\"}",
                             "lb_strategy: a word of Claudeflare, expected \"routing\": "
                             "{\"strategy\": \"headroom\"}",
                             "docs/switch.md#claudeflare"));
        CHECK(config_refused("{\"subscriptions\":[{\"name\":\"a\",\"apiKeyEnvVar\":\"X\"}]}",
                             "a word of llm-lb, expected \"api_key_env\"", "#llm-lb"));
        CHECK(config_refused(WITH("\"timeouts\":{\"streaming\":{}}"), "timeouts.streaming: a word",
                             "#claude-code-provider-balancer"));
    }
}

static void test_later_fields(void)
{
    PROMISE("one that a later version will have says both")
    {
        CHECK(config_refused(WITH("\"external\":{\"enabled\":true}"),
                             "external: not supported by this version, expected \"auth\": \"open\"",
                             "#anthropic-load-balancer"));
    }
    PROMISE("so are a setting's words")
    {
        CHECK(config_refused(WITH("\"routing\":{\"strategy\":\"round_robin\"}"),
                             "\"round_robin\" is a word of", "#claude-code-provider-balancer"));
        CHECK(config_refused(WITH("\"logging\":{\"format\":\"pretty\"}"), "expected \"text\"",
                             "#claudeflare"));
        set_variable("LB_STRATEGY", "least-used");
        CHECK(load_refused("own.json", "LB_STRATEGY (environment): routing.strategy: "));
        CHECK(strstr(failure.text, "#claudeflare") != NULL);
        set_variable("LB_STRATEGY", NULL);
    }
    PROMISE("the first predecessor's own file is read as it is")
    {
        write_file(
            "their.json",
            "{\"subscriptions\":[{\"name\":\"a\",\"api_key\":\"sk-ant-x\",\"max_concurrent\":"
            "5,\"priority\":1,\"enabled\":true}],\"server\":{\"host\":\"0.0.0.0\",\"port\":"
            "8080},\"rate_limit\":{\"cooldown_seconds\":60,\"burst_limit\":10},"
            "\"logging\":{\"level\":\"INFO\",\"format\":\"json\"}}",
            0600);
        struct config *c = load("their.json");
        CHECK(c != NULL && c->server.port == 8080);
        config_release(c);
    }
}

static void test_other_formats(void)
{
    PROMISE("YAML is recognised, and whose it is")
    {
        CHECK(config_refused("# mine\nproviders:\n  - name: a\n    auth_value: sk-hidden\n",
                             "their.json: is YAML, a config of claude-code-provider-balancer",
                             "see docs/switch.md#claude-code-provider-balancer"));
        CHECK(strstr(failure.text, "hidden") == NULL);
        CHECK(config_refused("mode: round-robin\nproviders:\n- apiKeyEnvVar: X\n",
                             "is YAML, a config of llm-lb", "see docs/switch.md#llm-lb"));
        CHECK(config_refused("---\na: 1\n", "is YAML, expected a JSON object", "docs/switch.md"));
        CHECK(config_refused("settings:\r\n  port: 1\r\n", "is YAML", "a JSON object"));
    }
    PROMISE("a database is, and broken JSON is told of as before")
    {
        CHECK(config_refused("SQLite format 3", "is a database", "#claudeflare"));
        CHECK(config_refused("{\"a\":1,}", "not valid JSON", "a comma too many"));
        CHECK(config_refused("http://x", "not valid JSON", "expected"));
    }
    unlink("their.json");
}

/* ---- around it ---- */

static void test_variables(void)
{
    PROMISE("a predecessor's variable is told of, and changes nothing")
    {
        set_variable("ANTHROPIC_API_KEY", "k");
        set_variable("CLAUDEFLARE_CONFIG_PATH", "/x");
        set_variable("BIG_MODEL", "gpt");
        struct config *c = load(NULL);
        CHECK(c != NULL && has_warning(c, "CLAUDEFLARE_CONFIG_PATH (environment): is of "
                                          "Claudeflare, and not read; here it is WEIR_CONFIG; see "
                                          "docs/switch.md#claudeflare"));
        CHECK(c != NULL && has_warning(c, "BIG_MODEL (environment): is of llm-lb"));
        config_release(c);
        c = load("own.json");
        CHECK(c != NULL && has_warning(c, "CLAUDEFLARE_CONFIG_PATH"));
        config_release(c);
        set_variable("CLAUDEFLARE_CONFIG_PATH", NULL);
        set_variable("BIG_MODEL", NULL);
    }
    PROMISE("one of .env too; a common name there only")
    {
        set_variable("HOST", "0.0.0.0");
        struct config *c = load(NULL);
        CHECK(c != NULL && c->warning_count == 0);
        config_release(c);
        write_file(".env", "ANTHROPIC_API_KEY=k\nHOST='0.0.0.0\nRETRY_ATTEMPTS=5\n", 0600);
        set_variable("HOST", NULL);
        c = load(NULL);
        CHECK(c != NULL && has_warning(c, "HOST (.env:2): is of claude-code-provider-balancer, and "
                                          "not read; here it is WEIR_HOST"));
        CHECK(c != NULL && has_warning(c, "RETRY_ATTEMPTS (.env:3): is of Claudeflare"));
        config_release(c);
        unlink(".env");
        set_variable("ANTHROPIC_API_KEY", NULL);
    }
}

static void test_traces(void)
{
    PROMISE("with nothing of ours to read, what a predecessor left is named")
    {
        CHECK(load_refused(NULL, "neither a config file nor a key, expected one of three"));
        write_file("providers.yaml", "providers: []\n", 0600);
        CHECK(load_refused(NULL,
                           "; providers.yaml is by its name of claude-code-provider-balancer, see "
                           "docs/switch.md#claude-code-provider-balancer"));
        unlink("providers.yaml");
        set_variable("CLAUDEFLARE_CONFIG_PATH", "/x");
        CHECK(load_refused(NULL, "; CLAUDEFLARE_CONFIG_PATH is of Claudeflare"));
        set_variable("XDG_CONFIG_HOME", fixture_folder);
        CHECK(mkdir("claudeflare", 0700) == 0);
        write_file("claudeflare/claudeflare.json", "{}", 0600);
        CHECK(load_refused(NULL, "/claudeflare/claudeflare.json is by its name of Claudeflare"));
        unlink("claudeflare/claudeflare.json");
    }
    clear_environment();
}

int main(void)
{
    static const char *const made[] = {"claudeflare", NULL};
    fixture_enter();
    read_page();
    test_table();
    test_fields();
    test_later_fields();
    test_other_formats();
    test_variables();
    test_traces();
    fixture_leave(made);
    set_variable("CLAUDEFLARE_CONFIG_PATH", NULL);
    return check_done();
}
