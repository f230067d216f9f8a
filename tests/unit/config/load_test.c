/* The config as it is found: files, variables, ./.env, and which goes before which. */
#include "certificate.h"
#include "config/fixture.h"

static void test_files(void)
{
    PROMISE("a file is found by name, by variable, or in its usual places")
    {
        CHECK(load_refused("nope.json", "cannot read nope.json: No such file"));
        CHECK(load_refused("/", "/ is not a regular file"));
        write_file("own.json", "{\"subscriptions\":[" ONE "],\"server\":{\"port\":1}}", 0600);
        struct config *c = load("own.json");
        CHECK(c != NULL && c->server.port == 1 && c->warning_count == 0);
        config_release(c);
        set_variable("WEIR_CONFIG", "own.json");
        c = load(NULL);
        CHECK(c != NULL && c->server.port == 1);
        config_release(c);
        set_variable("WEIR_CONFIG", NULL);
        mkdir("xdg", 0700);
        mkdir("xdg/weir", 0700);
        write_file("xdg/weir/config.json", "{\"subscriptions\":[" ONE "],\"server\":{\"port\":2}}",
                   0600);
        set_variable("XDG_CONFIG_HOME", "xdg");
        c = load(NULL);
        CHECK(c != NULL && c->server.port == 2);
        config_release(c);
        write_file("config.json", "{\"subscriptions\":[" ONE "],\"server\":{\"port\":3}}", 0600);
        c = load(NULL);
        CHECK(c != NULL && c->server.port == 3);
        CHECK_TEXT(slice_of(c->source), "config.json");
        config_release(c);
        set_variable("XDG_CONFIG_HOME", NULL);
        unlink("config.json");
    }
}

static void test_file_checks(void)
{
    PROMISE("secrets that everyone can read are warned about; a file without any is not")
    {
        write_file("open.json", "{\"subscriptions\":[" ONE "]}", 0644);
        struct config *c = load("open.json");
        CHECK(c != NULL && has_warning(c, "chmod 600 open.json"));
        config_release(c);
        set_variable("KEY_OF_A", "k");
        write_file("open.json",
                   "{\"subscriptions\":[{\"name\":\"a\",\"api_key_env\":\"KEY_OF_A\"}]}", 0644);
        c = load("open.json");
        CHECK(c != NULL && c->warning_count == 0);
        config_release(c);
        set_variable("KEY_OF_A", NULL);
    }
    PROMISE("files that the config names must be there")
    {
        write_file("c.json",
                   "{\"subscriptions\":[{\"name\":\"a\",\"api_key\":\"k\",\"ca_file\":\"ca\"}]}",
                   0600);
        CHECK(load_refused("c.json", "c.json: subscriptions[0].ca_file: CA file ca: No such file"));
        write_file("c.json",
                   "{\"subscriptions\":[" ONE "],\"server\":{\"tls\":{\"cert\":\"own.json\","
                   "\"key\":\"gone\"}}}",
                   0600);
        CHECK(load_refused("c.json", "server.tls.key: cannot read gone"));
    }
    PROMISE("a config is smaller than a megabyte")
    {
        static char big[1100000];
        memset(big, ' ', sizeof(big) - 1);
        write_file("big.json", big, 0600);
        CHECK(load_refused("big.json", "larger than 1024 KiB"));
    }
}

static void test_key_sources(void)
{
    PROMISE("a key may come from a variable or a file, without its line's end")
    {
        write_file("key", "  sk-ant-oat-1 \n", 0600);
        set_variable("KEY_OF_A", "sk-a");
        write_file("k.json",
                   "{\"subscriptions\":[{\"name\":\"a\",\"api_key_env\":\"KEY_OF_A\"},"
                   "{\"name\":\"b\",\"api_key_file\":\"key\"}]}",
                   0600);
        struct config *c = load("k.json");
        CHECK(c != NULL);
        if (c != NULL) {
            CHECK_TEXT(secret_reveal(&c->subscriptions[0].api_key), "sk-a");
            CHECK_TEXT(secret_reveal(&c->subscriptions[1].api_key), "sk-ant-oat-1");
            CHECK(c->subscriptions[1].auth_type == AUTH_TOKEN);
        }
        config_release(c);
        set_variable("KEY_OF_A", NULL);
        CHECK(load_refused("k.json", "the variable KEY_OF_A is not set"));
        set_variable("KEY_OF_A", "k");
        unlink("key");
        CHECK(load_refused("k.json", "api_key_file: cannot read key"));
        set_variable("KEY_OF_A", NULL);
    }
}

static void test_keys_from_environment(void)
{
    PROMISE("without a file, each key in the environment is a subscription")
    {
        CHECK(load_refused(NULL, "(1)") && strstr(failure.text, "(3)") != NULL);
        set_variable("ANTHROPIC_API_KEY", "single");
        struct config *c = load(NULL);
        CHECK(c != NULL && c->subscription_count == 1);
        config_release(c);
        set_variable("ANTHROPIC_API_KEYS", " sk-a, ,sk-ant-oat-b,");
        c = load(NULL);
        CHECK(c != NULL && c->subscription_count == 2);
        if (c != NULL && c->subscription_count == 2) {
            CHECK_TEXT(slice_of(c->source), "environment");
            CHECK(strncmp(c->subscriptions[1].name, "key-", 4) == 0);
            CHECK_TEXT(secret_reveal(&c->subscriptions[0].api_key), "sk-a");
            CHECK(c->subscriptions[1].auth_type == AUTH_TOKEN);
        }
        config_release(c);
        set_variable("ANTHROPIC_API_KEYS", "a,b c");
        CHECK(load_refused(NULL, "ANTHROPIC_API_KEYS (environment): key 2: character 2"));
        set_variable("ANTHROPIC_API_KEYS", NULL);
    }
    PROMISE("a file without subscriptions takes them from there as well")
    {
        write_file("shared.json", "{\"redis\":{\"pool\":\"p\"}}", 0644);
        struct config *c = load("shared.json");
        CHECK(c != NULL && c->subscription_count == 1 && strcmp(c->redis.pool, "p") == 0);
        config_release(c);
        set_variable("ANTHROPIC_API_KEY", NULL);
        CHECK(load_refused("shared.json", "neither ANTHROPIC_API_KEYS nor"));
    }
    PROMISE("OpenAI's keys alone are an error that says so, beside ours a warning")
    {
        set_variable("OPENAI_API_KEY", "x");
        CHECK(load_refused(NULL, "OpenAI subscriptions are not supported by this version"));
        set_variable("ANTHROPIC_API_KEY", "y");
        struct config *c = load(NULL);
        CHECK(c != NULL && has_warning(c, "OPENAI_API_KEY"));
        config_release(c);
        set_variable("OPENAI_API_KEY", NULL);
        set_variable("ANTHROPIC_API_KEY", NULL);
    }
}

static void test_service_endpoints(void)
{
    PROMISE("SERVICE_ENDPOINTS gives its URLs to the keys in turn")
    {
        set_variable("ANTHROPIC_API_KEYS", "a,b,c");
        set_variable("SERVICE_ENDPOINTS",
                     "{\"anthropic\":[\"https://x.example/v1\",\"https://y.example/p\"]}");
        struct config *c = load(NULL);
        CHECK(c != NULL && c->subscription_count == 3);
        if (c != NULL && c->subscription_count == 3) {
            CHECK_TEXT(slice_of(c->subscriptions[0].origin.host), "x.example");
            CHECK_TEXT(slice_of(c->subscriptions[0].origin.path_prefix), "");
            CHECK_TEXT(slice_of(c->subscriptions[1].origin.path_prefix), "/p");
            CHECK_TEXT(slice_of(c->subscriptions[2].origin.host), "x.example");
        }
        config_release(c);
        set_variable("SERVICE_ENDPOINTS", "{\"anthropic\":");
        CHECK(load_refused(NULL, "SERVICE_ENDPOINTS (environment):1:"));
        set_variable("SERVICE_ENDPOINTS", "{\"anthropic\":[]}");
        CHECK(load_refused(NULL, "anthropic: found an empty list, expected a list of 1 to 200"));
        set_variable("SERVICE_ENDPOINTS", "{\"anthropic\":[\"x\"]}");
        CHECK(load_refused(NULL, "anthropic[0]: does not begin with https:// or http://"));
        set_variable("SERVICE_ENDPOINTS", "{\"openai\":[\"https://x\"]}");
        c = load(NULL);
        CHECK(c != NULL && has_warning(c, "openai: ignored: OpenAI subscriptions are not"));
        config_release(c);
        set_variable("SERVICE_ENDPOINTS", NULL);
        set_variable("ANTHROPIC_API_KEYS", NULL);
    }
}

static void test_quotes(void)
{
    static const char *const quoted[] = {"\"k1,k2\"", "'k1,k2'", "\"k1\",\"k2\"", "'k1', 'k2'"};
    PROMISE("quotes that nobody took off a variable are taken off")
    for (size_t i = 0; i < sizeof(quoted) / sizeof(quoted[0]); i++) {
        set_variable("ANTHROPIC_API_KEYS", quoted[i]);
        set_variable("PORT", "\"81\"");
        struct config *c = load(NULL);
        CHECK(c != NULL && c->subscription_count == 2 && c->server.port == 81);
        if (c != NULL && c->subscription_count == 2) {
            CHECK_TEXT(secret_reveal(&c->subscriptions[0].api_key), "k1");
            CHECK_TEXT(secret_reveal(&c->subscriptions[1].api_key), "k2");
        }
        config_release(c);
        set_variable("PORT", NULL);
    }
    PROMISE("a quote that belongs to nothing is refused in words")
    {
        set_variable("ANTHROPIC_API_KEYS", "\"k1,k2");
        CHECK(load_refused(NULL, "ANTHROPIC_API_KEYS (environment): key 1: the key has a quote"));
        set_variable("ANTHROPIC_API_KEYS", NULL);
    }
    PROMISE("and so is one in any other place that a key can come from")
    {
        write_file("q.json", "{\"subscriptions\":[{\"name\":\"a\",\"api_key\":\"'k'\"}]}", 0600);
        CHECK(load_refused("q.json", "subscriptions[0].api_key: the key has a quote"));
        write_file("key", "\"sk-ant-api03-x\"\n", 0600);
        write_file("q.json", "{\"subscriptions\":[{\"name\":\"a\",\"api_key_file\":\"key\"}]}",
                   0600);
        CHECK(load_refused("q.json", "subscriptions[0].api_key_file: the key has a quote"));
        write_file("q.json", "{\"subscriptions\":[{\"name\":\"a\",\"api_key_env\":\"Q\"}]}", 0600);
        set_variable("Q", "\"k");
        CHECK(load_refused("q.json", "subscriptions[0].api_key_env: the key has a quote"));
        set_variable("Q", "\"k\"");
        struct config *c = load("q.json");
        CHECK(c != NULL);
        if (c != NULL)
            CHECK_TEXT(secret_reveal(&c->subscriptions[0].api_key), "k");
        config_release(c);
        set_variable("Q", NULL);
        unlink("key");
    }
}

static void test_true_sources(void)
{
    PROMISE("what is wrong with a value is said of the place it came from")
    {
        set_variable("WEIR_REDIS_URL", "http://x");
        CHECK(load_refused("own.json", "WEIR_REDIS_URL (environment): redis.url: does not begin"));
        set_variable("WEIR_REDIS_URL", NULL);
        set_variable("WEIR_HOST", "example.com");
        CHECK(load_refused("own.json", "WEIR_HOST (environment): server.host: found"));
        set_variable("WEIR_HOST", NULL);
        write_file(".env", "ANTHROPIC_API_KEY=k\nWEIR_HOST=example.com\n", 0600);
        CHECK(load_refused(NULL, "WEIR_HOST (.env:2): server.host: found"));
        write_file(".env", "ANTHROPIC_API_KEY=k\nWEIR_REDIS_URL=rediss://h?ca_file=/none\n", 0600);
        CHECK(load_refused(NULL, "WEIR_REDIS_URL (.env:2): redis.url: CA file /none"));
        unlink(".env");
    }
}

static void write_tls(const char *cert, const char *key)
{
    char text[512];
    snprintf(text, sizeof(text),
             "{\"subscriptions\":[" ONE "],\"server\":{\"tls\":{\"cert\":\"%s\",\"key\":\"%s\"}}}",
             cert, key);
    write_file("c.json", text, 0600);
}

static void test_certificates(void)
{
    struct certificate one, other;
    certificate_make(&one, "DNS:a");
    certificate_make(&other, "DNS:b");
    PROMISE("a certificate and its key must be what they are called, and belong together")
    {
        write_tls(one.cert_file, one.key_file);
        struct config *c = load("c.json");
        CHECK(c != NULL);
        config_release(c);
        write_tls(one.cert_file, other.key_file);
        CHECK(load_refused("c.json", "c.json: server.tls: key file"));
        write_tls("own.json", one.key_file);
        CHECK(load_refused("c.json", "c.json: server.tls: certificate file own.json"));
        write_tls("gone", one.key_file);
        CHECK(load_refused("c.json", "c.json: server.tls.cert: cannot read gone"));
    }
    certificate_remove(&one);
    certificate_remove(&other);
}

static const char *const variables[][2] = {{"PORT", "4321"},
                                           {"WEIR_HOST", "0.0.0.0"},
                                           {"LOG_LEVEL", "Error"},
                                           {"WEIR_AUTH", "open"},
                                           {"WEIR_REDIS_URL", "redis://:pw@r"},
                                           {"WEIR_NODE_ID", "n9"},
                                           {"WEIR_STATE_DIR", "/st"},
                                           {"WEIR_ADMIN_TOKEN", "tok"},
                                           {"LB_STRATEGY", "headroom"}};
enum { COUNT = sizeof(variables) / sizeof(variables[0]) };

static void test_overrides(void)
{
    PROMISE("the environment overrides single fields of a file")
    {
        for (size_t i = 0; i < COUNT; i++)
            set_variable(variables[i][0], variables[i][1]);
        struct config *c = load("own.json");
        CHECK(c != NULL && c->server.port == 4321 && c->is_auth_open && c->log_level == LOG_ERROR);
        if (c != NULL) {
            CHECK_TEXT(slice_of(c->server.host.text), "0.0.0.0");
            CHECK(strcmp(c->redis.url.host, "r") == 0 && c->redis.url.port == 6379);
            CHECK(secret_equals(&c->redis.url.password, SLICE("pw")));
            CHECK_TEXT(slice_of(c->node.id), "n9");
            CHECK_TEXT(slice_of(c->node.state_dir), "/st");
            CHECK(secret_equals(&c->admin_token, SLICE("tok")));
        }
        config_release(c);
        for (size_t i = 0; i < COUNT; i++)
            set_variable(variables[i][0], ""); /* empty is as good as unset */
        c = load("own.json");
        CHECK(c != NULL && c->server.port == 1 && !c->is_auth_open);
        config_release(c);
        for (size_t i = 0; i < COUNT; i++)
            set_variable(variables[i][0], NULL);
    }
    PROMISE("a variable that makes no sense is named")
    {
        set_variable("PORT", "http");
        CHECK(load_refused(
            "own.json",
            "PORT (environment): server.port: found \"http\", expected a whole number"));
        set_variable("PORT", "70000");
        CHECK(load_refused("own.json", "found 70000"));
        set_variable("PORT", NULL);
        set_variable("LB_STRATEGY", "fastest");
        CHECK(load_refused("own.json", "LB_STRATEGY (environment): routing.strategy: found"));
        set_variable("LB_STRATEGY", NULL);
        set_variable("WEIR_NODE_ID", "\xff");
        CHECK(load_refused("own.json", "WEIR_NODE_ID (environment): node.id: is not UTF-8"));
        set_variable("WEIR_NODE_ID", NULL);
    }
}

int main(void)
{
    static const char *const made[] = {"open.json",
                                       "q.json",
                                       "c.json",
                                       "big.json",
                                       "k.json",
                                       "shared.json",
                                       "xdg/weir/config.json",
                                       "xdg/weir",
                                       "xdg",
                                       NULL};
    fixture_enter();
    test_files();
    test_file_checks();
    test_key_sources();
    test_keys_from_environment();
    test_service_endpoints();
    test_overrides();
    test_quotes();
    test_true_sources();
    test_certificates();
    fixture_leave(made);
    return check_done();
}
