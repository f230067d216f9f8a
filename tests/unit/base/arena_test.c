#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>

#include "check.h"

static void test_taking(void)
{
    struct arena a;
    arena_init(&a);
    PROMISE("an arena nobody took from is freed without harm, and twice")
    {
        arena_fini(&a);
        arena_fini(&a);
        CHECK(a.newest == NULL);
    }
    PROMISE("what is taken is zeroed, aligned for any type, and never overlaps")
    {
        enum { TAKES = 500 };
        unsigned char *at[TAKES];
        size_t size[TAKES];
        int is_zeroed = 1, is_aligned = 1, is_intact = 1;
        for (size_t i = 0; i < TAKES; i++) {
            size[i] = i % 50 == 0 ? 5000 : i % 97 + 1;
            at[i] = arena_new(&a, size[i]);
            is_aligned &= (uintptr_t)at[i] % alignof(max_align_t) == 0;
            for (size_t j = 0; j < size[i]; j++)
                is_zeroed &= at[i][j] == 0;
            memset(at[i], (int)(i & 0xff), size[i]);
        }
        for (size_t i = 0; i < TAKES; i++)
            for (size_t j = 0; j < size[i]; j++)
                is_intact &= at[i][j] == (i & 0xff);
        CHECK(is_zeroed);
        CHECK(is_aligned);
        CHECK(is_intact);
    }
    arena_fini(&a);
}

static void test_texts(void)
{
    struct arena a;
    arena_init(&a);
    PROMISE("copies are the arena's own, with an end mark behind them")
    {
        char text[] = "abc";
        struct slice copy = arena_copy(&a, slice_of(text));
        text[0] = 'x';
        CHECK_TEXT(copy, "abc");
        CHECK(copy.at[3] == '\0');
        CHECK(arena_copy(&a, SLICE_NONE).len == 0);
        CHECK(arena_copy(&a, SLICE_NONE).at[0] == '\0');
        CHECK(arena_copy(&a, SLICE("a\0b")).len == 3);
    }
    PROMISE("formatted text is as long as it needs to be")
    {
        CHECK_TEXT(arena_printf(&a, "%s-%d", "n", 7), "n-7");
        CHECK(arena_printf(&a, "%5000d", 1).len == 5000);
    }
    arena_fini(&a);
}

int main(void)
{
    test_taking();
    test_texts();
    return check_done();
}
