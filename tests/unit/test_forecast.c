// test_forecast: how long a run takes at the limits that its pools' ledgers tell.
#include "tests/support/tap.h"
#include "worker/cli/forecast.h"

#include <string.h>

static struct forecast f;

static struct span span(const char *s)
{
    return (struct span){s, strlen(s)};
}

// plan makes a forecast of so many jobs of one model, of 100 tokens in and 50 out.
static void plan(const char *model, int jobs)
{
    for (int i = 0; i < jobs; i++)
        forecast_job(&f, span(model), 100, 50);
}

static struct quota *pool(const char *name)
{
    size_t before = f.pool_count;
    forecast_name(&f, "anthropic", span(name));
    assert_int_equal(f.pool_count, before + 1);
    return &f.pools[before].quota;
}

static void begin(void **state)
{
    (void)state;
    f = (struct forecast){0};
}

static double seconds(double part, enum quota_kind expected)
{
    enum quota_kind kind;
    double s = forecast_seconds(&f, part, &kind);
    if (s >= 0)
        assert_int_equal(kind, expected);
    return s;
}

static void without_a_ledger_nothing_is_known(void **state)
{
    begin(state);
    assert_float_equal(seconds(1, 0), -1, 0);
    plan("m", 10);
    assert_float_equal(seconds(1, 0), -1, 0);
    pool("anthropic:main:m");
    assert_float_equal(seconds(1, 0), -1, 0);
}

static void what_is_left_goes_at_once_and_the_rest_at_the_limit(void **state)
{
    begin(state);
    plan("m", 300);
    struct quota *q = pool("anthropic:main:m");
    q->limit[QUOTA_REQUESTS] = 600;
    q->left[QUOTA_REQUESTS] = 100;
    assert_float_equal(seconds(1, QUOTA_REQUESTS), 20, 1e-4);
    assert_float_equal(seconds(0.5, QUOTA_REQUESTS), 5, 1e-4);
    assert_float_equal(seconds(0.3, QUOTA_REQUESTS), 0, 1e-4);
    q->limit[QUOTA_OUTPUT] = 6000; // a hundred a second, of 15,000
    assert_float_equal(seconds(1, QUOTA_OUTPUT), 150, 1e-4);
    q->override[QUOTA_REQUESTS] = 60;
    assert_float_equal(seconds(1, QUOTA_REQUESTS), 300, 1e-4);
}

static void the_accounts_of_a_model_add_up(void **state)
{
    begin(state);
    plan("m", 900);
    pool("anthropic:main:m")->limit[QUOTA_REQUESTS] = 600;
    assert_float_equal(seconds(1, QUOTA_REQUESTS), 90, 1e-4);
    struct quota *second = pool("anthropic:second:m");
    second->limit[QUOTA_REQUESTS] = 1200;
    assert_float_equal(seconds(1, QUOTA_REQUESTS), 30, 1e-4);
    pool("anthropic:third:m"); // never used: it promises nothing
    assert_float_equal(seconds(1, QUOTA_REQUESTS), 30, 1e-4);
    f.read_at_ms = 1000000;
    second->open_at = 1060000; // 600 are done by then
    assert_float_equal(seconds(1, QUOTA_REQUESTS), 70, 1e-4);
}

static void the_model_that_takes_longest_decides(void **state)
{
    begin(state);
    plan("slow", 100);
    plan("fast", 100);
    pool("anthropic:main:fast")->limit[QUOTA_REQUESTS] = 6000;
    assert_float_equal(seconds(1, 0), -1, 0); // nothing is known of the other
    pool("anthropic:main:slow")->limit[QUOTA_REQUESTS] = 60;
    assert_float_equal(seconds(1, QUOTA_REQUESTS), 100, 1e-4);
}

static void a_pool_without_limits_is_paced(void **state)
{
    begin(state);
    plan("m", 100);
    pool("anthropic:main:m")->pace = 0.005;
    assert_float_equal(seconds(1, QUOTA_REQUESTS), 20, 1e-4);
}

static void what_a_job_takes_is_learnt_from_answers(void **state)
{
    begin(state);
    plan("m", 100);
    struct quota *a = pool("anthropic:a:m"), *b = pool("anthropic:b:m");
    a->limit[QUOTA_OUTPUT] = b->limit[QUOTA_OUTPUT] = 6000;
    a->accepted = 30, a->output_mean = 20;
    b->accepted = 10, b->output_mean = 900; // too few to count
    assert_float_equal(seconds(1, QUOTA_OUTPUT), 100.0 * 20 / 200, 1e-4);
    b->accepted = 90, b->output_mean = 40;
    assert_float_equal(seconds(1, QUOTA_OUTPUT), 100.0 * 35 / 200, 1e-4);
}

static void pools_of_others_are_left_out(void **state)
{
    begin(state);
    plan("m", 1);
    forecast_name(&f, "anthropic", span("anthropic:main:other"));
    forecast_name(&f, "anthropic", span("else:main:m"));
    forecast_name(&f, "anthropic", span("anthropic"));
    forecast_name(&f, "anthropic", span("anthropic:m"));
    assert_int_equal(f.pool_count, 0);
    forecast_main(&f, "anthropic");
    forecast_main(&f, "anthropic");
    assert_int_equal(f.pool_count, 1);
}

static void more_models_than_have_a_place_are_no_forecast(void **state)
{
    begin(state);
    for (char name[] = "a"; name[0] < 'a' + FORECAST_MODELS; name[0]++) {
        plan(name, 1);
        char pool_name[] = "anthropic:main:?";
        pool_name[15] = name[0];
        pool(pool_name)->limit[QUOTA_REQUESTS] = 60;
    }
    assert_float_equal(seconds(1, QUOTA_REQUESTS), 1, 1e-4);
    plan("z", 1);
    assert_float_equal(seconds(1, 0), -1, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TAP("without a ledger nothing is known", without_a_ledger_nothing_is_known),
        TAP("what is left goes at once and the rest at the limit",
            what_is_left_goes_at_once_and_the_rest_at_the_limit),
        TAP("the accounts of a model add up", the_accounts_of_a_model_add_up),
        TAP("the model that takes longest decides", the_model_that_takes_longest_decides),
        TAP("a pool without limits is paced", a_pool_without_limits_is_paced),
        TAP("what a job takes is learnt from answers", what_a_job_takes_is_learnt_from_answers),
        TAP("pools of others are left out", pools_of_others_are_left_out),
        TAP("more models than have a place are no forecast",
            more_models_than_have_a_place_are_no_forecast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
