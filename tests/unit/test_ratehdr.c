// test_ratehdr: times as headers write them, and what headers say about quotas. Whole recorded
// answers are in tests/data (test_anthropic_read); here stand the corners of each dialect.
#include "tests/support/tap.h"
#include "worker/provider/ratehdr.h"
#include "worker/provider/when.h"

#include <stdio.h>
#include <string.h>

#define DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\n"
#define DATE_MS INT64_C(784111777000)
#define NOW_MS INT64_C(1764000000000) // 2025-11-24T16:00:00Z
#define NONE INT64_C(-77)

typedef bool (*reader)(struct span s, int64_t *ret);

static bool read_http_date(struct span s, int64_t *ret)
{
    return when_http_date(s, NOW_MS, ret);
}

static bool read_seconds(struct span s, int64_t *ret)
{
    return when_decimal(s, 1000, ret);
}

static bool read_millis(struct span s, int64_t *ret)
{
    return when_decimal(s, 1, ret);
}

static bool read_text(struct span s, int64_t *ret)
{
    return when_in_text(s, NOW_MS, ret);
}

struct time_case {
    const char *text;
    int64_t ms; // NONE = refused
};

static void times_are(reader read, const struct time_case *cases, size_t count)
{
    int bad = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t got = NONE;
        bool ok = read(span_of(cases[i].text), &got);
        if (ok == (cases[i].ms != NONE) && got == cases[i].ms)
            continue;
        print_error("\"%s\" is %lld, expected %lld\n", cases[i].text, (long long)got,
                    (long long)cases[i].ms);
        bad++;
    }
    assert_int_equal(bad, 0);
}
#define TIMES(read, ...)                                                                           \
    do {                                                                                           \
        static const struct time_case cases[] = {__VA_ARGS__};                                     \
        times_are(read, cases, ARRAY_LEN(cases));                                                  \
    } while (0)

// clang-format off
static void numbers_of_seconds_round_up(void **state)
{
    (void)state;
    TIMES(read_seconds, {"0", 0}, {"16", 16000}, {"1.5", 1500}, {"0.0001", 1}, {"1.0000000001", 1001},
          {"007", 7000}, {"99999999999999999999999999", INT64_C(9007199254740000)},
          {"", NONE}, {"-1", NONE}, {"+1", NONE}, {"1.", NONE}, {".5", NONE}, {"1e3", NONE}, {"0x10", NONE},
          {"1 2", NONE}, {"1s", NONE}, {"nan", NONE}, {"inf", NONE});
    TIMES(read_millis, {"700", 700}, {"700.25", 701}, {"0", 0}, {"99999999999999999999", INT64_C(9007199254740992)});
}

static void durations_are_gos(void **state)
{
    (void)state;
    TIMES(when_duration, {"1s", 1000}, {"6m0s", 360000}, {"20ms", 20}, {"1h2m3.5s", 3723500}, {"8.64s", 8640},
          {"12ms", 12}, {"0s", 0}, {"1m", 60000}, {"1m1ms", 60001}, {"500us", 1}, {"1500\xC2\xB5s", 2}, {"1500\xCE\xBCs", 2},
          {"1ns", 1}, {"1000001ns", 2}, {"1.5h", 5400000}, {"0.1ms", 1}, {"0.0000001ns", 1}, {"24h0m0s", 86400000},
          {"99999999999999999h", INT64_C(2305839600000)}, {"999999h999999h", INT64_C(2305843009214)},
          {"", NONE}, {"1", NONE}, {"s", NONE}, {"-1s", NONE}, {"1s ", NONE}, {"1d", NONE}, {"1m2", NONE}, {"1.s", NONE});
}

static void rfc3339_has_fractions_and_offsets(void **state)
{
    (void)state;
    TIMES(when_rfc3339, {"1970-01-01T00:00:00Z", 0}, {"2025-06-02T15:15:48Z", INT64_C(1748877348000)},
          {"2025-06-02t15:15:48z", INT64_C(1748877348000)}, {"2025-06-02 15:15:48Z", INT64_C(1748877348000)},
          {"2025-06-02T15:15:48.5Z", INT64_C(1748877348500)}, {"2025-06-02T15:15:48.0001Z", INT64_C(1748877348001)},
          {"2025-06-02T15:15:48.123456789Z", INT64_C(1748877348124)}, {"2025-06-02T17:15:48+02:00", INT64_C(1748877348000)},
          {"2025-06-02T09:45:48.25-05:30", INT64_C(1748877348250)}, {"2024-02-29T00:00:00Z", INT64_C(1709164800000)},
          {"2000-02-29T00:00:00Z", INT64_C(951782400000)}, {"2016-12-31T23:59:60Z", INT64_C(1483228800000)},
          {"9999-12-31T23:59:59Z", INT64_C(253402300799000)},
          {"2025-02-29T00:00:00Z", NONE}, {"2100-02-29T00:00:00Z", NONE}, {"2025-13-01T00:00:00Z", NONE}, {"2025-00-01T00:00:00Z", NONE},
          {"2025-06-31T00:00:00Z", NONE}, {"2025-06-00T00:00:00Z", NONE}, {"2025-06-02T24:00:00Z", NONE}, {"2025-06-02T00:60:00Z", NONE},
          {"2025-06-02T00:00:61Z", NONE}, {"2025-06-02T00:00:00", NONE}, {"2025-06-02T00:00Z", NONE}, {"2025-06-02", NONE},
          {"1969-12-31T00:00:00Z", NONE}, {"2025-06-02T00:00:00.Z", NONE}, {"2025-06-02T00:00:00+0200", NONE},
          {"2025-06-02T00:00:00+24:00", NONE}, {"2025-06-02T00:00:00Z ", NONE}, {"25-06-02T00:00:00Z", NONE}, {"", NONE});
}

static void http_dates_come_in_three_forms(void **state)
{
    (void)state;
    TIMES(read_http_date, {"Sun, 06 Nov 1994 08:49:37 GMT", DATE_MS}, {"Sunday, 06-Nov-94 08:49:37 GMT", DATE_MS},
          {"Sun Nov  6 08:49:37 1994", DATE_MS}, {"Sun Nov 16 08:49:37 1994", DATE_MS + 10 * INT64_C(86400000)},
          {"sun, 06 nov 1994 08:49:37 gmt", DATE_MS},
          // Two digits: more than 50 years ahead is the past (now it is 2025).
          {"Monday, 01-Jan-75 00:00:00 GMT", INT64_C(3313526400000)}, {"Thursday, 01-Jan-76 00:00:00 GMT", INT64_C(189302400000)},
          {"Sun, 06 Nov 1994 08:49:37 UTC", NONE}, {"Sun, 06 Nov 1994 08:49:37", NONE}, {"Sun, 6 Nov 1994 08:49:37 GMT", NONE},
          {"Sun, 06 Nov 1994 08:49 GMT", NONE}, {"Sun, 06 Foo 1994 08:49:37 GMT", NONE}, {"Sun, 31 Nov 1994 08:49:37 GMT", NONE},
          {"Sun, 06 Nov 1994 08:49:37 GMT x", NONE}, {"Sun, 06 Nov 0094 08:49:37 GMT", NONE}, {"06 Nov 1994 08:49:37 GMT", NONE},
          {"Sun Nov  6 08:49:37 1994x", NONE}, {"Sun Nov  6 08:49 1994", NONE}, {"Sunday, 06-Nov-94 08:49 GMT", NONE}, {"120", NONE}, {"", NONE});
}

static void a_sentence_may_name_a_time(void **state)
{
    (void)state;
    TIMES(read_text,
          {"You have reached your specified API usage limits. You will regain access on 2025-12-01 at 00:00 UTC.", INT64_C(1764547200000)},
          {"access on 2025-12-01 at 06:30 UTC", INT64_C(1764570600000)}, {"until 2025-12-01T06:30:15Z.", INT64_C(1764570615000)},
          {"until 2025-12-01T08:30:15.5+02:00", INT64_C(1764570615500)}, {"until 2025-12-01T06:30:15.5", INT64_C(1764570615500)}, {"until 2025-12-01 06:30", INT64_C(1764570600000)},
          {"until 2025-12-01, 06:30 UTC", INT64_C(1764570600000)}, {"until 2025-12-01", INT64_C(1764547200000)},
          {"until 2025-12-01.", INT64_C(1764547200000)}, {"2025-12-01 at noon", INT64_C(1764547200000)},
          {"from 2024-01-01 to 2025-12-01", INT64_C(1764547200000)}, // the first that is still to come
          {"claude-x-2025-12-01-0", INT64_C(1764547200000)},
          {"on 2025-11-24 at 16:00 UTC", NONE}, {"on 2025-11-24 at 16:01 UTC", NOW_MS + 60000}, {"since 2024-01-01", NONE},
          {"12025-12-01", NONE}, {"2025-12-012", NONE}, {"2025-12-32", NONE}, {"2025-12-1", NONE}, {"20251201", NONE}, {"", NONE});
}
// clang-format on

static struct http_answer answer_of(int status, const char *headers)
{
    struct http_answer a = {.status = status};
    strbuf_init(&a.headers, HTTP_HEADER_BYTES_MAX);
    strbuf_add_str(&a.headers, headers);
    return a;
}

struct rate_case {
    const char *headers;
    enum rate_family family;
    struct rate_limit requests, input, output, tokens;
};
#define UNSAID                                                                                     \
    {                                                                                              \
        -1, -1, -1, -1                                                                             \
    }
#define ONLY_REQUESTS(...) {__VA_ARGS__}, UNSAID, UNSAID, UNSAID
#define ONLY_TOKENS(...)                                                                           \
    UNSAID, UNSAID, UNSAID,                                                                        \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define NOTHING UNSAID, UNSAID, UNSAID, UNSAID

// clang-format off
static const struct rate_case rate_cases[] = {
    {"", RATE_NONE, NOTHING},
    {"x-ratelimit-limit: many\nanthropic-ratelimit-requests-limit: \nserver: x\nno colon\n", RATE_NONE, NOTHING},

    // Anthropic: resets are measured by the answer's Date.
    {DATE "anthropic-ratelimit-requests-limit: 50\n", RATE_ANTHROPIC, ONLY_REQUESTS(50, -1, -1, 60000)},
    {DATE "Anthropic-RateLimit-Tokens-Reset: 1994-11-06T08:49:47.5Z\n", RATE_ANTHROPIC, ONLY_TOKENS(-1, -1, 10500, -1)},
    {DATE "anthropic-ratelimit-tokens-reset: 1994-11-06T08:49:00Z\n", RATE_ANTHROPIC, ONLY_TOKENS(-1, -1, 0, -1)},
    {"anthropic-ratelimit-tokens-reset: 2025-11-24T16:00:30Z\n", RATE_ANTHROPIC, ONLY_TOKENS(-1, -1, 30000, -1)},
    {"date: yesterday\nanthropic-ratelimit-tokens-reset: 2025-11-24T16:00:30Z\n", RATE_ANTHROPIC, ONLY_TOKENS(-1, -1, 30000, -1)},
    {"anthropic-ratelimit-requests-remaining: 7\nanthropic-ratelimit-requests-remaining: 9\n", RATE_ANTHROPIC, ONLY_REQUESTS(-1, 7, -1, -1)},
    {"anthropic-ratelimit-requests-remaining: 0\nanthropic-ratelimit-requests-remaining: 9\n", RATE_ANTHROPIC, ONLY_REQUESTS(-1, 0, -1, -1)},
    {"anthropic-ratelimit-unified-status: allowed\nanthropic-ratelimit-unified-reset: 1764000100\nanthropic-ratelimit-x: 1\nanthropic-ratelimit-: 1\nanthropic-fast-input-tokens-limit: 5\n", RATE_NONE, NOTHING},
    {"anthropic-ratelimit-input-tokens-limit: 5\nanthropic-ratelimit-output-tokens-limit: 6\n", RATE_ANTHROPIC, UNSAID, {5, -1, -1, 60000}, {6, -1, -1, 60000}, UNSAID},

    // OpenAI: durations; the project's limit where less is left of it.
    {"x-ratelimit-limit-requests: 60\nx-ratelimit-remaining-requests: 59\nx-ratelimit-reset-requests: 1s\n", RATE_OPENAI, ONLY_REQUESTS(60, 59, 1000, -1)},
    {"x-ratelimit-reset-tokens: 6m0s\n", RATE_OPENAI, ONLY_TOKENS(-1, -1, 360000, -1)},
    {"x-ratelimit-remaining-tokens: 500\nx-ratelimit-remaining-project-tokens: 70\nx-ratelimit-limit-project-tokens: 90\n", RATE_OPENAI, ONLY_TOKENS(90, 70, -1, -1)},
    {"x-ratelimit-remaining-project-tokens: 700\nx-ratelimit-limit-tokens: 900\nx-ratelimit-remaining-tokens: 500\n", RATE_OPENAI, ONLY_TOKENS(900, 500, -1, -1)},
    {"x-ratelimit-remaining-project-tokens: 0\n", RATE_OPENAI, ONLY_TOKENS(-1, 0, -1, -1)},
    // Azure: plain seconds; -1 and a limit of 0 are not known. 0 left of a real limit is 0.
    {"x-ratelimit-reset-requests: 10\nx-ratelimit-limit-requests: -1\nx-ratelimit-remaining-requests: -1\n", RATE_OPENAI, ONLY_REQUESTS(-1, -1, 10000, -1)},
    {"x-ratelimit-limit-requests: 0\nx-ratelimit-remaining-requests: 0\n", RATE_OPENAI, NOTHING},
    {"x-ratelimit-limit-requests: 10\nx-ratelimit-remaining-requests: 0\n", RATE_OPENAI, ONLY_REQUESTS(10, 0, -1, -1)},
    {"x-ratelimit-limit-images: 10\n", RATE_NONE, NOTHING},

    // Generic: the reset is whatever its size says.
    {"X-RateLimit-Limit: 100\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 30\n", RATE_GENERIC, ONLY_REQUESTS(100, 0, 30000, -1)},
    {"X-Rate-Limit-Limit: 100, 100;w=60\n", RATE_GENERIC, ONLY_REQUESTS(100, -1, -1, -1)},
    {DATE "X-RateLimit-Reset: 2000000000\n", RATE_GENERIC, ONLY_REQUESTS(-1, -1, INT64_C(2000000000000) - DATE_MS, -1)},
    {"X-RateLimit-Reset: 1764000042\n", RATE_GENERIC, ONLY_REQUESTS(-1, -1, 42000, -1)},
    {"X-RateLimit-Reset: 1764000042.5\n", RATE_GENERIC, ONLY_REQUESTS(-1, -1, 42500, -1)},
    {"X-RateLimit-Reset: 1764000042123\n", RATE_GENERIC, ONLY_REQUESTS(-1, -1, 42123, -1)},
    {"X-RateLimit-Reset: 1763999999\n", RATE_GENERIC, ONLY_REQUESTS(-1, -1, 0, -1)},
    {"X-RateLimit-Reset: 1.5s\n", RATE_GENERIC, ONLY_REQUESTS(-1, -1, 1500, -1)},
    {"X-RateLimit-Reset: 2025-11-24T16:00:05Z\n", RATE_GENERIC, ONLY_REQUESTS(-1, -1, 5000, -1)},
    {"X-RateLimit-Reset: Mon, 24 Nov 2025 16:00:05 GMT\n", RATE_GENERIC, ONLY_REQUESTS(-1, -1, 5000, -1)},
    {"X-RateLimit-Reset: tomorrow\n", RATE_NONE, NOTHING},

    // The IETF's, in three drafts.
    {"RateLimit: \"default\";r=50;t=30\n", RATE_IETF, ONLY_REQUESTS(-1, 50, 30000, -1)},
    {"RateLimit-Policy: \"burst\";q=100;w=60,\"daily\";q=1000;w=86400\nRateLimit: \"daily\";r=900;t=70000, \"burst\";r=50;t=30\n", RATE_IETF, ONLY_REQUESTS(100, 50, 30000, 60000)},
    {"RateLimit: \"daily\";r=9;t=70000,\"burst\";r=50;t=30\nRateLimit-Policy: \"burst\";q=100;w=60\nRateLimit-Policy: \"daily\";q=1000;w=86400\n", RATE_IETF, ONLY_REQUESTS(1000, 9, 70000000, 86400000)},
    {"RateLimit: \"a\";r=0;t=5,\"b\";r=0;t=50\n", RATE_IETF, ONLY_REQUESTS(-1, 0, 50000, -1)},
    {"RateLimit: \"a, \\\"b;\";r=3;t=5\nRateLimit-Policy: \"a, \\\"b;\";q=7;w=10\n", RATE_IETF, ONLY_REQUESTS(7, 3, 5000, 10000)},
    {"RateLimit: \"a\" ; r=3 ; t=5 ; pk=:Zm9v:\n", RATE_IETF, ONLY_REQUESTS(-1, 3, 5000, -1)},
    {"RateLimit-Policy: \"bytes\";q=9;qu=\"content-bytes\";w=60,\"req\";q=50;w=60;qu=\"requests\"\nRateLimit: \"bytes\";r=1;t=5,\"req\";r=40;t=6\n", RATE_IETF, ONLY_REQUESTS(50, 40, 6000, 60000)},
    {"RateLimit-Policy: \"p\";q=100;w=60\n", RATE_IETF, ONLY_REQUESTS(100, -1, -1, 60000)},
    {"RateLimit-Policy: \"p\";q=100;w=60;qu=\"content-bytes\"\n", RATE_NONE, NOTHING},
    {"RateLimit: limit=100, remaining=50, reset=30\nRateLimit-Policy: 100;w=60\n", RATE_IETF, ONLY_REQUESTS(100, 50, 30000, 60000)},
    {"RateLimit-Limit: 100, 100;w=60\nRateLimit-Remaining: 50\nRateLimit-Reset: 30\n", RATE_IETF, ONLY_REQUESTS(100, 50, 30000, 60000)},
    {"RateLimit-Limit: 100\nRateLimit-Policy: 10;w=1, 100;w=60\n", RATE_IETF, ONLY_REQUESTS(100, -1, -1, 60000)},
    {"RateLimit: \"unclosed;r=1\nRateLimit-Reset: soon\nRateLimit-Policy: ,,;\n", RATE_NONE, NOTHING},

    // Of several dialects the one that says most counts, in whatever order they come.
    {"x-ratelimit-limit: 9\nratelimit-limit: 8\nx-ratelimit-limit-requests: 7\nanthropic-ratelimit-requests-limit: 6\n", RATE_ANTHROPIC, ONLY_REQUESTS(6, -1, -1, 60000)},
    {"anthropic-ratelimit-requests-limit: 6\nx-ratelimit-limit-requests: 7\nx-ratelimit-limit-tokens: 7\nratelimit-limit: 8\nx-ratelimit-limit: 9\n", RATE_ANTHROPIC, ONLY_REQUESTS(6, -1, -1, 60000)},
    {"x-ratelimit-remaining-project-tokens: 1\nanthropic-ratelimit-tokens-remaining: 6\n", RATE_ANTHROPIC, ONLY_TOKENS(-1, 6, -1, -1)},
    {"x-ratelimit-limit: 9\nratelimit-limit: 8\n", RATE_IETF, ONLY_REQUESTS(8, -1, -1, -1)},
};
// clang-format on

static bool limits_are_equal(const char *headers, const char *which, struct rate_limit got,
                             struct rate_limit want)
{
    if (got.limit == want.limit && got.remaining == want.remaining &&
        got.reset_ms == want.reset_ms && got.window_ms == want.window_ms)
        return true;
    print_error("%s: %s is %lld %lld %lld %lld, expected %lld %lld %lld %lld\n", headers, which,
                (long long)got.limit, (long long)got.remaining, (long long)got.reset_ms,
                (long long)got.window_ms, (long long)want.limit, (long long)want.remaining,
                (long long)want.reset_ms, (long long)want.window_ms);
    return false;
}

static void every_dialect_is_read(void **state)
{
    (void)state;
    int bad = 0;
    for (size_t i = 0; i < ARRAY_LEN(rate_cases); i++) {
        const struct rate_case *c = &rate_cases[i];
        struct http_answer a = answer_of(200, c->headers);
        struct rate_headers got;
        memset(&got, 0x5A, sizeof got);
        rate_headers_read(&a, NOW_MS, &got);
        if (got.family != c->family) {
            print_error("%s: is %s, expected %s\n", c->headers, rate_family_word(got.family),
                        rate_family_word(c->family));
            bad++;
        }
        bad += !limits_are_equal(c->headers, "requests", got.requests, c->requests);
        bad += !limits_are_equal(c->headers, "input", got.input, c->input);
        bad += !limits_are_equal(c->headers, "output", got.output, c->output);
        bad += !limits_are_equal(c->headers, "tokens", got.tokens, c->tokens);
        strbuf_fini(&a.headers);
    }
    assert_int_equal(bad, 0);
}

static void a_list_without_end_is_read_in_part(void **state)
{
    (void)state;
    struct http_answer a = answer_of(429, "");
    struct rate_headers got;
    for (int i = 0; i < 500; i++)
        strbuf_add_fmt(&a.headers, "RateLimit-Policy: \"%d\";q=%d;w=1\n", i, i + 1);
    strbuf_add_str(&a.headers, "RateLimit: \"3\";r=2;t=1\n");
    rate_headers_read(&a, NOW_MS, &got);
    assert_int_equal(got.family, RATE_IETF);
    assert_int_equal(got.requests.limit, 4);
    strbuf_fini(&a.headers);
}

static void a_wait_is_found_in_its_order_and_believed_for_a_month(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *headers;
        int64_t ms;
    } cases[] = {
        {429, "", -1},
        {200, "retry-after: 3\n", 3000},
        {529, "Retry-After: 3\nretry-after-ms: 1\n", 1},
        {529, "Retry-After: 3\nretry-after-ms: 0\n", 3000},
        {529, "Retry-After: 3\nretry-after-ms: later\n", 3000},
        {503, DATE "Retry-After: Sun, 06 Nov 1994 08:50:37 GMT\n", 60000},
        {503, DATE "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\n", -1},
        {503, "Retry-After: Mon, 24 Nov 2025 16:00:05 GMT\n", 5000},
        {503, "Retry-After: 2025-11-24T16:00:05Z\n", -1}, // not a form that HTTP has
        {429, "X-RateLimit-Reset: 1764000007\n", 7000},
        {503, "X-RateLimit-Reset: 1764000007\n", -1},
        {429, "Retry-After: 0\nX-RateLimit-Reset: 7\n", 7000},
        {429, DATE "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\nX-RateLimit-Reset: 7\n", 7000},
        {429, "X-RateLimit-Reset: 1\nRateLimit: \"a\";r=0;t=9\n", 1000},
        {429, "RateLimit: \"a\";r=0;t=9\n", 9000},
        {429, "RateLimit: \"a\";r=1;t=9\n", -1},
        {429, "RateLimit-Remaining: 0\nRateLimit-Reset: 9\n", 9000},
        {503, "RateLimit: \"a\";r=0;t=9\n", -1},
        {429, "RateLimit: \"a\";r=0;t=999999999999\n", RATE_WAIT_MAX_MS},
        {429, "Retry-After: 2678401\n", RATE_WAIT_MAX_MS},
        {429, "retry-after-ms: 99999999999999999999\n", RATE_WAIT_MAX_MS},
        {429, "X-RateLimit-Reset: 9999999999\n", RATE_WAIT_MAX_MS},
        {429, "anthropic-ratelimit-tokens-reset: 2025-11-24T16:00:05Z\n", -1}, // full, not ready
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_answer a = answer_of(cases[i].status, cases[i].headers);
        int64_t got = rate_retry_after_ms(&a, NOW_MS);
        if (got != cases[i].ms)
            print_error("%s: %lld\n", cases[i].headers, (long long)got);
        assert_int_equal(got, cases[i].ms);
        strbuf_fini(&a.headers);
    }
}

static void families_have_words(void **state)
{
    (void)state;
    assert_string_equal(rate_family_word(RATE_NONE), "none");
    assert_string_equal(rate_family_word(RATE_ANTHROPIC), "anthropic");
    assert_string_equal(rate_family_word((enum rate_family)99), "?");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TAP("numbers of seconds round up", numbers_of_seconds_round_up),
        TAP("durations are Go's", durations_are_gos),
        TAP("RFC 3339 has fractions and offsets", rfc3339_has_fractions_and_offsets),
        TAP("HTTP dates come in three forms", http_dates_come_in_three_forms),
        TAP("a sentence may name a time", a_sentence_may_name_a_time),
        TAP("every dialect is read", every_dialect_is_read),
        TAP("a list without end is read in part", a_list_without_end_is_read_in_part),
        TAP("a wait is found in its order and believed for a month",
            a_wait_is_found_in_its_order_and_believed_for_a_month),
        TAP("families have words", families_have_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
