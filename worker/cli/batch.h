// batch: what the parts of `penstock run` share.
//
// clang-format off
//   cmd_run.c        options, the loop, signals, the last word
//   batch_plan.c     a first pass over the input: how much there is, what is wrong, its cost
//   batch_feed.c     the second pass: composes jobs and pushes them, in packs, until confirmed
//   batch_collect.c  results: from the run's reply list, or by id; into the output
//   batch_watch.c    twice a second: depths, counters, how far ahead to push, what is lost
//   batch_limits.c   the quotas of the pools it goes to, for the time left
//   batch_show.c     the progress line and the summary
// clang-format on
//
// Redis is the memory of a run. What is pushed has an id that the next attempt makes again, so that
// whatever dies here can be started anew: the output says what is done, a repeated push is answered
// with the result that is there, and what runs is joined.
#ifndef PENSTOCK_CLI_BATCH_H
#define PENSTOCK_CLI_BATCH_H

#include "common/base/list.h"
#include "worker/cli/cli.h"
#include "worker/cli/compose.h"
#include "worker/cli/forecast.h"
#include "worker/cli/output.h"
#include "worker/cli/private.h"
#include "worker/cli/reader.h"
#include "worker/cli/window.h"

#include <uv.h>

enum { PACK_JOBS = 128, AHEAD_MIN = 2000, AHEAD_MAX = 100000 };

struct batch;

// pack: jobs that go to Redis by one LPUSH, kept until Redis has confirmed it.
struct pack {
    struct list_link link;
    struct batch *of;
    struct strbuf bytes;
    size_t at[PACK_JOBS + 1]; // where each job begins; the last: where they end
    size_t count;
    bool sent;
};

struct plan {
    uint64_t lines, faulty, twins; // twins: lines whose own id came before
    uint64_t done;                 // in the output already
    int64_t tokens_in, tokens_out; // of those that are left: a guess, and the most
    int64_t nano_usd;              // at most; of those with a price
    uint64_t unpriced;
    bool known; // there was a first pass
};

struct batch {
    struct cli *cli;
    struct sync *redis;
    struct private *own; // a Redis and a worker of our own; NULL = those of others
    const char *input, *run;
    char reply[NAME_BYTES_MAX + 1];
    char jobs_key[CLI_KEY_MAX], reply_key[CLI_KEY_MAX], run_key[CLI_KEY_MAX], stem[CLI_KEY_MAX];
    bool retry_failed, ordered, skip_bad;
    int64_t began_ms; // by Redis' clock

    int fd;
    bool seekable;
    struct reader reader;
    struct compose compose;
    struct idset ordinals, own_ids;
    struct output out;
    struct window window;
    struct plan plan;

    // batch_feed.c
    struct list packs; // oldest first; the last may still be filling
    size_t unconfirmed_bytes;
    struct strbuf job; // composed, and waiting for the budget
    struct composed composed;
    uint64_t record_offset, record_len;
    bool has_job, input_over, hold;     // hold: Redis refuses for now
    size_t ahead, ahead_min, ahead_max; // how many may be without a result
    uint64_t pushed_bytes, ahead_bytes;
    uint64_t pushed; // jobs in all

    // batch_collect.c
    bool reading;
    size_t asked, read_next, largest; // how many were, will be asked for; the largest result lately
    uint64_t nap_ms;
    size_t fetching;
    uint64_t ok, failed, faulty;

    // money, in billionths of a dollar
    int64_t max_cost, ask_above, spent, reserved, since_poll;
    bool over_budget;

    // batch_watch.c
    uv_timer_t tick, nap;
    uv_signal_t intr, term;
    int64_t depth[3]; // waiting, delayed, active
    int64_t throttles, retries, tokens_in, tokens_out;
    bool watching, paused;
    struct forecast forecast; // of the plan's jobs
    unsigned ticks;
    bool served, told_unserved; // some worker serves the queue
    int quiet;                  // ticks in a row with nothing in the queue
    uint32_t cursor;
    uint64_t ended_before, shown_ms, started_ms;
    double rate; // results a second, smoothed

    bool stopping; // asked to
    bool held;     // and what had been handed over waits in Redis
    int code;      // not 0: it cannot go on
};

// plan_survey makes the plan, where the input can be read twice, says what is wrong or what it may
// cost, asks, and stands before the input's first record again. 0, or an exit code.
int plan_survey(struct batch *b) MUST_CHECK;
int plan_no_price(struct batch *b); // says that --max-cost needs prices; an exit code
// plan_seconds: how long so many of the plan's jobs take at their pools' present limits; -1 = not
// known.
double plan_seconds(const struct batch *b, uint64_t jobs, enum quota_kind *ret_kind);

bool feed_more(struct batch *b);                   // true: there is more to do at once
void feed_again(struct batch *b, struct entry *e); // pushes a line once more
void feed_resend(struct batch *b);
void feed_free(struct batch *b);

void collect_more(struct batch *b);
void collect_result(struct batch *b, struct span result);
void collect_lost(struct batch *b, struct entry *e); // a result of our own: it was lost
void on_nap(uv_timer_t *t);

void on_tick(uv_timer_t *t);
void watch_last(struct batch *b);                           // asks once more, for the last word
void limits_job(struct batch *b, const struct composed *c); // counts a job to its pools
// limits_trouble names what keeps a model from all of its calls; NULL = nothing but its quota.
const char *limits_trouble(const struct batch *b);
// limits_look asks for the ledgers, and now and then for which there are; the answers come later.
void limits_look(struct batch *b);
int limits_read(struct batch *b) MUST_CHECK; // the same to its end, for --dry-run; an exit code

void show_progress(struct batch *b, bool last);
void show_note(struct batch *b, const char *fmt, ...) PRINTF(2, 3); // a line between the progress
void show_summary(struct batch *b);

void batch_fail(struct batch *b, int code, const char *fmt, ...) PRINTF(3, 4);
static inline uint64_t batch_ended(const struct batch *b)
{
    return b->ok + b->failed;
}

#endif
