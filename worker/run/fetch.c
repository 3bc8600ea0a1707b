// fetch: payloads that do not come with their claim: large ones, and those of suspects.
#include "worker/run/fetch.h"

#include "worker/run/run_int.h"

#include <stdio.h>

void fetch_take_memory(struct attempt *a)
{
    a->run->memory_bytes += a->in_memory ? 0 : a->claimed_bytes;
    a->in_memory = true;
}

static void on_noted(int err, const struct reply *reply, void *arg)
{
    (void)err, (void)reply, (void)arg; // as long as there is no note it may kill more readers
}

bool fetch_is_suspect(const struct attempt *a)
{
    int64_t max = a->run->conf->max_recoveries;
    return max > 0 && a->recoveries >= MAX(max - 1, (int64_t)1);
}

void fetch_note(struct attempt *a, bool on)
{
    char key[KEY_BYTES_MAX + ID_BYTES_MAX];
    size_t len = (size_t)snprintf(key, sizeof key, "%sop:read:%s", a->queue->stem, a->id);
    const char *set[] = {"PSETEX", key, "3600000", "1"}, *del[] = {"DEL", key};
    size_t lens[] = {on ? 6 : 3, len, 7, 1};
    int unsent = rlink_call(a->run->link, on ? 4 : 2, on ? set : del, lens, 0, on_noted, NULL);
    (void)unsent;
    a->queue->reading = a->noted = on;
}

static void on_fetched(int err, const struct reply *reply, void *arg)
{
    struct attempt *a = arg;
    struct wqueue *q = a->queue;
    struct span bytes;
    q->reading = a->noted ? false : q->reading;
    if (err) {
        list_prepend(&q->to_fetch, &a->todo); // it may be what memory is kept for
        intake_send_later(q);
    } else if (reply_str(reply, &bytes)) {
        intake_payload(a, bytes);
    } else {
        intake_drop(a); // recovered by another meanwhile
    }
}

static void fetch(struct attempt *a)
{
    char key[KEY_BYTES_MAX + ID_BYTES_MAX];
    int len =
        snprintf(key, sizeof key, "%sjob:%s", a->queue->stem, a->admitted ? a->id : a->claim_id);
    const char *argv[] = {"HGET", key, "payload"};
    size_t lens[] = {4, (size_t)len, 7};
    fetch_take_memory(a);
    if (fetch_is_suspect(a))
        fetch_note(a, true);
    if (rlink_call(a->run->link, 3, argv, lens, 0, on_fetched, a)) {
        a->queue->reading = a->noted ? false : a->queue->reading;
        list_prepend(&a->queue->to_fetch, &a->todo);
        intake_send_later(a->queue);
    }
}

// fetch_or_bury: what has killed readers often enough is dead unread.
static void fetch_or_bury(struct attempt *a)
{
    int64_t max = a->run->conf->max_recoveries;
    if (!a->killed_its_reader || max == 0 || a->recoveries < max) {
        fetch(a);
        return;
    }
    a->job = job_unread;
    settle_failed(a, a->cancel ? FAILURE_CANCELLED : FAILURE_CRASH, NULL);
}

// fetch_may: payloads in memory have a budget; one that is larger than all of it comes
// alone.
bool fetch_may(const struct wqueue *q)
{
    const struct run *r = q->run;
    if (list_is_empty(&q->to_fetch))
        return false;
    const struct attempt *a = CONTAINER_OF(q->to_fetch.head.next, const struct attempt, todo);
    if (q->reading && fetch_is_suspect(a))
        return false;
    size_t most = (size_t)r->conf->max_inflight_bytes;
    return a->in_memory || r->memory_bytes == 0 || r->memory_bytes + a->claimed_bytes <= most;
}

void fetch_due(struct wqueue *q)
{
    while (clock_mono_ms() >= q->send_at_ms && fetch_may(q))
        fetch_or_bury(CONTAINER_OF(list_pop(&q->to_fetch), struct attempt, todo));
}
