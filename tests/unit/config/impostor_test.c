/* What stands where a key belongs and is none; and URLs that lead back to the node. */
#include <ifaddrs.h>
#include <netdb.h>

#include "config/fixture.h"

struct row {
    const char *key, *words;
};

static bool env_refused(const char *key, const char *words)
{
    char wanted[256];
    set_variable("ANTHROPIC_API_KEYS", key);
    snprintf(wanted, sizeof(wanted), "ANTHROPIC_API_KEYS (environment): key 1: %s", words);
    bool is_refused = load_refused(NULL, wanted);
    set_variable("ANTHROPIC_API_KEYS", NULL);
    return is_refused;
}

static bool is_taken(const char *key, const char *base_url)
{
    char text[512];
    snprintf(text, sizeof(text),
             "{\"subscriptions\":[{\"name\":\"a\",\"api_key\":\"%s\",\"base_url\":\"%s\"}]}", key,
             base_url);
    write_file("c.json", text, 0600);
    struct config *c = load("c.json");
    unlink("c.json");
    bool is_loaded = c != NULL;
    config_release(c);
    return is_loaded;
}

static void test_placeholders(void)
{
    static const struct row rows[] = {
        {"sk-ant-...", "the key is a placeholder"},
        {"sk-ant-api03-...", "the key is a placeholder"},
        {"sk-ant-", "the key is a placeholder"},
        {"sk-ant-xxxxxxxx", "the key is a placeholder"},
        {"sk-ant-api03-xxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxxxxxxx", "the key is a placeholder"},
        {"****************************************", "the key is a placeholder"},
        {"*", "the key is a placeholder"},
        {"your-key-here", "the key is a placeholder"},
        {"YOUR_API_KEY", "the key is a placeholder"},
        {"sk-ant-your-key", "the key is a placeholder"},
        {"changeme", "the key is a placeholder"},
        {"${TEAM_KEY}", "found ${...}, which nothing has replaced"},
        {"$TEAM_KEY", "found $NAME, which nothing has replaced"},
        {"<key>", "found <...>, which nothing has replaced"},
        {"{{key}}", "found {{...}}, which nothing has replaced"},
        {"ANTHROPIC_API_KEY=sk-ant-api03-x", "found NAME=value, a whole line"},
        {"any", "this is a word for clients"},
        {"passthrough", "\"passthrough\" is a word of claude-code-provider-balancer, and no key"},
        {"oauth", "\"oauth\" is a word of claude-code-provider-balancer, and no key"},
        {"sk-ant-admin01-x", "this is an admin key"},
        {"sk-ant-ort01-x", "this is a refresh token"},
        {"sk-ant a", "character 7 of it is a blank"},
        {"sk-ant\nsk-ant", "character 7 of it is the end of a line"},
    };
    PROMISE("what is no key is refused, with its place and what to do")
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK(env_refused(rows[i].key, rows[i].words));
    PROMISE("wherever it stands, and each of several is named")
    {
        set_variable("ANTHROPIC_API_KEYS", "sk-ant-api03-x,changeme,sk-ant-...");
        CHECK(load_refused(NULL, "key 2: the key is a placeholder"));
        CHECK(failure.count == 2 && strstr(failure.all, "key 3: the key is a") != NULL);
        set_variable("ANTHROPIC_API_KEYS", NULL);
        write_file("c.json", "{\"subscriptions\":[{\"name\":\"a\",\"api_key_env\":\"K\"}]}", 0600);
        set_variable("K", "${TEAM_KEY}");
        CHECK(load_refused("c.json", "c.json: subscriptions[0].api_key_env: found ${...}, which"));
        set_variable("K", NULL);
        unlink("c.json");
    }
}

static void test_nothing_is_shown(void)
{
    static const char *const keys[] = {
        "<sk-ant-api03-SECRET>",
        "${TEAM_KEY:-sk-ant-api03-SECRET}",
        "{{sk-ant-api03-SECRET}}",
        "$SECRET",
        "%SECRET%",
        "$(SECRET)",
        "KEY_OF=SECRET",
        "sk-proj-SECRET",
        "sk-ant-admin01-SECRET",
        "sk-ant-...SECRET",
        "sk-ant-api03-SECRET x",
        "'sk-ant-api03-SECRET",
    };
    PROMISE("of what stands where a key belongs nothing is shown: it may hold one")
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        CHECK(env_refused(keys[i], ""));
        CHECK(strstr(failure.all, "SECRET") == NULL);
    }
    static const char *const files[] = {
        "{\"subscriptions\":\"sk-ant-api03-SECRET\"}",
        "{\"subscriptions\":[\"sk-ant-api03-SECRET\"]}",
        "{\"subscriptions\":[" ONE "],\"admin\":\"SECRET\"}",
        "{\"subscriptions\":[" ONE "],\"redis\":\"redis://:SECRET@host\"}",
    };
    PROMISE("nor of what stands where a section or a list belongs, or a list of URLs")
    {
        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
            write_file("c.json", files[i], 0600);
            CHECK(load_refused("c.json", "found a string, expected a"));
            CHECK(strstr(failure.all, "SECRET") == NULL);
        }
        unlink("c.json");
        set_variable("ANTHROPIC_API_KEYS", "sk-ant-api03-x");
        set_variable("SERVICE_ENDPOINTS", "{\"anthropic\":\"https://u:SECRET@h.example\"}");
        CHECK(load_refused(NULL, "found a string, expected a list"));
        set_variable("SERVICE_ENDPOINTS", NULL);
        set_variable("ANTHROPIC_API_KEYS", NULL);
    }
}

static void test_makers(void)
{
    /* clang-format off */
    static const struct row rows[] = {
        {"sk-proj-x", "OpenAI"},
        {"sk-or-v1-x", "OpenRouter"},
        {"AIzaSyx", "Google"},
        {"ghp_x", "GitHub"},
        {"xai-x", "xAI"},
        {"gsk_x", "Groq"},
    };
    /* clang-format on */
    char words[64];
    PROMISE("a key of another maker is not shown to Anthropic")
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(words, sizeof(words), "this is a key of %s's", rows[i].words);
        CHECK(env_refused(rows[i].key, words));
        CHECK(is_taken(rows[i].key, "https://gateway.example"));
    }
    PROMISE("at a base URL of one's own, anything may be a key")
    {
        CHECK(is_taken("any", "http://127.0.0.1:4000") && is_taken("$ecret", "https://x.example"));
        CHECK(is_taken("sk-1234", "http://127.0.0.1:4000"));
    }
}

static bool is_loop(const char *host, unsigned port, const char *base_url)
{
    char text[512];
    struct config *c;
    snprintf(text, sizeof(text),
             "{\"server\":{\"host\":\"%s\",\"port\":%u,\"names\":[\"weir.example\"]},"
             "\"subscriptions\":[{\"name\":\"a\",\"api_key\":\"k\",\"base_url\":\"%s\"}]}",
             host, port, base_url);
    write_file("c.json", text, 0600);
    bool is_refused = !config_load("c.json", &c, &failure);
    if (is_refused)
        CHECK(strstr(failure.text, "subscriptions[0].base_url") != NULL &&
              strstr(failure.text, "leads back to this node") != NULL);
    else
        config_release(c);
    unlink("c.json");
    return is_refused;
}

static void test_own_addresses(void)
{
    struct ifaddrs *all;
    char url[NI_MAXHOST + 32], host[NI_MAXHOST];
    CHECK(getifaddrs(&all) == 0);
    for (struct ifaddrs *a = all; a != NULL; a = a->ifa_next) {
        if (a->ifa_addr == NULL || a->ifa_addr->sa_family != AF_INET ||
            getnameinfo(a->ifa_addr, sizeof(struct sockaddr_in), host, sizeof(host), NULL, 0,
                        NI_NUMERICHOST) != 0)
            continue;
        snprintf(url, sizeof(url), "http://%s:7000", host);
        CHECK(is_loop("0.0.0.0", 7000, url));
        CHECK(is_loop("::", 7000, url));
    }
    freeifaddrs(all);
}

static void test_loops(void)
{
    PROMISE("a base URL that leads back to the node is refused")
    {
        CHECK(is_loop("127.0.0.1", 7000, "http://127.0.0.1:7000"));
        CHECK(is_loop("127.0.0.1", 7000, "http://localhost:7000/path"));
        CHECK(is_loop("127.0.0.1", 7000, "http://0.0.0.0:7000"));
        CHECK(is_loop("::1", 7000, "http://[::1]:7000"));
        CHECK(is_loop("0.0.0.0", 7000, "https://127.0.0.2:7000"));
        CHECK(is_loop("0.0.0.0", 7000, "http://weir.example:7000"));
        CHECK(is_loop("127.0.0.1", 443, "https://127.0.0.1"));
        test_own_addresses();
    }
    PROMISE("and one beside it is not")
    {
        CHECK(!is_loop("127.0.0.1", 7000, "http://127.0.0.1:7001"));
        CHECK(!is_loop("127.0.0.1", 7000, "http://127.0.0.2:7000"));
        CHECK(!is_loop("0.0.0.0", 7000, "http://192.0.2.1:7000"));
        CHECK(!is_loop("0.0.0.0", 7000, "http://[::1]:7000"));
        CHECK(!is_loop("127.0.0.1", 0, "http://127.0.0.1:7000"));
        CHECK(!is_loop("127.0.0.1", 443, "https://api.anthropic.com"));
    }
    PROMISE("of keys of the environment the variable is named that has the URL")
    {
        set_variable("ANTHROPIC_API_KEYS", "k");
        set_variable("SERVICE_ENDPOINTS", "{\"anthropic\":[\"http://localhost:8080/v1\"]}");
        CHECK(load_refused(NULL, "SERVICE_ENDPOINTS (environment): http://localhost:8080 leads"));
        set_variable("SERVICE_ENDPOINTS", NULL);
        set_variable("ANTHROPIC_API_KEYS", NULL);
    }
}

int main(void)
{
    fixture_enter();
    test_placeholders();
    test_nothing_is_shown();
    test_makers();
    test_loops();
    fixture_leave((const char *const[]){NULL});
    return check_done();
}
