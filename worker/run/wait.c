// wait: the blocking wait that costs nothing while there is nothing to do.
//
// BLMOVE from the right of `jobs` to the right of `jobs` returns as soon as the list has an element
// and leaves it as it was: no payload is ever taken outside an atomic move. Each queue has a
// connection of its own for it, since a blocked connection can do nothing else.
#include "common/base/err.h"
#include "worker/run/run_int.h"

#include <stdio.h>
#include <string.h>

static void on_woken(int err, const struct reply *reply, void *arg)
{
    struct wqueue *q = arg;
    q->waiting = false;
    if (err == ERR_REDIS) // out of memory, no rights: each round looks at the queue meanwhile
        q->wait_at_ms = clock_mono_ms() + TICK_MS;
    if (err || reply_is_null(reply))
        return; // pump waits again
    queue_heat(q);
    pump(q->run);
}

void wait_for_work(struct wqueue *q)
{
    char seconds[16];
    int len = snprintf(seconds, sizeof seconds, "%d", WAIT_S);
    size_t jobs = strlen(q->jobs);
    const char *argv[] = {"BLMOVE", q->jobs, q->jobs, "RIGHT", "RIGHT", seconds};
    size_t lens[] = {6, jobs, jobs, 5, 5, (size_t)len};
    if (q->waiting || clock_mono_ms() < q->wait_at_ms || !q->waiter || !rlink_is_up(q->waiter))
        return;
    q->waiting = rlink_call(q->waiter, 6, argv, lens, (WAIT_S + 2) * 1000, on_woken, q) == 0;
}
