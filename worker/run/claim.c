// claim: what a queue gives is leased to this worker.
//
// A claim brings jobs from `delayed`, payloads that it has admitted itself, since they tell nothing
// of themselves but an id, and others under claim ids, which intake.c reads and has admitted. A
// claim that Redis does not confirm is sent again with its token, and brings what it took.
#include "worker/run/claim.h"

#include "common/base/fault.h"
#include "worker/run/fetch.h"
#include "worker/run/run_int.h"

#include <stdlib.h>
#include <string.h>

static void on_claimed(int err, const struct reply *reply, void *arg);

static void claim_send(struct claim *c)
{
    struct wqueue *q = c->queue;
    struct run *r = q->run;
    struct args *a = &r->args;
    if (r->mode != RUN_WORKING)
        c->want = 0; // a repeat brings what was taken, and nothing new
    args_clear(a);
    args_add_str(a, c->token);
    args_add_str(a, r->worker);
    args_add_int(a, r->conf->lease_ms);
    args_add_int(a, (int64_t)c->want);
    args_add(a, (struct span){c->token, 23}); // unique to this claim, so its ids are
    if (script_call(r->link, SCRIPT_CLAIM, q->stem, a, on_claimed, c) == 0) {
        c->sent_ms = clock_mono_ms();
        q->claims_out++;
        q->asked += c->want;
        r->reserved += c->want;
        if (c->pool)
            c->pool->permits.promised += c->want;
        return;
    }
    list_append(&q->to_repeat, &c->link);
    intake_send_later(q);
}

void claim_jobs(struct wqueue *q, struct pool *p, size_t want)
{
    struct claim *c = calloc(1, sizeof *c);
    if (!c)
        return;
    c->queue = q;
    c->pool = p;
    c->want = MIN(want, (size_t)CLAIM_MAX);
    ulid_make(run_now(q->run), c->token);
    q->claimed_at_ms = clock_mono_ms();
    q->pass += (double)c->want / (double)q->weight;
    claim_send(c);
}

// take_again notes what a job from `delayed` brings along: it has its id and its counters. One that
// has been admitted just now has none yet.
static void take_again(struct attempt *a, struct span id, const struct reply *item, int64_t now_ms)
{
    span_copy(a->id, sizeof a->id, id);
    a->admitted = true;
    a->attempts = a->unread ? 0 : reply_int_or(reply_at(item, 3), 0);
    a->throttles = reply_int_or(reply_at(item, 4), 0);
    a->recoveries = reply_int_or(reply_at(item, 5), 0);
    a->created = reply_int_or(reply_at(item, a->unread ? 3 : 6), now_ms);
    a->expires_at = reply_int_or(reply_at(item, 7), -1);
    a->cancel = reply_int_or(reply_at(item, 8), 0) == 1;
    a->started = reply_int_or(reply_at(item, 9), 0);
    a->killed_its_reader = reply_int_or(reply_at(item, 10), 0) == 1;
}

// take_item: a claim id comes without its bytes and when it was created, where the payload and the
// claim's time tell.
static void take_item(const struct claim *c, const struct reply *item, int64_t now_ms)
{
    struct wqueue *q = c->queue;
    struct run *r = q->run;
    struct span id, bytes = {0};
    struct attempt *a = reply_str(reply_at(item, 0), &id) ? attempt_new(r, q) : NULL;
    if (!a)
        return;
    memcpy(a->token, c->token, sizeof a->token);
    r->stats.claimed++;
    a->promised = c->pool;
    if (c->pool)
        c->pool->permits.promised++;
    if (id.len && id.at[0] == '~') {
        span_copy(a->claim_id, sizeof a->claim_id, id);
        a->created = reply_int_or(reply_at(item, 3), now_ms);
    } else {
        a->unread = reply_count(item) <= 4;
        take_again(a, id, item, now_ms);
    }
    bool here = reply_str(reply_at(item, 1), &bytes);
    a->claimed_bytes = (size_t)MAX(reply_int_or(reply_at(item, 2), (int64_t)bytes.len), 0);
    r->claimed_bytes += a->claimed_bytes;
    if (!here || fetch_is_suspect(a)) { // a large one comes by itself, and so does a suspect
        list_append(&q->to_fetch, &a->todo);
        return;
    }
    intake_payload(a, bytes);
}

// learn notes what a claim's answer says of the queue as a whole.
static void learn(struct wqueue *q, const struct reply *reply)
{
    struct span why = {0};
    int64_t waiting = reply_int_or(reply_at(reply, 2), 0);
    q->next_due_ms = reply_int_or(reply_at(reply, 1), -1);
    reply_str(reply_at(reply, 3), &why);
    q->paused = span_is(why, "paused");
    queue_is_newer(q, span_is(why, "version"));
    q->waiting_jobs = waiting;
    bool due = q->next_due_ms >= 0 && q->next_due_ms <= run_now(q->run);
    q->hot = false;
    if (waiting > 0 || due)
        queue_heat(q);
}

static void on_claimed(int err, const struct reply *reply, void *arg)
{
    struct claim *c = arg;
    struct wqueue *q = c->queue;
    q->claims_out--;
    q->asked -= c->want;
    q->run->reserved -= c->want;
    if (c->pool)
        c->pool->permits.promised -= c->want;
    run_answered(q, SCRIPT_CLAIM, err, reply);
    if (err || run_is_stale(q, c->sent_ms)) {
        list_append(&q->to_repeat, &c->link);
        intake_send_later(q);
        return;
    }
    FAULT("claim.after");
    run_hear(q->run, reply);
    learn(q, reply);
    size_t count = reply_count(reply);
    q->pass -= (double)(c->want - MIN(c->want, count - MIN(count, (size_t)4))) / (double)q->weight;
    for (size_t i = 4; i < count; i++)
        take_item(c, reply_at(reply, i), reply_int_or(reply_at(reply, 0), 0));
    if (c->want == 0 && count > 4)
        q->tick_at_ms = 0; // these were cancelled; there may be more
    free(c);
    pump(q->run);
}

void claim_repeat(struct wqueue *q)
{
    for (size_t n = q->to_repeat.count; n > 0; n--)
        claim_send(CONTAINER_OF(list_pop(&q->to_repeat), struct claim, link));
}
