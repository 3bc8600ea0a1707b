#include "worker/run/run_int.h"

#include <assert.h>
#include <stdlib.h>

enum { SPARE_MAX = 128 }; // attempts kept: they are too large for the allocator's quick lists

const char *attempt_state_name(enum attempt_state s)
{
    static const char *const names[] = {
#define XX(name, word) word,
        ATTEMPT_MAP(XX)
#undef XX
    };
    return names[s];
}

static const unsigned may_go[ATTEMPT_STATES] = {
    [ATTEMPT_CLAIMED] = BIT(ATTEMPT_WAITING) | BIT(ATTEMPT_SETTLING) | BIT(ATTEMPT_GONE),
    [ATTEMPT_WAITING] = BIT(ATTEMPT_SENDING) | BIT(ATTEMPT_SETTLING) | BIT(ATTEMPT_GONE),
    [ATTEMPT_SENDING] = BIT(ATTEMPT_SETTLING) | BIT(ATTEMPT_GONE),
    [ATTEMPT_SETTLING] = BIT(ATTEMPT_GONE),
    [ATTEMPT_GONE] = 0,
};

struct attempt *attempt_new(struct run *r, struct wqueue *q)
{
    struct list_link *k = list_pop(&r->spare);
    struct attempt *a = k ? CONTAINER_OF(k, struct attempt, in_state) : malloc(sizeof *a);
    if (!a)
        return NULL;
    *a = (struct attempt){.state = ATTEMPT_CLAIMED};
    a->run = r;
    a->queue = q;
    a->expires_at = -1;
    list_append(&r->by_state[a->state], &a->in_state);
    return a;
}

static void attempt_free(struct attempt *a)
{
    assert(!a->call && !list_is_linked(&a->todo));
    if (a->suspect)
        a->run->suspects--;
    a->run->claimed_bytes -= a->claimed_bytes;
    a->run->memory_bytes -= a->in_memory ? a->claimed_bytes : 0;
    strbuf_fini(&a->body);
    strbuf_fini(&a->end.result);
    free(a->fault);
    free(a->payload);
    if (a->run->spare.count < SPARE_MAX)
        list_prepend(&a->run->spare, &a->in_state);
    else
        free(a);
}

void attempt_go(struct attempt *a, enum attempt_state next)
{
    assert(may_go[a->state] & BIT(next));
    if (a->state == ATTEMPT_CLAIMED && a->promised) {
        a->promised->permits.promised--;
        a->promised = NULL;
    }
    if (a->scheduled && next != ATTEMPT_SENDING)
        permit_return(&a->pool->permits, a);
    a->scheduled = false;
    list_remove(&a->run->by_state[a->state], &a->in_state);
    a->state = next;
    if (next == ATTEMPT_GONE) {
        attempt_free(a);
        return;
    }
    list_append(&a->run->by_state[next], &a->in_state);
}

struct log_field attempt_trace(const struct attempt *a, char room[TRACE_ID_LEN + 1])
{
    bool named = !a->fault && trace_id(a->job.meta, room);
    return named ? log_str("trace_id", room) : LOG_END;
}
