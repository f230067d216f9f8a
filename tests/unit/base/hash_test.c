#include "base/hash.h"

#include "check.h"

static void test_spread(void)
{
    enum { COUNT = 4096 };
    static uint64_t seen[COUNT];
    char text[24];
    unsigned same = 0, buckets[16] = {0};
    for (int i = 0; i < COUNT; i++) {
        snprintf(text, sizeof(text), "client-%d", i);
        seen[i] = hash_bytes(0, slice_of(text));
        buckets[seen[i] % 16]++;
        for (int other = 0; other < i; other++)
            same += seen[i] == seen[other];
    }
    PROMISE("similar texts have different numbers, spread evenly over any few of their bits")
    {
        CHECK(same == 0);
        for (int i = 0; i < 16; i++)
            CHECK(buckets[i] > COUNT / 16 * 3 / 4 && buckets[i] < COUNT / 16 * 5 / 4);
    }
}

int main(void)
{
    PROMISE("the number of a text is the same on every node, today and tomorrow")
    {
        CHECK(hash_bytes(0, SLICE("")) == UINT64_C(0xdf442d22110c749b));
        CHECK(hash_bytes(0, SLICE("weir, a small dam")) == UINT64_C(0x7aeb016355ad475a));
    }
    PROMISE("every byte counts, and so do their number and what came before")
    {
        CHECK(hash_bytes(0, SLICE("ab\0")) != hash_bytes(0, SLICE("ab")));
        CHECK(hash_bytes(0, SLICE("abcdefgh")) != hash_bytes(0, SLICE("abcdefgi")));
        CHECK(hash_bytes(0, SLICE("abcdefgh\0")) != hash_bytes(0, SLICE("abcdefgh")));
        CHECK(hash_bytes(1, SLICE("a")) != hash_bytes(2, SLICE("a")));
        CHECK(hash_bytes(hash_bytes(0, SLICE("a")), SLICE("bc")) !=
              hash_bytes(hash_bytes(0, SLICE("ab")), SLICE("c")));
    }
    test_spread();
    return check_done();
}
