// gate: this worker's knowledge of each pool's gate. The truth is penstock:pool:{...} in Redis;
// here is what was heard of it, good for a quarter of a second, and what this worker learnt itself.
#include "common/base/err.h"
#include "common/base/log.h"
#include "worker/run/estimate.h"
#include "worker/run/run_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TROUBLE_FIRST_MS = 60000, SAME_GATE_MS = 20 };

struct parked { // a job that waits in `delayed` for its pool to open
    struct list_link link;
    struct wqueue *queue;
    uint64_t due_ms; // then it comes by itself
    char id[ID_BYTES_MAX + 1];
};

bool gate_is_shut(const struct pool *p, uint64_t now_ms)
{
    return p->shut_until_ms > now_ms;
}

bool gate_may_try(const struct pool *p)
{
    return p->trouble && p->permits.count > 0;
}

// learn_mean: what the jobs of this worker cost, for starts whose job is not known yet.
static void learn_mean(struct pool *p, const struct cost *c)
{
    double part = 1.0 / (double)(p->priced = MIN(p->priced + 1, (uint64_t)20));
    p->mean.input += part * (c->input - p->mean.input);
    p->mean.output += part * (c->output - p->mean.output);
    p->mean.most += part * (c->most - p->mean.most);
    p->mean.nano_usd += part * (c->nano_usd - p->mean.nano_usd);
    p->mean.nano_usd_mean += part * (c->nano_usd_mean - p->mean.nano_usd_mean);
}

bool gate_take(struct attempt *a, uint64_t now_ms)
{
    struct pool *p = a->pool;
    if (gate_is_shut(p, now_ms) && !gate_may_try(p))
        return false;
    estimate_cost(a);
    if (!permit_take(&p->permits, a, now_ms))
        return false;
    learn_mean(p, &a->cost);
    p->try_unused = false;
    return true;
}

// retry_waiting looks again at the attempts that waited for this pool's answer.
static void retry_waiting(struct pool *p)
{
    list_each(&p->run->by_state[ATTEMPT_WAITING], k)
    {
        struct attempt *a = CONTAINER_OF(k, struct attempt, in_state);
        if (a->pool == p)
            call_ready(a);
    }
}

static void on_unparked(int err, const struct reply *reply, void *arg)
{
    struct run *r = arg;
    if (!err)
        run_hear(r, reply);
    for (size_t i = 0; i < r->queue_count; i++)
        queue_heat(&r->queues[i]);
}

// unpark brings back what was put aside for longer than the pool stayed shut.
static void unpark(struct pool *p)
{
    enum { UNPARK_MAX = 100 };
    struct run *r = p->run;
    while (!list_is_empty(&p->parked)) {
        struct parked *one[UNPARK_MAX];
        size_t count = 0;
        struct wqueue *q = CONTAINER_OF(list_first(&p->parked), struct parked, link)->queue;
        args_clear(&r->args);
        list_each(&p->parked, k)
        {
            struct parked *it = CONTAINER_OF(k, struct parked, link);
            if (it->queue != q || count == UNPARK_MAX)
                continue;
            args_add_str(&r->args, it->id);
            list_remove(&p->parked, &it->link);
            one[count++] = it;
        }
        int unsent = script_call(r->link, SCRIPT_UNPARK, q->stem, &r->args, on_unparked, r);
        (void)unsent; // they come back at the time that was thought of first
        for (size_t i = 0; i < count; i++)
            free(one[i]);
    }
}

static void sweep_parked(struct wqueue *q, int64_t from);

// on_swept: what any worker has parked, also one that is dead, is due now: a worker that starts, or
// has another key, tries at once, and who sees a pool open early fetches them.
static void on_swept(int err, const struct reply *reply, void *arg)
{
    struct wqueue *q = arg;
    run_answered(q, SCRIPT_UNPARK, err, reply);
    if (err)
        return; // they come back within a quarter of an hour
    int64_t next = reply_int_or(reply_at(reply, 1), -1);
    queue_heat(q);
    if (next >= 0)
        sweep_parked(q, next);
    pump(q->run);
}

static void sweep_parked(struct wqueue *q, int64_t from)
{
    char place[24];
    snprintf(place, sizeof place, "+%lld", (long long)from);
    args_clear(&q->run->args);
    args_add_str(&q->run->args, place);
    int unsent = script_call(q->run->link, SCRIPT_UNPARK, q->stem, &q->run->args, on_swept, q);
    (void)unsent;
}

static void sweep_all(struct run *r)
{
    for (size_t i = 0; i < r->queue_count; i++)
        sweep_parked(&r->queues[i], 0);
}

static void opened_early(struct pool *p)
{
    unpark(p);
    sweep_all(p->run);
}

static struct parked *first_parked(const struct pool *p)
{
    return CONTAINER_OF(p->parked.head.next, struct parked, link);
}

bool gate_is_crowded(struct pool *p, uint64_t now_ms)
{
    while (!list_is_empty(&p->parked) && first_parked(p)->due_ms <= now_ms)
        free(CONTAINER_OF(list_pop(&p->parked), struct parked, link));
    return p->parked.count >= PARKED_MAX;
}

void gate_parked(struct attempt *a)
{
    struct pool *p = a->pool;
    uint64_t now_ms = clock_mono_ms();
    bool crowded = gate_is_crowded(p, now_ms);
    struct parked *it = !crowded ? malloc(sizeof *it) : NULL;
    if (!it)
        return;
    it->queue = a->queue;
    it->due_ms = now_ms + (uint64_t)a->end.due_in_ms;
    snprintf(it->id, sizeof it->id, "%s", a->id);
    list_append(&p->parked, &it->link);
    if (!gate_is_shut(p, now_ms) && !p->trouble)
        unpark(p); // it has opened meanwhile
}

static void forget_parked(struct pool *p)
{
    while (!list_is_empty(&p->parked))
        free(CONTAINER_OF(list_pop(&p->parked), struct parked, link));
}

// give_back returns every start that has not been used: calls break, and one in the fleet tries.
static void give_back(struct pool *p, uint64_t now_ms)
{
    permit_return_all(&p->permits, false, now_ms);
    list_each(&p->run->by_state[ATTEMPT_WAITING], k)
    {
        struct attempt *a = CONTAINER_OF(k, struct attempt, in_state);
        if (a->pool != p || !a->scheduled)
            continue;
        permit_return(&p->permits, a);
        a->scheduled = false;
    }
}

static void heard(struct pool *p, const struct reply *reply)
{
    struct span cause = {0};
    uint64_t now_ms = clock_mono_ms(), was = p->shut_until_ms;
    int64_t wait = reply_int_or(reply_at(reply, 1), 0),
            granted = reply_int_or(reply_at(reply, 3), 0);
    reply_str(reply_at(reply, 2), &cause);
    p->shut_until_ms = wait > 0 ? now_ms + (uint64_t)wait : 0;
    p->eager = p->eager && (wait > 0 || !p->asked_start); // only who asks for a start may try
    if (wait > 0 || cause.len)
        p->cause = cause_parse(cause);
    if (wait == 0 && granted == 1 && cause.len)
        p->trouble = p->try_unused = true;
    permit_hear(&p->permits, reply, granted, p->mean, now_ms);
    budget_heard(p, reply_int_or(reply_at(reply, 13), 0));
    if (p->priced == 0 && p->permits.out_mean >= 0)
        p->mean.output = p->permits.out_mean;
    if (granted == 0 && span_is(cause, "overload"))
        give_back(p, now_ms);
    if (wait > 0)
        return;
    if (was > now_ms + GATE_LOOK_MS && !cause.len)
        opened_early(p);
    else if (!p->trouble)
        forget_parked(p);
}

static void on_step(int err, const struct reply *reply, void *arg)
{
    struct pool *p = arg;
    p->asking = false;
    if (err) {
        p->permits.ask_at_ms = clock_mono_ms() + RETRY_SEND_MS;
        return; // pump asks again
    }
    run_hear(p->run, reply);
    heard(p, reply);
    retry_waiting(p);
    pump(p->run);
}

uint64_t gate_wakes(const struct pool *p, bool wanted)
{
    uint64_t at = p->permits.report_at_ms ? p->permits.report_at_ms : UINT64_MAX;
    if (p->asking || !p->run->ready) // Redis' answer, or its return, wakes us
        return UINT64_MAX;
    if (p->permits.budget.held_tokens > 0 && budget_is_set(p->run->conf))
        at = MIN(at, p->asked_at_ms + BUDGET_TOLD_MS);
    if (wanted || p->parked.count) { // what was put aside waits for a gate that may open sooner
        uint64_t ask =
            p->shut_until_ms > p->permits.ask_at_ms ? p->shut_until_ms : p->permits.ask_at_ms;
        uint64_t look = p->asked_at_ms + GATE_LOOK_MS;
        at = MIN(at, MIN(ask, MAX(look, p->permits.ask_at_ms)));
    }
    return at;
}

void gate_ask(struct pool *p, size_t want, uint64_t now_ms)
{
    struct run *r = p->run;
    bool off = r->conf->governor[1] == 'f';
    if (p->asking || !r->ready || gate_wakes(p, want > 0) > now_ms)
        return;
    permit_return_all(&p->permits, true, now_ms);
    if (p->try_unused && p->permits.count == 0)
        gate_try_failed(p);
    args_clear(&r->args);
    args_add_int(&r->args, PROBE_HOLD_MS);
    args_add_int(&r->args, p->eager);
    permit_args(&p->permits, &r->args, off && want ? -1 : (int64_t)MIN(want, (size_t)ASK_MAX),
                p->mean, r->conf->output_charge[0] == 'r');
    budget_args(p, &r->args);
    p->asked_at_ms = now_ms;
    p->asked_start = want > 0;
    p->asking = script_call(r->link, SCRIPT_POOL_STEP, p->key, &r->args, on_step, p) == 0;
}

static void on_shut(int err, const struct reply *reply, void *arg)
{
    struct pool *p = arg;
    p->telling = false;
    if (err)
        return; // this worker holds back all the same
    run_hear(p->run, reply);
    uint64_t until_ms = run_mono(p->run, reply_int_or(reply_at(reply, 1), 0));
    p->shut_until_ms = MAX(p->shut_until_ms, until_ms);
    if (reply_int_or(reply_at(reply, 2), 0) == 1)
        log_event(LOG_WARN, "pool_shut", log_str("pool", p->name),
                  log_str("cause", cause_word(p->cause)),
                  log_int("for_ms", (int64_t)(p->shut_until_ms - clock_mono_ms())), LOG_END);
}

void gate_shut(struct pool *p, enum cause why, int64_t wait_ms, const struct outcome *o)
{
    struct run *r = p->run;
    bool trouble = why != CAUSE_QUOTA;
    uint64_t now_ms = clock_mono_ms();
    uint64_t until = now_ms + (uint64_t)(wait_ms >= 0 ? wait_ms : TROUBLE_FIRST_MS);
    if (!p->trouble && p->cause == why && until <= p->shut_until_ms + SAME_GATE_MS)
        return; // known already, here and so in Redis; but how a try ended is news
    char words[320];
    snprintf(words, sizeof words, "HTTP %d %s: %.200s", o->http_status, o->error_type, o->message);
    p->cause = why;
    p->trouble = p->try_unused = false;
    p->permits.any_until_ms = 0;
    permit_return_all(&p->permits, false, now_ms);
    p->shut_until_ms = MAX(p->shut_until_ms, until);
    args_clear(&r->args);
    args_add_str(&r->args, cause_word(why));
    args_add_int(&r->args, wait_ms);
    args_add_int(&r->args, trouble);
    args_add_str(&r->args, words);
    // Where Redis is away, this worker holds back, and the others will learn for themselves.
    p->telling = script_call(r->link, SCRIPT_POOL_SHUT, p->key, &r->args, on_shut, p) == 0;
}

static void on_opened(int err, const struct reply *reply, void *arg)
{
    struct pool *p = arg;
    if (err)
        return;
    run_hear(p->run, reply);
    if (reply_int_or(reply_at(reply, 1), 0) == 1)
        log_event(LOG_INFO, "pool_open", log_str("pool", p->name), LOG_END);
}

static void send_open(struct pool *p, bool retry)
{
    struct run *r = p->run;
    args_clear(&r->args);
    args_add_int(&r->args, 1);
    args_add_int(&r->args, retry);
    int unsent = script_call(r->link, SCRIPT_POOL_OPEN, p->key, &r->args, on_opened, p);
    (void)unsent; // the next good answer says it again
}

void gate_succeeded(struct pool *p)
{
    if (!p->trouble)
        return;
    p->trouble = p->try_unused = false;
    p->cause = CAUSE_NONE;
    p->shut_until_ms = 0;
    p->permits.ask_at_ms = 0;
    send_open(p, false);
    opened_early(p);
}

void gate_try_failed(struct pool *p)
{
    if (!p->trouble)
        return;
    p->trouble = p->try_unused = false;
    send_open(p, true);
}

void gate_free(struct pool *p)
{
    forget_parked(p);
    free(p);
}

void gate_eager(struct run *r)
{
    sweep_all(r);
    list_each(&r->pools, k)
    {
        struct pool *p = CONTAINER_OF(k, struct pool, link);
        p->eager = true;
        p->asked_at_ms = 0; // ask Redis, with the new key in hand
    }
}
