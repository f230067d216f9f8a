#include "proxy/heard.h"

#include "base/mem.h"
#include "check.h"
#include "config/config.h"

static struct arena arena;
static struct subscription subscription;
static struct config config = {.subscriptions = &subscription, .subscription_count = 1};

static bool reads(const char *message, const char *expected)
{
    struct slice clean = heard_clean(slice_of(message), &config, &arena);
    bool is_so = slice_eq(clean, slice_of(expected));
    if (!is_so)
        fprintf(stderr, "    gave: %.*s\n", SLICE_ARG(clean));
    return is_so;
}

static void test_secrets(void)
{
    PROMISE("a credential that a provider repeats is not passed on, wherever it stands")
    {
        CHECK(reads("no such key: own-secret-0001", "no such key: ***************"));
        CHECK(reads("own-secret-0001, own-secret-0001", "***************, ***************"));
        CHECK(reads("bad: sk-ant-api03-abc_DEF. Try", "bad: sk-****************** Try"));
        CHECK(reads("Authorization: Bearer abc.def x", "Authorization: Bearer ******* x"));
    }
    PROMISE("half of one, where the provider or we have cut, is hidden too")
    {
        CHECK(reads("your key own-secret-00", "your key *************"));
        CHECK(reads("your key own-se", "your key ******"));
        CHECK(reads("we own", "we own"));
        CHECK(reads("own-secret-", "***********"));
    }
}

/* What is hidden already is full of them. */
static void test_stars(void)
{
    PROMISE("a credential of stars is hidden in one pass")
    {
        secret_set(&config.admin_token, SLICE("**"));
        CHECK(reads("key sk-abcd or *** is wrong", "key sk-**** or *** is wrong"));
        secret_fini(&config.admin_token);
    }
}

static void test_length(void)
{
    char text[2000];
    PROMISE("what is kept is short, and has no half character at its end")
    {
        memset(text, 'x', sizeof(text));
        struct slice whole = {text, sizeof(text)};
        CHECK(heard_clean(whole, &config, &arena).len == HEARD_MESSAGE_MAX);
        memcpy(text + HEARD_MESSAGE_MAX - 1, "\xc3\xa4", 2);
        CHECK(heard_clean(whole, &config, &arena).len == HEARD_MESSAGE_MAX - 1);
    }
    PROMISE("a credential across the place where it is cut is hidden whole")
    {
        memset(text, 'x', sizeof(text));
        memcpy(text + HEARD_MESSAGE_MAX - 8, "own-secret-0001", 15);
        struct slice clean = heard_clean((struct slice){text, 300}, &config, &arena);
        CHECK(memmem(clean.at, clean.len, "own", 3) == NULL);
    }
    PROMISE("nothing stays nothing")
    {
        CHECK(heard_clean(SLICE_NONE, &config, &arena).len == 0);
    }
}

int main(void)
{
    arena_init(&arena);
    secret_set(&subscription.api_key, SLICE("own-secret-0001"));
    test_secrets();
    test_stars();
    test_length();
    secret_fini(&subscription.api_key);
    arena_fini(&arena);
    return check_done();
}
