#include "common/queue/keys.h"

#include <assert.h>
#include <stdio.h>

// Every part has been checked for its length before (name.h), so a key that is cut is our own
// error.
static void check(int wrote, size_t room)
{
    assert(wrote > 0 && (size_t)wrote < room);
}

void key_queue(const char *prefix, const char *queue, const char *name, char *ret, size_t room)
{
    check(snprintf(ret, room, "%s:{%s}:%s", prefix, queue, name), room);
}

void key_pool(const char *prefix, const char *pool, char *ret, size_t room)
{
    check(snprintf(ret, room, "%s:pool:{%s}", prefix, pool), room);
}

void key_workers(const char *prefix, char *ret, size_t room)
{
    check(snprintf(ret, room, "%s:workers", prefix), room);
}

void key_worker(const char *prefix, const char *id, char *ret, size_t room)
{
    check(snprintf(ret, room, "%s:worker:%s", prefix, id), room);
}
