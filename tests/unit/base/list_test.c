#include "base/list.h"

#include "check.h"

struct item {
    int value;
    struct list link;
};

static int value_of(struct list *link)
{
    return link == NULL ? -1 : LIST_OWNER(link, struct item, link)->value;
}

static struct list head;
static struct item items[4] = {{.value = 0}, {.value = 1}, {.value = 2}, {.value = 3}};

static void test_order(void)
{
    PROMISE("an empty list has nothing to give")
    {
        CHECK(list_is_empty(&head));
        CHECK(list_pop(&head) == NULL);
        LIST_EACH (link, &head) {
            CHECK(0);
        }
    }
    PROMISE("items come out in the order they were pushed, those pushed to the front first")
    {
        list_push(&head, &items[1].link);
        list_push(&head, &items[2].link);
        list_push_front(&head, &items[0].link);
        CHECK(!list_is_empty(&head));
        CHECK(value_of(list_pop(&head)) == 0);
        CHECK(value_of(list_pop(&head)) == 1);
        CHECK(value_of(list_pop(&head)) == 2);
        CHECK(list_is_empty(&head));
    }
}

static void test_removing(void)
{
    PROMISE("a link knows whether it is in a list, and removing it twice does no harm")
    {
        CHECK(!list_is_linked(&items[3].link));
        list_push(&head, &items[3].link);
        CHECK(list_is_linked(&items[3].link));
        list_remove(&items[3].link);
        list_remove(&items[3].link);
        CHECK(!list_is_linked(&items[3].link));
        CHECK(list_is_empty(&head));
    }
    PROMISE("the item at hand may be removed while walking")
    {
        int sum = 0;
        for (int i = 0; i < 4; i++)
            list_push(&head, &items[i].link);
        LIST_EACH (link, &head) {
            sum += value_of(link);
            if (value_of(link) % 2 == 0)
                list_remove(link);
        }
        CHECK(sum == 6);
        CHECK(value_of(list_pop(&head)) == 1);
        CHECK(value_of(list_pop(&head)) == 3);
        CHECK(list_pop(&head) == NULL);
    }
}

int main(void)
{
    list_init(&head);
    for (int i = 0; i < 4; i++)
        list_init(&items[i].link);
    test_order();
    test_removing();
    return check_done();
}
