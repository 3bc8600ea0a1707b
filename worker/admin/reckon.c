// reckon: what a sample comes to: what a bucket holds by now, when the backlog is done, how many
// workers are of use.
#include "worker/admin/admin_int.h"

#include <math.h>

double sample_level(const struct pool_sample *p, enum kind k, int64_t now)
{
    double left = p->left[k];
    if (p->at > 0 && now > p->at)
        left += p->limit[k] / 60000 * (double)(now - p->at);
    return MAX(MIN(left, p->capacity[k]), 0);
}

// quota_s: calls a second that a pool's known limits allow, an operator's among them; 0 = none is
// known.
static double quota_s(const struct pool_sample *p)
{
    double least = 0;
    for (int k = 0; k < KINDS; k++) {
        double cost = k == KIND_requests ? 1 : p->cost[k], limit = p->limit[k];
        if (p->override[k] > 0 && (limit <= 0 || p->override[k] < limit))
            limit = p->override[k];
        if (limit <= 0 || cost <= 0)
            continue;
        double rate = limit / 60 / cost;
        least = least > 0 ? MIN(least, rate) : rate;
    }
    return least;
}

// due_edge_ms: before when the last delayed job of a queue is not due (common/queue/lua/look.lua).
static int64_t due_edge_ms(const struct queue_sample *q)
{
    static const int64_t edges[DUE_SLOTS] = {0, 0, 1000, 5000, 15000, 60000, 300000, 3600000};
    for (size_t d = DUE_SLOTS; d-- > 0;)
        if (q->due[d] > 0)
            return edges[d];
    return 0;
}

// all_shut_ms: how long no call at all may start, and what the known quotas of the pools allow
// together.
static int64_t all_shut_ms(const struct admin *a, double *ret_quota_s)
{
    struct pool_view p;
    uint64_t least = UINT64_MAX;
    *ret_quota_s = 0;
    for (size_t i = 0; i < SAMPLE_POOLS && run_see_pool(a->run, i, &p); i++) {
        least = MIN(least, p.shut ? p.shut_for_ms : 0);
        *ret_quota_s += quota_s(&a->sample.pools[i]);
    }
    return least == UINT64_MAX ? 0 : (int64_t)least;
}

int64_t sample_eta_ms(const struct admin *a)
{
    struct queue_view q;
    double backlog = 0, pace = a->sample.finished_s, quota;
    int64_t due_ms = 0, paused = 0, shut_ms = all_shut_ms(a, &quota);
    for (size_t i = 0; run_see_queue(a->run, i, &q); i++) {
        int64_t here = q.waiting + q.delayed + q.active;
        paused += q.paused ? here : 0;
        if (q.paused || !here)
            continue;
        backlog += (double)here;
        due_ms = MAX(due_ms, due_edge_ms(&a->sample.queues[i]));
    }
    if (backlog <= 0)
        return paused ? -1 : 0;
    if (quota > 0 && (shut_ms > 0 || pace < 0.001))
        pace = quota; // while the gate is shut, the pace that there was fades
    if (pace < 0.001)
        return -1;
    double eta = backlog / pace * 1000 + (double)shut_ms;
    eta = MAX(eta, (double)due_ms);
    return eta < 3.2e10 ? (int64_t)eta : -1; // more than a year is no answer
}

double sample_useful_workers(const struct admin *a)
{
    struct totals t;
    struct pool_view p;
    double slots = (double)MAX(a->conf->concurrency, 1), calls = 0;
    bool known = false;
    sample_totals(a, &t);
    for (size_t i = 0; i < SAMPLE_POOLS && run_see_pool(a->run, i, &p); i++) {
        const struct pool_sample *s = &a->sample.pools[i];
        double rate = quota_s(s), latency = s->latency_ms > 0 ? s->latency_ms : 1000;
        known |= rate > 0;
        calls += p.shut && p.shut_for_ms > 60000 ? 0 : rate * latency / 1000;
    }
    double backlog = (double)(t.waiting + t.delayed + t.active);
    double want = known ? MIN(calls, backlog) : backlog;
    return want <= 0 ? 0 : ceil(want / slots);
}
