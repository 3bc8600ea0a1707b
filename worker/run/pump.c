// pump: after each turn of the loop: send what is due, claim while there is room, say when to wake.
//
// Callbacks note facts; this decides. All timed work is here, so one timer is enough: it is set to
// the earliest of everything that waits for a time.
#include "worker/run/fetch.h"
#include "worker/run/run_int.h"

#include <assert.h>

static uint64_t claim_gather_ms(const struct wqueue *q)
{
    return MIN(run_gather_ms(q), (uint64_t)GATHER_FULL_MS);
}

static bool has_room_to_claim(const struct wqueue *q, size_t room, uint64_t now_ms)
{
    size_t enough = (size_t)q->run->conf->concurrency / 4;
    enough = enough < 1 ? 1 : MIN(enough, (size_t)CLAIM_MAX * 3 / 4);
    return room >= enough || (room > 0 && now_ms - q->claimed_at_ms >= claim_gather_ms(q));
}

// starts_allowed: how many jobs of this queue may be claimed, as far as its pools have granted
// starts; goes for more where they are used up. A queue whose pools are all shut is left alone: its
// jobs stay in `jobs`, where LLEN counts them.
static size_t starts_allowed(struct wqueue *q, size_t room, uint64_t now_ms, struct pool **ret_pool)
{
    size_t most = 0;
    bool all_shut = true, crowded = false;
    struct pool_class *classes[CLASSES_OF_QUEUE];
    size_t count = pools_of_queue(q, now_ms, classes);
    for (size_t i = 0; i < count; i++) {
        struct pool_class *c = classes[i];
        bool shut = pools_all_shut(c, now_ms);
        all_shut = all_shut && shut;
        for (size_t k = 0; k < c->count; k++) {
            struct pool *p = c->pools[k];
            crowded |= shut && gate_is_crowded(p, now_ms);
            permit_return_all(&p->permits, true,
                              now_ms); // what is too old says nothing of the gate
            bool open = !gate_is_shut(p, now_ms) || gate_may_try(p);
            size_t left = open ? permit_free(&p->permits, now_ms) : 0;
            if (left > most && permit_claim_at(&p->permits, now_ms) <= now_ms) {
                most = left;
                *ret_pool = p;
            }
        }
        pools_ask(c, room, now_ms);
    }
    if (all_shut)
        pools_peek(q, now_ms);
    return crowded ? 0 : most;
}

// is_claimable: may one more claim be sent? A second one beside the first where more is known to
// wait than those under way ask for: of a queue that was empty, one job is as yet all there is.
static bool is_claimable(const struct wqueue *q)
{
    bool more = q->claims_out == 0 || q->waiting_jobs > (int64_t)q->asked;
    return q->hot && !q->paused && !q->refused && more && q->claims_out < CLAIMS_OUT_MAX &&
           list_is_empty(&q->to_repeat);
}

// pick gives the claimable queue that has been served least for its weight.
static struct wqueue *pick(struct run *r, uint64_t now_ms, size_t room, struct pool **ret_pool,
                           size_t *ret_want)
{
    struct wqueue *best = NULL;
    size_t allowed = 0;
    int64_t weights = 0;
    for (size_t i = 0; i < r->queue_count; i++) {
        struct wqueue *q = &r->queues[i];
        if (!is_claimable(q))
            continue;
        weights += q->weight;
        if (!has_room_to_claim(q, room, now_ms) || (best && q->pass >= best->pass))
            continue;
        struct pool *pool = NULL;
        size_t starts = starts_allowed(q, room, now_ms, &pool);
        if (starts > 0) {
            best = q;
            allowed = starts;
            *ret_pool = pool;
        }
    }
    if (best) {
        size_t share = room * (size_t)best->weight / (size_t)MAX(weights, best->weight);
        *ret_want = MIN(MAX(share, (size_t)1), allowed);
    }
    return best;
}

static void claim_all(struct run *r, uint64_t now_ms)
{
    size_t room, want = 0;
    for (size_t i = 0; i < r->queue_count; i++)
        if (r->queues[i].cancel_pending) {
            r->queues[i].cancel_pending = false;
            claim_jobs(&r->queues[i], NULL, 0);
        }
    while (r->mode == RUN_WORKING && (room = run_room(r)) > 0) {
        struct pool *p = NULL;
        struct wqueue *q = pick(r, now_ms, room, &p, &want);
        if (!q)
            return;
        r->pass = q->pass;
        claim_jobs(q, p, want);
    }
}

// wait_idle blocks on a queue that has been found empty, once what was taken from it is on its way:
// Redis should not be kept from that.
static void wait_idle(struct run *r)
{
    for (size_t i = 0; i < r->queue_count; i++) {
        struct wqueue *q = &r->queues[i];
        bool intake = q->claims_out || q->admits_out;
        if (!q->hot && !q->paused && !q->refused && !intake && run_room(r) > 0)
            wait_for_work(q);
    }
}

static void send_due(struct wqueue *q, uint64_t now_ms)
{
    intake_send(q);
    while (q->run->ready && settle_wakes(q) <= now_ms) {
        size_t before = q->to_settle.count;
        settle_send(q);
        if (q->to_settle.count >= before)
            break;
    }
    if (q->next_due_ms >= 0 && q->next_due_ms <= run_now(q->run) && !q->paused && !q->hot)
        queue_heat(q);
    if (now_ms >= q->renew_at_ms)
        beat_renew(
            q); // before the tick: who was stopped for long must not take back its own leases
    if (now_ms >= q->tick_at_ms && !q->ticking)
        beat_tick(q);
}

static void look_again_at_waiting(struct run *r)
{
    list_each(&r->by_state[ATTEMPT_WAITING], k)
        call_ready(CONTAINER_OF(k, struct attempt, in_state));
}

// report tells the ledgers what has not gone along with a wish for more.
static void report(struct run *r, uint64_t now_ms)
{
    list_each(&r->pools, k) gate_ask(CONTAINER_OF(k, struct pool, link), 0, now_ms);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t queue_wakes(const struct wqueue *q, uint64_t now_ms)
{
    uint64_t at = earlier(q->ticking ? UINT64_MAX : q->tick_at_ms, q->renew_at_ms);
    at = earlier(at, settle_wakes(q));
    if (q->to_repeat.count || q->to_admit.count || fetch_may(q) || q->to_reject.count)
        at = earlier(at, q->send_at_ms);
    if (q->next_due_ms >= 0 && !q->paused && !q->hot)
        at = earlier(at, run_mono(q->run, q->next_due_ms));
    if (is_claimable(q) && run_room(q->run) > 0) {
        uint64_t gather = q->claimed_at_ms + claim_gather_ms(q);
        if (gather > now_ms)
            at = earlier(at, gather);
        for (size_t i = 0; i < CLASSES_OF_QUEUE && q->classes[i]; i++)
            at = earlier(at, pools_wake(q->classes[i], run_room(q->run), now_ms));
    }
    return at;
}

// arm sets the one timer to whatever comes first.
static void arm(struct run *r, uint64_t now_ms)
{
    uint64_t at = r->ready ? r->beat_at_ms : UINT64_MAX;
    if (r->mode == RUN_DRAINING)
        at = earlier(at, r->drain_until_ms);
    if (r->leaving)
        at = earlier(at, r->leave_until_ms);
    for (size_t i = 0; i < r->queue_count && r->ready; i++)
        at = earlier(at, queue_wakes(&r->queues[i], now_ms));
    list_each(&r->pools, k)
    {
        const struct pool *p = CONTAINER_OF(k, struct pool, link);
        at = earlier(at, gate_wakes(p, false));
    }
    list_each(&r->by_state[ATTEMPT_WAITING], k)
    {
        const struct attempt *a = CONTAINER_OF(k, struct attempt, in_state);
        at = earlier(at, a->scheduled ? a->grant.start_ms : gate_wakes(a->pool, true));
    }
    if (at == UINT64_MAX) {
        uv_timer_stop(&r->timer);
        return;
    }
    uv_update_time(r->loop);
    uv_timer_start(&r->timer, r->timer.timer_cb, at > now_ms ? at - now_ms : 1, 0);
}

void pump(struct run *r)
{
    if (r->mode == RUN_ENDED || r->pumping)
        return;
    r->pumping = true;
    uint64_t now_ms = clock_mono_ms();
    if (r->ready) {
        if (r->mode == RUN_WORKING)
            claim_all(r, now_ms); // before the claimed are started: Redis works meanwhile
        look_again_at_waiting(r);
        report(r, now_ms);
        for (size_t i = 0; i < r->queue_count; i++)
            send_due(&r->queues[i], now_ms);
        if (r->mode == RUN_WORKING)
            wait_idle(r);
        if (now_ms >= r->beat_at_ms)
            beat_worker(r);
    }
    run_check_drain(r, now_ms);
    arm(r, now_ms);
    r->pumping = false;
}
