// sample: what Redis said of the fleet at one moment: each queue's counters, each pool's ledger,
// the workers and the runs. Taken once a second while someone watches, else every ten seconds, by
// one command; all viewers share it.
#ifndef PENSTOCK_ADMIN_SAMPLE_H
#define PENSTOCK_ADMIN_SAMPLE_H

#include "common/base/strbuf.h"
#include "worker/run/window.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SAMPLE_WATCHED_MS = 1000,
    SAMPLE_IDLE_MS = 10000,
    SAMPLE_POOLS = 64,
    SAMPLE_WORKERS = 100,
    HISTORY_STEP_MS = 10000,
    HISTORY = 360, // an hour of steps
    DUE_SLOTS = 8,
};

// clang-format off
#define COUNTER_MAP(XX)                                                                           \
    XX(succeeded) XX(failed) XX(expired) XX(cancelled) XX(admitted) XX(duplicates) XX(throttles)  \
    XX(retries) XX(parked) XX(recoveries) XX(input_tokens) XX(output_tokens) XX(cost_usd)
#define KIND_MAP(XX) XX(requests) XX(input) XX(output)
// clang-format on

enum counter {
#define XX(name) COUNTER_##name,
    COUNTER_MAP(XX)
#undef XX
        COUNTERS
};
const char *counter_name(enum counter c);

enum kind {
#define XX(name) KIND_##name,
    KIND_MAP(XX)
#undef XX
        KINDS
};
const char *kind_name(enum kind k);

struct queue_sample {
    double counts[COUNTERS];
    int64_t due[DUE_SLOTS];
    char paused[96]; // why; "" = it is not
    uint64_t at_ms;  // monotonic; 0 = never read
};

// A pool's ledger. limit 0 = not known; override 0 = no operator has set one; budget 0 = none.
enum { BUDGET_USD, BUDGET_TOKENS, BUDGETS };
struct pool_sample {
    double limit[KINDS], capacity[KINDS], left[KINDS], spent[KINDS], cost[KINDS], override[KINDS];
    double budget[BUDGETS], budget_spent[BUDGETS], budget_held[BUDGETS];
    char budget_day[12];
    bool budget_lifted;
    double latency_ms, output_mean;
    int64_t at, open_at, since;
    char cause[24], why[200];
    bool breaker;
    uint64_t at_ms;
};

struct worker_sample {
    char id[96], queues[96], version[24];
    char runs[1100]; // that it has met: "queue/run queue/run"
    int64_t seen, started, in_flight;
};

struct run_sample {
    char queue[65], name[65];
    double counts[COUNTERS];
    int64_t created, updated;
    bool known;
};

// One step of the history: levels, and what happened since the step before.
struct moment {
    int64_t at; // Redis ms
    double backlog, in_flight, finished_s, throttles_s, failed_s, tokens_s, cost_s;
};

struct sample {
    struct queue_sample *queues; // one for each of the worker's
    size_t queue_count, next_queue, next_pool;
    struct pool_sample pools[SAMPLE_POOLS];
    struct worker_sample workers[SAMPLE_WORKERS];
    size_t worker_count, run_count;
    struct run_sample runs[RUNS_KEPT];
    bool asking;
    uint64_t taken_ms, workers_ms, asked_ms;
    size_t asked_queues[LOOK_ITEMS_MAX], asked_pools[LOOK_ITEMS_MAX];
    size_t asked_queue_count, asked_pool_count, asked_run_count;
    bool asked_workers;
    struct moment history[HISTORY];
    size_t history_count; // ever
    double last[COUNTERS];
    uint64_t last_ms, history_ms;
    double finished_s, throttles_s, failed_s, tokens_s, cost_s; // smoothed
    double learnt; // how much of a mean they are: 1 = the work has gone on for long
};

struct admin;
int sample_init(struct admin *a);
void sample_fini(struct admin *a);
void sample_take(struct admin *a, uint64_t now_ms); // where it is time

struct totals {
    int64_t waiting, delayed, active, dead;
    double counts[COUNTERS];
    size_t paused;
};
void sample_totals(const struct admin *a, struct totals *ret);

// reckon.c
// sample_level reckons what a bucket holds now: its level then and the refill since.
double sample_level(const struct pool_sample *p, enum kind k, int64_t now);
// sample_eta_ms: when the backlog will be done at the present pace, no sooner than the last of it
// is due; what is paused is left out. -1 = cannot be said, 0 = none.
int64_t sample_eta_ms(const struct admin *a);
// sample_useful_workers: how many workers like this one the quota and the backlog could keep busy.
double sample_useful_workers(const struct admin *a);

// view.c: JSON
void view_overview(const struct admin *a, struct strbuf *b);
void view_queues(const struct admin *a, const char *filter, size_t first, size_t most,
                 struct strbuf *b);
void view_pools(const struct admin *a, struct strbuf *b);
void view_workers(const struct admin *a, struct strbuf *b);
void view_runs(const struct admin *a, struct strbuf *b);
void view_cancelling(const struct admin *a, struct strbuf *b); // the latest run that was
void view_history(const struct admin *a, struct strbuf *b);
void view_calls(const struct admin *a, const char *queue, const char *job, struct strbuf *b);
void view_num(struct strbuf *b, double n); // shortest, never NaN

#endif
