// metrics: /metrics in Prometheus' text format. Label sets are bounded: beyond the first hundred
// queues and fifty pools all are summed up as `other`.
#include "common/base/clock.h"
#include "worker/admin/admin_int.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { QUEUES_SHOWN = 100, POOLS_SHOWN = 50 };

static void head(struct strbuf *b, const char *name, const char *type, const char *help)
{
    strbuf_add_fmt(b, "# HELP penstock_%s %s\n# TYPE penstock_%s %s\n", name, help, name, type);
}

static void one(struct strbuf *b, const char *name, const char *type, const char *help,
                double value)
{
    head(b, name, type, help);
    strbuf_add_fmt(b, "penstock_%s %.15g\n", name, value);
}

// row: names of queues and pools hold nothing to escape, causes neither.
static void row(struct strbuf *b, const char *name, const char *l1, const char *v1, const char *l2,
                const char *v2, double value)
{
    strbuf_add_fmt(b, "penstock_%s{%s=\"%s\"", name, l1, v1);
    if (l2)
        strbuf_add_fmt(b, ",%s=\"%s\"", l2, v2);
    strbuf_add_fmt(b, "} %.15g\n", value);
}

// ------------------------------------------------------------------------------------ queues

static const char *const states[] = {"waiting", "delayed", "active", "dead"};
static const char *const finishes[FINISHES] = {"succeeded", "failed", "expired", "cancelled"};

static void depths(const struct queue_view *q, double *ret)
{
    ret[0] += (double)q->waiting;
    ret[1] += (double)q->delayed;
    ret[2] += (double)q->active;
    ret[3] += (double)q->dead;
}

static void queue_depths(const struct admin *a, struct strbuf *b)
{
    struct queue_view q;
    double other[4] = {0};
    size_t i = 0;
    head(b, "queue_depth", "gauge", "Jobs of a queue by where they are.");
    for (; run_see_queue(a->run, i, &q); i++) {
        double here[4] = {0};
        if (!q.seen)
            continue;
        depths(&q, i < QUEUES_SHOWN ? here : other);
        for (int s = 0; s < 4 && i < QUEUES_SHOWN; s++)
            row(b, "queue_depth", "queue", q.name, "state", states[s], here[s]);
    }
    for (int s = 0; s < 4 && i > QUEUES_SHOWN; s++)
        row(b, "queue_depth", "queue", "other", "state", states[s], other[s]);
}

static void queue_finished(const struct admin *a, struct strbuf *b)
{
    struct queue_view q;
    double other[FINISHES] = {0};
    size_t i = 0;
    head(b, "jobs_finished_total", "counter", "Results that this worker brought about, by status.");
    for (; run_see_queue(a->run, i, &q); i++)
        for (int f = 0; f < FINISHES; f++) {
            double n = (double)q.stats->finished[f];
            if (i < QUEUES_SHOWN)
                row(b, "jobs_finished_total", "queue", q.name, "status", finishes[f], n);
            else
                other[f] += n;
        }
    for (int f = 0; f < FINISHES && i > QUEUES_SHOWN; f++)
        row(b, "jobs_finished_total", "queue", "other", "status", finishes[f], other[f]);
}

static void queue_paused(const struct admin *a, struct strbuf *b)
{
    struct queue_view q;
    head(b, "queue_paused", "gauge", "1 while an operator has paused the queue.");
    for (size_t i = 0; i < QUEUES_SHOWN && run_see_queue(a->run, i, &q); i++)
        row(b, "queue_paused", "queue", q.name, NULL, NULL, q.paused);
}

// ------------------------------------------------------------------------------------ pools

static void responses(const struct admin *a, struct strbuf *b)
{
    struct pool_view p;
    head(b, "api_responses_total", "counter",
         "Answers of the API by HTTP status; none = no answer came.");
    for (size_t i = 0; i < POOLS_SHOWN && run_see_pool(a->run, i, &p); i++)
        for (size_t s = 0; s < p.stats->statuses; s++) {
            int status = p.stats->answers[s].status;
            char word[16];
            snprintf(word, sizeof word, "%d", status);
            row(b, "api_responses_total", "pool", p.name, "status",
                status > 0    ? word
                : status == 0 ? "none"
                              : "other",
                (double)p.stats->answers[s].count);
        }
}

struct pool_row {
    const char *name, *type, *help;
    double (*value)(const struct pool_view *p);
};

static double pool_open(const struct pool_view *p)
{
    return !p->shut;
}
static double pool_shut_for(const struct pool_view *p)
{
    return (double)p->shut_for_ms / 1000;
}
static double pool_calls(const struct pool_view *p)
{
    return (double)p->calls;
}
static double pool_throttles(const struct pool_view *p)
{
    return (double)p->stats->throttles;
}
static double pool_retries(const struct pool_view *p)
{
    return (double)p->stats->retries;
}
static double pool_parked(const struct pool_view *p)
{
    return (double)p->stats->parked;
}
static double pool_cost(const struct pool_view *p)
{
    return (double)p->stats->cost_nano_usd / 1e9;
}

static const struct pool_row pool_rows[] = {
    {"pool_open", "gauge", "1 = calls to the pool may start.", pool_open},
    {"pool_opens_in_seconds", "gauge", "How long the pool stays shut; 0 = open.", pool_shut_for},
    {"pool_calls", "gauge", "Calls of this worker under way.", pool_calls},
    {"throttles_total", "counter", "429s of a quota.", pool_throttles},
    {"retries_total", "counter", "Failed calls that are tried again.", pool_retries},
    {"parked_total", "counter", "Times a job waited because its pool was shut.", pool_parked},
    {"cost_usd_total", "counter", "Cost of the answers in dollars.", pool_cost},
};

static void pool_table(const struct admin *a, struct strbuf *b)
{
    for (size_t r = 0; r < ARRAY_LEN(pool_rows); r++) {
        const struct pool_row *def = &pool_rows[r];
        struct pool_view p;
        double other = 0;
        size_t i = 0;
        head(b, def->name, def->type, def->help);
        for (; run_see_pool(a->run, i, &p); i++) {
            if (i < POOLS_SHOWN)
                row(b, def->name, "pool", p.name, NULL, NULL, def->value(&p));
            else
                other += def->value(&p);
        }
        if (i > POOLS_SHOWN && strcmp(def->type, "counter") == 0)
            row(b, def->name, "pool", "other", NULL, NULL, other);
    }
}

static void pool_causes(const struct admin *a, struct strbuf *b)
{
    struct pool_view p;
    head(b, "pool_shut_cause", "gauge", "1 for the cause for which a pool is shut.");
    for (size_t i = 0; i < POOLS_SHOWN && run_see_pool(a->run, i, &p); i++)
        if (p.shut)
            row(b, "pool_shut_cause", "pool", p.name, "cause", p.cause[0] ? p.cause : "none", 1);
}

static void pool_tokens(const struct admin *a, struct strbuf *b)
{
    struct pool_view p;
    head(b, "tokens_total", "counter",
         "Tokens of good answers; input counts cached ones, cache_read those alone.");
    for (size_t i = 0; i < POOLS_SHOWN && run_see_pool(a->run, i, &p); i++) {
        row(b, "tokens_total", "pool", p.name, "kind", "input", (double)p.stats->input_tokens);
        row(b, "tokens_total", "pool", p.name, "kind", "output", (double)p.stats->output_tokens);
        row(b, "tokens_total", "pool", p.name, "kind", "cache_read",
            (double)p.stats->cache_read_tokens);
    }
}

static void pool_quota(const struct admin *a, struct strbuf *b, bool left)
{
    const char *name = left ? "pool_left" : "pool_limit_per_minute";
    struct run_view v;
    struct pool_view p;
    run_see(a->run, &v);
    head(b, name, "gauge",
         left ? "What is left of the quota, as the fleet's ledger has it."
              : "The quota a minute, as the API's headers told it.");
    for (size_t i = 0; i < POOLS_SHOWN && run_see_pool(a->run, i, &p); i++) {
        const struct pool_sample *s = &a->sample.pools[i];
        for (int k = 0; k < KINDS; k++)
            if (s->limit[k] > 0)
                row(b, name, "pool", p.name, "kind", kind_name((enum kind)k),
                    left ? sample_level(s, (enum kind)k, v.now) : s->limit[k]);
    }
}

// ------------------------------------------------------------------------------------ the worker

static void histogram(const struct stats *s, enum hist_kind kind, const char *name,
                      const char *help, struct strbuf *b)
{
    size_t count;
    uint64_t sum = 0;
    const double *bounds = stats_bounds(kind, &count);
    const struct hist *h = &s->hists[kind];
    head(b, name, "histogram", help);
    for (size_t i = 0; i < count; i++) {
        sum += h->at[i];
        strbuf_add_fmt(b, "penstock_%s_bucket{le=\"%g\"} %llu\n", name, bounds[i],
                       (unsigned long long)sum);
    }
    strbuf_add_fmt(b, "penstock_%s_bucket{le=\"+Inf\"} %llu\npenstock_%s_sum %.9g\n", name,
                   (unsigned long long)h->count, name, h->sum);
    strbuf_add_fmt(b, "penstock_%s_count %llu\n", name, (unsigned long long)h->count);
}

static void histograms(const struct admin *a, struct strbuf *b)
{
    const struct stats *s = run_stats(a->run);
#define XX(name, word, text) histogram(s, HIST_##name, word, text, b);
    HIST_MAP(XX)
#undef XX
}

static void counters(const struct admin *a, const struct run_view *v, struct strbuf *b)
{
    const struct stats *s = run_stats(a->run);
    const struct {
        const char *name, *help;
        uint64_t value;
    } all[] = {
        {"jobs_claimed_total", "Leases taken.", s->claimed},
        {"jobs_admitted_total", "Payloads that became jobs.", s->admitted},
        {"jobs_duplicate_total", "Payloads that were answered without a call.", s->duplicates},
        {"jobs_rejected_total", "Payloads that were no valid job.", s->rejected},
        {"jobs_handed_back_total", "Jobs given back unharmed.", s->handed_back},
        {"leases_lost_total", "Jobs whose lease was another worker's.", s->lost},
        {"leases_recovered_total", "Leases of dead workers taken back.", s->recovered},
        {"api_calls_total", "Calls begun.", s->calls},
        {"redis_reconnects_total", "Times Redis came back.", s->reconnects},
        {"redis_calls_total", "Commands sent to Redis.", v->redis_calls},
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        one(b, all[i].name, "counter", all[i].help, (double)all[i].value);
}

static void gauges(const struct admin *a, const struct run_view *v, struct strbuf *b)
{
    uint64_t now_ms = clock_mono_ms();
    int64_t eta = sample_eta_ms(a);
    one(b, "in_flight", "gauge", "Calls under way.", (double)v->sending);
    one(b, "concurrency", "gauge", "Most calls under way.", (double)a->conf->concurrency);
    one(b, "claimed", "gauge", "Jobs held that no call was made for yet.",
        (double)(v->claimed + v->waiting));
    one(b, "settling", "gauge", "Jobs that ended and that Redis has yet to confirm.",
        (double)v->settling);
    one(b, "ready", "gauge", "1 = may claim.", run_is_ready(a->run));
    one(b, "redis_up", "gauge", "1 = Redis answers.", v->redis_up);
    one(b, "redis_last_answer_seconds", "gauge", "Time since Redis last answered.",
        (double)(now_ms - MIN(v->last_answer_ms, now_ms)) / 1000);
    one(b, "workers", "gauge", "Workers alive.", (double)a->sample.worker_count);
    one(b, "useful_workers", "gauge",
        "Workers like this one that the quota and the backlog can keep busy.",
        sample_useful_workers(a));
    one(b, "backlog_eta_seconds", "gauge",
        "When the backlog will be done at the present pace; NaN = it cannot be said.",
        eta < 0 ? NAN : (double)eta / 1000);
    one(b, "event_loop_lag_seconds", "gauge",
        "The latest that a timer of a second came, in the last minute.",
        (double)MAX(a->lag_ms[0], a->lag_ms[1]) / 1000);
    one(b, "event_loop_idle_seconds_total", "counter", "Time the loop had nothing to do.",
        (double)uv_metrics_idle_time(a->loop) / 1e9);
    one(b, "admin_busy_seconds_total", "counter", "CPU time the loop spent on these pages.",
        (double)a->busy_us / 1e6);
    one(b, "admin_connections", "gauge", "Connections to these pages.", (double)a->peers.count);
}

static void plain(struct strbuf *b, const char *name, const char *type, const char *help, double n)
{
    strbuf_add_fmt(b, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n", name, help, name, type, name, n);
}

static double resident(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f && fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void process(const struct admin *a, struct strbuf *b)
{
    struct rusage u = {0};
    struct rlimit files = {0};
    getrusage(RUSAGE_SELF, &u);
    getrlimit(RLIMIT_NOFILE, &files);
    plain(b, "process_cpu_seconds_total", "counter", "User and system time.",
          (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
              (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
    plain(b, "process_resident_memory_bytes", "gauge", "Resident memory.", resident());
    plain(b, "process_max_fds", "gauge", "Most descriptors that may be open.",
          (double)files.rlim_cur);
    plain(b, "process_start_time_seconds", "gauge", "When it started, since the epoch.",
          (double)a->opened_wall_ms / 1000);
    strbuf_add_str(b, "# HELP penstock_build_info Always 1.\n# TYPE penstock_build_info gauge\n");
    strbuf_add_fmt(b, "penstock_build_info{version=\"%s\",libuv=\"%s\",libmicrohttpd=\"%s\"} 1\n",
                   PENSTOCK_VERSION, uv_version_string(), MHD_get_version());
}

void metrics_write(struct admin *a, struct strbuf *b)
{
    struct run_view v;
    run_see(a->run, &v);
    queue_depths(a, b);
    queue_finished(a, b);
    queue_paused(a, b);
    responses(a, b);
    pool_table(a, b);
    pool_causes(a, b);
    pool_tokens(a, b);
    pool_quota(a, b, false);
    pool_quota(a, b, true);
    histograms(a, b);
    counters(a, &v, b);
    gauges(a, &v, b);
    process(a, b);
}
