/* SERVICE_ENDPOINTS as people have it, from the environment and from ./.env, and what is said of
 * each thing that can be wrong with it. */
#include "config/fixture.h"

#define SPREAD                                                                    \
    "{\n  \"openai\": [\"https://api.openai.com/v1\"],\n  \"anthropic\": [\n    " \
    "\"https://a.example/v1\",\n    \"https://b.example/\"\n  ]\n}"

/* Two keys got the two hosts, and what stands behind is read. */
static bool are_read(const struct config *c)
{
    if (c == NULL || c->subscription_count != 2 || c->server.port != 7)
        return false;
    return strcmp(c->subscriptions[0].origin.host, "a.example") == 0 &&
           strcmp(c->subscriptions[1].origin.host, "b.example") == 0 &&
           c->subscriptions[0].origin.path_prefix[0] == '\0';
}

static bool reads_file(const char *value)
{
    char text[2048];
    snprintf(text, sizeof(text),
             "ANTHROPIC_API_KEYS=k1,k2\nSERVICE_ENDPOINTS=%s\nBIG_MODEL='x\ny'\nPORT=7\n", value);
    write_file(".env", text, 0600);
    struct config *c = load(NULL);
    bool is_read = are_read(c);
    config_release(c);
    return is_read;
}

static bool reads_variable(const char *value)
{
    set_variable("ANTHROPIC_API_KEYS", "k1,k2");
    set_variable("SERVICE_ENDPOINTS", value);
    set_variable("PORT", "7");
    struct config *c = load(NULL);
    bool is_read = are_read(c);
    config_release(c);
    clear_environment();
    return is_read;
}

#define LINE "{\"anthropic\": [\"https://a.example/v1\", \"https://b.example/v1/\"]}"
#define ESCAPED "\"{\\\"anthropic\\\": [\\\"https://a.example/v1\\\", \\\"https://b.example\\\"]}\""

static void test_forms(void)
{
    static const char *const forms[] = {
        LINE,   "'" LINE "'",   "\"" LINE "\"",   ESCAPED,
        SPREAD, "'" SPREAD "'", "\"" SPREAD "\"", "'\n" SPREAD "\n'",
    };
    PROMISE("SERVICE_ENDPOINTS is read on one line and on several, bare and in any quotes")
    {
        for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
            CHECK(reads_variable(forms[i]));
            CHECK(reads_file(forms[i]));
        }
    }
    PROMISE("in .env it may be escaped over several lines, and a comment may follow")
    {
        CHECK(reads_file("\"{\n\\\"anthropic\\\": [\\\"https://a.example\\\",\n"
                         "\\\"https://b.example\\\"]}\" # both"));
        CHECK(reads_file(SPREAD " # both"));
    }
}

static bool file_refused(const char *value, const char *words)
{
    char text[2048];
    snprintf(text, sizeof(text), "SERVICE_ENDPOINTS=%s\nANTHROPIC_API_KEYS=k1,k2\n", value);
    write_file(".env", text, 0600);
    return load_refused(NULL, words);
}

static void test_errors_of_file(void)
{
    PROMISE("what is wrong with it in .env is told with its line")
    {
        CHECK(file_refused("{\n\"anthropic\": [", ".env:1: the JSON of SERVICE_ENDPOINTS does not "
                                                  "end, expected its last }"));
        CHECK(file_refused(LINE " x", ".env:1: something stands behind SERVICE_ENDPOINTS"));
        CHECK(file_refused("'{\n}", ".env:1: the quote is not closed"));
        CHECK(file_refused("{\n\"anthropic\": [\"https://a.example\",]\n}",
                           "SERVICE_ENDPOINTS (.env:1):2:35: not valid JSON"));
        CHECK(file_refused("{'anthropic': ['https://a.example']}", "\"double quotes\""));
        CHECK(file_refused("https://a.example", "SERVICE_ENDPOINTS (.env:1):1:5: not valid JSON"));
    }
    unlink(".env");
}

static void test_errors_of_items(void)
{
    static const struct {
        const char *value;
        const char *words;
    } cases[] = {
        {"{", "only its first line has arrived, expected all its lines in 'single quotes'"},
        {"[]", "found a list"},
        {"{\"anthropic\": \"https://a.example\"}",
         "anthropic: found a string, expected a list of 1 to 200 URLs"},
        {"{\"anthropic\": {}}", "anthropic: found an object, expected a list"},
        {"{\"anthropic\": [\"https://a.example\", 7]}",
         "anthropic[1]: found a number, expected https://host[:port][/path]"},
        {"{\"anthropic\": [\"https://a.example\", \"\"]}", "anthropic[1]: "},
        {"{\"anthropic\": [\"https://a.example\", \"b.example\"]}",
         "anthropic[1]: does not begin with https:// or http://"},
        {"{\"anthropic\": [\"https://a.example/v1/messages\"]}",
         "anthropic[0]: ends with /v1/messages, which each request brings"},
        {"{\"gemini\": [\"https://a.example\"]}",
         "gemini: this service is not supported by this version, expected only \"anthropic\""},
        {"{\"anthropic\": [\"https://a.example\"], \"anthropic\": []}", "given twice"},
    };
    PROMISE("each item that is wrong is named, with what was found and what was expected")
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        set_variable("ANTHROPIC_API_KEYS", "k1");
        set_variable("SERVICE_ENDPOINTS", cases[i].value);
        CHECK(load_refused(NULL, cases[i].words));
        CHECK(strncmp(failure.source, "SERVICE_ENDPOINTS", 17) == 0);
    }
    PROMISE("a URL for which there is no key is told of")
    {
        set_variable("SERVICE_ENDPOINTS", LINE);
        struct config *c = load(NULL);
        CHECK(c != NULL && has_warning(c, "anthropic[1]: no key is left for this URL"));
        config_release(c);
    }
    PROMISE("beside subscriptions of a file it is told of, and not read")
    {
        struct config *c = load("own.json");
        CHECK(c != NULL && has_warning(c, "SERVICE_ENDPOINTS (environment): not read, for the"));
        CHECK(c != NULL && strcmp(c->subscriptions[0].origin.host, "api.anthropic.com") == 0);
        config_release(c);
    }
    clear_environment();
}

int main(void)
{
    static const char *const made[] = {".env", NULL};
    fixture_enter();
    test_forms();
    test_errors_of_file();
    test_errors_of_items();
    fixture_leave(made);
    return check_done();
}
