#include "common/redis/rcall.h"

#include "common/base/err.h"

#include <assert.h>
#include <stdlib.h>

void rcalls_init(struct rcalls *c)
{
    list_init(&c->waiting);
    list_init(&c->late);
    list_init(&c->spare);
}

static struct rcall *pop(struct list *from)
{
    struct list_link *k = list_pop(from);
    return k ? CONTAINER_OF(k, struct rcall, link) : NULL;
}

void rcalls_fini(struct rcalls *c)
{
    assert(list_is_empty(&c->waiting) && list_is_empty(&c->late));
    for (struct rcall *call = pop(&c->spare); call; call = pop(&c->spare))
        free(call);
}

static void recycle(struct rcalls *c, struct rcall *call)
{
    if (c->spare.count < RCALLS_SPARE_MAX)
        list_prepend(&c->spare, &call->link);
    else
        free(call);
}

int rcalls_add(struct rcalls *c, const struct rcall *what, struct rcall **ret)
{
    if (c->waiting.count >= RCALLS_WAITING_MAX)
        return ERR_TOO_BIG;
    struct rcall *call = pop(&c->spare);
    if (!call)
        call = malloc(sizeof *call);
    if (!call)
        return ERR_NOMEM;
    *call = *what;
    list_append(&c->waiting, &call->link);
    *ret = call;
    return 0;
}

void rcalls_forget(struct rcalls *c, struct rcall *call)
{
    list_remove(&c->waiting, &call->link);
    recycle(c, call);
}

const struct rcall *rcalls_oldest(const struct rcalls *c)
{
    return c->waiting.count ? CONTAINER_OF(c->waiting.head.next, struct rcall, link) : NULL;
}

static void finish(struct rcalls *c, struct rcall *call, int err, const struct reply *reply)
{
    rlink_cb cb = call->cb;
    void *arg = call->arg;
    recycle(c, call); // before the callback, which may well make the next call
    cb(err, reply, arg);
}

void rcalls_answer(struct rcalls *c, int err, const struct reply *reply)
{
    struct rcall *call = pop(&c->waiting);
    assert(call);
    finish(c, call, err, reply);
}

void rcalls_give_up(struct rcalls *c)
{
    for (struct list_link *k = list_pop(&c->waiting); k; k = list_pop(&c->waiting))
        list_append(&c->late, k);
}

void rcalls_answer_late(struct rcalls *c)
{
    for (size_t due = c->late.count; due > 0; due--)
        finish(c, pop(&c->late), ERR_LINK_DOWN, NULL);
}
