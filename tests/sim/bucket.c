#include "tests/sim/bucket.h"

#include "common/base/attrs.h"

#include <math.h>

static const double tiny = 1e-6; // less than this is rounding, not tokens

static double capacity(double per_min, double burst_s)
{
    return per_min * burst_s / 60.0;
}

void bucket_init(struct bucket *b, double per_min, double burst_s, double fill, uint64_t now_us)
{
    double cap = capacity(per_min, burst_s);
    *b = (struct bucket){.per_min = per_min,
                         .cap = cap,
                         .level = cap * fill,
                         .start = cap * fill,
                         .asof_us = now_us};
}

void bucket_tune(struct bucket *b, double per_min, double burst_s, uint64_t now_us)
{
    bucket_refresh(b, now_us);
    double cap = capacity(per_min, burst_s);
    if (b->per_min <= 0)
        b->level = b->start = cap;
    b->per_min = per_min;
    b->cap = cap;
    b->level = MIN(b->level, cap);
}

void bucket_refresh(struct bucket *b, uint64_t now_us)
{
    if (now_us <= b->asof_us)
        return;
    double passed_s = (double)(now_us - b->asof_us) / 1e6;
    double refill = b->per_min / 60.0 * (1.0 - b->stranger);
    b->asof_us = now_us;
    b->charged += b->drain * passed_s;
    if (b->per_min > 0)
        b->level = MIN(b->cap, b->level + (refill - b->drain) * passed_s);
}

uint64_t bucket_wait_us(const struct bucket *b, double need)
{
    if (b->per_min <= 0)
        return BUCKET_FITS;
    if (need > b->per_min)
        return BUCKET_NEVER;
    double missing = MIN(need, b->cap) - b->level;
    if (missing <= tiny)
        return BUCKET_FITS;
    return (uint64_t)ceil(missing / b->per_min * 60e6);
}

void bucket_take(struct bucket *b, double tokens)
{
    b->charged += tokens;
    if (b->per_min > 0)
        b->level -= tokens;
}

void bucket_give(struct bucket *b, double tokens)
{
    b->charged -= tokens;
    if (b->per_min > 0)
        b->level = MIN(b->cap, b->level + tokens);
}

uint64_t bucket_full_us(const struct bucket *b)
{
    if (b->per_min <= 0 || b->cap - b->level <= tiny)
        return 0;
    return (uint64_t)ceil((b->cap - b->level) / b->per_min * 60e6);
}
