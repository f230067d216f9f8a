/* Variables that look as if they were for the node. */
#include "config/fixture.h"

struct row {
    const char *name, *value, *words; /* NULL: nothing is said */
};

static void check_row(const struct row *row)
{
    set_variable(row->name, row->value);
    struct config *c = load("own.json");
    CHECK(c != NULL);
    if (c != NULL && row->words == NULL) {
        CHECK(c->warning_count == 0);
    } else if (c != NULL) {
        char wanted[256];
        snprintf(wanted, sizeof(wanted), "%s (environment): %s", row->name, row->words);
        CHECK(has_warning(c, wanted));
        CHECK(c->warning_count == 1);
    }
    config_release(c);
    set_variable(row->name, NULL);
}

static void test_unknown(void)
{
    static const struct row rows[] = {
        {"WEIR_PORT", "9000", "no variable of this name is read; did you mean PORT?"},
        {"WEIR_LISTEN", ":9000", "no variable of this name is read; did you mean WEIR_HOST"},
        {"WEIR_HOSTS", "::", "no variable of this name is read; did you mean WEIR_HOST?"},
        {"WEIR_LOG_LEVEL", "debug", "no variable of this name is read; did you mean LOG_LEVEL?"},
        {"WEIR_SERVER_PORT", "1", "no variable of this name is read; did you mean PORT?"},
        {"WEIR_REDIS_POOL", "p",
         "no variable of this name is read; did you mean redis.pool in the config file?"},
        {"WEIR_API_KEYS", "k", "no variable of this name is read; did you mean ANTHROPIC_API_KEYS"},
        {"WEIR_CONFIG_FILE", "./my.json",
         "no variable of this name is read; did you mean WEIR_CONFIG, or for docker-compose.yml"},
        {"WEIR_FROBNICATE", "1", "no variable of this name is read; `weir help config` lists"},
        {"WEIR_CONFIG_DIR", "./config", NULL},
        {"WEIR_IMAGE", "weir", NULL},
        {"WEIR_NODES", "5", NULL},
        {"WEIR_FROBNICATE", "", NULL},
        {"WEIR_URL", "http://127.0.0.1:1", NULL},
        {"WEIR_HOST", "127.0.0.1", NULL},
    };
    PROMISE("a variable that is not read is named, with the one that was meant")
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_row(&rows[i]);
}

static void test_injected(void)
{
    static const struct row rows[] = {
        {"WEIR_PORT", "tcp://10.96.0.7:8080", NULL},
        {"WEIR_SERVICE_HOST", "10.96.0.7", NULL},
        {"WEIR_SERVICE_PORT", "8080", NULL},
        {"WEIR_SERVICE_PORT_HTTP", "8080", NULL},
        {"WEIR_PORT_8080_TCP", "tcp://10.96.0.7:8080", NULL},
        {"WEIR_PORT_8080_TCP_ADDR", "10.96.0.7", NULL},
        {"WEIR_PORT_8080_TCP_PROTO", "tcp", NULL},
        {"WEIR_REDIS_SERVICE_HOST", "10.96.0.8", NULL},
        {"WEIR_REDIS_PORT", "tcp://10.96.0.8:6379", NULL},
        {"WEIR_NAME", "/bot/weir", NULL},
        {"WEIR_ENV_PATH", "/bin", NULL},
    };
    PROMISE("what Kubernetes and Docker put there for a service of this name is nobody's mistake")
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_row(&rows[i]);
}

static void test_of_clients(void)
{
    static const struct row rows[] = {
        {"ANTHROPIC_BASE_URL", "http://x", "is for clients, a node does not read it: where a key"},
        {"ANTHROPIC_AUTH_TOKEN", "t", "is for clients, a node does not read it: a token that it"},
    };
    PROMISE("a variable for clients is told from one for the node")
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_row(&rows[i]);
}

static void test_dotenv(void)
{
    PROMISE("lines of .env are named the same, and nothing of theirs is read")
    {
        write_file(".env",
                   "ANTHROPIC_API_KEY=sk-ant-api03-x\nWEIR_LISTN=1\nANTHROPIC_BASE_URL='x\n"
                   "OTHER=y\n",
                   0600);
        struct config *c = load(NULL);
        CHECK(c != NULL && c->warning_count == 2);
        CHECK(c != NULL && has_warning(c, "WEIR_LISTN (.env:2): no variable of this name is read"));
        CHECK(c != NULL && has_warning(c, "ANTHROPIC_BASE_URL (.env:3): is for clients"));
        config_release(c);
        unlink(".env");
    }
}

int main(void)
{
    fixture_enter();
    test_unknown();
    test_injected();
    test_of_clients();
    test_dotenv();
    fixture_leave((const char *const[]){NULL});
    return check_done();
}
