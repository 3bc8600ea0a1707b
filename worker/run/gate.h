// gate: this worker's knowledge of each pool's gate. The truth is penstock:pool:{...} in Redis;
// here is what was heard of it, good for a quarter of a second, and what this worker learnt itself.
#ifndef PENSTOCK_RUN_GATE_H
#define PENSTOCK_RUN_GATE_H

#include "common/job/outcome.h"
#include "common/queue/keys.h"
#include "worker/provider/provider.h"
#include "worker/run/account.h"
#include "worker/run/attempt.h"
#include "worker/run/permit.h"
#include "worker/run/stats.h"

struct run;
struct wqueue;

enum {
    GATE_FRESH_MS = 250,    // how long the knowledge that a pool is open is good for
    GATE_LOOK_MS = 1000,    // a shut pool is looked at again so often: it may open sooner
    PARKED_MAX = 10000,     // jobs of a pool that a worker puts aside to let others pass
    PROBE_HOLD_MS = 120000, // a trying call may take this long before another may try
};

struct pool {
    struct list_link link; // in run->pools
    char name[256];
    char key[KEY_BYTES_MAX];
    struct run *run;
    struct account *account; // whose quota it is; NULL = gone with a reload of the keys
    struct permits permits;
    struct cost mean;       // of this worker's jobs of this pool
    uint64_t priced;        // how many of them it stands for
    uint64_t shut_until_ms; // monotonic
    uint64_t asked_at_ms;
    bool asking;        // a round with the ledger is under way
    bool asked_start;   // and it asks for a start
    bool telling;       // Redis is being told that it is shut, and will say until when
    bool eager;         // the next round may try a pool that is in trouble
    bool trouble;       // a call of ours tries a pool in trouble: a good answer opens it
    bool try_unused;    // and that call has not started yet
    enum cause cause;   // why it is shut
    size_t calls;       // under way
    struct list parked; // struct parked: jobs that wait for it to open
    struct stats_pool stats;
};

bool gate_is_shut(const struct pool *p, uint64_t now_ms); // known to be, just now
bool gate_may_try(const struct pool *p);                  // shut, but for the one call that tries
// gate_take gives an attempt its start; false = none is to be had now. Its time may lie ahead
// (a->grant.start_ms).
bool gate_take(struct attempt *a, uint64_t now_ms);
// gate_ask goes for a round with the ledger where one is due: for up to `want` starts, or to
// report.
void gate_ask(struct pool *p, size_t want, uint64_t now_ms);
uint64_t gate_wakes(const struct pool *p, bool wanted); // when gate_ask has something to do
bool gate_is_crowded(struct pool *p, uint64_t now_ms);  // so many wait for it that no more should
void gate_parked(struct attempt *a); // Redis knows that it waits for the pool to open
void gate_shut(struct pool *p, enum cause why, int64_t wait_ms, const struct outcome *o);
void gate_succeeded(struct pool *p);  // an answer that shows the account to be well
void gate_try_failed(struct pool *p); // the trying call broke: another may try at once
void gate_eager(struct run *r);       // try pools in trouble at once, and what was parked for them
void gate_free(struct pool *p);

#endif
