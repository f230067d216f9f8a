/* list.h - an intrusive doubly linked list. The head is a link itself, so nothing is ever NULL.
 * A link that is in no list points at itself: list_remove() on it is harmless, list_is_linked()
 * says. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *previous;
};

#define LIST_OWNER(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))
/* NOLINTBEGIN(bugprone-macro-parentheses): `link` is a name that is declared here */
#define LIST_EACH(link, head)                                                         \
    for (struct list *link = (head)->next, *link##_next = link->next; link != (head); \
         link = link##_next, link##_next = link->next)
/* NOLINTEND(bugprone-macro-parentheses) */

static inline void list_init(struct list *l)
{
    l->next = l->previous = l;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

static inline bool list_is_linked(const struct list *link)
{
    return link->next != link;
}

static inline void list_push(struct list *head, struct list *link) /* at the end */
{
    link->next = head;
    link->previous = head->previous;
    head->previous->next = link;
    head->previous = link;
}

static inline void list_push_front(struct list *head, struct list *link)
{
    list_push(head->next, link);
}

static inline void list_remove(struct list *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    list_init(link);
}

static inline struct list *list_pop(struct list *head) /* the first, or NULL */
{
    struct list *link = head->next;
    if (link == head)
        return NULL;
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it thinks the same link could be first again */
    list_remove(link);
    return link;
}
