// bucket: one token bucket of a rate limit, as pure arithmetic on a given time. It refills all the
// time up to its capacity; running answers and strangers may drain it meanwhile; its level may go
// below zero, since output is charged as it is produced.
#ifndef PENSTOCK_SIM_BUCKET_H
#define PENSTOCK_SIM_BUCKET_H

#include <stdint.h>

struct bucket {
    double per_min; // the limit; 0 = there is none
    double cap;     // what it holds at most: per_min * burst_s / 60
    double level;
    double stranger;  // the part of the refill that somebody else takes, 0..0.95
    double drain;     // tokens a second that running answers take now
    double start;     // the level it began with
    double charged;   // all that was taken, less what was given back
    uint64_t asof_us; // the time that level is true for
};

enum { BUCKET_FITS = 0 };
#define BUCKET_NEVER UINT64_MAX // more than the limit of a whole minute

void bucket_init(struct bucket *b, double per_min, double burst_s, double fill, uint64_t now_us);
// bucket_tune changes the limit of a bucket in use: the level stays, cut to the new capacity. A
// bucket that had no limit before starts full.
void bucket_tune(struct bucket *b, double per_min, double burst_s, uint64_t now_us);
void bucket_refresh(struct bucket *b, uint64_t now_us);

// The rest speaks of the moment of the last refresh.

// bucket_wait_us says after how long `need` would fit, at the nominal refill: 0 = now. What is
// larger than the capacity fits when the bucket is full (and leaves it below zero).
uint64_t bucket_wait_us(const struct bucket *b, double need);
void bucket_take(struct bucket *b, double tokens);
void bucket_give(struct bucket *b, double tokens);
// bucket_full_us says after how long it would be full again, at the nominal refill.
uint64_t bucket_full_us(const struct bucket *b);

#endif
