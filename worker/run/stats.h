// stats: what this worker has counted, as plain data. The admin window and the log read it; the few
// places in worker/run where things happen call the stats_* functions.
#ifndef PENSTOCK_RUN_STATS_H
#define PENSTOCK_RUN_STATS_H

#include <stddef.h>
#include <stdint.h>

enum { HIST_BOUNDS_MAX = 18, STATUS_SLOTS = 24, CALLS_KEPT = 512, RUNS_KEPT = 32 };

// A histogram: at[i] counts what was at most the i-th bound and above the one before.
struct hist {
    uint64_t at[HIST_BOUNDS_MAX + 1]; // the last: above all bounds
    uint64_t count;
    double sum;
};

// clang-format off
#define HIST_MAP(XX)                                                                          \
    XX(QUEUE_WAIT,    "queue_wait_seconds",   "from created to the first call of a job")      \
    XX(CALL,          "api_call_seconds",     "from sending a request to its end")            \
    XX(FIRST_BYTE,    "api_first_byte_seconds", "from sending to the answer's first byte")    \
    XX(INPUT_TOKENS,  "input_tokens_per_answer",  "tokens read, cached ones included")        \
    XX(OUTPUT_TOKENS, "output_tokens_per_answer", "tokens produced")
// clang-format on

enum hist_kind {
#define XX(name, word, text) HIST_##name,
    HIST_MAP(XX)
#undef XX
        HIST_KINDS
};

enum finish { FINISH_SUCCEEDED, FINISH_FAILED, FINISH_EXPIRED, FINISH_CANCELLED, FINISHES };

struct stats_queue {
    uint64_t finished[FINISHES];
};

struct stats_pool {
    struct {
        int status; // 0 = no answer came
        uint64_t count;
    } answers[STATUS_SLOTS]; // the last slot holds all that found no other
    size_t statuses;
    uint64_t calls, throttles, retries, parked;
    uint64_t input_tokens, output_tokens, cache_read_tokens;
    uint64_t cost_nano_usd;
};

// One call, for a job's time line. The ring holds the latest calls of this worker.
struct stats_call {
    char job[129], queue[65];
    int64_t started, ended; // Redis ms
    int status;
    const char *verdict;
    char error[96];
    int64_t input_tokens, output_tokens; // -1 = none
};

struct stats {
    uint64_t claimed, admitted, duplicates, rejected;
    uint64_t succeeded, failed, expired, cancelled;
    uint64_t calls, throttles, retries, parked, handed_back, lost;
    uint64_t input_tokens, output_tokens;
    uint64_t recovered, reconnects;
    struct hist hists[HIST_KINDS];
    struct stats_call recent[CALLS_KEPT];
    uint64_t recent_count; // ever; the ring's next is recent_count % CALLS_KEPT
    struct {
        char queue[65], name[65];
    } runs[RUNS_KEPT]; // the latest runs that jobs named
    size_t run_count;
};

// stats_bounds gives a histogram's upper bounds, ascending.
const double *stats_bounds(enum hist_kind kind, size_t *ret_count);
void stats_put(struct hist *h, enum hist_kind kind, double value);
// stats_quantile estimates a quantile (0..1) from counts, by interpolation; -1 where count is 0.
double stats_quantile(const struct hist *h, enum hist_kind kind, double q);

struct attempt;
struct outcome;
struct http_answer;

void stats_started(const struct attempt *a); // a call begins
// stats_answered: a call ended, with this verdict.
void stats_answered(const struct attempt *a, const struct http_answer *answer,
                    const struct outcome *o, const char *verdict);
void stats_settled(const struct attempt *a); // Redis has confirmed a result
void stats_run(struct stats *s, const char *queue, const char *run, size_t len);

#endif
