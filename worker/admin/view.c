// view: the sample and the run's own counts as JSON (docs/admin-api.md).
#include "common/base/clock.h"
#include "common/base/err.h"
#include "worker/admin/admin_int.h"

#include <math.h>
#include <string.h>
#include <time.h>

enum { QUEUES_IN_OVERVIEW = 40, CALLS_SHOWN = 50 };

void view_num(struct strbuf *b, double n)
{
    if (!isfinite(n))
        strbuf_add_str(b, "null");
    else if (n == floor(n) && fabs(n) < 1e15)
        strbuf_add_int(b, (int64_t)n);
    else
        strbuf_add_fmt(b, "%.6g", n);
}

static void key(struct strbuf *b, const char *name)
{
    char last = b->len ? b->at[b->len - 1] : '{';
    if (last != '{' && last != '[')
        strbuf_add_char(b, ',');
    strbuf_add_fmt(b, "\"%s\":", name);
}

static void num(struct strbuf *b, const char *name, double n)
{
    key(b, name);
    view_num(b, n);
}

static void str(struct strbuf *b, const char *name, const char *s)
{
    key(b, name);
    strbuf_add_json_str(b, s);
}

static void yes(struct strbuf *b, const char *name, bool is)
{
    key(b, name);
    strbuf_add_str(b, is ? "true" : "false");
}

static void comma(struct strbuf *b)
{
    if (b->len && b->at[b->len - 1] != '[')
        strbuf_add_char(b, ',');
}

static void counts(struct strbuf *b, const double *of)
{
    for (int c = 0; c < COUNTERS; c++) {
        if (c == COUNTER_cost_usd) {
            key(b, counter_name((enum counter)c));
            strbuf_add_fmt(b, "%.9g", of[c]);
        } else {
            num(b, counter_name((enum counter)c), of[c]);
        }
    }
}

// ------------------------------------------------------------------------------------ queues

static double work_of(const struct queue_view *q)
{
    return (double)(q->waiting + q->delayed + q->active);
}

static void queue(const struct admin *a, size_t i, const struct queue_view *q, double weights,
                  double answers, struct strbuf *b)
{
    const struct queue_sample *s = &a->sample.queues[i];
    comma(b);
    strbuf_add_char(b, '{');
    str(b, "name", q->name);
    num(b, "weight", (double)q->weight);
    num(b, "share_wanted", weights > 0 ? (double)q->weight / weights : 0);
    num(b, "share_got", answers > 0 ? (double)q->stats->finished[FINISH_SUCCEEDED] / answers : 0);
    num(b, "waiting", (double)q->waiting);
    num(b, "delayed", (double)q->delayed);
    num(b, "active", (double)q->active);
    num(b, "dead", (double)q->dead);
    yes(b, "paused", q->paused);
    str(b, "why_paused", s->paused);
    yes(b, "refused", q->refused);
    num(b, "next_due", q->next_due_ms >= 0 ? (double)q->next_due_ms : NAN);
    counts(b, s->counts);
    strbuf_add_char(b, '}');
}

struct shares {
    double weights, answers; // of all queues
};

static struct shares shares_of(const struct admin *a)
{
    struct shares s = {0, 0};
    struct queue_view q;
    for (size_t i = 0; run_see_queue(a->run, i, &q); i++) {
        s.weights += (double)q.weight;
        s.answers += (double)q.stats->finished[FINISH_SUCCEEDED];
    }
    return s;
}

void view_queues(const struct admin *a, const char *filter, size_t first, size_t most,
                 struct strbuf *b)
{
    struct queue_view q;
    struct shares s = shares_of(a);
    size_t found = 0;
    strbuf_add_char(b, '[');
    for (size_t i = 0; run_see_queue(a->run, i, &q); i++) {
        if (filter[0] && !strstr(q.name, filter))
            continue;
        if (found++ >= first && found <= first + most)
            queue(a, i, &q, s.weights, s.answers, b);
    }
    strbuf_add_char(b, ']');
}

// busiest shows the queues that have work or need a look, up to a number; of the rest the first.
static void busiest(const struct admin *a, struct strbuf *b)
{
    struct queue_view q;
    struct shares s = shares_of(a);
    size_t shown = 0;
    key(b, "queues");
    strbuf_add_char(b, '[');
    for (int idle = 0; idle < 2; idle++)
        for (size_t i = 0; shown < QUEUES_IN_OVERVIEW && run_see_queue(a->run, i, &q); i++) {
            bool busy = work_of(&q) > 0 || q.dead > 0 || q.paused || q.refused;
            if (busy == (idle == 1))
                continue;
            queue(a, i, &q, s.weights, s.answers, b);
            shown++;
        }
    strbuf_add_char(b, ']');
}

// ------------------------------------------------------------------------------------ pools

// fleet_calls: how many calls of a pool are thought to be under way in the whole fleet. The ledger
// does not say; the jobs in flight are the fleet's, and this worker knows how its own share among
// the pools.
static double fleet_calls(const struct pool_view *p, const struct run_view *v,
                          const struct totals *t)
{
    double own = (double)p->calls, all = (double)t->active;
    if (v->pools > 1)
        all = v->sending ? all * own / (double)v->sending : 0;
    return MAX(own, all);
}

static void level(struct strbuf *b, const struct pool_sample *s, enum kind k, int64_t now,
                  double calls)
{
    double left = sample_level(s, k, now), missing = MAX(s->capacity[k] - left, 0);
    double per_call = k == KIND_requests ? 1 : s->cost[k];
    key(b, kind_name(k));
    strbuf_add_char(b, '{');
    num(b, "limit_per_minute", s->limit[k]);
    num(b, "capacity", floor(s->capacity[k]));
    num(b, "left", floor(left));
    num(b, "used", floor(missing));
    num(b, "reserved", floor(MIN(calls * per_call, missing)));
    num(b, "full_in_ms", floor(missing / (s->limit[k] / 60000)));
    num(b, "per_call", floor(per_call));
    strbuf_add_char(b, '}');
}

static void answers(struct strbuf *b, const struct stats_pool *s)
{
    key(b, "answers");
    strbuf_add_char(b, '{');
    for (size_t i = 0; i < s->statuses; i++) {
        int status = s->answers[i].status;
        char name[16];
        snprintf(name, sizeof name, "%d", status);
        num(b, status > 0 ? name : status == 0 ? "none" : "other", (double)s->answers[i].count);
    }
    strbuf_add_char(b, '}');
}

// budgets of the day; what the ledger says of another day is spent no more.
static void budgets(struct strbuf *b, const struct pool_sample *s, int64_t now)
{
    static const char *const names[BUDGETS] = {"usd", "tokens"};
    time_t seconds = (time_t)(now / 1000);
    struct tm day;
    char today[12] = "";
    if (gmtime_r(&seconds, &day))
        strftime(today, sizeof today, "%Y-%m-%d", &day);
    bool current = strcmp(today, s->budget_day) == 0;
    key(b, "budgets");
    strbuf_add_char(b, '{');
    for (int i = 0; i < BUDGETS; i++) {
        if (s->budget[i] <= 0)
            continue;
        key(b, names[i]);
        strbuf_add_char(b, '{');
        num(b, "limit", s->budget[i]);
        num(b, "spent", current ? s->budget_spent[i] : 0);
        num(b, "reserved", current ? s->budget_held[i] : 0);
        yes(b, "lifted", current && s->budget_lifted);
        strbuf_add_char(b, '}');
    }
    strbuf_add_char(b, '}');
}

static void pool(const struct admin *a, size_t i, const struct pool_view *p,
                 const struct run_view *v, const struct totals *t, struct strbuf *b)
{
    const struct pool_sample *s = &a->sample.pools[i];
    comma(b);
    strbuf_add_char(b, '{');
    str(b, "name", p->name);
    yes(b, "open", !p->shut);
    str(b, "cause", p->shut ? p->cause : s->breaker ? "overload" : "");
    str(b, "why", p->shut ? s->why : "");
    num(b, "opens_in_ms", (double)p->shut_for_ms);
    num(b, "since", p->shut && s->since ? (double)s->since : NAN);
    yes(b, "breaker", s->breaker);
    num(b, "calls", (double)p->calls);
    num(b, "latency_ms", floor(s->latency_ms));
    num(b, "throttles", (double)p->stats->throttles);
    num(b, "retries", (double)p->stats->retries);
    num(b, "parked", (double)p->stats->parked);
    num(b, "input_tokens", (double)p->stats->input_tokens);
    num(b, "output_tokens", (double)p->stats->output_tokens);
    num(b, "cache_read_tokens", (double)p->stats->cache_read_tokens);
    num(b, "cost_usd", (double)p->stats->cost_nano_usd / 1e9);
    answers(b, p->stats);
    key(b, "quota");
    strbuf_add_char(b, '{');
    for (int k = 0; k < KINDS; k++)
        if (s->limit[k] > 0)
            level(b, s, (enum kind)k, v->now, fleet_calls(p, v, t));
    strbuf_add_char(b, '}');
    key(b, "overrides");
    strbuf_add_char(b, '{');
    for (int k = 0; k < KINDS; k++)
        if (s->override[k] > 0)
            num(b, kind_name((enum kind)k), s->override[k]);
    strbuf_add_char(b, '}');
    budgets(b, s, v->now);
    strbuf_add_char(b, '}');
}

void view_pools(const struct admin *a, struct strbuf *b)
{
    struct run_view v;
    struct pool_view p;
    struct totals t;
    run_see(a->run, &v);
    sample_totals(a, &t);
    strbuf_add_char(b, '[');
    for (size_t i = 0; i < SAMPLE_POOLS && run_see_pool(a->run, i, &p); i++)
        pool(a, i, &p, &v, &t, b);
    strbuf_add_char(b, ']');
}

// ------------------------------------------------------------------------------------ the rest

void view_workers(const struct admin *a, struct strbuf *b)
{
    struct run_view v;
    run_see(a->run, &v);
    strbuf_add_char(b, '[');
    for (size_t i = 0; i < a->sample.worker_count; i++) {
        const struct worker_sample *w = &a->sample.workers[i];
        bool self = strcmp(w->id, v.worker) == 0;
        comma(b);
        strbuf_add_char(b, '{');
        str(b, "id", w->id);
        num(b, "seen", (double)w->seen);
        num(b, "started", (double)w->started);
        num(b, "in_flight", self ? (double)v.sending : (double)w->in_flight);
        str(b, "queues", w->queues);
        str(b, "version", w->version);
        yes(b, "self", self);
        yes(b, "alive", v.now - w->seen < 30000);
        strbuf_add_char(b, '}');
    }
    strbuf_add_char(b, ']');
}

void view_runs(const struct admin *a, struct strbuf *b)
{
    strbuf_add_char(b, '[');
    for (size_t i = 0; i < a->sample.run_count; i++) {
        const struct run_sample *r = &a->sample.runs[i];
        if (!r->known)
            continue;
        comma(b);
        strbuf_add_char(b, '{');
        str(b, "queue", r->queue);
        str(b, "name", r->name);
        num(b, "created", (double)r->created);
        num(b, "updated", (double)r->updated);
        counts(b, r->counts);
        strbuf_add_char(b, '}');
    }
    strbuf_add_char(b, ']');
}

void view_cancelling(const struct admin *a, struct strbuf *b)
{
    const struct canceller *k = &a->canceller;
    if (!k->run[0]) {
        strbuf_add_str(b, "null");
        return;
    }
    strbuf_add_char(b, '{');
    str(b, "queue", k->queue);
    str(b, "run", k->run);
    yes(b, "done", !k->under_way);
    num(b, "looked", (double)k->looked);
    num(b, "asked", (double)k->asked);
    num(b, "unnamed", (double)k->unnamed);
    str(b, "error", k->err ? err_text(k->err) : "");
    strbuf_add_char(b, '}');
}

void view_history(const struct admin *a, struct strbuf *b)
{
    const struct sample *s = &a->sample;
    size_t kept = MIN(s->history_count, (size_t)HISTORY);
    strbuf_add_char(b, '[');
    for (size_t i = s->history_count - kept; i < s->history_count; i++) {
        const struct moment *m = &s->history[i % HISTORY];
        const double all[] = {(double)m->at,  m->backlog,  m->in_flight, m->finished_s,
                              m->throttles_s, m->failed_s, m->tokens_s,  m->cost_s};
        comma(b);
        strbuf_add_char(b, '[');
        for (size_t k = 0; k < ARRAY_LEN(all); k++) {
            comma(b);
            if (k == 7)
                strbuf_add_fmt(b, "%.3g", all[k]);
            else
                view_num(b, k ? round(all[k] * 100) / 100 : all[k]);
        }
        strbuf_add_char(b, ']');
    }
    strbuf_add_char(b, ']');
}

void view_calls(const struct admin *a, const char *queue, const char *job, struct strbuf *b)
{
    const struct stats *s = run_stats(a->run);
    size_t kept = (size_t)MIN(s->recent_count, (uint64_t)CALLS_KEPT), shown = 0;
    strbuf_add_char(b, '[');
    for (size_t i = 0; i < kept && shown < CALLS_SHOWN; i++) {
        const struct stats_call *c = &s->recent[(s->recent_count - 1 - i) % CALLS_KEPT];
        if ((job[0] && strcmp(c->job, job) != 0) || (queue[0] && strcmp(c->queue, queue) != 0))
            continue;
        shown++;
        comma(b);
        strbuf_add_char(b, '{');
        str(b, "queue", c->queue);
        str(b, "job", c->job);
        num(b, "started", (double)c->started);
        num(b, "ended", (double)c->ended);
        num(b, "status", c->status);
        str(b, "verdict", c->verdict);
        str(b, "error", c->error);
        num(b, "input_tokens", c->input_tokens < 0 ? NAN : (double)c->input_tokens);
        num(b, "output_tokens", c->output_tokens < 0 ? NAN : (double)c->output_tokens);
        strbuf_add_char(b, '}');
    }
    strbuf_add_char(b, ']');
}

static void quantiles(const struct admin *a, const char *name, enum hist_kind kind,
                      struct strbuf *b)
{
    static const struct {
        const char *name;
        double q;
    } all[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}};
    const struct stats *s = run_stats(a->run);
    key(b, name);
    strbuf_add_char(b, '{');
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        double v = stats_quantile(&s->hists[kind], kind, all[i].q);
        num(b, all[i].name, v < 0 ? NAN : v);
    }
    num(b, "count", (double)s->hists[kind].count);
    strbuf_add_char(b, '}');
}

static void totals(const struct admin *a, struct strbuf *b)
{
    struct totals t;
    const struct sample *s = &a->sample;
    int64_t due[DUE_SLOTS] = {0};
    sample_totals(a, &t);
    num(b, "waiting", (double)t.waiting);
    num(b, "delayed", (double)t.delayed);
    num(b, "active", (double)t.active);
    num(b, "dead", (double)t.dead);
    num(b, "queues_paused", (double)t.paused);
    counts(b, t.counts);
    num(b, "finished_s", s->finished_s);
    num(b, "failed_s", s->failed_s);
    num(b, "throttles_s", s->throttles_s);
    num(b, "tokens_s", s->tokens_s);
    num(b, "cost_s", s->cost_s);
    for (size_t i = 0; i < s->queue_count; i++)
        for (int d = 0; d < DUE_SLOTS; d++)
            due[d] += s->queues[i].due[d];
    key(b, "due");
    strbuf_add_char(b, '[');
    for (int d = 0; d < DUE_SLOTS; d++) {
        comma(b);
        strbuf_add_int(b, due[d]);
    }
    strbuf_add_char(b, ']');
    int64_t eta = sample_eta_ms(a);
    num(b, "eta_ms", eta < 0 ? NAN : (double)eta);
    num(b, "useful_workers", sample_useful_workers(a));
}

static void worker(const struct admin *a, const struct run_view *v, struct strbuf *b)
{
    static const char *const modes[] = {"working", "draining", "handing_back", "ended"};
    key(b, "worker");
    strbuf_add_char(b, '{');
    str(b, "id", v->worker);
    str(b, "version", PENSTOCK_VERSION);
    str(b, "mode", modes[v->mode]);
    str(b, "provider", v->provider);
    str(b, "redis", v->redis);
    yes(b, "redis_up", v->redis_up);
    yes(b, "ready", run_is_ready(a->run));
    yes(b, "readonly", a->readonly);
    num(b, "started", (double)v->began);
    num(b, "in_flight", (double)v->sending);
    num(b, "concurrency", (double)a->conf->concurrency);
    num(b, "settling", (double)v->settling);
    num(b, "lag_ms", (double)MAX(a->lag_ms[0], a->lag_ms[1]));
    num(b, "redis_calls", (double)v->redis_calls);
    num(b, "watchers", (double)events_watchers(a));
    strbuf_add_char(b, '}');
}

void view_overview(const struct admin *a, struct strbuf *b)
{
    struct run_view v;
    run_see(a->run, &v);
    strbuf_add_char(b, '{');
    num(b, "now", (double)v.now);
    num(b, "sampled_ms_ago",
        a->sample.taken_ms ? (double)(clock_mono_ms() - a->sample.taken_ms) : NAN);
    worker(a, &v, b);
    key(b, "totals");
    strbuf_add_char(b, '{');
    totals(a, b);
    strbuf_add_char(b, '}');
    quantiles(a, "wait_s", HIST_QUEUE_WAIT, b);
    quantiles(a, "call_s", HIST_CALL, b);
    quantiles(a, "first_byte_s", HIST_FIRST_BYTE, b);
    num(b, "queue_count", (double)v.queues);
    busiest(a, b);
    key(b, "pools");
    view_pools(a, b);
    key(b, "workers");
    view_workers(a, b);
    key(b, "runs");
    view_runs(a, b);
    key(b, "cancelling");
    view_cancelling(a, b);
    strbuf_add_char(b, '}');
}
