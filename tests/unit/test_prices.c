// test_prices: what a call cost, to the nanodollar, and what is said of a table that is wrong.
#include "common/base/err.h"
#include "common/job/prices.h"
#include "tests/support/tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNKNOWN (-1)
#define USD INT64_C(1000000000) // in nanodollars

static int64_t cost(const char *model, int64_t input, int64_t output, int64_t write, int64_t read)
{
    struct usage u = {input, output, write, read};
    int64_t nano = 12345;
    if (price_usd(span_of(model), &u, &nano))
        return nano;
    assert_int_equal(nano, 12345); // untouched
    return UNKNOWN;
}

static void the_built_in_table_prices_each_kind_of_token(void **state)
{
    (void)state;
    prices_reset();
    assert_int_equal(cost("claude-sonnet-4-5", 1000000, 0, 0, 0), 3 * USD);
    assert_int_equal(cost("claude-sonnet-4-5", 0, 1000000, 0, 0), 15 * USD);
    assert_int_equal(cost("claude-sonnet-4-5", 0, 0, 1000000, 0), 375 * USD / 100);
    assert_int_equal(cost("claude-sonnet-4-5", 0, 0, 0, 1000000), 30 * USD / 100);
    assert_int_equal(cost("claude-sonnet-4-5", 12, 34, 0, 0), 12 * 3000 + 34 * 15000);
    assert_int_equal(cost("claude-haiku-5-5", 1, 0, 0, 0), 100);
    assert_int_equal(cost("claude-haiku-5-5", 0, 0, 1, 0), 125);
    assert_int_equal(cost("claude-opus-5-5", 0, 0, 0, 1), 200);
    assert_int_equal(cost("claude-fable-5-1", 1, 1, 0, 0), 60000);
    assert_int_equal(cost("claude-sonnet-5", 0, 0, 0, 0), 0);
}

static void a_dated_name_costs_what_its_class_costs(void **state)
{
    (void)state;
    prices_reset();
    assert_int_equal(cost("claude-haiku-4-5-20251001", 1, 1, 0, 0), 6000);
    assert_int_equal(cost("claude-haiku-4-5@20251001", 1, 1, 0, 0), 6000);
    assert_int_equal(cost("claude-haiku-4-5-latest", 1, 1, 0, 0), UNKNOWN);
    assert_int_equal(cost("claude-haiku-4", 1, 1, 0, 0), UNKNOWN);
    assert_int_equal(cost("claude-haiku-4-55", 1, 1, 0, 0), UNKNOWN);
    assert_int_equal(cost("", 1, 1, 0, 0), UNKNOWN);
}

static void long_prompts_cost_more_where_the_table_says_so(void **state)
{
    (void)state;
    prices_reset();
    assert_int_equal(cost("claude-haiku-5-5", 100000, 10, 0, 0), 100000 * 100 + 10 * 500);
    assert_int_equal(cost("claude-haiku-5-5", 100001, 10, 0, 0), 100001 * 500 + 10 * 2500);
    // Cached tokens are part of the prompt's length.
    assert_int_equal(cost("claude-haiku-5-5", 1, 0, 100000, 0), 1 * 500 + 100000 * 625);
}

static void what_is_not_known_is_not_guessed(void **state)
{
    (void)state;
    prices_reset();
    assert_int_equal(cost("claude-haiku-5-5", 1, 1, 0, 1), UNKNOWN); // an empty cell
    assert_int_equal(cost("claude-fable-5-1", 1, 1, 1, 0), UNKNOWN);
    assert_int_equal(cost("gpt-6-sol", 1, 1, 0, 0), UNKNOWN);
    assert_int_equal(cost("claude-sonnet-5", -1, 1, 0, 0), UNKNOWN); // the answer did not say
    assert_int_equal(cost("claude-sonnet-5", 1, -1, 0, 0), UNKNOWN);
    assert_int_equal(cost("claude-sonnet-5", 1, 1, -1, 0), UNKNOWN);
    assert_int_equal(cost("claude-sonnet-5", 1, 1, 0, -1), UNKNOWN);
    assert_int_equal(cost("claude-sonnet-5", INT64_MAX, 1, 0, 0), UNKNOWN); // beyond all reason
    assert_int_equal(cost("claude-sonnet-5", INT64_MAX, 1, INT64_MAX, 0), UNKNOWN);
}

static void parsed(const char *text)
{
    char why[PRICES_WHY_MAX] = "";
    int err = prices_parse(span_of(text), why);
    assert_string_equal(why, "");
    assert_int_equal(err, 0);
}

static void a_users_table_replaces_ours_as_a_whole(void **state)
{
    (void)state;
    parsed("# mine\r\n\r\n  my-model \t 0\t0.000001\t12\r\nmy-model\t10\t2\t4\t\t1.5\n");
    assert_int_equal(cost("claude-sonnet-5", 1, 1, 0, 0), UNKNOWN);
    assert_int_equal(cost("my-model", 1, 0, 0, 0), 0); // a thousandth of a nanodollar
    assert_int_equal(cost("my-model", 10, 0, 0, 0), 0);
    assert_int_equal(cost("my-model", 0, 5, 0, 0), 60000);
    assert_int_equal(cost("my-model", 11, 0, 0, 0), 22000);
    assert_int_equal(cost("my-model", 0, 0, 12, 0), 18000);
    assert_int_equal(cost("my-model", 0, 0, 0, 12), UNKNOWN);
    prices_reset();
    assert_int_equal(cost("my-model", 1, 1, 0, 0), UNKNOWN);
    assert_int_equal(cost("claude-sonnet-5", 1, 1, 0, 0), 12000);
}

static void sums_round_to_the_nearest_nanodollar(void **state)
{
    (void)state;
    parsed("m\t0\t0.0005\t0.0004\t9.99\n"); // 0.5 and 0.4 nanodollars a token
    assert_int_equal(cost("m", 1, 0, 0, 0), 1);
    assert_int_equal(cost("m", 0, 1, 0, 0), 0);
    assert_int_equal(cost("m", 3, 0, 0, 0), 2);
    assert_int_equal(cost("m", 0, 0, 0, 1), 9990);
    assert_int_equal(cost("m", 1, 1, 0, 0), 1);
    assert_int_equal(cost("m", 1000, 1000, 0, 0), 900);
    prices_reset();
}

static void a_wrong_table_is_refused_with_its_line_and_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "there is no row in it"},
        {"# nothing\n\n", "there is no row in it"},
        {"m\t0\t1\t2\nm\t0\t1\t2\n", "line 2: the same model and over stand in an earlier row"},
        {"a\t0\t1\t2\nm\t0\t1\t2\nm\t0\t1\t2\n",
         "line 3: the same model and over stand in an earlier row"},
        {"\nm 0 1 2\n", "line 2: model must be a model's name without a date"},
        {"m-20250101\t0\t1\t2\n", "line 1: model must be a model's name without a date"},
        {"m\t\t1\t2\n", "line 1: over must be a whole number of tokens, usually 0"},
        {"m\t1.5\t1\t2\n", "line 1: over must be a whole number of tokens, usually 0"},
        {"m\t0\t-1\t2\n",
         "line 1: input must be dollars for a million tokens, such as 2.50, or empty"},
        {"m\t0\t1\t2,5\n",
         "line 1: output must be dollars for a million tokens, such as 2.50, or empty"},
        {"m\t0\t1\t2\t$1\n",
         "line 1: cache_read must be dollars for a million tokens, such as 2.50, or empty"},
        {"m\t0\t1\t2\t1\t1e3\n",
         "line 1: cache_write must be dollars for a million tokens, such as 2.50, or empty"},
        {"m\t0\t1.\t2\n",
         "line 1: input must be dollars for a million tokens, such as 2.50, or empty"},
        {"m\t0\t.5\t2\n",
         "line 1: input must be dollars for a million tokens, such as 2.50, or empty"},
        {"m\t0\t1.0000001\t2\n",
         "line 1: input must be dollars for a million tokens, such as 2.50, or empty"},
        {"m\t0\t99999999999999999999\t2\n",
         "line 1: input must be dollars for a million tokens, such as 2.50, or empty"},
        {"m\t0\t1\n", "line 1: a row needs a model, over, input and output, parted by tabs"},
        {"m\t0\t1\t2\t3\t4\t5\n", "line 1: there are more than six cells"},
    };
    prices_reset();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char why[PRICES_WHY_MAX] = "";
        assert_int_equal(prices_parse(span_of(cases[i].text), why), ERR_BAD_CONF);
        assert_string_equal(why, cases[i].why);
        assert_int_equal(cost("claude-sonnet-5", 1, 1, 0, 0), 12000);
    }
}

static void a_table_has_a_ceiling(void **state)
{
    (void)state;
    struct strbuf text;
    char why[PRICES_WHY_MAX] = "";
    strbuf_init(&text, PRICES_FILE_BYTES_MAX);
    for (int i = 0; i < PRICES_ROWS_MAX; i++)
        strbuf_add_fmt(&text, "m%d\t0\t1\t2\n", i);
    assert_int_equal(prices_parse(strbuf_span(&text), why), 0);
    strbuf_add_str(&text, "more\t0\t1\t2\n");
    assert_int_equal(prices_parse(strbuf_span(&text), why), ERR_BAD_CONF);
    assert_string_equal(why, "line 513: there are more rows than the table holds");
    assert_int_equal(cost("m511", 1, 1, 0, 0), 3000);
    strbuf_fini(&text);
    prices_reset();
}

static void a_file_is_read_or_said_why_not(void **state)
{
    (void)state;
    char path[] = "/tmp/penstock-prices-XXXXXX", why[PRICES_WHY_MAX] = "";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "mine\t0\t1\t2\n", 11), 11);
    assert_int_equal(prices_load(path, why), 0);
    assert_int_equal(cost("mine", 1, 1, 0, 0), 3000);
    assert_int_equal(ftruncate(fd, PRICES_FILE_BYTES_MAX + 1), 0);
    assert_int_equal(prices_load(path, why), ERR_TOO_BIG);
    assert_string_equal(why, "larger than its ceiling");
    assert_int_equal(prices_load("/nonexistent/prices.tsv", why), ERR_IO);
    assert_string_equal(why, "No such file or directory");
    assert_int_equal(prices_load("/", why), ERR_IO);
    assert_int_equal(cost("mine", 1, 1, 0, 0), 3000);
    close(fd);
    unlink(path);
    prices_reset();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TAP("the built-in table prices each kind of token",
            the_built_in_table_prices_each_kind_of_token),
        TAP("a dated name costs what its class costs", a_dated_name_costs_what_its_class_costs),
        TAP("long prompts cost more where the table says so",
            long_prompts_cost_more_where_the_table_says_so),
        TAP("what is not known is not guessed", what_is_not_known_is_not_guessed),
        TAP("a user's table replaces ours as a whole", a_users_table_replaces_ours_as_a_whole),
        TAP("sums round to the nearest nanodollar", sums_round_to_the_nearest_nanodollar),
        TAP("a wrong table is refused with its line and changes nothing",
            a_wrong_table_is_refused_with_its_line_and_changes_nothing),
        TAP("a table has a ceiling", a_table_has_a_ceiling),
        TAP("a file is read, or said why not", a_file_is_read_or_said_why_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
