// test_sim_headers: quota headers and retry-after, letter by letter.
#include "tests/sim/headers.h"
#include "tests/support/tap.h"

#include <string.h>

static const int64_t june_ms = 1748877285000; // 2025-06-02T15:14:45Z

static struct strbuf out;

static int start(void **state)
{
    (void)state;
    strbuf_init(&out, 4096);
    return 0;
}

static int end(void **state)
{
    (void)state;
    strbuf_fini(&out);
    return 0;
}

static void written(const char *want)
{
    assert_string_equal(out.at ? out.at : "", want);
    strbuf_clear(&out);
}

static struct limiter limits(double rpm, double itpm, double otpm)
{
    struct quota q = {.per_min = {rpm, itpm, otpm}, .burst_s = 60, .fill = 1};
    struct limiter l;
    limiter_init(&l, &q, 0);
    return l;
}

// The 429 that a user posted: input empty, the others full.
static void a_real_refusal_is_reproduced_to_the_letter(void **state)
{
    (void)state;
    struct limiter l = limits(4000, 200000, 80000);
    struct snapshot s;
    bucket_take(&l.shown[DIM_INPUT], 200000 + 10000); // a little below zero: full after 63 s
    snapshot_take(&s, &l, june_ms);
    headers_add_quota(&out, HEADERS_ANTHROPIC, &s);
    written("anthropic-ratelimit-requests-limit: 4000\r\n"
            "anthropic-ratelimit-requests-remaining: 4000\r\n"
            "anthropic-ratelimit-requests-reset: 2025-06-02T15:14:45Z\r\n"
            "anthropic-ratelimit-input-tokens-limit: 200000\r\n"
            "anthropic-ratelimit-input-tokens-remaining: 0\r\n"
            "anthropic-ratelimit-input-tokens-reset: 2025-06-02T15:15:48Z\r\n"
            "anthropic-ratelimit-output-tokens-limit: 80000\r\n"
            "anthropic-ratelimit-output-tokens-remaining: 80000\r\n"
            "anthropic-ratelimit-output-tokens-reset: 2025-06-02T15:14:45Z\r\n"
            "anthropic-ratelimit-tokens-limit: 280000\r\n"
            "anthropic-ratelimit-tokens-remaining: 80000\r\n"
            "anthropic-ratelimit-tokens-reset: 2025-06-02T15:14:45Z\r\n");
}

static void tokens_reset_is_the_earlier_of_the_two(void **state)
{
    (void)state;
    struct limiter l = limits(0, 80000, 16000);
    struct snapshot s;
    bucket_take(&l.shown[DIM_INPUT], 2000);
    bucket_take(&l.shown[DIM_OUTPUT], 4000);
    snapshot_take(&s, &l, june_ms);
    headers_add_quota(&out, HEADERS_ANTHROPIC, &s);
    assert_non_null(strstr(out.at, "output-tokens-reset: 2025-06-02T15:15:00Z\r\n"));
    assert_non_null(strstr(out.at, "ratelimit-tokens-reset: 2025-06-02T15:14:47Z\r\n"));
    assert_non_null(strstr(out.at, "ratelimit-tokens-remaining: 90000\r\n"));
    strbuf_clear(&out);
}

static void tokens_are_rounded_to_the_nearest_thousand(void **state)
{
    (void)state;
    assert_int_equal(headers_round_1000(499), 0);
    assert_int_equal(headers_round_1000(500), 1000);
    assert_int_equal(headers_round_1000(1499.9), 1000);
    assert_int_equal(headers_round_1000(77777), 78000);
    assert_int_equal(headers_round_1000(-5000), 0);
}

static void requests_are_counted_whole_and_never_below_zero(void **state)
{
    (void)state;
    struct limiter l = limits(60, 0, 0);
    struct snapshot s;
    bucket_take(&l.shown[DIM_REQUESTS], 0.5);
    snapshot_take(&s, &l, june_ms);
    assert_int_equal(s.dim[DIM_REQUESTS].remaining, 59);
    bucket_take(&l.shown[DIM_REQUESTS], 100);
    snapshot_take(&s, &l, june_ms);
    assert_int_equal(s.dim[DIM_REQUESTS].remaining, 0);
    assert_int_equal(s.dim[DIM_REQUESTS].full_ms, 100500);
}

static void what_is_not_limited_has_no_header(void **state)
{
    (void)state;
    struct limiter l = limits(60, 0, 0);
    struct snapshot s;
    snapshot_take(&s, &l, june_ms);
    headers_add_quota(&out, HEADERS_ANTHROPIC, &s);
    written("anthropic-ratelimit-requests-limit: 60\r\n"
            "anthropic-ratelimit-requests-remaining: 60\r\n"
            "anthropic-ratelimit-requests-reset: 2025-06-02T15:14:45Z\r\n");
    l = limits(0, 0, 0);
    snapshot_take(&s, &l, june_ms);
    for (int f = HEADERS_ANTHROPIC; f <= HEADERS_NONE; f++)
        headers_add_quota(&out, (enum header_family)f, &s);
    written("");
}

static void go_durations_are_written_as_go_writes_them(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{0, "0s"},
                 {12, "12ms"},
                 {999, "999ms"},
                 {1000, "1s"},
                 {8640, "8.64s"},
                 {1500, "1.5s"},
                 {60000, "1m0s"},
                 {360000, "6m0s"},
                 {90005, "1m30.005s"},
                 {3723500, "1h2m3.5s"},
                 {3600000, "1h0m0s"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        headers_add_go_duration(&out, cases[i].ms);
        written(cases[i].text);
    }
}

static void the_other_families_say_the_same_in_their_own_words(void **state)
{
    (void)state;
    struct limiter l = limits(60, 150000, 0);
    struct snapshot s;
    bucket_take(&l.shown[DIM_REQUESTS], 1);
    bucket_take(&l.shown[DIM_INPUT], 15000);
    snapshot_take(&s, &l, june_ms);
    headers_add_quota(&out, HEADERS_OPENAI, &s);
    written("x-ratelimit-limit-requests: 60\r\nx-ratelimit-remaining-requests: 59\r\n"
            "x-ratelimit-reset-requests: 1s\r\nx-ratelimit-limit-tokens: 150000\r\n"
            "x-ratelimit-remaining-tokens: 135000\r\nx-ratelimit-reset-tokens: 6s\r\n");
    headers_add_quota(&out, HEADERS_GENERIC, &s);
    written("X-RateLimit-Limit: 60\r\nX-RateLimit-Remaining: 59\r\n"
            "X-RateLimit-Reset: 1748877286\r\n");
    headers_add_quota(&out, HEADERS_IETF, &s);
    written("RateLimit-Policy: \"requests\";q=60;w=60, \"input-tokens\";q=150000;w=60\r\n"
            "RateLimit: \"requests\";r=59;t=1, \"input-tokens\";r=135000;t=6\r\n");
}

static void a_wait_is_rounded_up_and_never_named_too_short(void **state)
{
    (void)state;
    static const struct {
        enum retry_form form;
        int64_t wait_ms, past_ms; // the time is june_ms + past_ms
        const char *text;
        int64_t named_ms;
    } cases[] = {
        {RETRY_SECONDS, 1, 0, "retry-after: 1\r\n", 1000},
        {RETRY_SECONDS, 0, 0, "retry-after: 1\r\n", 1000},
        {RETRY_SECONDS, 15001, 0, "retry-after: 16\r\n", 16000},
        {RETRY_MS, 1500, 0, "retry-after-ms: 1500\r\nretry-after: 2\r\n", 1500},
        {RETRY_DATE, 2000, 0, "retry-after: Mon, 02 Jun 2025 15:14:47 GMT\r\n", 2000},
        {RETRY_DATE, 1100, 500, "retry-after: Mon, 02 Jun 2025 15:14:47 GMT\r\n", 1500},
        {RETRY_DATE, 1, 0, "retry-after: Mon, 02 Jun 2025 15:14:46 GMT\r\n", 1000},
        {RETRY_RESET, 1100, 500, "X-Ratelimit-Reset: 1748877287\r\n", 1500},
        {RETRY_NONE, 5000, 0, "", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t named_ms =
            headers_add_retry(&out, cases[i].form, cases[i].wait_ms, june_ms + cases[i].past_ms);
        assert_int_equal(named_ms, cases[i].named_ms);
        written(cases[i].text);
    }
}

static void days_and_leap_years_come_out_right(void **state)
{
    (void)state;
    static const struct {
        int64_t s;
        const char *http, *rfc;
    } cases[] = {
        {784111777, "Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z"},
        {951782400, "Tue, 29 Feb 2000 00:00:00 GMT", "2000-02-29T00:00:00Z"},
        {1795496399, "Tue, 24 Nov 2026 04:59:59 GMT", "2026-11-24T04:59:59Z"},
        {1798761599, "Thu, 31 Dec 2026 23:59:59 GMT", "2026-12-31T23:59:59Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        headers_add_http_date(&out, cases[i].s * 1000 + 999);
        written(cases[i].http);
        headers_add_rfc3339(&out, cases[i].s * 1000 + 999);
        written(cases[i].rfc);
    }
}

static const struct CMUnitTest tests[] = {
    TAP("a real refusal is reproduced to the letter", a_real_refusal_is_reproduced_to_the_letter),
    TAP("tokens-reset is the earlier of the two", tokens_reset_is_the_earlier_of_the_two),
    TAP("tokens are rounded to the nearest thousand", tokens_are_rounded_to_the_nearest_thousand),
    TAP("requests are counted whole and never below zero",
        requests_are_counted_whole_and_never_below_zero),
    TAP("what is not limited has no header", what_is_not_limited_has_no_header),
    TAP("Go durations are written as Go writes them", go_durations_are_written_as_go_writes_them),
    TAP("the other families say the same in their own words",
        the_other_families_say_the_same_in_their_own_words),
    TAP("a wait is rounded up and never named too short",
        a_wait_is_rounded_up_and_never_named_too_short),
    TAP("days and leap years come out right", days_and_leap_years_come_out_right),
};

int main(void)
{
    return cmocka_run_group_tests(tests, start, end);
}
