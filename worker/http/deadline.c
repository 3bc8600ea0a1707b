// deadline: the time limits of all calls by one timer. It is set to the nearest limit there is and
// walks all calls then; limits that only move away (each byte moves the idle limit) are found out
// on the walk, so that a call in good health costs nothing. A timer a call would be moved in a heap
// of thousands several times a call.
#include "common/base/err.h"
#include "worker/http/client_int.h"

#include <stdio.h>

enum {
    WALK_GAP_MS = 20,        // between two walks, where limits lie close together
    CONNECT_GRACE_MS = 1000, // libcurl watches this limit itself; here it is watched for calls that
                             // wait inside libcurl
};

struct limit {
    uint64_t due_ms;
    int64_t ms;
    const char *what; // ... within so many ms
};

static void add_limit(struct limit *l, uint64_t from_ms, int64_t ms, uint64_t grace_ms,
                      const char *what)
{
    if (ms <= 0 || from_ms + (uint64_t)ms + grace_ms >= l->due_ms)
        return;
    *l = (struct limit){from_ms + (uint64_t)ms + grace_ms, ms, what};
}

static struct limit nearest(const struct http_call *call)
{
    const struct http_options *opt = &call->target->client->opt;
    struct limit l = {call->due_ms, call->timeout_ms, "not answered"};
    uint64_t gated_ms = call->target->gated_ms;
    if (call->state == CALL_WAITING) {
        if (gated_ms)
            add_limit(&l, MAX(gated_ms, call->start_ms), opt->connect_timeout_ms, 0,
                      "no connection");
    } else if (!call->sent_ms) {
        add_limit(&l, call->start_ms, opt->connect_timeout_ms, CONNECT_GRACE_MS, "no connection");
    } else if (!call->heard_ms) {
        add_limit(&l, call->sent_ms, opt->first_byte_timeout_ms, 0, "no first byte");
    } else {
        add_limit(&l, call->heard_ms, opt->idle_timeout_ms, 0, "no further byte of the answer");
    }
    return l;
}

// walk_call ends a call that is late; else it gives the moment at which it will be.
static uint64_t walk_call(struct http_call *call, uint64_t now)
{
    struct limit l = nearest(call);
    if (l.due_ms > now)
        return l.due_ms;
    char text[96];
    snprintf(text, sizeof text, "%s within %lld ms", l.what, (long long)l.ms);
    call_end(call, ERR_TIMEOUT, text);
    return UINT64_MAX;
}

static uint64_t walk_list(struct list *calls, uint64_t now)
{
    uint64_t next = UINT64_MAX;
    list_each(calls, k)
    {
        uint64_t due = walk_call(CONTAINER_OF(k, struct http_call, link), now);
        next = MIN(next, due);
    }
    return next;
}

static void on_deadline(uv_timer_t *timer)
{
    struct http_client *c = timer->data;
    uint64_t now = uv_now(c->hub.loop);
    c->deadline_ms = 0;
    uint64_t next = walk_list(&c->running, now);
    list_each(&c->targets, k)
    {
        uint64_t due = walk_list(&CONTAINER_OF(k, struct http_target, link)->waiting, now);
        next = MIN(next, due);
    }
    if (next != UINT64_MAX)
        deadline_at(c, MAX(next, now + WALK_GAP_MS));
}

void deadline_init(struct http_client *c)
{
    uv_timer_init(c->hub.loop, &c->deadline);
    c->deadline.data = c;
}

void deadline_at(struct http_client *c, uint64_t due_ms)
{
    if (due_ms == UINT64_MAX || c->torn || (c->deadline_ms && c->deadline_ms <= due_ms))
        return;
    uint64_t now = uv_now(c->hub.loop);
    c->deadline_ms = due_ms;
    uv_timer_start(&c->deadline, on_deadline, due_ms > now ? due_ms - now : 0, 0);
}

void deadline_call(struct http_client *c, const struct http_call *call)
{
    deadline_at(c, nearest(call).due_ms);
}
