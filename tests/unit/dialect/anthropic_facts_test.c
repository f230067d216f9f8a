#include "check.h"
#include "dialect/dialect.h"

static struct arena arena;
static struct request_facts facts;
static struct http1_header headers[4];
static unsigned header_count;

/* Reads `body`, which is gone afterwards. */
static void read_body(struct slice body)
{
    char *copy = malloc(body.len + 1);
    struct http1_request request = {.headers = headers, .header_count = header_count};
    memcpy(copy, body.at, body.len);
    memset(&facts, 'x', sizeof(facts));
    dialect_anthropic.read_facts(&request, (struct slice){copy, body.len}, &arena, &facts);
    free(copy);
}

static void read_text(const char *body)
{
    read_body(slice_of(body));
}

/* Whether `body` gives these facts. */
static int gives(const char *body, const char *model, bool is_stream)
{
    read_text(body);
    bool has_model = facts.model_count == 1 && slice_eq(facts.models[0], slice_of(model));
    return (model[0] == '\0' ? facts.model_count == 0 : has_model) && facts.is_stream == is_stream;
}

static void test_model_and_stream(void)
{
    PROMISE("model and stream are found wherever they stand")
    {
        CHECK(gives("{\"model\":\"claude\",\"stream\":true,\"messages\":[]}", "claude", true));
        CHECK(gives("{\"messages\":[{\"content\":\"x\"}],\"stream\":false,\"model\":\"c\"}", "c",
                    false));
        CHECK(gives("{}", "", false));
    }
    PROMISE("stream is true for true only")
    {
        CHECK(gives("{\"stream\":\"true\"}", "", false));
        CHECK(gives("{\"stream\":1}", "", false));
        CHECK(gives("{\"stream\":null}", "", false));
        CHECK(gives("{\"stream\":true,\"stream\":false}", "", false));
    }
    PROMISE("a model is a string")
    {
        CHECK(gives("{\"model\":5}", "", false));
        CHECK(gives("{\"model\":\"a\",\"model\":null}", "", false));
        CHECK(gives("{\"model\":\"\"}", "", false));
    }
}

static void test_strangers(void)
{
    PROMISE("members of other objects are not mistaken for them")
    {
        CHECK(gives("{\"messages\":[{\"model\":\"no\",\"stream\":true}]}", "", false));
        CHECK(gives("{\"metadata\":{\"model\":\"no\",\"stream\":true}}", "", false));
        CHECK(gives("{\"system\":\"\\\"model\\\":\\\"no\\\",\\\"stream\\\":true\"}", "", false));
        CHECK(gives("[{\"model\":\"no\"}]", "", false));
        CHECK(gives("{\"model\":{\"model\":\"no\"},\"stream\":[true]}", "", false));
    }
    PROMISE("a body that is not JSON, or not all of it, has no facts")
    {
        CHECK(gives("", "", false));
        CHECK(gives("model=claude&stream=true", "", false));
        CHECK(gives("{\"model\":\"a\",\"stream\":true", "", false));
        CHECK(gives("{\"model\":\"a\",\"stream\":true}}", "", false));
        CHECK(gives("{\"model\":\"a\" \"stream\":true}", "", false));
        CHECK(facts.prefix_hash == 0 && facts.max_tokens == 0 && !facts.has_tools);
    }
    PROMISE("a long model is cut")
    {
        char body[400], model[300];
        memset(model, 'm', sizeof(model));
        model[sizeof(model) - 1] = '\0';
        snprintf(body, sizeof(body), "{\"model\":\"%s\"}", model);
        model[FACTS_TEXT_MAX] = '\0';
        CHECK(gives(body, model, false));
    }
}

/* The models that `body` names, each with a '|' behind it. */
static const char *models_of(const char *body)
{
    static char text[256];
    size_t used = 0;
    read_text(body);
    text[0] = '\0';
    for (unsigned i = 0; i < facts.model_count; i++)
        used +=
            (size_t)snprintf(text + used, sizeof(text) - used, "%.*s|", SLICE_ARG(facts.models[i]));
    return text;
}

static void test_fallbacks(void)
{
    PROMISE("models to fall back to come behind the main one, named or in objects")
    {
        CHECK(strcmp(models_of("{\"fallbacks\":[\"b\",{\"x\":1,\"model\":\"c\"}],\"model\":\"a\"}"),
                     "a|b|c|") == 0);
        CHECK(strcmp(models_of("{\"model\":\"a\",\"fallbacks\":\"default\"}"), "a|") == 0);
        CHECK(strcmp(models_of("{\"model\":\"a\",\"fallbacks\":[]}"), "a|") == 0);
        CHECK(strcmp(models_of("{\"model\":\"a\",\"fallbacks\":[\"\",7,null,{}]}"), "a|") == 0);
    }
    PROMISE("of very many only the first few count")
    CHECK(strcmp(models_of("{\"model\":\"a\",\"fallbacks\":[\"b\",\"c\",\"d\",\"e\",\"f\"]}"),
                 "a|b|c|d|") == 0);
    PROMISE("without a main one there is none to fall back from")
    CHECK(strcmp(models_of("{\"fallbacks\":[\"b\"]}"), "") == 0);
}

static void test_size_of_work(void)
{
    PROMISE("tools are there if there is one")
    {
        read_text("{\"tools\":[{\"name\":\"t\"}],\"max_tokens\":4096}");
        CHECK(facts.has_tools && facts.max_tokens == 4096);
        read_text("{\"tools\":[ ],\"max_tokens\":-1}");
        CHECK(!facts.has_tools && facts.max_tokens == 0);
        read_text("{\"tools\":{\"a\":1},\"max_tokens\":\"12\"}");
        CHECK(!facts.has_tools && facts.max_tokens == 0);
    }
}

static void test_whose(void)
{
    PROMISE("session and agent come from headers, whatever the body is")
    {
        headers[0] = (struct http1_header){SLICE("X-Claude-Code-Session-Id"), SLICE("s-1")};
        headers[1] = (struct http1_header){SLICE("x-claude-code-agent-id"), SLICE("a-1")};
        header_count = 2;
        read_text("no JSON");
        CHECK_TEXT(facts.session, "s-1");
        CHECK_TEXT(facts.agent, "a-1");
        header_count = 0;
        read_text("{}");
        CHECK(facts.session.len == 0 && facts.agent.len == 0);
    }
    PROMISE("the body may name a user and a cache key, in strings with their escapes undone")
    {
        read_text("{\"metadata\":{\"user_id\":\"{\\\"session_id\\\":\\\"u\\\"}\"},"
                  "\"prompt_cache_key\":\"k\"}");
        CHECK_TEXT(facts.user, "{\"session_id\":\"u\"}");
        CHECK_TEXT(facts.cache_key, "k");
    }
    PROMISE("a key given many times is kept once")
    {
        read_text("{\"prompt_cache_key\":\"k\",\"prompt_cache_key\":\"l\"}");
        CHECK_TEXT(facts.cache_key, "l");
    }
}

static uint64_t prefix_of(const char *system, const char *first, const char *more)
{
    static char body[32768];
    snprintf(body, sizeof(body), "{\"model\":\"a\",%s%s\"messages\":[%s%s]}", system,
             system[0] != '\0' ? "," : "", first, more);
    read_text(body);
    return facts.prefix_hash;
}

static void test_prefix(void)
{
    static const char first[] = "{\"role\":\"user\",\"content\":\"hello\"}";
    static const char other[] = "{\"role\":\"user\",\"content\":\"hullo\"}";
    static const char system[] = "\"system\":[{\"type\":\"text\",\"text\":\"be brief\"}]";
    static char large[8192];
    uint64_t prefix = prefix_of(system, first, "");
    PROMISE("a conversation that goes on keeps the number of its beginning")
    {
        CHECK(prefix != 0 && prefix == prefix_of(system, first, ",{\"role\":\"assistant\"}"));
        CHECK(prefix == prefix_of("\"max_tokens\":1,\"system\":[{\"type\":\"text\","
                                  "\"text\":\"be brief\"}]",
                                  first, ""));
    }
    PROMISE("another first message or another system prompt has another number")
    {
        CHECK(prefix != prefix_of(system, other, "") && prefix != prefix_of("", first, ""));
        CHECK(prefix_of("\"system\":\"a\"", first, "") != prefix_of("\"system\":\"b\"", first, ""));
        CHECK(prefix_of("\"system\":\"a\"", "", "") != 0);
    }
    PROMISE("where neither is there, there is no number")
    CHECK(prefix_of("", "", "") == 0);
    PROMISE("only the beginning of a large message counts")
    {
        size_t len = (size_t)snprintf(large, sizeof(large), "{\"content\":\"");
        memset(large + len, 'x', FACTS_PREFIX_BYTES);
        memcpy(large + len + FACTS_PREFIX_BYTES, "1\"}", 4);
        prefix = prefix_of(system, large, "");
        large[len + FACTS_PREFIX_BYTES] = '2';
        CHECK(prefix == prefix_of(system, large, ""));
        large[len] = 'y';
        CHECK(prefix != prefix_of(system, large, ""));
    }
}

int main(void)
{
    arena_init(&arena);
    test_model_and_stream();
    test_strangers();
    test_fallbacks();
    test_size_of_work();
    test_whose();
    test_prefix();
    arena_fini(&arena);
    return check_done();
}
