/*
 * list.h: a doubly linked list whose links live inside the things it links.
 *
 * A list is a ring through one `struct list` that belongs to nobody's element. A link that is in no
 * list points at itself, so that list_del is safe to call twice and list_linked can be asked.
 * Nothing here allocates or fails.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *prev;
};

/* The struct of type `type` whose member `member` the pointer `ptr` points at. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

/* Whether this link is in some list; it must have been initialized. */
static inline bool list_linked(const struct list *link)
{
    return link->next != link;
}

static inline void list_insert_between(struct list *link, struct list *prev, struct list *next)
{
    link->prev = prev;
    link->next = next;
    prev->next = link;
    next->prev = link;
}

static inline void list_push_front(struct list *l, struct list *link)
{
    list_insert_between(link, l, l->next);
}

static inline void list_push_back(struct list *l, struct list *link)
{
    list_insert_between(link, l->prev, l);
}

static inline void list_del(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* The first link, taken out, or NULL. */
static inline struct list *list_pop_front(struct list *l)
{
    if (list_empty(l))
        return NULL;
    struct list *link = l->next;
    list_del(link);
    return link;
}

#define list_entry(link, type, member) container_of(link, type, member)
#define list_first(l, type, member)    list_entry((l)->next, type, member)

/* The body may not remove elements; use list_each_safe where it removes the current one. */
#define list_each(link, l) for (struct list *link = (l)->next; link != (l); link = link->next)
#define list_each_safe(link, l)                                                 \
    for (struct list *link = (l)->next, *link##_next = link->next; link != (l); \
         link = link##_next, link##_next = link->next)
