#include "loop/loop.h"

#include "run_until.h"

static struct loop_hook second;
static unsigned second_ran;

static void remove_second(void *arg)
{
    (void)arg;
    loop_hook_remove(&second);
}

static void count(void *arg)
{
    (void)arg;
    second_ran++;
}

int main(void)
{
    struct loop *loop = loop_new();
    struct loop_hook first;
    PROMISE("a hook may remove the hook behind it")
    {
        loop_hook_add(loop, &first, remove_second, NULL);
        loop_hook_add(loop, &second, count, NULL);
        run_turn(loop);
        CHECK(second_ran == 0 && !list_is_linked(&second.link));
        loop_hook_remove(&first);
    }
    loop_free(loop);
    return check_done();
}
