// Two ULIDs of one millisecond differ by one in the random part, and a clock that steps back is
// ignored until it has caught up: both keep the promise that they sort by time. One thread only.
#include "common/job/ulid.h"

#include "common/base/attrs.h"
#include "common/base/rnd.h"

// The value's 128 bits are 48 of time, then 80 random ones: 16 above, 64 below.
static int64_t last_ms = -1;
static uint64_t random_high, random_low;

static const int64_t ms_most = ((int64_t)1 << 48) - 1;

static void step(int64_t now_ms)
{
    if (now_ms > last_ms) {
        last_ms = now_ms;
        random_high = rnd_u64() >> 48;
        random_low = rnd_u64();
        return;
    }
    if (++random_low > 0 || ++random_high <= UINT16_MAX)
        return;
    random_high = 0; // the random part is used up: borrow the next millisecond
    last_ms++;
}

void ulid_make(int64_t now_ms, char ret[ULID_LEN + 1])
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"; // Crockford: no I, L, O, U
    step(MIN(MAX(now_ms, 0), ms_most));
    uint64_t high = ((uint64_t)last_ms << 16) | random_high, low = random_low;
    for (int i = ULID_LEN - 1; i >= 0; i--) {
        ret[i] = digits[low & 31];
        low = (low >> 5) | (high << 59);
        high >>= 5;
    }
    ret[ULID_LEN] = '\0';
}
