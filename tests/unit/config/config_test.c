/* The config as text: what is accepted, what becomes of it, and how it says no. */
#include "config/config.h"

#include "base/suggest.h"
#include "config/parsing.h"

static bool accepted(const char *json)
{
    struct config *c = parse(json);
    if (c == NULL)
        fprintf(stderr, "    %s\n    gave: %s\n", json, failure.text);
    config_release(c);
    return c != NULL;
}

static void test_defaults(void)
{
    PROMISE("a name and a key are enough; all else has the documented default")
    {
        struct config *c = parse("{\"subscriptions\":[" ONE "]}");
        CHECK(c != NULL);
        if (c == NULL)
            return;
        const struct subscription *s = config_subscription(c, SLICE("a"));
        CHECK(s == &c->subscriptions[0]);
        s = &c->subscriptions[0];
        CHECK(s->max_concurrent == 5 && s->priority == 1 && s->is_enabled);
        CHECK(s->origin.is_tls && s->origin.port == 443 && s->ca_file == NULL);
        CHECK_TEXT(slice_of(s->origin.authority), "api.anthropic.com");
        CHECK_TEXT(slice_of(s->origin.path_prefix), "");
        CHECK_TEXT(secret_reveal(&s->api_key), "sk-ant-api03-x");
        CHECK_TEXT(slice_of(c->server.host.text), "127.0.0.1");
        CHECK(c->server.port == 8080 && c->server.workers >= 1 && c->server.workers <= 64);
        CHECK(c->server.max_body_bytes == 32u << 20 && c->server.drain_seconds == 600);
        CHECK(c->server.memory_bytes == 256u << 20);
        const struct networks *trusted = &c->server.trusted_networks;
        CHECK_TEXT(slice_of(trusted->items[0].first.text), "127.0.0.0");
        CHECK(trusted->items[0].bits == 96 + 8 && trusted->count == 6);
        CHECK(!redis_url_is_set(&c->redis.url) && c->node.id == NULL);
        CHECK_TEXT(slice_of(c->redis.prefix), "weir");
        CHECK_TEXT(slice_of(c->redis.pool), "main");
        CHECK(c->rate_limit.cooldown_seconds == 60 && c->rate_limit.burst_limit == 10);
        CHECK(c->retry.total == 8 && c->timeouts.connect_ms == 10000);
        CHECK(c->timeouts.first_byte_ms == 600000 && c->timeouts.idle_ms == 300000);
        CHECK(c->timeouts.client_ms == 60000 && c->log_level == LOG_INFO);
        CHECK(!c->is_auth_open && !secret_is_set(&c->admin_token) && c->warning_count == 0);
        config_release(c);
    }
}

static void test_every_field(void)
{
    PROMISE("every supported field arrives where it belongs")
    {
        struct config *c = parse(
            "{\"subscriptions\":[{\"name\":\"b.1\",\"api_key\":\"t\",\"auth_type\":\"auth_token\","
            "\"type\":\"anthropic\",\"base_url\":\"http://[::1]:81/x/\",\"max_concurrent\":1000,"
            "\"priority\":7,\"enabled\":false,\"ca_file\":\"ca.pem\"}],"
            "\"server\":{\"host\":\"::\",\"port\":0,\"workers\":3,\"max_body_bytes\":1073741824,"
            "\"trusted_networks\":[\"10.1.2.3\"],\"expose_subscription\":true,\"pass_limits\":true,"
            "\"tls\":{\"cert\":\"c\",\"key\":\"k\"},\"drain_seconds\":0},\"auth\":\"open\","
            "\"redis\":{\"url\":\"unix:///r\",\"prefix\":\"p\",\"pool\":\"q\"},"
            "\"node\":{\"id\":\"n\",\"state_dir\":\"/s\",\"taken_name\":\"wait\"},"
            "\"rate_limit\":{\"cooldown_seconds\":1,\"burst_limit\":2},"
            "\"routing\":{\"strategy\":\"headroom\"},\"retry\":{\"total\":3},"
            "\"timeouts\":{\"connect_ms\":4,\"first_byte_ms\":5,\"idle_ms\":6,\"client_ms\":7},"
            "\"admin\":{\"token\":\"secret\"},"
            "\"logging\":{\"level\":\"DEBUG\",\"format\":\"json\"}}");
        CHECK(c != NULL);
        if (c == NULL)
            return;
        const struct subscription *s = &c->subscriptions[0];
        CHECK(s->auth_type == AUTH_TOKEN && s->max_concurrent == 1000 && s->priority == 7);
        CHECK(!s->is_enabled && !s->origin.is_tls && s->origin.port == 81);
        CHECK_TEXT(slice_of(s->origin.host), "::1");
        CHECK_TEXT(slice_of(s->origin.authority), "[::1]:81");
        CHECK_TEXT(slice_of(s->origin.path_prefix), "/x");
        CHECK_TEXT(slice_of(s->ca_file), "ca.pem");
        CHECK(c->server.host.is_v6 && strcmp(c->server.host.text, "::") == 0);
        CHECK(c->server.port == 0 && c->server.workers == 3 && c->server.drain_seconds == 0);
        CHECK(c->server.max_body_bytes == 1u << 30 && c->server.memory_bytes == 4ULL << 30);
        CHECK(c->server.expose_subscription && c->server.pass_limits && c->is_auth_open);
        CHECK_TEXT(slice_of(c->server.trusted_networks.items[0].first.text), "10.1.2.3");
        CHECK(c->server.trusted_networks.items[0].bits == 128);
        CHECK_TEXT(slice_of(c->server.tls_cert), "c");
        CHECK_TEXT(slice_of(c->server.tls_key), "k");
        CHECK(c->redis.url.is_unix && strcmp(c->redis.url.path, "/r") == 0);
        CHECK_TEXT(slice_of(c->node.id), "n");
        CHECK_TEXT(slice_of(c->node.state_dir), "/s");
        CHECK(c->node.taken_name == TAKEN_NAME_WAIT);
        CHECK(c->rate_limit.cooldown_seconds == 1 && c->rate_limit.burst_limit == 2);
        CHECK(c->retry.total == 3 && c->timeouts.connect_ms == 4 && c->timeouts.client_ms == 7);
        CHECK(c->timeouts.first_byte_ms == 5 && c->timeouts.idle_ms == 6);
        CHECK(secret_equals(&c->admin_token, SLICE("secret")));
        CHECK(c->log_level == LOG_DEBUG && c->log_format == LOG_JSON);
        config_release(c);
    }
}

static void test_syntax_errors(void)
{
    PROMISE("a syntax error names file, line and column, and what is usually meant")
    {
        CHECK(refused("", "test.json: is empty"));
        CHECK(refused("[1]", "test.json: found a list, expected an object"));
        CHECK(refused("{\n \"a\": 1,\n}", "test.json:3:1: not valid JSON"));
        CHECK(refused("{\"a\":1,}", "a comma too many"));
        CHECK(refused("{'a':1}", "double quotes"));
        CHECK(refused("{ // x\n}", "no comments"));
        CHECK(refused("{\"auth\":\"open\" \"a\":2}", "comma missing"));
        CHECK(refused("{\"auth\":1,\"auth\":2}", "the field \"auth\" is given twice"));
    }
    PROMISE("no message shows a key or a password")
    {
        CHECK(refused("{\"subscriptions\":[{\"api_key\": sk-ant-q}]}", "invalid token"));
        CHECK(strstr(failure.text, "sk") == NULL);
        CHECK(refused("{\"subscriptions\":[\"sk-ant-q\"]}", "found a string"));
        CHECK(refused("{\"subscriptions\":[{\"api_key\":[\"sk-ant-q\"]}]}", "found a list"));
        CHECK(refused("{\"subscriptions\":[{\"name\":\"a\",\"api_key\":\"sk-ant q\"}]}",
                      "character 7"));
        CHECK(strstr(failure.text, "sk-ant") == NULL);
        CHECK(refused(SUB("\"base_url\":\"http://user:sesame@host\""), "credentials"));
        CHECK(strstr(failure.text, "sesame") == NULL);
        CHECK(refused("{\"subscriptions\":[{\"name\":\"a\",\"api_key_env\":\"sk-ant-q\"}]}",
                      "found a string"));
        CHECK(refused("{\"subscriptions\":[{\"name\":\"a\",\"api_key_file\":\"sk-ant-q\"}]}",
                      "this is a key"));
        CHECK(strstr(failure.text, "sk-ant") == NULL);
        CHECK(refused(WITH("\"admin\":{\"token\":123}"), "admin.token: found a number"));
    }
}

static void test_unknown_fields(void)
{
    PROMISE("an unknown field is an error that says where and what may be meant")
    {
        CHECK(refused(WITH("\"sever\":{}"), "test.json: sever: unknown field (did you mean "
                                            "\"server\"?), expected one of subscriptions"));
        CHECK(refused(WITH("\"server\":{\"prot\":1}"),
                      "server.prot: unknown field (did you mean \"port\"?)"));
        CHECK(refused(WITH("\"port\":1"), "did you mean server.port"));
        CHECK(refused(SUB("\"maxConcurrent\":1"),
                      "subscriptions[0].maxConcurrent: unknown field (did "
                      "you mean \"max_concurrent\"?)"));
        CHECK(refused(WITH("\"retry\":{\"qqqqqq\":1}"), "expected one of attempts, delay_ms"));
        CHECK(refused(WITH("\"server.port\":1"), "unknown field"));
        CHECK(refused(WITH("\"\":1"), "unknown field"));
    }
    PROMISE("a field of a later version is not called unknown")
    {
        CHECK(refused(WITH("\"queue\":{\"hold_s\":1}"), "queue.hold_s: not supported"));
        CHECK(refused(WITH("\"clients\":[]"), "not supported by this version"));
        CHECK(refused(WITH("\"redis\":{\"on_outage\":1}"), "redis.on_outage: not supported"));
        CHECK(refused(SUB("\"quota\":5"), "subscriptions[0].quota: not supported"));
        CHECK(refused(SUB("\"type\":\"openai\""), "not supported by this version"));
        CHECK(refused(WITH("\"auth\":\"keys\""), "not supported by this version"));
    }
}

static void test_wrong_values(void)
{
    PROMISE("a wrong value is answered with what was found and what was expected")
    {
        CHECK(refused(SUB("\"max_concurrent\":0"),
                      "subscriptions[0].max_concurrent: found 0, expected "
                      "a whole number from 1 to 1000"));
        CHECK(refused(SUB("\"max_concurrent\":1001"), "found 1001"));
        CHECK(refused(SUB("\"priority\":0"), "priority: found 0"));
        CHECK(refused(SUB("\"enabled\":1"), "enabled: found 1, expected true or false"));
        CHECK(refused(SUB("\"auth_type\":\"key\""), "found \"key\", expected one of \"api_key\""));
        CHECK(refused(WITH("\"server\":{\"port\":65536}"), "found 65536, expected a whole number"));
        CHECK(refused(WITH("\"server\":{\"port\":-1}"), "found -1"));
        CHECK(refused(WITH("\"server\":{\"port\":\"80\"}"), "without quotes"));
        CHECK(refused(WITH("\"server\":{\"port\":80.0}"), "found 80, expected"));
        CHECK(refused(WITH("\"server\":{\"port\":null}"), "found null"));
        CHECK(refused(WITH("\"server\":{\"workers\":65}"), "from 1 to 64"));
        CHECK(refused(WITH("\"server\":{\"max_body_bytes\":1073741825}"), "1073741824"));
        CHECK(refused(WITH("\"server\":{\"memory_bytes\":67108863}"), "at least twice"));
        CHECK(refused(WITH("\"server\":7"), "server: found a number, expected an object"));
        CHECK(refused(WITH("\"server\":{\"host\":\"example.com\"}"), "expected an IPv4"));
        CHECK(refused(WITH("\"redis\":{\"prefix\":\"a{b}\"}"), "redis.prefix: found \"a{b}\""));
        CHECK(refused(WITH("\"redis\":{\"pool\":\"\"}"), "redis.pool: found \"\""));
        CHECK(refused(WITH("\"node\":{\"id\":\"a/b\"}"), "node.id: found \"a/b\""));
        CHECK(refused(WITH("\"logging\":{\"level\":\"loud\"}"), "found \"loud\""));
    }
    PROMISE("what an operator wrote cannot drive a terminal or break a line")
    {
        CHECK(refused(WITH("\"\\u001b[31m\\n\":1"), "unknown field"));
        CHECK(strchr(failure.text, '\033') == NULL && strchr(failure.text, '\n') == NULL);
    }
}

static void test_subscriptions(void)
{
    PROMISE("subscriptions are complete, and their names are unique and clean")
    {
        CHECK(refused("{}", "subscriptions: is missing, expected a list"));
        CHECK(refused("{\"subscriptions\":[]}", "found an empty list"));
        CHECK(refused("{\"subscriptions\":[{\"api_key\":\"k\"}]}",
                      "subscriptions[0].name: is missing"));
        CHECK(refused("{\"subscriptions\":[{\"name\":\"a\"}]}", "subscriptions[0]: no key"));
        CHECK(refused("{\"subscriptions\":[" ONE "," ONE "]}",
                      "subscriptions[1].name: \"a\" is the name of subscriptions[0] already"));
        CHECK(refused("{\"subscriptions\":[{\"name\":\"a b\",\"api_key\":\"k\"}]}", "A-Z a-z 0-9"));
        CHECK(refused(SUB("\"api_key_env\":\"X\""),
                      "subscriptions[0]: more than one key, expected one of"));
        CHECK(refused("{\"subscriptions\":[{\"name\":\"a\",\"api_key\":\"k\\u000d\\nx: y\"}]}",
                      "character 2"));
    }
    PROMISE("sk-ant-... but not sk-ant-oat... is a key, the rest a token, unless auth_type says")
    {
        struct config *c = parse(
            "{\"subscriptions\":[{\"name\":\"a\",\"api_key\":\"sk-ant-oat01-x\"},"
            "{\"name\":\"b\",\"api_key\":\"sk-ant-api03-x\"},{\"name\":\"c\",\"api_key\":\"x\"},"
            "{\"auth_type\":\"api_key\",\"name\":\"d\",\"api_key\":\"sk-ant-oat01-y\"}]}");
        CHECK(c != NULL && c->subscriptions[0].auth_type == AUTH_TOKEN);
        CHECK(c != NULL && c->subscriptions[1].auth_type == AUTH_API_KEY);
        CHECK(c != NULL && c->subscriptions[2].auth_type == AUTH_TOKEN);
        CHECK(c != NULL && c->subscriptions[3].auth_type == AUTH_API_KEY);
        config_release(c);
    }
    PROMISE("two subscriptions with one key are allowed, but not silently")
    {
        struct config *c = parse("{\"subscriptions\":[" ONE ",{\"name\":\"b\",\"api_key\":"
                                 "\"sk-ant-api03-x\",\"enabled\":false}]}");
        CHECK(c != NULL && c->warning_count == 1 && strstr(c->warnings[0], "same key") != NULL);
        config_release(c);
    }
}

static void test_urls(void)
{
    static const char *const bad[] = {"ftp://h",        "h",
                                      "https://",       "https://u@h",
                                      "https://h:0",    "https://h:x",
                                      "https://h:",     "https://h?q",
                                      "https://h/a b",  "https://[::1",
                                      "https://[::1]x", "https://h/v1",
                                      "https://h/v1/",  "https://h:70000",
                                      "https://[]",     "https://h/a#b"};
    PROMISE("a base_url is taken apart exactly or refused")
    {
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            char json[256];
            snprintf(json, sizeof(json), SUB("\"base_url\":\"%s\""), bad[i]);
            CHECK(refused(json, "base_url"));
        }
        CHECK(accepted(SUB("\"base_url\":\"https://h.example:8443/api/v1x\"")));
        CHECK(accepted(SUB("\"base_url\":\"HTTP://10.0.0.1\"")));
    }
    PROMISE("a key that would travel unencrypted is warned about, on this machine it is not")
    {
        struct config *c = parse(SUB("\"base_url\":\"http://h.example\""));
        CHECK(c != NULL && c->warning_count == 1);
        config_release(c);
        c = parse(SUB("\"base_url\":\"http://127.0.0.1:1\""));
        CHECK(c != NULL && c->warning_count == 0);
        config_release(c);
    }
}

static void test_networks(void)
{
    static const char *const bad[] = {"10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "lan",      "",
                                      "::1/127",    "::/129",      "10/8",      "1.2.3.4.5"};
    PROMISE("a trusted network has no bit beyond its prefix")
    {
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            char json[256];
            snprintf(json, sizeof(json), WITH("\"server\":{\"trusted_networks\":[\"%s\"]}"),
                     bad[i]);
            CHECK(refused(json, "server.trusted_networks[0]: found"));
        }
        CHECK(accepted(WITH("\"server\":{\"trusted_networks\":[]}")));
        CHECK(accepted(
            WITH("\"server\":{\"trusted_networks\":[\"0.0.0.0/0\",\"::/0\",\"fe80::1\"]}")));
    }
}

static void test_protection(void)
{
    PROMISE("a node that others can reach starts, and it is said who of them is served")
    {
        struct config *c = parse(WITH("\"server\":{\"host\":\"::\"}"));
        CHECK(c != NULL && c->warning_count == 1 && strstr(c->warnings[0], "trusted_networks"));
        config_release(c);
        CHECK(accepted(WITH("\"server\":{\"host\":\"0.0.0.0\"},\"auth\":\"open\"")));
        CHECK(accepted(WITH("\"server\":{\"host\":\"127.9.9.9\"}")));
        CHECK(accepted(WITH("\"server\":{\"host\":\"localhost\"}")));
        CHECK(accepted(WITH("\"server\":{\"host\":\"::1\"}")));
    }
    PROMISE("TLS takes a certificate and a key, both or none")
    {
        CHECK(refused(WITH("\"server\":{\"tls\":{\"cert\":\"c\"}}"), "server.tls.key: is missing"));
        CHECK(refused(WITH("\"server\":{\"tls\":{\"key\":\"k\"}}"), "server.tls.cert: is missing"));
    }
}

static bool digest_of(const char *json, char *digest)
{
    struct config *c = parse(json);
    if (c == NULL)
        return false;
    memcpy(digest, c->digest, sizeof(c->digest));
    config_release(c);
    return strlen(digest) == 8;
}

static void test_digest(void)
{
    char one[9] = "", two[9] = "", other[9] = "";
    PROMISE("the digest sees what nodes share, not order, secrets or what is a node's own")
    {
        CHECK(digest_of("{\"subscriptions\":[" ONE ",{\"name\":\"b\",\"api_key\":\"1\"}]}", one));
        CHECK(digest_of(
            "{\"server\":{\"port\":1},\"subscriptions\":[{\"name\":\"b\",\"api_key\":\"2\"}," ONE
            "]}",
            two));
        CHECK(strcmp(one, two) == 0);
        CHECK(digest_of("{\"subscriptions\":[" ONE ",{\"name\":\"b\",\"api_key\":\"1\","
                        "\"max_concurrent\":6}]}",
                        other));
        CHECK(strcmp(one, other) != 0);
        CHECK(digest_of("{\"subscriptions\":[" ONE ",{\"name\":\"b\",\"api_key\":\"1\"}],"
                        "\"rate_limit\":{\"burst_limit\":11}}",
                        other));
        CHECK(strcmp(one, other) != 0);
    }
}

static void test_ownership(void)
{
    PROMISE("a config lives as long as its last reference")
    {
        struct config *c = parse("{\"subscriptions\":[" ONE "]}");
        CHECK(c != NULL && config_hold(c) == c);
        config_release(c);
        CHECK(c != NULL && config_subscription(c, SLICE("a")) == &c->subscriptions[0]);
        CHECK(c != NULL && config_subscription(c, SLICE("b")) == NULL);
        config_release(c);
        config_release(NULL);
    }
}

/* ---- what a reload can take over ---- */

static bool needs_restart(const char *running, const char *wanted, const char *paths)
{
    char found[256];
    struct config *a = parse(running), *b = parse(wanted);
    bool is_needed = a != NULL && b != NULL && config_needs_restart(a, b, found, sizeof(found));
    config_release(a);
    config_release(b);
    if (!is_needed)
        return paths == NULL;
    if (paths == NULL || strcmp(found, paths) != 0)
        fprintf(stderr, "    needs a restart: %s\n", found);
    return paths != NULL && strcmp(found, paths) == 0;
}

static void test_restart(void)
{
    static const char plain[] = "{\"subscriptions\":[" ONE "]}";
    PROMISE("exactly the settings that changed and need a restart are named")
    {
        CHECK(needs_restart(plain, plain, NULL));
        CHECK(needs_restart(plain, WITH("\"server\":{\"port\":1},\"node\":{\"id\":\"n\"}"),
                            "server.port, node.id"));
        CHECK(needs_restart(plain, WITH("\"server\":{\"host\":\"::1\",\"port\":8080}"),
                            "server.host"));
        CHECK(needs_restart(plain, WITH("\"redis\":{\"url\":\"redis://h\"}"), "redis.url"));
        CHECK(needs_restart(WITH("\"redis\":{\"url\":\"redis://:a@h\"}"),
                            WITH("\"redis\":{\"url\":\"redis://:b@h\"}"), "redis.url"));
        CHECK(needs_restart(WITH("\"redis\":{\"url\":\"redis://h\"}"),
                            WITH("\"redis\":{\"url\":\"redis://h:6379/0\"}"), NULL));
    }
    PROMISE("what a reload takes over is not named")
    CHECK(needs_restart(plain,
                        WITH("\"timeouts\":{\"idle_ms\":1},\"retry\":{\"total\":1},"
                             "\"server\":{\"drain_seconds\":1,\"trusted_networks\":[]},"
                             "\"auth\":\"open\",\"logging\":{\"level\":\"debug\"}"),
                        NULL));
    PROMISE("another certificate is taken over; to have one at all needs a restart")
    {
        CHECK(needs_restart(WITH("\"server\":{\"tls\":{\"cert\":\"a\",\"key\":\"b\"}}"),
                            WITH("\"server\":{\"tls\":{\"cert\":\"c\",\"key\":\"d\"}}"), NULL));
        CHECK(needs_restart(plain, WITH("\"server\":{\"tls\":{\"cert\":\"c\",\"key\":\"d\"}}"),
                            "server.tls.cert, server.tls.key"));
    }
}

/* ---- the parts of an error ---- */

static void test_error_parts(void)
{
    PROMISE("an error has its parts by themselves: source, place, path, found, expected")
    {
        CHECK(refused(WITH("\"server\":{\"port\":70000}"), "test.json: server.port: found 70000"));
        CHECK_TEXT(slice_of(failure.source), "test.json");
        CHECK_TEXT(slice_of(failure.path), "server.port");
        CHECK_TEXT(slice_of(failure.found), "found 70000");
        CHECK_TEXT(slice_of(failure.expected), "a whole number from 0 to 65535");
        CHECK(failure.line == 0 && failure.column == 0);
        CHECK(refused("{\n \"a\": 1,\n}", "test.json:3:1: "));
        CHECK(failure.line == 3 && failure.column == 1 && failure.path[0] == '\0');
    }
    PROMISE("a redis.url that is none says why, and which there are")
    {
        CHECK(refused(WITH("\"redis\":{\"url\":\"http://u:sesame@x\"}"),
                      "redis.url: does not begin"));
        CHECK(strstr(failure.expected, "rediss://") != NULL);
        CHECK(strstr(failure.expected, "unix://") != NULL);
        CHECK(strstr(failure.text, "sesame") == NULL);
    }
    PROMISE("LOG_LEVEL's warning, which other programs have, is warn")
    {
        struct config *c = parse(WITH("\"logging\":{\"level\":\"Warning\"}"));
        CHECK(c != NULL && c->log_level == LOG_WARN);
        config_release(c);
    }
}

static void test_suggestions(void)
{
    PROMISE("a suggestion is near, or there is none")
    {
        struct suggestion s = {0};
        suggest_consider(&s, SLICE("prot"), SLICE("host"));
        suggest_consider(&s, SLICE("prot"), SLICE("port"));
        CHECK_TEXT(s.best, "port");
        s = (struct suggestion){0};
        suggest_consider(&s, SLICE("x"), SLICE("port"));
        suggest_consider(&s, SLICE(""), SLICE("port"));
        CHECK(s.best.len == 0);
    }
}

static void test_long_source(void)
{
    char name[700];
    struct config *c = NULL;
    PROMISE("an error in a file with a long name still says which file, where and what")
    {
        memset(name, 'd', sizeof(name));
        snprintf(name + sizeof(name) - 11, 11, "/weir.json");
        struct config_error error;
        CHECK(!config_parse(SLICE("{\"server\":{\"port\":99999}}"), name, &c, &error));
        CHECK(strstr(error.text, "/weir.json: server.port: found 99999, expected ") != NULL);
        CHECK(strncmp(error.text, "...", 3) == 0 && strlen(error.source) < sizeof(error.source));
    }
}

int main(void)
{
    test_long_source();
    test_defaults();
    test_every_field();
    test_syntax_errors();
    test_unknown_fields();
    test_wrong_values();
    test_subscriptions();
    test_urls();
    test_networks();
    test_protection();
    test_digest();
    test_restart();
    test_error_parts();
    test_ownership();
    test_suggestions();
    return check_done();
}
