// test_sim_bucket: the arithmetic of quotas.
#include "tests/sim/limiter.h"
#include "tests/support/tap.h"

enum { SECOND_US = 1000000, MINUTE_US = 60 * SECOND_US };

static void near(double got, double want)
{
    assert_true(got > want - 0.01 && got < want + 0.01);
}

static void a_bucket_refills_all_the_time_up_to_its_capacity(void **state)
{
    (void)state;
    struct bucket b;
    bucket_init(&b, 600, 10, 0.5, 0);
    near(b.cap, 100);
    near(b.level, 50);
    bucket_refresh(&b, SECOND_US / 2);
    near(b.level, 55);
    bucket_refresh(&b, SECOND_US / 4); // a clock that stood still changes nothing
    near(b.level, 55);
    bucket_refresh(&b, MINUTE_US);
    near(b.level, 100);
}

static void the_wait_is_the_time_until_it_fits_and_not_a_moment_less(void **state)
{
    (void)state;
    static const double needs[] = {1, 3, 17.5, 60, 99.9, 100};
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++) {
        struct bucket b;
        bucket_init(&b, 100, 60, 0, 0);
        uint64_t wait_us = bucket_wait_us(&b, needs[i]);
        assert_true(wait_us > 0 && wait_us != BUCKET_NEVER);
        struct bucket early = b;
        bucket_refresh(&early, wait_us - 1000);
        assert_int_not_equal(bucket_wait_us(&early, needs[i]), BUCKET_FITS);
        bucket_refresh(&b, wait_us);
        assert_int_equal(bucket_wait_us(&b, needs[i]), BUCKET_FITS);
    }
}

static void what_is_larger_than_the_bucket_fits_when_it_is_full(void **state)
{
    (void)state;
    struct bucket b;
    bucket_init(&b, 6000, 1, 1, 0); // holds 100
    assert_int_equal(bucket_wait_us(&b, 2500), BUCKET_FITS);
    bucket_take(&b, 2500);
    near(b.level, -2400);
    assert_int_equal(bucket_wait_us(&b, 1), (2400 + 1) * (uint64_t)SECOND_US / 100);
}

static void what_is_larger_than_the_limit_of_a_minute_never_fits(void **state)
{
    (void)state;
    struct bucket b;
    bucket_init(&b, 6000, 60, 1, 0);
    assert_int_equal(bucket_wait_us(&b, 6000), BUCKET_FITS);
    assert_true(bucket_wait_us(&b, 6001) == BUCKET_NEVER);
}

static void no_limit_lets_everything_through_but_counts_it(void **state)
{
    (void)state;
    struct bucket b;
    bucket_init(&b, 0, 60, 1, 0);
    assert_int_equal(bucket_wait_us(&b, 1e9), BUCKET_FITS);
    bucket_take(&b, 1e9);
    near(b.charged, 1e9);
    assert_int_equal(bucket_full_us(&b), 0);
}

static void a_changed_limit_keeps_the_level_and_cuts_it_to_the_new_capacity(void **state)
{
    (void)state;
    struct bucket b;
    bucket_init(&b, 600, 60, 1, 0);
    bucket_take(&b, 100);
    bucket_tune(&b, 300, 60, 0);
    near(b.level, 300);
    bucket_take(&b, 250);
    bucket_tune(&b, 600, 60, 0);
    near(b.level, 50);
    bucket_refresh(&b, SECOND_US);
    near(b.level, 60);
}

static void a_stranger_slows_the_refill_but_no_header_knows_of_it(void **state)
{
    (void)state;
    struct bucket b;
    bucket_init(&b, 600, 60, 0, 0);
    b.stranger = 0.3;
    assert_int_equal(bucket_wait_us(&b, 10), SECOND_US); // as if nobody else were there
    bucket_refresh(&b, SECOND_US);
    near(b.level, 7);
}

static const struct quota plain = {
    .per_min = {600, 60000, 12000}, .burst_s = 60, .fill = 1}; // 10, 1000, 200 a second

static struct cost cost(double input, double output, uint64_t takes_ms)
{
    return (struct cost){.input = input,
                         .input_real = input,
                         .output = output,
                         .max_tokens = 1000,
                         .takes_ms = takes_ms};
}

static struct limiter fresh(struct quota q)
{
    struct limiter l;
    limiter_init(&l, &q, 0);
    return l;
}

static void a_refusal_names_its_dimension_and_costs_nothing(void **state)
{
    (void)state;
    struct quota q = plain;
    struct charge held;
    q.fill = 0;
    struct limiter l = fresh(q);
    struct cost c = cost(2500, 100, 0);
    struct verdict v = limiter_ask(&l, &c, 0, &held);
    assert_false(v.accepted);
    assert_int_equal(v.dim, DIM_INPUT);
    near((double)v.wait_us, 2.5 * SECOND_US);
    near(l.shown[DIM_REQUESTS].level, 0);
    near(l.shown[DIM_REQUESTS].charged, 0);
}

static void a_refusal_costs_a_request_where_that_is_the_rule(void **state)
{
    (void)state;
    struct quota q = plain;
    struct charge held;
    q.fill = 0;
    q.charge_refused = true;
    struct limiter l = fresh(q);
    struct cost c = cost(1, 1, 0);
    limiter_ask(&l, &c, 0, &held);
    limiter_ask(&l, &c, 0, &held);
    near(l.shown[DIM_REQUESTS].level, -2);
    near(l.shown[DIM_INPUT].level, 0);
}

static void output_is_charged_as_it_is_produced(void **state)
{
    (void)state;
    struct limiter l = fresh(plain);
    struct charge held;
    struct cost c = cost(1000, 6000, 10000);
    assert_true(limiter_ask(&l, &c, 0, &held).accepted);
    near(l.shown[DIM_OUTPUT].level, 12000);
    limiter_refresh(&l, 5 * SECOND_US); // 600 a second go out, 200 come in
    near(l.shown[DIM_OUTPUT].level, 12000 - 5 * 400);
    limiter_settle(&l, &held, true, 10 * SECOND_US + 3000); // the timer was 3 ms late
    near(l.shown[DIM_OUTPUT].charged, 6000);
    near(l.shown[DIM_OUTPUT].drain, 0);
    near(l.shown[DIM_REQUESTS].charged, 1);
    near(l.shown[DIM_INPUT].charged, 1000);
    limiter_settle(&l, &held, true, 20 * SECOND_US); // once is enough
    near(l.shown[DIM_OUTPUT].charged, 6000);
}

static void a_client_that_leaves_has_cost_what_was_produced_till_then(void **state)
{
    (void)state;
    struct limiter l = fresh(plain);
    struct charge held;
    struct cost c = cost(1000, 6000, 10000);
    limiter_ask(&l, &c, 0, &held);
    limiter_settle(&l, &held, false, 2 * SECOND_US);
    near(l.shown[DIM_OUTPUT].charged, 1200);
}

static void running_output_pulls_the_level_below_zero_and_stops_newcomers(void **state)
{
    (void)state;
    struct limiter l = fresh(plain);
    struct charge held[2];
    struct cost c = cost(10, 20000, 10000);
    assert_true(limiter_ask(&l, &c, 0, &held[0]).accepted);
    struct verdict v = limiter_ask(&l, &c, 8 * SECOND_US, &held[1]);
    assert_false(v.accepted);
    assert_int_equal(v.dim, DIM_OUTPUT);
    near(l.shown[DIM_OUTPUT].level, 12000 - 8 * 1800);
}

static void a_reservation_by_max_tokens_is_settled_at_the_end(void **state)
{
    (void)state;
    struct quota q = plain;
    struct charge held[2];
    q.precharge = true;
    struct limiter l = fresh(q);
    struct cost c = cost(10, 250, 5000);
    c.max_tokens = 11500;
    assert_true(limiter_ask(&l, &c, 0, &held[0]).accepted);
    near(l.shown[DIM_OUTPUT].level, 500);
    assert_int_equal(limiter_ask(&l, &c, 0, &held[1]).dim, DIM_OUTPUT);
    limiter_settle(&l, &held[0], true, 0);
    near(l.shown[DIM_OUTPUT].level, 12000 - 250);
}

static void an_input_estimate_is_corrected_at_the_end(void **state)
{
    (void)state;
    struct limiter l = fresh(plain);
    struct charge held;
    struct cost c = cost(1500, 10, 0);
    c.input_real = 1000;
    limiter_ask(&l, &c, 0, &held);
    near(l.shown[DIM_INPUT].level, 58500);
    limiter_settle(&l, &held, true, 0);
    near(l.shown[DIM_INPUT].level, 59000);
    near(l.shown[DIM_INPUT].charged, 1000);
}

static void a_hidden_bucket_refuses_while_the_shown_one_has_room(void **state)
{
    (void)state;
    struct quota q = plain;
    struct charge held;
    q.hidden_burst_s = 0.2; // two requests
    struct limiter l = fresh(q);
    struct cost c = cost(10, 10, 0);
    assert_true(limiter_ask(&l, &c, 0, &held).accepted);
    assert_true(limiter_ask(&l, &c, 0, &held).accepted);
    struct verdict v = limiter_ask(&l, &c, 0, &held);
    assert_false(v.accepted);
    assert_int_equal(v.dim, DIM_REQUESTS);
    near((double)v.wait_us, 100000);
    near(l.shown[DIM_REQUESTS].level, 598);
}

static void new_buckets_go_on_being_drained_by_what_runs(void **state)
{
    (void)state;
    struct limiter l = fresh(plain);
    struct charge held;
    struct cost c = cost(10, 1000, 10000);
    limiter_ask(&l, &c, 0, &held);
    limiter_restart(&l, &plain, SECOND_US);
    near(l.shown[DIM_OUTPUT].drain, 100);
    limiter_settle(&l, &held, true, 10 * SECOND_US);
    near(l.shown[DIM_OUTPUT].drain, 0);
}

static void a_hidden_bucket_that_comes_and_goes_keeps_its_books(void **state)
{
    (void)state;
    struct limiter l = fresh(plain);
    struct charge held;
    struct quota hidden = plain;
    struct cost c = cost(10, 1000, 10000);
    hidden.hidden_burst_s = 1;
    limiter_ask(&l, &c, 0, &held);
    limiter_tune(&l, &hidden, SECOND_US);
    near(l.hidden[DIM_OUTPUT].drain, 100);
    near(l.hidden[DIM_REQUESTS].level, 10);
    limiter_settle(&l, &held, true, 2 * SECOND_US);
    near(l.hidden[DIM_OUTPUT].drain, 0);
}

static void growth_beyond_the_ramp_is_refused_and_steady_work_is_not(void **state)
{
    (void)state;
    struct quota q = {.burst_s = 60, .fill = 1, .ramp_base = 10, .ramp_factor = 1.3};
    struct limiter l = fresh(q);
    struct charge held;
    struct cost c = cost(1, 1, 0);
    int accepted = 0;
    for (int i = 0; i < 100; i++) // 100 at once
        accepted += limiter_ask(&l, &c, 0, &held).accepted;
    assert_in_range(accepted, 15, 40);
    struct verdict v = limiter_ask(&l, &c, 0, &held);
    assert_true(v.ramp && !v.accepted);
    for (int i = 0; i < 50; i++) // 5 a second later on
        assert_true(limiter_ask(&l, &c, (uint64_t)(60 * SECOND_US + i * 200000), &held).accepted);
}

static const struct CMUnitTest tests[] = {
    TAP("a bucket refills all the time up to its capacity",
        a_bucket_refills_all_the_time_up_to_its_capacity),
    TAP("the wait is the time until it fits and not a moment less",
        the_wait_is_the_time_until_it_fits_and_not_a_moment_less),
    TAP("what is larger than the bucket fits when it is full",
        what_is_larger_than_the_bucket_fits_when_it_is_full),
    TAP("what is larger than the limit of a minute never fits",
        what_is_larger_than_the_limit_of_a_minute_never_fits),
    TAP("no limit lets everything through but counts it",
        no_limit_lets_everything_through_but_counts_it),
    TAP("a changed limit keeps the level and cuts it to the new capacity",
        a_changed_limit_keeps_the_level_and_cuts_it_to_the_new_capacity),
    TAP("a stranger slows the refill but no header knows of it",
        a_stranger_slows_the_refill_but_no_header_knows_of_it),
    TAP("a refusal names its dimension and costs nothing",
        a_refusal_names_its_dimension_and_costs_nothing),
    TAP("a refusal costs a request where that is the rule",
        a_refusal_costs_a_request_where_that_is_the_rule),
    TAP("output is charged as it is produced", output_is_charged_as_it_is_produced),
    TAP("a client that leaves has cost what was produced till then",
        a_client_that_leaves_has_cost_what_was_produced_till_then),
    TAP("running output pulls the level below zero and stops newcomers",
        running_output_pulls_the_level_below_zero_and_stops_newcomers),
    TAP("a reservation by max_tokens is settled at the end",
        a_reservation_by_max_tokens_is_settled_at_the_end),
    TAP("an input estimate is corrected at the end", an_input_estimate_is_corrected_at_the_end),
    TAP("a hidden bucket refuses while the shown one has room",
        a_hidden_bucket_refuses_while_the_shown_one_has_room),
    TAP("new buckets go on being drained by what runs",
        new_buckets_go_on_being_drained_by_what_runs),
    TAP("a hidden bucket that comes and goes keeps its books",
        a_hidden_bucket_that_comes_and_goes_keeps_its_books),
    TAP("growth beyond the ramp is refused and steady work is not",
        growth_beyond_the_ramp_is_refused_and_steady_work_is_not),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
