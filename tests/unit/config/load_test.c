/* The config as it is found: files, variables, ./.env, and which goes before which. */
#include "config/config.h"

#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

#define ONE "{\"name\":\"a\",\"api_key\":\"sk-ant-api03-x\"}"

static struct config_error failure;

/* NULL: unset. There is one thread. */
static void set_variable(const char *name, const char *value)
{
    if (value != NULL)
        setenv(name, value, 1); /* NOLINT(concurrency-mt-unsafe) */
    else
        unsetenv(name); /* NOLINT(concurrency-mt-unsafe) */
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0 && chmod(path, mode) == 0);
}

static bool load_refused(const char *path, const char *words)
{
    struct config *c = NULL;
    bool is_read = config_load(path, &c, &failure);
    config_release(c);
    if (!is_read && strstr(failure.text, words) != NULL)
        return true;
    fprintf(stderr, "    gave: %s\n", failure.text);
    return false;
}

static struct config *load(const char *path)
{
    struct config *c = NULL;
    if (!config_load(path, &c, &failure))
        fprintf(stderr, "    gave: %s\n", failure.text);
    return c;
}

static bool has_warning(const struct config *c, const char *words)
{
    for (size_t i = 0; i < c->warning_count; i++)
        if (strstr(c->warnings[i], words) != NULL)
            return true;
    return false;
}

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
        CHECK(load_refused("c.json", "subscriptions[0].ca_file: cannot read ca"));
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
            CHECK_TEXT(slice_of(c->subscriptions[1].name), "key-2");
            CHECK_TEXT(secret_reveal(&c->subscriptions[0].api_key), "sk-a");
            CHECK(c->subscriptions[1].auth_type == AUTH_TOKEN);
        }
        config_release(c);
        set_variable("ANTHROPIC_API_KEYS", "a,b c");
        CHECK(load_refused(NULL, "ANTHROPIC_API_KEYS (environment): key-2: character 2"));
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
        CHECK(load_refused(NULL, "expected a list"));
        set_variable("SERVICE_ENDPOINTS", "{\"anthropic\":[\"x\"]}");
        CHECK(load_refused(NULL, "expected https://"));
        set_variable("SERVICE_ENDPOINTS", "{\"openai\":[\"https://x\"]}");
        CHECK(load_refused(NULL, "openai: this service is not supported"));
        set_variable("SERVICE_ENDPOINTS", NULL);
        set_variable("ANTHROPIC_API_KEYS", NULL);
    }
}

static void test_dotenv(void)
{
    PROMISE(".env stands in for the environment; the environment goes before it")
    {
        write_file(
            ".env",
            "\xef\xbb\xbf# keys\r\n\r\nexport ANTHROPIC_API_KEYS='a,b' # two\r\n"
            "PORT = 1234\nLOG_LEVEL=\"de\\bug\"\nWEIR_NODE_ID=n#1 # x\nEMPTY=\nLOG_LEVEL=warn",
            0600);
        set_variable("WEIR_NODE_ID", "n2");
        struct config *c = load(NULL);
        CHECK(c != NULL && c->subscription_count == 2 && c->server.port == 1234);
        CHECK(c != NULL && c->log_level == LOG_WARN && strcmp(c->node.id, "n2") == 0);
        CHECK(c != NULL && c->warning_count == 0);
        config_release(c);
        set_variable("WEIR_NODE_ID", NULL);
        CHECK(load_refused(NULL, "WEIR_NODE_ID (.env:6): found \"n#1\""));
    }
    PROMISE("a line of .env that means nothing is named")
    {
        write_file(".env", "A=1\nfoo bar\n", 0600);
        CHECK(load_refused(NULL, ".env:2: expected NAME=value"));
        write_file(".env", "A=\"1\n", 0600);
        CHECK(load_refused(NULL, ".env:1: the quote is not closed"));
        write_file(".env", "A='1' x\n", 0600);
        CHECK(load_refused(NULL, ".env:1: something stands behind"));
        write_file(".env", "=1\n", 0600);
        CHECK(load_refused(NULL, ".env:1: expected NAME=value"));
        write_file(".env", "ANTHROPIC_API_KEY=a\n", 0644);
        struct config *c = load(NULL);
        CHECK(c != NULL && has_warning(c, "chmod 600 .env"));
        config_release(c);
    }
    PROMISE("a file with subscriptions never looks at .env")
    {
        write_file(".env", "PORT=x\nnonsense\n", 0600);
        struct config *c = load("own.json");
        CHECK(c != NULL && c->server.port == 1);
        config_release(c);
        unlink(".env");
    }
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
            CHECK_TEXT(slice_of(c->server.host), "0.0.0.0");
            CHECK_TEXT(slice_of(c->redis.url), "redis://:pw@r");
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
        CHECK(load_refused("own.json",
                           "PORT (environment): found \"http\", expected a whole number"));
        set_variable("PORT", "70000");
        CHECK(load_refused("own.json", "found 70000"));
        set_variable("PORT", NULL);
        set_variable("LB_STRATEGY", "session");
        CHECK(load_refused("own.json", "\"session\" is not supported by this version"));
        set_variable("LB_STRATEGY", NULL);
        set_variable("WEIR_NODE_ID", "\xff");
        CHECK(load_refused("own.json", "WEIR_NODE_ID (environment): is not UTF-8"));
        set_variable("WEIR_NODE_ID", NULL);
    }
}

static void clear_environment(void)
{
    static const char *const names[] = {"WEIR_CONFIG",       "XDG_CONFIG_HOME",    "HOME",
                                        "ANTHROPIC_API_KEY", "ANTHROPIC_API_KEYS", "OPENAI_API_KEY",
                                        "OPENAI_API_KEYS",   "SERVICE_ENDPOINTS",  "PORT",
                                        "WEIR_HOST",         "LOG_LEVEL",          "WEIR_AUTH",
                                        "WEIR_REDIS_URL",    "WEIR_NODE_ID",       "WEIR_STATE_DIR",
                                        "WEIR_ADMIN_TOKEN",  "LB_STRATEGY"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        set_variable(names[i], NULL);
}

static void remove_files(void)
{
    static const char *const names[] = {"own.json",
                                        "open.json",
                                        "c.json",
                                        "big.json",
                                        "k.json",
                                        "shared.json",
                                        "xdg/weir/config.json",
                                        "xdg/weir",
                                        "xdg"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        (void)remove(names[i]);
}

int main(void)
{
    char directory[] = "/tmp/base_config_load_test.XXXXXX";
    clear_environment();
    CHECK(mkdtemp(directory) != NULL && chdir(directory) == 0);
    test_files();
    test_file_checks();
    test_key_sources();
    test_keys_from_environment();
    test_service_endpoints();
    test_dotenv();
    test_overrides();
    remove_files();
    CHECK(chdir("/") == 0 && rmdir(directory) == 0);
    return check_done();
}
