// list: an intrusive doubly linked list with a count. The list never owns its members.
#ifndef PENSTOCK_BASE_LIST_H
#define PENSTOCK_BASE_LIST_H

#include "common/base/attrs.h"

#include <stdbool.h>
#include <stddef.h>

struct list_link {
    struct list_link *prev, *next; // both NULL while in no list
};

struct list {
    struct list_link head;
    size_t count;
};

static inline void list_init(struct list *l)
{
    l->head.prev = l->head.next = &l->head;
    l->count = 0;
}

static inline bool list_is_empty(const struct list *l)
{
    return l->count == 0;
}

static inline bool list_is_linked(const struct list_link *k)
{
    return k->next != NULL;
}

static inline void list_insert_before(struct list *l, struct list_link *at, struct list_link *k)
{
    k->prev = at->prev;
    k->next = at;
    at->prev->next = k;
    at->prev = k;
    l->count++;
}

static inline void list_append(struct list *l, struct list_link *k)
{
    list_insert_before(l, &l->head, k);
}

static inline void list_prepend(struct list *l, struct list_link *k)
{
    list_insert_before(l, l->head.next, k);
}

static inline void list_remove(struct list *l, struct list_link *k)
{
    k->prev->next = k->next;
    k->next->prev = k->prev;
    k->prev = k->next = NULL;
    l->count--;
}

static inline struct list_link *list_first(struct list *l)
{
    return l->count ? l->head.next : NULL;
}

static inline struct list_link *list_pop(struct list *l)
{
    struct list_link *k = list_first(l);
    if (k)
        list_remove(l, k);
    return k;
}

// list_each walks a list; the member in hand may be removed by the body.
#define list_each(l, k)                                                                            \
    for (struct list_link *k = (l)->head.next, *k##_next = k->next; k != &(l)->head;               \
         k = k##_next, k##_next = k->next)

#endif
