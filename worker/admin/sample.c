#include "worker/admin/sample.h"

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/queue/keys.h"
#include "worker/admin/admin_int.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    POOLS_ASKED = 12,
    RUNS_OWN = 8,
    RUNS_ASKED = 12,
    WORKERS_EVERY_MS = 5000,
    STILL_WATCHED_MS = 5000
};

const char *counter_name(enum counter c)
{
    static const char *const names[] = {
#define XX(name) #name,
        COUNTER_MAP(XX)
#undef XX
    };
    return names[c];
}

const char *kind_name(enum kind k)
{
    static const char *const names[] = {
#define XX(name) #name,
        KIND_MAP(XX)
#undef XX
    };
    return names[k];
}

// ------------------------------------------------------------------------------------ reading

static void copy(char *to, size_t room, struct span s)
{
    snprintf(to, room, "%.*s", (int)s.len, s.at ? s.at : "");
}

// each_field walks a hash that Redis gave as a flat list.
static void each_field(const struct reply *list, void (*cb)(void *to, struct span f, struct span v),
                       void *to)
{
    for (size_t i = 0; i + 1 < reply_count(list); i += 2) {
        struct span field = {0}, value = {0};
        if (reply_str(reply_at(list, i), &field) && reply_str(reply_at(list, i + 1), &value))
            cb(to, field, value);
    }
}

static void take_count(double *counts, struct span f, struct span v)
{
    for (int c = 0; c < COUNTERS; c++)
        if (span_is(f, counter_name((enum counter)c)))
            counts[c] = span_num(v, 0);
}

static void on_queue_field(void *to, struct span f, struct span v)
{
    take_count(((struct queue_sample *)to)->counts, f, v);
}

static void on_run_field(void *to, struct span f, struct span v)
{
    struct run_sample *r = to;
    take_count(r->counts, f, v);
    if (span_is(f, "created"))
        r->created = (int64_t)span_num(v, 0);
    else if (span_is(f, "updated"))
        r->updated = (int64_t)span_num(v, 0);
}

static void on_worker_field(void *to, struct span f, struct span v)
{
    struct worker_sample *w = to;
    if (span_is(f, "queues"))
        copy(w->queues, sizeof w->queues, v);
    else if (span_is(f, "version"))
        copy(w->version, sizeof w->version, v);
    else if (span_is(f, "runs"))
        copy(w->runs, sizeof w->runs, v);
    else if (span_is(f, "started"))
        w->started = (int64_t)span_num(v, 0);
    else if (span_is(f, "in_flight"))
        w->in_flight = (int64_t)span_num(v, 0);
}

static bool level_field(struct pool_sample *p, struct span f, struct span v)
{
    for (int k = 0; k < KINDS; k++) {
        const char *name = kind_name((enum kind)k);
        size_t len = strlen(name);
        if (f.len <= len + 1 || memcmp(f.at, name, len) != 0 || f.at[len] != '_')
            continue;
        struct span rest = {f.at + len + 1, f.len - len - 1};
        double *at = span_is(rest, "limit")      ? &p->limit[k]
                     : span_is(rest, "capacity") ? &p->capacity[k]
                     : span_is(rest, "left")     ? &p->left[k]
                     : span_is(rest, "spent")    ? &p->spent[k]
                     : span_is(rest, "cost")     ? &p->cost[k]
                     : span_is(rest, "override") ? &p->override[k]
                                                 : NULL;
        if (at)
            *at = span_num(v, 0);
        return at != NULL;
    }
    return false;
}

static bool budget_field(struct pool_sample *p, struct span f, struct span v)
{
    static const struct {
        const char *name;
        size_t offset;
    } all[] = {
#define AT(what, member) {what, offsetof(struct pool_sample, member)}
        AT("budget_usd", budget[BUDGET_USD]),
        AT("budget_usd_spent", budget_spent[BUDGET_USD]),
        AT("budget_usd_held", budget_held[BUDGET_USD]),
        AT("budget_tokens", budget[BUDGET_TOKENS]),
        AT("budget_tokens_spent", budget_spent[BUDGET_TOKENS]),
        AT("budget_tokens_held", budget_held[BUDGET_TOKENS]),
#undef AT
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (span_is(f, all[i].name)) {
            *(double *)((char *)p + all[i].offset) = span_num(v, 0);
            return true;
        }
    if (span_is(f, "budget_day"))
        copy(p->budget_day, sizeof p->budget_day, v);
    else if (span_is(f, "budget_lifted"))
        p->budget_lifted = span_is(v, "1");
    else
        return false;
    return true;
}

static void on_pool_field(void *to, struct span f, struct span v)
{
    struct pool_sample *p = to;
    if (level_field(p, f, v) || budget_field(p, f, v))
        return;
    if (span_is(f, "at"))
        p->at = (int64_t)span_num(v, 0);
    else if (span_is(f, "open_at"))
        p->open_at = (int64_t)span_num(v, 0);
    else if (span_is(f, "since"))
        p->since = (int64_t)span_num(v, 0);
    else if (span_is(f, "cause"))
        copy(p->cause, sizeof p->cause, v);
    else if (span_is(f, "why"))
        copy(p->why, sizeof p->why, v);
    else if (span_is(f, "breaker"))
        p->breaker = span_is(v, "open");
    else if (span_is(f, "latency"))
        p->latency_ms = span_num(v, 0);
    else if (span_is(f, "output_mean"))
        p->output_mean = span_num(v, 0);
}

static void read_queue(struct queue_sample *q, const struct reply *item, uint64_t now_ms)
{
    struct span why = {0};
    const struct reply *due = reply_at(item, 2);
    *q = (struct queue_sample){.at_ms = now_ms};
    reply_str(reply_at(item, 0), &why);
    copy(q->paused, sizeof q->paused, why);
    each_field(reply_at(item, 1), on_queue_field, q);
    for (size_t i = 0; i < DUE_SLOTS; i++)
        q->due[i] = reply_int_or(reply_at(due, i), 0);
}

static void read_workers(struct sample *s, const struct reply *item)
{
    s->worker_count = MIN(reply_count(item), (size_t)SAMPLE_WORKERS);
    for (size_t i = 0; i < s->worker_count; i++) {
        const struct reply *one = reply_at(item, i);
        struct worker_sample *w = &s->workers[i];
        struct span id = {0}, seen = {0};
        *w = (struct worker_sample){0};
        reply_str(reply_at(one, 0), &id);
        reply_str(reply_at(one, 1), &seen);
        copy(w->id, sizeof w->id, id);
        w->seen = (int64_t)span_num(seen, 0);
        each_field(reply_at(one, 2), on_worker_field, w);
    }
}

// ------------------------------------------------------------------------------------ the history

static void sum_counts(const struct sample *s, double *ret)
{
    memset(ret, 0, sizeof(double) * COUNTERS);
    for (size_t i = 0; i < s->queue_count; i++)
        for (int c = 0; c < COUNTERS; c++)
            ret[c] += s->queues[i].counts[c];
}

static bool all_seen(const struct sample *s)
{
    for (size_t i = 0; i < s->queue_count; i++)
        if (!s->queues[i].at_ms)
            return false;
    return true;
}

void sample_totals(const struct admin *a, struct totals *ret)
{
    struct queue_view q;
    *ret = (struct totals){0};
    sum_counts(&a->sample, ret->counts);
    for (size_t i = 0; run_see_queue(a->run, i, &q); i++) {
        ret->waiting += q.waiting;
        ret->delayed += q.delayed;
        ret->active += q.active;
        ret->dead += q.dead;
        ret->paused += q.paused;
    }
}

static double ended(const double *c)
{
    return c[COUNTER_succeeded] + c[COUNTER_failed] + c[COUNTER_expired] + c[COUNTER_cancelled];
}

// A rate is a mean whose older part fades within PACE_S. It begins with the work: until that has
// gone on for long, the mean is over what there was of it, so that the first seconds tell the pace
// already.
enum { PACE_S = 15 };

static void smooth(double *rate, double change, double seconds, double weight)
{
    *rate += weight * (MAX(change, 0) / seconds - *rate);
}

// begin_anew: whether there is no work, and the last of it is long past.
static bool begin_anew(const struct admin *a)
{
    struct totals t;
    sample_totals(a, &t);
    return t.waiting + t.delayed + t.active == 0 && a->sample.finished_s < 0.05;
}

// learn turns counters into rates. With queues in turns, a round of all of them is one step.
static void learn(struct admin *a, uint64_t now_ms)
{
    struct sample *s = &a->sample;
    double counts[COUNTERS], change[COUNTERS];
    if (!all_seen(s) || s->next_queue != 0)
        return;
    sum_counts(s, counts);
    double seconds = (double)(now_ms - s->last_ms) / 1000;
    if (s->last_ms && seconds > 0.2) {
        double part = 1 - exp(-seconds / PACE_S);
        s->learnt = begin_anew(a) ? part : s->learnt + part * (1 - s->learnt);
        double weight = part / s->learnt;
        for (int c = 0; c < COUNTERS; c++)
            change[c] = counts[c] - s->last[c];
        smooth(&s->finished_s, ended(change), seconds, weight);
        smooth(&s->failed_s, change[COUNTER_failed], seconds, weight);
        smooth(&s->throttles_s, change[COUNTER_throttles], seconds, weight);
        smooth(&s->tokens_s, change[COUNTER_input_tokens] + change[COUNTER_output_tokens], seconds,
               weight);
        smooth(&s->cost_s, change[COUNTER_cost_usd], seconds, weight);
    }
    memcpy(s->last, counts, sizeof counts);
    s->last_ms = now_ms;
}

static void remember(struct admin *a, uint64_t now_ms)
{
    struct sample *s = &a->sample;
    struct run_view v;
    struct totals t;
    if (s->history_ms && now_ms - s->history_ms < HISTORY_STEP_MS)
        return;
    s->history_ms = now_ms;
    run_see(a->run, &v);
    sample_totals(a, &t);
    s->history[s->history_count++ % HISTORY] = (struct moment){
        .at = v.now,
        .backlog = (double)(t.waiting + t.delayed + t.active),
        .in_flight = (double)t.active,
        .finished_s = s->finished_s,
        .throttles_s = s->throttles_s,
        .failed_s = s->failed_s,
        .tokens_s = s->tokens_s,
        .cost_s = s->cost_s,
    };
}

// ------------------------------------------------------------------------------------ asking

static void on_sample(int err, const struct reply *reply, void *arg)
{
    struct ask *ask = arg;
    struct admin *a = ask->admin;
    struct sample *s = &a->sample;
    uint64_t now_ms = clock_mono_ms();
    size_t at = 1;
    s->asking = false;
    free(ask);
    a->asks--;
    if (!err && !a->closing) {
        for (size_t i = 0; i < s->asked_pool_count; i++, at++) {
            struct pool_sample *p = &s->pools[s->asked_pools[i]];
            *p = (struct pool_sample){.at_ms = now_ms};
            each_field(reply_at(reply, at), on_pool_field, p);
        }
        for (size_t i = 0; i < s->asked_run_count; i++, at++) {
            struct run_sample *r = &s->runs[i];
            memset(r->counts, 0, sizeof r->counts);
            each_field(reply_at(reply, at), on_run_field, r);
            r->known = reply_count(reply_at(reply, at)) > 0;
        }
        s->run_count = s->asked_run_count;
        if (s->asked_workers)
            read_workers(s, reply_at(reply, at++));
        for (size_t i = 0; i < s->asked_queue_count; i++, at++)
            read_queue(&s->queues[s->asked_queues[i]], reply_at(reply, at), now_ms);
        s->taken_ms = now_ms;
        learn(a, now_ms);
        remember(a, now_ms);
    }
    if (a->closing)
        admin_gone(a);
}

struct items {
    const char *at[LOOK_ITEMS_MAX][4];
    char keys[LOOK_ITEMS_MAX][KEY_BYTES_MAX];
    size_t count;
};

static void add(struct items *all, const char *what, const char *a, const char *b)
{
    const char **item = all->at[all->count++];
    item[0] = what;
    item[1] = a;
    item[2] = b;
    item[3] = NULL;
}

// add_pools takes some, in turns where there are more.
static void add_pools(struct admin *a, struct items *all)
{
    struct sample *s = &a->sample;
    struct pool_view p;
    struct run_view v;
    run_see(a->run, &v);
    size_t pools = MIN(v.pools, (size_t)SAMPLE_POOLS), n = 0;
    for (; n < POOLS_ASKED && n < pools; n++) {
        s->next_pool = s->next_pool < pools ? s->next_pool : 0;
        if (!run_see_pool(a->run, s->next_pool, &p))
            break;
        s->asked_pools[n] = s->next_pool++;
        add(all, "hash", p.key, NULL);
    }
    s->asked_pool_count = n;
}

// add_run adds one where it is not there yet, its queue is ours, and fewer than so many are.
static void add_run(struct admin *a, struct items *all, size_t most, struct span queue,
                    struct span name)
{
    struct sample *s = &a->sample;
    struct queue_view q;
    struct run_sample *r = &s->runs[s->asked_run_count];
    for (size_t i = 0; i < s->asked_run_count; i++)
        if (span_is(name, s->runs[i].name) && span_is(queue, s->runs[i].queue))
            return;
    for (size_t k = 0; s->asked_run_count < most && run_see_queue(a->run, k, &q); k++) {
        if (!span_is(queue, q.name))
            continue;
        if (!span_is(name, r->name) || !span_is(queue, r->queue))
            *r = (struct run_sample){0};
        copy(r->name, sizeof r->name, name);
        copy(r->queue, sizeof r->queue, queue);
        snprintf(all->keys[all->count], KEY_BYTES_MAX, "%srun:%s", q.stem, r->name);
        add(all, "hash", all->keys[all->count], NULL);
        s->asked_run_count++;
        return;
    }
}

// add_runs_of adds those that another worker has met: "queue/run queue/run".
static void add_runs_of(struct admin *a, struct items *all, const char *text)
{
    for (size_t len; *text; text += len + (text[len] != '\0')) {
        len = strcspn(text, " ");
        size_t slash = strcspn(text, "/ ");
        if (slash < len)
            add_run(a, all, RUNS_ASKED, (struct span){text, slash},
                    (struct span){text + slash + 1, len - slash - 1});
    }
}

static void add_runs(struct admin *a, struct items *all)
{
    struct sample *s = &a->sample;
    const struct stats *st = run_stats(a->run);
    s->asked_run_count = 0;
    for (size_t i = 0; i < st->run_count; i++)
        add_run(a, all, RUNS_OWN, span_of(st->runs[i].queue), span_of(st->runs[i].name));
    for (size_t i = 0; i < s->worker_count; i++)
        add_runs_of(a, all, s->workers[i].runs);
}

static void add_workers(struct admin *a, struct items *all, uint64_t now_ms)
{
    struct sample *s = &a->sample;
    s->asked_workers = !s->workers_ms || now_ms - s->workers_ms >= WORKERS_EVERY_MS;
    if (!s->asked_workers)
        return;
    s->workers_ms = now_ms;
    char *key = all->keys[all->count], *prefix = key + KEY_BYTES_MAX / 2;
    key_workers(a->conf->prefix, key, KEY_BYTES_MAX / 2);
    key_worker(a->conf->prefix, "", prefix, KEY_BYTES_MAX / 2);
    add(all, "workers", key, prefix);
}

// add_queues takes as many as there is room for, in turns.
static void add_queues(struct admin *a, struct items *all)
{
    struct sample *s = &a->sample;
    struct queue_view q;
    size_t n = 0;
    while (all->count < LOOK_ITEMS_MAX && n < s->queue_count &&
           run_see_queue(a->run, s->next_queue, &q)) {
        s->asked_queues[n++] = s->next_queue;
        add(all, "queue", q.stem, NULL);
        if (++s->next_queue >= s->queue_count) {
            s->next_queue = 0;
            break;
        }
    }
    s->asked_queue_count = n;
}

void sample_take(struct admin *a, uint64_t now_ms)
{
    struct sample *s = &a->sample;
    struct items all = {.count = 0};
    bool watched =
        events_watchers(a) || (a->watched_ms && now_ms - a->watched_ms < STILL_WATCHED_MS);
    uint64_t every = watched ? SAMPLE_WATCHED_MS - 50 : SAMPLE_IDLE_MS - 50;
    struct ask *ask = NULL;
    if (s->asking || (s->asked_ms && now_ms - s->asked_ms < every))
        return;
    s->asked_ms = now_ms;
    add_pools(a, &all);
    add_runs(a, &all);
    add_workers(a, &all, now_ms);
    add_queues(a, &all);
    ask = calloc(1, sizeof *ask);
    if (!ask)
        return;
    ask->admin = a;
    if (run_look(a->run, (const char *const(*)[4])all.at, all.count, on_sample, ask)) {
        free(ask);
        return;
    }
    s->asking = true;
    a->asks++;
}

int sample_init(struct admin *a)
{
    struct run_view v;
    run_see(a->run, &v);
    a->sample.queue_count = v.queues;
    a->sample.queues = calloc(v.queues ? v.queues : 1, sizeof *a->sample.queues);
    return a->sample.queues ? 0 : ERR_NOMEM;
}

void sample_fini(struct admin *a)
{
    free(a->sample.queues);
    a->sample.queues = NULL;
}
