#include "base/buf.h"

#include "check.h"

static void test_content(void)
{
    struct buf b;
    buf_init(&b, 1000);
    PROMISE("an empty buf holds no memory")
    {
        CHECK(buf_len(&b) == 0);
        CHECK(buf_slice(&b).len == 0);
        CHECK(b.at == NULL);
    }
    PROMISE("what is appended comes out in order, from the front")
    {
        CHECK(buf_append(&b, SLICE("hello ")));
        CHECK(buf_append(&b, SLICE("")));
        CHECK(buf_printf(&b, "%s %d", "world", 7));
        CHECK_TEXT(buf_slice(&b), "hello world 7");
        buf_consume(&b, 6);
        CHECK_TEXT(buf_slice(&b), "world 7");
        buf_consume(&b, 7);
        CHECK(buf_len(&b) == 0);
    }
    PROMISE("clearing keeps the memory, releasing gives it back, and both leave it usable")
    {
        CHECK(buf_append(&b, SLICE("x")));
        buf_clear(&b);
        CHECK(buf_len(&b) == 0 && b.at != NULL);
        buf_fini(&b);
        CHECK(b.at == NULL && b.max == 1000);
        CHECK(buf_append(&b, SLICE("y")));
        CHECK_TEXT(buf_slice(&b), "y");
    }
    PROMISE("reserved room can be written to and committed in part")
    {
        char *to;
        CHECK(buf_reserve(&b, 100, &to));
        memcpy(to, "z!", 2);
        buf_commit(&b, 1);
        CHECK_TEXT(buf_slice(&b), "yz");
    }
    buf_fini(&b);
}

static void test_ceiling(void)
{
    struct buf b;
    buf_init(&b, 10);
    PROMISE("a buf takes up to its ceiling, and what does not fit changes nothing")
    {
        char *to;
        CHECK(buf_append(&b, SLICE("12345678")));
        CHECK(!buf_append(&b, SLICE("9ab")));
        CHECK(!buf_printf(&b, "%s", "9ab"));
        CHECK(!buf_reserve(&b, SIZE_MAX, &to));
        CHECK_TEXT(buf_slice(&b), "12345678");
        CHECK(buf_append(&b, SLICE("9a")));
        CHECK_TEXT(buf_slice(&b), "123456789a");
        CHECK(b.cap <= 10);
    }
    PROMISE("what was consumed makes room again")
    {
        buf_consume(&b, 5);
        CHECK(!buf_append(&b, SLICE("bcdefg")));
        CHECK(buf_append(&b, SLICE("bcdef")));
        CHECK_TEXT(buf_slice(&b), "6789abcdef");
    }
    buf_fini(&b);
}

static void test_growth(void)
{
    enum { ROUNDS = 20000 };
    struct buf b;
    buf_init(&b, 100000);
    PROMISE("bytes survive any number of growths and moves")
    {
        unsigned next_in = 0, next_out = 0;
        int is_same = 1;
        for (int i = 0; i < ROUNDS; i++) {
            for (int n = i % 7; n >= 0; n--) {
                char c = (char)next_in++;
                is_same &= buf_append(&b, (struct slice){&c, 1});
            }
            for (int n = i % 6; n >= 0 && buf_len(&b) > 0; n--) {
                is_same &= buf_slice(&b).at[0] == (char)next_out++;
                buf_consume(&b, 1);
            }
        }
        CHECK(is_same);
        CHECK(buf_len(&b) == next_in - next_out);
        CHECK(buf_is_sane(&b));
    }
    buf_fini(&b);
}

static void test_truncate(void)
{
    struct buf b;
    PROMISE("what is truncated keeps its beginning, behind what was consumed")
    {
        buf_init(&b, 64);
        CHECK(buf_append(&b, SLICE("abcdef")));
        buf_consume(&b, 2);
        buf_truncate(&b, 3);
        CHECK_TEXT(buf_slice(&b), "cde");
        buf_truncate(&b, 0);
        CHECK(buf_len(&b) == 0);
        buf_fini(&b);
    }
}

int main(void)
{
    test_content();
    test_ceiling();
    test_growth();
    test_truncate();
    return check_done();
}
