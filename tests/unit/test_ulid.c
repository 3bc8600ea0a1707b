// test_ulid: the form, the order and the difference of ids that one process makes.
#include "common/base/rnd.h"
#include "common/job/name.h"
#include "common/job/ulid.h"
#include "tests/support/tap.h"

#include <string.h>

// This stands in for base/rnd.c, which the linker then leaves out: a test may fix the draws.
static bool draws_are_all_ones;

uint64_t rnd_u64(void)
{
    static uint64_t x;
    uint64_t z = x += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 32)) * 0xD6E8FEB86659FD93u;
    z = (z ^ (z >> 32)) * 0xD6E8FEB86659FD93u;
    return draws_are_all_ones ? UINT64_MAX : z ^ (z >> 32);
}

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static int64_t time_of(const char *ulid)
{
    int64_t ms = 0;
    for (int i = 0; i < 10; i++)
        ms = ms * 32 + (strchr(digits, ulid[i]) - digits);
    return ms;
}

// The clock of this process never steps back, so each test takes a later time than the one before.
static int64_t now_ms = 1764000000000;

static void the_time_is_in_the_first_ten_characters(void **state)
{
    char ulid[ULID_LEN + 1];
    (void)state;
    for (int i = 0; i < 1000; i++) {
        memset(ulid, '~', sizeof ulid);
        ulid_make(now_ms += 7919, ulid);
        assert_int_equal(strlen(ulid), ULID_LEN);
        assert_int_equal(strspn(ulid, digits), ULID_LEN);
        assert_true(id_is_valid(ulid, ULID_LEN));
        assert_true(time_of(ulid) == now_ms);
        assert_true(ulid[0] <= '7');
    }
}

static void many_of_one_millisecond_sort_in_the_order_they_were_made(void **state)
{
    char last[ULID_LEN + 1], next[ULID_LEN + 1];
    (void)state;
    ulid_make(++now_ms, last);
    for (int i = 0; i < 100000; i++) {
        ulid_make(now_ms, next);
        assert_true(strcmp(last, next) < 0);
        memcpy(last, next, sizeof last);
    }
    assert_true(time_of(last) == now_ms);
}

static void a_clock_that_steps_back_does_not_break_the_order(void **state)
{
    char last[ULID_LEN + 1], next[ULID_LEN + 1];
    static const int64_t steps[] = {0, -1, -1000000, 5, -5, 1};
    (void)state;
    ulid_make(++now_ms, last);
    for (int i = 0; i < 6; i++) {
        ulid_make(now_ms + steps[i], next);
        assert_true(strcmp(last, next) < 0);
        memcpy(last, next, sizeof last);
    }
    ulid_make(-5, next);
    assert_true(strcmp(last, next) < 0);
    now_ms += 1000;
}

static void the_random_part_is_random(void **state)
{
    char ulid[ULID_LEN + 1], first[ULID_LEN + 1];
    int same[ULID_LEN] = {0};
    (void)state;
    ulid_make(++now_ms, first);
    for (int i = 0; i < 3200; i++) {
        ulid_make(++now_ms, ulid);
        for (int k = 10; k < ULID_LEN; k++)
            same[k] += ulid[k] == first[k];
    }
    for (int k = 10; k < ULID_LEN; k++) // 1 in 32: 100 expected
        assert_in_range(same[k], 50, 160);
}

static void expect_borrowing(void)
{
    char a[ULID_LEN + 1], b[ULID_LEN + 1], c[ULID_LEN + 1];
    draws_are_all_ones = true;
    ulid_make(++now_ms, a);
    draws_are_all_ones = false;
    ulid_make(now_ms, b);
    ulid_make(now_ms, c);
    assert_string_equal(a + 10, "ZZZZZZZZZZZZZZZZ");
    assert_true(time_of(b) == now_ms + 1);
    assert_string_equal(b + 10, "0000000000000000");
    assert_string_equal(c + 10, "0000000000000001");
    now_ms++;
}

static void a_used_up_random_part_borrows_the_next_millisecond(void **state)
{
    (void)state;
    expect_borrowing();
    now_ms++; // from an odd millisecond and from an even one
    expect_borrowing();
}

static void the_last_millisecond_of_48_bits_is_the_last(void **state)
{
    char a[ULID_LEN + 1], b[ULID_LEN + 1];
    (void)state;
    ulid_make(INT64_MAX, a);
    assert_true(time_of(a) == ((int64_t)1 << 48) - 1);
    assert_memory_equal(a, "7ZZZZZZZZZ", 10);
    ulid_make(0, b);
    assert_true(strcmp(a, b) < 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TAP("the time is in the first ten characters", the_time_is_in_the_first_ten_characters),
        TAP("many of one millisecond sort in the order they were made",
            many_of_one_millisecond_sort_in_the_order_they_were_made),
        TAP("a clock that steps back does not break the order",
            a_clock_that_steps_back_does_not_break_the_order),
        TAP("the random part is random", the_random_part_is_random),
        TAP("a used-up random part borrows the next millisecond",
            a_used_up_random_part_borrows_the_next_millisecond),
        TAP("the last millisecond of 48 bits is the last", // leaves the clock at its end
            the_last_millisecond_of_48_bits_is_the_last),
    };
    return cmocka_run_group_tests_name("ulid", tests, NULL, NULL);
}
