// turn: when libmicrohttpd may run on the worker's loop. Its epoll descriptor is in a uv_poll; a
// uv_prepare asks it when it wants to be called next. Whoever floods these pages takes no more than
// one part in SHARE of the loop's time: then they wait, and the jobs do not. Nor does one turn take
// long, however many requests have come at once: those beyond are put off, and the oldest is the
// next.
#include "common/base/clock.h"
#include "worker/admin/admin_int.h"

enum {
    SHARE = 10,
    SAVED_US = 20000, // of unused time that a burst may take
    TURN_US = 2000,
};

// ------------------------------------------------------------------------------------ the time
// taken

void turn_begin(struct admin *a)
{
    uint64_t now_us = clock_mono_us();
    int64_t more = (int64_t)(now_us - a->turn_us) / SHARE;
    a->credit_us = MIN(a->credit_us + more, (int64_t)SAVED_US);
    a->turn_us = now_us;
    a->turn_cpu_us = clock_cpu_us();
}

void turn_end(struct admin *a)
{
    int64_t took = (int64_t)(clock_cpu_us() - a->turn_cpu_us);
    a->credit_us -= took;
    a->busy_us += (uint64_t)took;
}

static bool is_long(const struct admin *a)
{
    return clock_mono_us() - a->turn_us > TURN_US;
}

bool turn_is_its(const struct request *q)
{
    return q->next || (list_is_empty(&q->admin->deferred) && !is_long(q->admin));
}

enum MHD_Result turn_defer(struct request *q)
{
    q->deferred = true;
    list_append(&q->admin->deferred, &q->link);
    MHD_suspend_connection(q->connection);
    return MHD_YES;
}

bool turn_resume(struct admin *a)
{
    if (list_is_empty(&a->deferred))
        return false;
    struct request *q = CONTAINER_OF(a->deferred.head.next, struct request, link);
    list_remove(&a->deferred, &q->link);
    q->deferred = false;
    q->next = true;
    MHD_resume_connection(q->connection);
    return true;
}

// ------------------------------------------------------------------------------------ turns

static void on_timeout(uv_timer_t *h)
{
    server_run(h->data);
}

static void on_readable(uv_poll_t *h, int status, int events)
{
    (void)status, (void)events;
    server_run(h->data);
}

// hold lets nothing of the pages run until there is time for them again.
static void hold(struct admin *a)
{
    a->held = true;
    uv_poll_stop(&a->poll);
    uv_timer_start(&a->timeout, on_timeout, (uint64_t)(-a->credit_us * SHARE / 1000 + 1), 0);
}

static void release(struct admin *a)
{
    if (!a->held)
        return;
    a->held = false;
    uv_timer_stop(&a->timeout);
    uv_poll_start(&a->poll, UV_READABLE, on_readable);
}

void server_run(struct admin *a)
{
    if (a->in_mhd || !a->daemon)
        return;
    turn_begin(a);
    if (a->credit_us < 0) {
        hold(a);
        return;
    }
    release(a);
    a->in_mhd = true;
    do
        MHD_run(a->daemon);
    while (!is_long(a) && turn_resume(a));
    a->in_mhd = false;
    turn_end(a);
}

static void on_prepare(uv_prepare_t *h)
{
    struct admin *a = h->data;
    MHD_UNSIGNED_LONG_LONG wait;
    if (a->held || !a->peers.count)
        return;
    if (a->deferred.count)
        uv_timer_start(&a->timeout, on_timeout, 1, 0);
    else if (MHD_get_timeout(a->daemon, &wait) == MHD_YES)
        uv_timer_start(&a->timeout, on_timeout, wait, 0);
}

void turn_start(struct admin *a)
{
    a->turn_us = clock_mono_us();
    a->credit_us = SAVED_US;
    uv_poll_start(&a->poll, UV_READABLE, on_readable);
    uv_prepare_start(&a->prepare, on_prepare);
}
