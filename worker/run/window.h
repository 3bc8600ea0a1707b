// window: what those who watch may see of the run, and the few things they may do. Views are copies
// of plain data, good at the moment they are taken.
#ifndef PENSTOCK_RUN_WINDOW_H
#define PENSTOCK_RUN_WINDOW_H

#include "common/base/attrs.h"
#include "common/redis/reply.h"
#include "worker/run/run.h"
#include "worker/run/stats.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct run_view {
    const char *worker, *provider, *redis; // the Redis URL without its password
    enum run_mode mode;
    bool redis_up;
    int64_t now, began; // Redis ms; began 0 = not yet
    uint64_t last_answer_ms, redis_calls;
    size_t claimed, waiting, sending, settling;
    size_t queues, pools;
};

struct queue_view {
    const char *name, *stem;
    int64_t weight;
    bool paused, refused, seen; // seen: the depths have been told by Redis
    int64_t waiting, delayed, active, dead, next_due_ms;
    const struct stats_queue *stats;
};

struct pool_view {
    const char *name, *key, *cause; // "" = open
    bool shut;
    uint64_t shut_for_ms;
    size_t calls;
    const struct stats_pool *stats;
};

void run_see(const struct run *r, struct run_view *ret);
bool run_see_queue(const struct run *r, size_t i, struct queue_view *ret); // false: no such
bool run_see_pool(const struct run *r, size_t i, struct pool_view *ret);

typedef void (*run_heard)(int err, const struct reply *reply, void *arg);

// run_look asks many things at once (common/queue/lua/look.lua): items of four arguments each. If
// it returns 0, heard is called once. One command of Redis; in a cluster one a slot.
enum { LOOK_ITEMS_MAX = 48 };
int run_look(struct run *r, const char *const items[][4], size_t count, run_heard heard,
             void *arg) MUST_CHECK;
// run_tell sends one plain command; or, where argv[0] is dead_retry, dead_drop, pool_shut,
// pool_open or pool_limit, that script on the key argv[1] with the arguments that follow.
int run_tell(struct run *r, int argc, const char **argv, run_heard heard, void *arg) MUST_CHECK;
// run_look_again makes the worker ask Redis for the pools' gates at once, and try a pool in
// trouble.
void run_look_again(struct run *r);

#endif
