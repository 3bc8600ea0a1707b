#include "worker/run/stats.h"

#include "worker/run/run_int.h"

#include <stdio.h>
#include <string.h>

static const double seconds[] = {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1,   1.5,
                                 2.5,  4,     6,    10,  15,   30,  60,   120, 600};
static const double waits[] = {0.01, 0.05, 0.1, 0.25, 0.5, 1,    2.5,  5,     10,
                               30,   60,   120, 300,  900, 3600, 7200, 21600, 86400};
static const double tokens[] = {8,    16,   32,   64,    128,   256,   512,    1024,
                                2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144};

const double *stats_bounds(enum hist_kind kind, size_t *ret_count)
{
    switch (kind) {
    case HIST_QUEUE_WAIT:
        *ret_count = ARRAY_LEN(waits);
        return waits;
    case HIST_INPUT_TOKENS:
    case HIST_OUTPUT_TOKENS:
        *ret_count = ARRAY_LEN(tokens);
        return tokens;
    default:
        *ret_count = ARRAY_LEN(seconds);
        return seconds;
    }
}

void stats_put(struct hist *h, enum hist_kind kind, double value)
{
    size_t count, i = 0;
    const double *bounds = stats_bounds(kind, &count);
    while (i < count && value > bounds[i])
        i++;
    h->at[i]++;
    h->count++;
    h->sum += value;
}

double stats_quantile(const struct hist *h, enum hist_kind kind, double q)
{
    size_t count;
    const double *bounds = stats_bounds(kind, &count);
    double rank = q * (double)h->count, below = 0;
    if (h->count == 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        double here = (double)h->at[i];
        if (here > 0 && below + here >= rank) {
            double lower = i ? bounds[i - 1] : 0;
            return lower + (bounds[i] - lower) * (rank - below) / here;
        }
        below += here;
    }
    return bounds[count - 1];
}

void stats_started(const struct attempt *a)
{
    bool first = a->attempts == 0 && a->throttles == 0 && a->recoveries == 0;
    a->pool->stats.calls++;
    if (first && a->created > 0)
        stats_put(&a->run->stats.hists[HIST_QUEUE_WAIT], HIST_QUEUE_WAIT,
                  (double)MAX(a->started - a->created, 0) / 1000);
}

static void count_status(struct stats_pool *p, int status)
{
    size_t i = 0;
    while (i < p->statuses && p->answers[i].status != status)
        i++;
    if (i == p->statuses && p->statuses < STATUS_SLOTS)
        p->answers[p->statuses++].status = i < STATUS_SLOTS - 1 ? status : -1;
    p->answers[MIN(i, (size_t)STATUS_SLOTS - 1)].count++;
}

static void count_usage(struct stats *s, struct stats_pool *p, const struct usage *u)
{
    uint64_t cached = (uint64_t)MAX(u->cache_read, 0);
    uint64_t in = (uint64_t)(MAX(u->input, 0) + MAX(u->cache_creation, 0)) + cached;
    uint64_t out = (uint64_t)MAX(u->output, 0);
    s->input_tokens += in;
    s->output_tokens += out;
    p->input_tokens += in;
    p->output_tokens += out;
    p->cache_read_tokens += cached;
    stats_put(&s->hists[HIST_INPUT_TOKENS], HIST_INPUT_TOKENS, (double)in);
    stats_put(&s->hists[HIST_OUTPUT_TOKENS], HIST_OUTPUT_TOKENS, (double)out);
}

static void remember(const struct attempt *a, const struct outcome *o, const char *verdict,
                     bool good)
{
    struct stats *s = &a->run->stats;
    struct stats_call *c = &s->recent[s->recent_count++ % CALLS_KEPT];
    snprintf(c->job, sizeof c->job, "%s", a->id);
    snprintf(c->queue, sizeof c->queue, "%s", a->queue->name);
    snprintf(c->error, sizeof c->error, "%s", good ? "" : o->error_type);
    c->started = a->started;
    c->ended = a->finished;
    c->status = o->http_status;
    c->verdict = verdict;
    c->input_tokens = good ? o->usage.input : -1;
    c->output_tokens = good ? o->usage.output : -1;
}

void stats_answered(const struct attempt *a, const struct http_answer *answer,
                    const struct outcome *o, const char *verdict)
{
    struct stats *s = &a->run->stats;
    struct stats_pool *p = &a->pool->stats;
    bool good = strcmp(verdict, "done") == 0;
    count_status(p, o->http_status);
    stats_put(&s->hists[HIST_CALL], HIST_CALL, (double)answer->total_us / 1e6);
    if (answer->first_byte_us)
        stats_put(&s->hists[HIST_FIRST_BYTE], HIST_FIRST_BYTE, (double)answer->first_byte_us / 1e6);
    if (good)
        count_usage(s, p, &o->usage);
    p->retries += strcmp(verdict, "retry") == 0;
    p->throttles += strcmp(verdict, "throttle") == 0;
    remember(a, o, verdict, good);
}

void stats_settled(const struct attempt *a)
{
    static const char *const words[FINISHES] = {"succeeded", "failed", "expired", "cancelled"};
    if (strcmp(a->end.verb, "later") == 0)
        return;
    for (int i = 0; i < FINISHES; i++)
        a->queue->stats.finished[i] += strcmp(a->end.why, words[i]) == 0;
    if (a->pool && a->end.cost_nano_usd > 0)
        a->pool->stats.cost_nano_usd += (uint64_t)a->end.cost_nano_usd;
}

void stats_run(struct stats *s, const char *queue, const char *run, size_t len)
{
    char name[sizeof s->runs[0].name];
    snprintf(name, sizeof name, "%.*s", (int)len, run);
    size_t i = 0;
    while (i < s->run_count &&
           (strcmp(s->runs[i].name, name) != 0 || strcmp(s->runs[i].queue, queue) != 0))
        i++;
    if (i == s->run_count && s->run_count < RUNS_KEPT)
        s->run_count++;
    i = MIN(i, (size_t)RUNS_KEPT - 1);
    memmove(&s->runs[1], &s->runs[0], i * sizeof s->runs[0]); // the latest first
    snprintf(s->runs[0].queue, sizeof s->runs[0].queue, "%s", queue);
    memcpy(s->runs[0].name, name, sizeof name);
}
