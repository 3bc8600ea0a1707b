// backoff: how long to wait before try n. Each policy is a fixed part and a random part on top:
//
//   full      fixed 0                          random 0 .. min(cap, base * 2^n)
//   equal     fixed min(cap, base * 2^n) / 2   random the same again
//   additive  fixed min(cap, base * 2^n)       random 0 .. base        (the article's formula)
//
// A time the server named is a floor under the fixed part, and the random part is added above it,
// never subtracted: a fleet that obeys `retry-after` to the millisecond comes back in lockstep.
// Above a floor the random part is at most max(base, floor / 4), so that a named time is honoured
// rather than buried under a long ladder.
#ifndef PENSTOCK_JOB_BACKOFF_H
#define PENSTOCK_JOB_BACKOFF_H

#include <stdint.h>

enum backoff_jitter { BACKOFF_FULL, BACKOFF_EQUAL, BACKOFF_ADDITIVE };

struct backoff {
    enum backoff_jitter jitter;
    int64_t base_ms, cap_ms;
};

// backoff_ms gives the delay in milliseconds. n counts from 0; floor_ms is the server's time, or
// -1 where it named none; unit is a random number in [0, 1).
int64_t backoff_ms(const struct backoff *b, int n, int64_t floor_ms, double unit);

#endif
