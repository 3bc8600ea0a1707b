// gate: this worker's knowledge of each pool's gate. The truth is penstock:pool:{...} in Redis;
// here is what was heard of it, good for a quarter of a second, and what this worker learnt itself.
#ifndef PENSTOCK_RUN_GATE_H
#define PENSTOCK_RUN_GATE_H

#include "common/job/outcome.h"
#include "common/queue/keys.h"
#include "worker/provider/provider.h"
#include "worker/run/attempt.h"

struct run;
struct wqueue;

enum {
    POOLS_OF_QUEUE = 8,        // models of one queue that are remembered,
    POOL_SEEN_MS = 60000,      // for this long, but for the latest
    GATE_FRESH_MS = 250,       // how long the knowledge that a pool is open is good for
    DELAYED_WHEN_SHUT = 10000, // with this many waiting, no more are parked
    PROBE_HOLD_MS = 120000,    // a trying call may take this long before another may try
};

struct pool {
    struct list_link link; // in run->pools
    char name[256];
    char key[KEY_BYTES_MAX];
    struct run *run;
    uint64_t fresh_until_ms; // monotonic; open until then without asking
    uint64_t shut_until_ms;  // monotonic
    int64_t permits;         // starts left: -1 = any number
    bool asking;             // a pool_enter is under way
    bool eager;              // the next pool_enter may try a pool that is in trouble
    bool trouble;            // the account's trouble shut it: a good answer opens it
    enum cause cause;        // why it is shut
    size_t calls;            // under way
};

struct pool *gate_pool(struct run *r, const struct job *job);
// gate_pools gives the pools whose gates decide over a queue: of the jobs seen lately, or the
// default model's where none has been seen. Returns how many (at least 1, 0 without memory).
size_t gate_pools(struct wqueue *q, uint64_t now_ms, struct pool *ret[POOLS_OF_QUEUE]);
void gate_note(struct wqueue *q, struct pool *p, uint64_t now_ms); // a job of it was seen
bool gate_is_open(const struct pool *p, uint64_t now_ms);          // known to be, just now
bool gate_is_shut(const struct pool *p, uint64_t now_ms);          // known to be, just now
bool gate_take(struct pool *p, uint64_t now_ms); // one call may start: takes a permit
void gate_ask(struct pool *p);                   // pool_enter, once at a time
void gate_shut(struct pool *p, enum cause why, int64_t wait_ms, const struct outcome *o);
void gate_succeeded(struct pool *p);  // an answer that shows the account to be well
void gate_try_failed(struct pool *p); // the trying call broke: another may try at once
void gate_unused(struct pool *p);     // the permit to try was not used
void gate_eager(struct run *r);

#endif
