/* Every row of the table keeps what dialect.h says of a dialect. */
#include "dialect/dialect.h"

#include "check.h"

static enum answer_class class_of(int status)
{
    struct http1_response response = {.status = status};
    return dialect_anthropic.classify(&response);
}

static void test_table(void)
{
    PROMISE("a path belongs to the dialect whose prefix it has, or to none")
    {
        CHECK(dialect_of_path(SLICE("/v1/messages")) == &dialect_anthropic);
        CHECK(dialect_of_path(SLICE("/v1/")) == &dialect_anthropic);
        CHECK(dialect_of_path(SLICE("/v1")) == NULL && dialect_of_path(SLICE("/")) == NULL);
        CHECK(dialect_of_path(SLICE("/status")) == NULL && dialect_of_path(SLICE_NONE) == NULL);
        CHECK(dialect_default() == &dialect_anthropic);
    }
}

static void test_classes(void)
{
    static const int callers_own[] = {200, 201, 204, 301, 304, 400, 404, 405, 408,
                                      409, 413, 415, 418, 422, 424, 431, 451};
    static const int failures[] = {500, 501, 502, 503, 504, 520, 524, 599};
    PROMISE("a status means the same whatever else an answer says")
    {
        CHECK(class_of(401) == CLASS_CREDENTIAL && class_of(402) == CLASS_CREDIT);
        CHECK(class_of(403) == CLASS_PERMISSION && class_of(429) == CLASS_LIMITED);
        CHECK(class_of(529) == CLASS_OVERLOADED);
    }
    for (size_t i = 0; i < sizeof(callers_own) / sizeof(callers_own[0]); i++)
        CHECK(class_of(callers_own[i]) == CLASS_CALLERS);
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++)
        CHECK(class_of(failures[i]) == CLASS_FAILED);
}

static void test_credential(void)
{
    struct buf out;
    char long_secret[1000];
    memset(long_secret, 's', sizeof(long_secret));
    PROMISE("a credential's lines need no more room than the secret and a little")
    {
        buf_init(&out, sizeof(long_secret) + CREDENTIAL_HEAD_BYTES);
        dialect_anthropic.put_credential(&out, (struct slice){long_secret, sizeof(long_secret)},
                                         true);
        CHECK(buf_len(&out) > sizeof(long_secret));
        buf_fini(&out);
    }
    PROMISE("only a token that somebody logged in for needs its beta")
    {
        CHECK(dialect_anthropic.credential_item(SLICE("sk-ant-api03-k")).name.len == 0);
        CHECK_TEXT(dialect_anthropic.credential_item(SLICE("sk-ant-oat01-t")).name,
                   "anthropic-beta");
    }
}

int main(void)
{
    test_table();
    test_classes();
    test_credential();
    return check_done();
}
