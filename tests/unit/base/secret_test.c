#include "base/secret.h"

#include "check.h"

int main(void)
{
    struct secret s = {0};
    PROMISE("a secret that was never set equals nothing, not even nothing")
    {
        CHECK(!secret_is_set(&s));
        CHECK(!secret_equals(&s, SLICE("")));
        CHECK(!secret_equals(&s, SLICE_NONE));
        CHECK(secret_reveal(&s).len == 0);
    }
    PROMISE("a secret equals its value only")
    {
        char value[] = "sk-one";
        secret_set(&s, slice_of(value));
        memset(value, 'x', sizeof(value));
        CHECK(secret_is_set(&s));
        CHECK(secret_equals(&s, SLICE("sk-one")));
        CHECK(!secret_equals(&s, SLICE("sk-onf")));
        CHECK(!secret_equals(&s, SLICE("tk-one")));
        CHECK(!secret_equals(&s, SLICE("sk-on")));
        CHECK(!secret_equals(&s, SLICE("sk-one ")));
        CHECK(!secret_equals(&s, SLICE("")));
        CHECK_TEXT(secret_reveal(&s), "sk-one");
    }
    PROMISE("setting it again forgets the former value")
    {
        secret_set(&s, SLICE("two"));
        CHECK(!secret_equals(&s, SLICE("sk-one")));
        CHECK(secret_equals(&s, SLICE("two")));
    }
    PROMISE("setting it to nothing unsets it")
    {
        secret_set(&s, SLICE(""));
        CHECK(!secret_is_set(&s));
        CHECK(!secret_equals(&s, SLICE("")));
    }
    PROMISE("it can be finished twice")
    {
        secret_fini(&s);
        secret_fini(&s);
        CHECK(!secret_is_set(&s));
    }
    return check_done();
}
