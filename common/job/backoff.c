#include "common/job/backoff.h"

#include "common/base/attrs.h"

// ladder gives min(cap, base * 2^n), whatever n is.
static int64_t ladder(int64_t base_ms, int64_t cap_ms, int n)
{
    if (n >= 63 || base_ms > cap_ms >> n)
        return cap_ms;
    return base_ms << n;
}

int64_t backoff_ms(const struct backoff *b, int n, int64_t floor_ms, double unit)
{
    int64_t base_ms = MAX(b->base_ms, 0);
    int64_t step_ms = ladder(base_ms, MAX(b->cap_ms, 0), MAX(n, 0));
    int64_t fixed_ms = step_ms, spread_ms = base_ms; // additive
    if (b->jitter == BACKOFF_FULL) {
        fixed_ms = 0;
        spread_ms = step_ms;
    } else if (b->jitter == BACKOFF_EQUAL) {
        fixed_ms = step_ms / 2;
        spread_ms = step_ms - fixed_ms;
    }
    if (floor_ms >= 0) {
        fixed_ms = MAX(fixed_ms, floor_ms);
        spread_ms = MIN(spread_ms, MAX(base_ms, floor_ms / 4));
    }
    // 0 .. spread, both ends included; the MIN is for a spread that no double can hold exactly
    int64_t random_ms = spread_ms;
    if (unit < 1)
        random_ms = MIN((int64_t)(MAX(unit, 0) * ((double)spread_ms + 1)), spread_ms);
    return fixed_ms > INT64_MAX - random_ms ? INT64_MAX : fixed_ms + random_ms;
}
