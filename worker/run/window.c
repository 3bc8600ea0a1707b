#include "worker/run/window.h"

#include "common/base/err.h"
#include "common/queue/look.h"
#include "worker/run/run_int.h"

#include <assert.h>
#include <string.h>

void run_see(const struct run *r, struct run_view *ret)
{
    *ret = (struct run_view){
        .worker = r->worker,
        .provider = r->provider ? r->provider->name : "",
        .redis = r->url_shown,
        .mode = r->mode,
        .redis_up = r->ready,
        .now = run_now(r),
        .began = r->began,
        .last_answer_ms = rlink_last_answer_ms(r->link),
        .redis_calls = rlink_calls_made(r->link),
        .claimed = r->by_state[ATTEMPT_CLAIMED].count,
        .waiting = r->by_state[ATTEMPT_WAITING].count,
        .sending = r->by_state[ATTEMPT_SENDING].count,
        .settling = r->by_state[ATTEMPT_SETTLING].count,
        .queues = r->queue_count,
        .pools = r->pools.count,
    };
}

bool run_see_queue(const struct run *r, size_t i, struct queue_view *ret)
{
    if (i >= r->queue_count)
        return false;
    const struct wqueue *q = &r->queues[i];
    *ret = (struct queue_view){
        .name = q->name,
        .stem = q->stem,
        .weight = q->weight,
        .paused = q->paused,
        .refused = q->refused,
        .seen = q->depth_known,
        .waiting = q->waiting_jobs,
        .delayed = q->delayed,
        .active = q->active,
        .dead = q->dead,
        .next_due_ms = q->next_due_ms,
        .stats = &q->stats,
    };
    return true;
}

bool run_see_pool(const struct run *r, size_t i, struct pool_view *ret)
{
    uint64_t now_ms = clock_mono_ms();
    list_each(&r->pools, k)
    {
        const struct pool *p = CONTAINER_OF(k, const struct pool, link);
        if (i-- > 0)
            continue;
        bool shut = gate_is_shut(p, now_ms);
        *ret = (struct pool_view){
            .name = p->name,
            .key = p->key,
            .cause = shut ? cause_word(p->cause) : "",
            .shut = shut,
            .shut_for_ms = shut ? p->shut_until_ms - now_ms : 0,
            .calls = p->calls,
            .stats = &p->stats,
        };
        return true;
    }
    return false;
}

int run_look(struct run *r, const char *const items[][4], size_t count, run_heard heard, void *arg)
{
    assert(count <= LOOK_ITEMS_MAX);
    return r->ready && count ? look_call(r->link, items, count, heard, arg) : ERR_LINK_DOWN;
}

_Static_assert((int)LOOK_ITEMS_MAX == (int)LOOK_MAX, "one ceiling");

// told_script gives the script that an operator's word stands for; SCRIPT_COUNT = a plain command.
static enum script told_script(const char *word)
{
    static const enum script all[] = {SCRIPT_DEAD_RETRY, SCRIPT_DEAD_DROP, SCRIPT_POOL_SHUT,
                                      SCRIPT_POOL_OPEN, SCRIPT_POOL_LIMIT};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (strcmp(word, script_name(all[i])) == 0)
            return all[i];
    return SCRIPT_COUNT;
}

int run_tell(struct run *r, int argc, const char **argv, run_heard heard, void *arg)
{
    enum { ARGS_MAX = 128 };
    size_t lens[ARGS_MAX];
    enum script s = told_script(argv[0]);
    assert(argc >= 2 && argc <= ARGS_MAX);
    if (!r->ready)
        return ERR_LINK_DOWN;
    if (s != SCRIPT_COUNT) {
        args_clear(&r->args);
        for (int i = 2; i < argc; i++)
            args_add_str(&r->args, argv[i]);
        return script_call(r->link, s, argv[1], &r->args, heard, arg);
    }
    for (int i = 0; i < argc; i++)
        lens[i] = strlen(argv[i]);
    return rlink_call(r->link, argc, argv, lens, 0, heard, arg);
}

void run_look_again(struct run *r)
{
    gate_eager(r);
    for (size_t i = 0; i < r->queue_count; i++)
        queue_heat(&r->queues[i]);
}
