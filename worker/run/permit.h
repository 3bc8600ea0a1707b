// permit: the starts that a pool's ledger has granted to this worker, and what this worker owes the
// ledger in return: how its calls ended. docs/governor.md tells the whole of it.
#ifndef PENSTOCK_RUN_PERMIT_H
#define PENSTOCK_RUN_PERMIT_H

#include "common/queue/script.h"
#include "worker/provider/ratehdr.h"
#include "worker/run/budget.h"

struct attempt;
struct usage;
struct pool;

enum {
    GRANTS_MAX = 128,
    ASK_MAX = 48,         // starts that one round with the ledger asks for
    ANY_STARTS = 1 << 20, // where the ledger grants any number: more than anyone has room for
    GRANT_KEPT_MS = 1000,
    REPORT_AFTER_MS = 200,
    REPORT_TIGHT_MS = 10, // others wait for it
    FAILED_AFTER_MS = 20, // the fleet should hear of broken calls soon
    CLAIM_ENOUGH = 4,
    ASK_AHEAD_MS =
        300, // starts for the slots that come free meanwhile are asked for along with one
    CLAIM_BEFORE_MS = 30,
};

struct cost { // what a call is charged; tokens, and dollars where there is a budget of them
    double input, output, most;
    double nano_usd, nano_usd_mean; // at most, and as it is thought
};

struct grant {
    uint64_t start_ms; // monotonic: not before
    int64_t marked;    // Redis ms of the round that granted it
    double marks[3];   // requests, input, output spent in the ledger once this one was
    struct cost cost;  // charged for it
};

// report: what has happened since the last round, summed up (common/queue/lua/pool_step.lua).
struct report {
    bool some;
    double back;
    struct cost back_cost, fixed;
    int64_t ok, ok_sent, failed, failed_sent, refused, refused_sent;
    bool explained;
    double spare_out, spare_most, in_sum, in_bytes, out_sum, latency_ms;
    int64_t sent, marked; // of the newest answer with rate headers; sent 0 = none
    double marks[3];
    struct rate_limit limits[3];
};

struct permits {
    struct grant grants[GRANTS_MAX]; // a ring
    size_t first, count;
    size_t promised;        // to claims under way and claimed jobs
    uint64_t any_until_ms;  // any number may start until then: nothing is counted
    uint64_t ask_at_ms;     // no more will be granted before
    uint64_t report_at_ms;  // what is to be reported should be by then
    uint64_t headers_at_ms; // headers were last read; at a high rate not each is
    double marks[3];        // as of the latest round, for calls that nobody counts
    int64_t marked;
    struct report report;
    double gap_ms; // between this worker's answers, on the mean; 0 = none yet
    uint64_t answered_ms;
    double out_mean, in_per_byte;     // as the ledger has them; < 0 = it has none yet
    double limit_input, limit_output; // tokens a minute; 0 = not known
    struct budget budget;
};

size_t permit_free(const struct permits *p, uint64_t now_ms); // starts not promised to anyone
size_t permit_ahead(const struct permits *p); // how many starts to ask for at the least
uint64_t permit_first(const struct permits *p, uint64_t now_ms); // when; UINT64_MAX = none
// permit_claim_at says when to claim jobs for them: once there are a few, or the first one's time
// is near. Claiming for each as it is granted would cost Redis twice the commands.
uint64_t permit_claim_at(const struct permits *p, uint64_t now_ms);
// permit_args adds the arguments of a round that wishes for `want` starts of a mean cost, and takes
// the report along.
void permit_args(struct permits *p, struct args *args, int64_t want, struct cost mean,
                 bool reserve);
// permit_hear takes a round's answer.
void permit_hear(struct permits *p, const struct reply *reply, int64_t granted, struct cost mean,
                 uint64_t now_ms);
// permit_take gives an attempt the earliest grant, charged with what this job is thought to cost.
bool permit_take(struct permits *p, struct attempt *a, uint64_t now_ms);
void permit_return(struct permits *p, struct attempt *a); // unused, or not charged by the API
void permit_forget(struct permits *p, struct attempt *a); // its call was aborted: charged, unknown
void permit_return_all(struct permits *p, bool stale_only, uint64_t now_ms);

// permit_ended notes how a granted call ended. h may be NULL where headers were not read.
void permit_answered(struct permits *p, struct attempt *a, const struct usage *u,
                     int64_t latency_ms);
void permit_failed(struct permits *p, struct attempt *a);
void permit_refused(struct permits *p, struct attempt *a, const struct rate_headers *h);
void permit_headers(struct permits *p, const struct attempt *a, const struct rate_headers *h);

#endif
