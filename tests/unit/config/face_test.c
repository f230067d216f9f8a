/* What keys are called by: themselves, never their place. */
#include "config/fixture.h"

static struct config *load_keys(const char *keys)
{
    set_variable("ANTHROPIC_API_KEYS", keys);
    struct config *c = load(NULL);
    set_variable("ANTHROPIC_API_KEYS", NULL);
    CHECK(c != NULL);
    return c;
}

static bool has_name(const struct config *c, const char *name)
{
    return c != NULL && config_subscription(c, slice_of(name)) != NULL;
}

static void test_names(void)
{
    PROMISE("a key has the same name in every place of its list")
    {
        struct config *all = load_keys("first-key,second-key,third-key");
        struct config *less = load_keys("third-key,second-key");
        CHECK(all->subscription_count == 3 && less->subscription_count == 2);
        CHECK_TEXT(slice_of(less->subscriptions[0].name), all->subscriptions[2].name);
        CHECK_TEXT(slice_of(less->subscriptions[1].name), all->subscriptions[1].name);
        CHECK(!has_name(less, all->subscriptions[0].name));
        CHECK(strcmp(all->subscriptions[0].name, all->subscriptions[1].name) != 0);
        config_release(all);
        config_release(less);
    }
    PROMISE("two keys with one tail have two names")
    {
        struct config *c = load_keys("sk-ant-api03-aaaaaaaaaaaaaaaaaaaaaaaaSAME,"
                                     "sk-ant-api03-bbbbbbbbbbbbbbbbbbbbbbbbSAME");
        CHECK(c->subscription_count == 2);
        CHECK(strcmp(c->subscriptions[0].name, c->subscriptions[1].name) != 0);
        CHECK(strcmp(c->subscriptions[0].face, c->subscriptions[1].face) != 0);
        config_release(c);
    }
    PROMISE("hashes that begin alike are told apart, whoever comes first")
    {
        /* SHA-256 of both begins with aee5a65e */
        struct config *c = load_keys("alike-22569,alike-48401");
        struct config *turned = load_keys("alike-48401,alike-22569");
        CHECK(c->subscription_count == 2 && turned->subscription_count == 2);
        CHECK(strlen(c->subscriptions[0].name) == 16);
        CHECK(strncmp(c->subscriptions[0].face, c->subscriptions[1].face, FACE_MAX) == 0);
        CHECK_TEXT(slice_of(turned->subscriptions[0].name), c->subscriptions[1].name);
        CHECK_TEXT(slice_of(turned->subscriptions[1].name), c->subscriptions[0].name);
        config_release(c);
        config_release(turned);
    }
}

static void test_repeated(void)
{
    PROMISE("a key that is there twice is one subscription, and it is said")
    {
        struct config *c = load_keys("k1,k2,k1");
        CHECK(c->subscription_count == 2 && c->warning_count == 1);
        CHECK(has_warning(c, "is there more than once: it is one subscription"));
        CHECK_TEXT(secret_reveal(&c->subscriptions[1].api_key), "k2");
        config_release(c);
    }
    PROMISE("but at two base URLs it is two, with names that tell them apart")
    {
        set_variable("SERVICE_ENDPOINTS", "{\"anthropic\":[\"https://x.example\","
                                          "\"https://y.example\"]}");
        struct config *c = load_keys("k1,k1");
        CHECK(c->subscription_count == 2);
        CHECK(strcmp(c->subscriptions[0].name, c->subscriptions[1].name) != 0);
        set_variable("SERVICE_ENDPOINTS", NULL);
        config_release(c);
    }
}

static void test_faces(void)
{
    PROMISE("a face shows the beginning that all have, the tail of a long key, and the name's hash")
    {
        struct config *c = load_keys("sk-ant-api03-0123456789abcdefghijWXYZ,sk-ant-short,x");
        const struct subscription *all = c->subscriptions;
        char wanted[FACE_MAX];
        snprintf(wanted, sizeof(wanted), "sk-ant-...WXYZ #%s", all[0].name + 4);
        CHECK_TEXT(slice_of(all[0].face), wanted);
        snprintf(wanted, sizeof(wanted), "sk-ant-... #%s", all[1].name + 4);
        CHECK_TEXT(slice_of(all[1].face), wanted);
        snprintf(wanted, sizeof(wanted), "... #%s", all[2].name + 4);
        CHECK_TEXT(slice_of(all[2].face), wanted);
        config_release(c);
    }
}

int main(void)
{
    fixture_enter();
    test_names();
    test_repeated();
    test_faces();
    fixture_leave((const char *const[]){NULL});
    return check_done();
}
