// test_backoff: the bounds of each policy over many draws, and a named time as a floor.
#include "common/base/attrs.h"
#include "common/base/rnd.h"
#include "common/job/backoff.h"
#include "tests/support/tap.h"

#include <limits.h>

enum { DRAWS = 20000 };

static const struct backoff full = {BACKOFF_FULL, 1000, 60000};
static const struct backoff equal = {BACKOFF_EQUAL, 1000, 60000};
static const struct backoff additive = {BACKOFF_ADDITIVE, 1000, 60000};
static const double most_unit = 0x1.fffffffffffffp-1; // the largest number below 1

// expect_range wants both ends reached by the ends of the unit, all draws between, and a mean in
// the middle.
static void expect_range(const struct backoff *b, int n, int64_t floor_ms, int64_t least,
                         int64_t most)
{
    double sum = 0;
    if (backoff_ms(b, n, floor_ms, 0) != least || backoff_ms(b, n, floor_ms, most_unit) != most)
        fail_msg("n %d floor %lld: %lld..%lld, not %lld..%lld", n, (long long)floor_ms,
                 (long long)backoff_ms(b, n, floor_ms, 0),
                 (long long)backoff_ms(b, n, floor_ms, most_unit), (long long)least,
                 (long long)most);
    for (int i = 0; i < DRAWS; i++) {
        int64_t ms = backoff_ms(b, n, floor_ms, rnd_unit());
        assert_true(ms >= least && ms <= most);
        sum += (double)(ms - least);
    }
    double mean = sum / DRAWS, middle = (double)(most - least) / 2;
    assert_true(mean >= middle * 0.95 && mean <= middle * 1.05);
}

static void full_draws_from_zero_to_the_ladder(void **state)
{
    (void)state;
    expect_range(&full, 0, -1, 0, 1000);
    expect_range(&full, 1, -1, 0, 2000);
    expect_range(&full, 5, -1, 0, 32000);
    expect_range(&full, 6, -1, 0, 60000);
    expect_range(&full, 20, -1, 0, 60000);
}

static void equal_draws_the_upper_half(void **state)
{
    (void)state;
    expect_range(&equal, 0, -1, 500, 1000);
    expect_range(&equal, 3, -1, 4000, 8000);
    expect_range(&equal, 9, -1, 30000, 60000);
}

static void additive_adds_up_to_one_base(void **state)
{
    (void)state;
    expect_range(&additive, 0, -1, 1000, 2000);
    expect_range(&additive, 4, -1, 16000, 17000);
    expect_range(&additive, 9, -1, 60000, 61000);
}

static void above_a_floor_the_spread_is_a_base_or_a_quarter_of_it(void **state)
{
    (void)state;
    expect_range(&full, 0, 0, 0, 1000);
    expect_range(&full, 3, 2000, 2000, 3000);     // spread 8000, at most max(1000, 500)
    expect_range(&full, 3, 20000, 20000, 25000);  // at most max(1000, 5000)
    expect_range(&full, 0, 20000, 20000, 21000);  // spread 1000 is less
    expect_range(&equal, 3, 2000, 4000, 5000);    // the fixed part is more than the floor
    expect_range(&equal, 3, 20000, 20000, 24000); // spread 4000 is less
    expect_range(&additive, 2, 1000, 4000, 5000);
    expect_range(&additive, 2, 30000, 30000, 31000);
}

static void a_floor_is_never_undercut(void **state)
{
    const struct backoff *const all[] = {&full, &equal, &additive};
    (void)state;
    rnd_seed(42);
    for (int i = 0; i < 3 * DRAWS; i++) {
        int64_t floor_ms = (int64_t)rnd_below(200000);
        int n = (int)rnd_below(40);
        int64_t ms = backoff_ms(all[i % 3], n, floor_ms, rnd_unit());
        assert_true(ms >= floor_ms);
        int64_t ladder = n < 6 ? 1000 << n : 60000, fixed = MAX(floor_ms, ladder);
        assert_true(ms <= fixed + MAX(1000, floor_ms / 4));
    }
}

static void a_fleet_with_one_floor_does_not_come_back_in_step(void **state)
{
    enum { FLOOR_MS = 10000, SLOTS = 10 };
    int slots[SLOTS + 1] = {0};
    (void)state;
    for (int i = 0; i < DRAWS; i++)
        slots[(backoff_ms(&full, 4, FLOOR_MS, rnd_unit()) - FLOOR_MS) / 250]++;
    for (int i = 0; i < SLOTS; i++)
        assert_in_range(slots[i], DRAWS / SLOTS * 8 / 10, DRAWS / SLOTS * 12 / 10);
}

static void huge_numbers_do_not_overflow(void **state)
{
    static const int64_t sizes[] = {0, 1, 1000, INT64_MAX / 2, INT64_MAX - 1, INT64_MAX};
    static const int tries[] = {0, 1, 31, 32, 61, 62, 63, 64, 1000, INT_MAX};
    static const enum backoff_jitter policies[] = {BACKOFF_FULL, BACKOFF_EQUAL, BACKOFF_ADDITIVE};
    (void)state;
    for (size_t i = 0; i < 6 * 6 * 6 * 10 * 3; i++) {
        struct backoff b = {policies[i % 3], sizes[i / 3 % 6], sizes[i / 18 % 6]};
        int64_t floor_ms = sizes[i / 108 % 6];
        int n = tries[i / 648];
        int64_t low = backoff_ms(&b, n, floor_ms, 0);
        int64_t high = backoff_ms(&b, n, floor_ms, most_unit);
        assert_true(low >= floor_ms && high >= low);
        assert_true(backoff_ms(&b, n, -1, most_unit) >= 0);
    }
}

static void nonsense_counts_as_the_nearest_sense(void **state)
{
    (void)state;
    assert_true(backoff_ms(&full, -3, -1, most_unit) == 1000);
    assert_true(backoff_ms(&full, 0, -1, 1.5) == 1000);
    assert_true(backoff_ms(&full, 0, -1, -1) == 0);
    struct backoff negative = {BACKOFF_EQUAL, -5, -5};
    assert_true(backoff_ms(&negative, 3, -1, 0.5) == 0);
    struct backoff low_cap = {BACKOFF_FULL, 1000, 10};
    assert_true(backoff_ms(&low_cap, 0, -1, most_unit) == 10);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TAP("full draws from zero to the ladder", full_draws_from_zero_to_the_ladder),
        TAP("equal draws the upper half", equal_draws_the_upper_half),
        TAP("additive adds up to one base", additive_adds_up_to_one_base),
        TAP("above a floor the spread is a base or a quarter of it",
            above_a_floor_the_spread_is_a_base_or_a_quarter_of_it),
        TAP("a floor is never undercut", a_floor_is_never_undercut),
        TAP("a fleet with one floor does not come back in step",
            a_fleet_with_one_floor_does_not_come_back_in_step),
        TAP("huge numbers do not overflow", huge_numbers_do_not_overflow),
        TAP("nonsense counts as the nearest sense", nonsense_counts_as_the_nearest_sense),
    };
    return cmocka_run_group_tests_name("backoff", tests, NULL, NULL);
}
