#include "base/slice.h"

#include "check.h"

static void test_parts(void)
{
    PROMISE("a slice of a string borrows it without its end mark")
    {
        CHECK_TEXT(slice_of("abc"), "abc");
        CHECK(slice_of(NULL).len == 0);
        CHECK(slice_of("").len == 0);
        CHECK(SLICE("a\0b").len == 3);
    }
    PROMISE("the rest of a slice never lies beyond its end")
    {
        CHECK_TEXT(slice_from(SLICE("abc"), 1), "bc");
        CHECK(slice_from(SLICE("abc"), 3).len == 0);
        CHECK(slice_from(SLICE("abc"), 4).len == 0);
        CHECK(slice_from(SLICE("abc"), SIZE_MAX).len == 0);
        CHECK(slice_from(SLICE_NONE, 0).len == 0);
    }
    PROMISE("trimming takes spaces and tabs at both ends, and nothing else")
    {
        CHECK_TEXT(slice_trim(SLICE(" \t a b\t ")), "a b");
        CHECK_TEXT(slice_trim(SLICE("\na\r")), "\na\r");
        CHECK(slice_trim(SLICE(" \t ")).len == 0);
        CHECK(slice_trim(SLICE_NONE).len == 0);
    }
    PROMISE("cutting gives what is before and after the first separator")
    {
        struct slice head;
        CHECK_TEXT(slice_cut(SLICE("a,b,c"), ',', &head), "b,c");
        CHECK_TEXT(head, "a");
        CHECK(slice_cut(SLICE("abc"), ',', &head).len == 0);
        CHECK_TEXT(head, "abc");
        CHECK(slice_cut(SLICE("a,"), ',', &head).len == 0);
        CHECK_TEXT(head, "a");
        CHECK_TEXT(slice_cut(SLICE(",b"), ',', &head), "b");
        CHECK(head.len == 0);
        CHECK(slice_cut(SLICE_NONE, ',', &head).len == 0);
        CHECK(head.len == 0);
    }
}

static void test_comparisons(void)
{
    PROMISE("slices are equal if their bytes are, NUL included")
    {
        CHECK(slice_eq(SLICE("a\0b"), SLICE("a\0b")));
        CHECK(!slice_eq(SLICE("a\0b"), SLICE("a\0c")));
        CHECK(!slice_eq(SLICE("a"), SLICE("ab")));
        CHECK(!slice_eq(SLICE("a"), SLICE("A")));
        CHECK(slice_eq(SLICE_NONE, SLICE("")));
    }
    PROMISE("ignoring case concerns ASCII letters only")
    {
        CHECK(slice_eq_nocase(SLICE("Host"), SLICE("hOST")));
        CHECK(!slice_eq_nocase(SLICE("\xc4"), SLICE("\xe4")));
        CHECK(!slice_eq_nocase(SLICE("["), SLICE("{")));
        CHECK(slice_eq_nocase(SLICE_NONE, SLICE("")));
    }
    PROMISE("a slice starts with each of its prefixes")
    {
        CHECK(slice_starts(SLICE("abc"), SLICE("ab")));
        CHECK(slice_starts(SLICE("abc"), SLICE("")));
        CHECK(slice_starts(SLICE("abc"), SLICE("abc")));
        CHECK(!slice_starts(SLICE("abc"), SLICE("abcd")));
        CHECK(!slice_starts(SLICE("abc"), SLICE("AB")));
        CHECK(slice_starts_nocase(SLICE("abc"), SLICE("AB")));
        CHECK(!slice_starts_nocase(SLICE("a"), SLICE("AB")));
    }
    PROMISE("the first position of a byte is found, or none")
    {
        size_t at = 9;
        CHECK(slice_find(SLICE("abcb"), 'b', &at) && at == 1);
        CHECK(slice_find(SLICE("a\0"), '\0', &at) && at == 1);
        CHECK(!slice_find(SLICE("abc"), 'x', &at) && at == 1);
        CHECK(!slice_find(SLICE_NONE, 'x', &at));
    }
}

static void test_numbers(void)
{
    uint64_t value;
    PROMISE("a number is digits and nothing else")
    {
        CHECK(slice_number(SLICE("0"), 10, &value) && value == 0);
        CHECK(slice_number(SLICE("007"), 10, &value) && value == 7);
        CHECK(!slice_number(SLICE(""), 10, &value));
        CHECK(!slice_number(SLICE("+3"), 10, &value));
        CHECK(!slice_number(SLICE("-3"), 10, &value));
        CHECK(!slice_number(SLICE(" 3"), 10, &value));
        CHECK(!slice_number(SLICE("3 "), 10, &value));
        CHECK(!slice_number(SLICE("0x3"), 10, &value));
    }
    PROMISE("a number above its limit, or above 64 bits, is none")
    {
        CHECK(slice_number(SLICE("10"), 10, &value) && value == 10);
        CHECK(!slice_number(SLICE("11"), 10, &value));
        CHECK(slice_number(SLICE("18446744073709551615"), UINT64_MAX, &value) &&
              value == UINT64_MAX);
        CHECK(!slice_number(SLICE("18446744073709551616"), UINT64_MAX, &value));
        CHECK(!slice_number(SLICE("99999999999999999999999"), UINT64_MAX, &value));
    }
}

static void test_lists(void)
{
    PROMISE("a comma separated list is searched item by item, whatever its case and blanks")
    {
        CHECK(slice_list_has(SLICE("close"), SLICE("close")));
        CHECK(slice_list_has(SLICE("keep-alive, Close"), SLICE("close")));
        CHECK(slice_list_has(SLICE(",,\t close ,"), SLICE("close")));
        CHECK(!slice_list_has(SLICE("closed"), SLICE("close")));
        CHECK(!slice_list_has(SLICE("not close"), SLICE("close")));
        CHECK(!slice_list_has(SLICE_NONE, SLICE("close")));
    }
}

static void test_join(void)
{
    PROMISE("parts are joined in order, whatever their length, and the end is marked")
    {
        const struct slice parts[] = {SLICE("ab"), SLICE_NONE, SLICE("c")};
        char to[4];
        CHECK(slice_join(to, sizeof(to), parts, 3) == 3 && strcmp(to, "abc") == 0);
        CHECK(slice_join(to, sizeof(to), parts, 0) == 0 && to[0] == '\0');
    }
}

int main(void)
{
    test_join();
    test_parts();
    test_comparisons();
    test_numbers();
    test_lists();
    return check_done();
}
