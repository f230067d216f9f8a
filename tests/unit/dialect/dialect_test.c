/* Every row of the table keeps what dialect.h says of a dialect. */
#include "dialect/dialect.h"

#include "check.h"

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
    test_credential();
    return check_done();
}
