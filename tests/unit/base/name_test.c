#include "base/name.h"

#include "check.h"

int main(void)
{
    PROMISE("a name has letters, digits and . _ : @ -, and nothing else")
    {
        for (int c = 0; c < 256; c++) {
            bool is_one = c != 0 && strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                           "0123456789._:@-",
                                           c) != NULL;
            CHECK(name_has((char)c) == is_one);
        }
        CHECK(name_is_clean(SLICE("a.B_9:@-")) && !name_is_clean(SLICE("a b")));
        CHECK(name_is_clean(SLICE_NONE));
    }
    PROMISE("what does not belong into a name becomes '_', and what does not fit is cut")
    {
        char name[5];
        CHECK(name_clean(SLICE("a/b\xff"), name, sizeof(name)) == 4 && strcmp(name, "a_b_") == 0);
        CHECK(name_clean(SLICE("abcdefg"), name, sizeof(name)) == 4 && strcmp(name, "abcd") == 0);
        CHECK(name_clean(SLICE_NONE, name, sizeof(name)) == 0 && name[0] == '\0');
    }
    PROMISE("a name can be cleaned where it stands")
    {
        char name[] = "my host";
        CHECK(name_clean(slice_of(name), name, sizeof(name)) == 7 && strcmp(name, "my_host") == 0);
    }
    return check_done();
}
