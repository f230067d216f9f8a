#include "check.h"
#include "dialect/watch.h"

static struct request_facts facts;

/* Whether `body`, in memory of its own, gives these facts. */
static int gives(const char *body, const char *model, bool is_stream)
{
    size_t len = strlen(body);
    char *copy = malloc(len + 1);
    memcpy(copy, body, len);
    memset(&facts, 'x', sizeof(facts));
    request_facts_read((struct slice){copy, len}, &facts);
    free(copy);
    return strcmp(facts.model, model) == 0 && facts.is_stream == is_stream;
}

static void test_members(void)
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
    }
    PROMISE("a long model is cut")
    {
        char body[400], model[300];
        memset(model, 'm', sizeof(model));
        model[sizeof(model) - 1] = '\0';
        snprintf(body, sizeof(body), "{\"model\":\"%s\"}", model);
        model[127] = '\0';
        CHECK(gives(body, model, false));
    }
}

int main(void)
{
    test_members();
    test_strangers();
    return check_done();
}
