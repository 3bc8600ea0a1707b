// test_sim_settings: what can be set, how it is read back, and phases that pass.
#include "common/base/err.h"
#include "tests/sim/ledger.h"
#include "tests/sim/phase.h"
#include "tests/sim/stats.h"
#include "tests/support/tap.h"

#include <stdlib.h>
#include <string.h>

static char why[WHY_MAX_BYTES];

static struct settings *fresh(void)
{
    static struct settings s;
    settings_init(&s);
    return &s;
}

static void shows(const struct settings *s, const char *name, const char *want)
{
    struct strbuf out;
    strbuf_init(&out, 4096);
    assert_true(settings_get(s, name, &out));
    assert_string_equal(out.at ? out.at : "", want);
    strbuf_fini(&out);
}

static void a_value_is_read_back_as_it_was_given(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *shown;
    } cases[] = {
        {"rpm", "600", "600"},
        {"burst_s", "0.5", "0.5"},
        {"latency", "450", "constant:450"},
        {"latency", "uniform:10-20", "uniform:10-20"},
        {"latency", "lognormal:450:0.7:100:3000", "lognormal:450:0.7:100:3000"},
        {"latency", "lognormal:450:0.7", "lognormal:450:0.7"},
        {"latency", "tokens:300:14", "tokens:300:14"},
        {"fail", "529=0.7,reset-mid=0.1", "529=0.7,reset-mid=0.1"},
        {"fail", "", "none"},
        {"headers", "ietf", "ietf"},
        {"retry-after", "ms", "ms"},
        {"trouble", "auth@a", "auth@a"},
        {"ramp", "10:1.3", "10:1.3"},
        {"limit", "claude-x:rpm=5,otpm=7", "none;claude-x:rpm=5,otpm=7"},
        {"otpm-precharge", "true", "true"},
        {"key", "a=sk-1,org=x", "a"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct settings *s = fresh();
        assert_int_equal(settings_set(s, cases[i].name, cases[i].value, why), 0);
        shows(s, cases[i].name, cases[i].shown);
    }
}

static void nonsense_is_refused_with_a_word_of_help(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"rpm", "x"},        {"rpm", "-1"},
        {"rpm", "nan"},      {"fill", "1.1"},
        {"latency", "fast"}, {"latency", "uniform:20-10"},
        {"latency", "5 ms"}, {"fail", "529"},
        {"fail", "529=2"},   {"fail", "529=.6,500=.6"},
        {"fail", "200=0.1"}, {"fail", "lightning=0.1"},
        {"headers", "all"},  {"trouble", "divorce"},
        {"limit", "rpm=5"},  {"limit", "m:cpm=5"},
        {"key", "noname"},   {"ramp", "10"},
        {"nothing", "1"},    {"require-key", "maybe"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct settings *s = fresh();
        why[0] = '\0';
        assert_int_equal(settings_set(s, cases[i][0], cases[i][1], why), ERR_BAD_CONF);
        assert_true(strlen(why) > 10);
    }
}

static void a_key_is_never_shown(void **state)
{
    (void)state;
    struct settings *s = fresh();
    struct strbuf out;
    strbuf_init(&out, 65536);
    assert_int_equal(settings_set(s, "key", "a=sk-secret", why), 0);
    settings_show(s, &out);
    assert_non_null(strstr(out.at, "\"key\":\"a\""));
    assert_null(strstr(out.at, "secret"));
    strbuf_fini(&out);
}

static struct scan_value object(const char *json)
{
    return scan_root(json, strlen(json));
}

static void a_phase_sets_back_what_it_changed_and_nothing_else(void **state)
{
    (void)state;
    struct settings *s = fresh();
    struct phases p = {.count = 0};
    assert_int_equal(settings_set(s, "fail", "500=0.1", why), 0);
    assert_int_equal(phase_apply(&p, s, object("{\"fail\":{\"529\":0.7},\"rpm\":60,\"for_ms\":5}"),
                                 5000, 100, why),
                     0);
    shows(s, "fail", "529=0.7");
    assert_int_equal(settings_set(s, "itpm", "77", why), 0);
    assert_int_equal(phases_next(&p), 5100);
    assert_false(phases_run(&p, s, 5099));
    assert_true(phases_run(&p, s, 5100));
    shows(s, "fail", "500=0.1");
    shows(s, "rpm", "0");
    shows(s, "itpm", "77");
    assert_true(phases_next(&p) == UINT64_MAX);
}

static void a_later_phase_waits_and_may_pass_again(void **state)
{
    (void)state;
    struct settings *s = fresh();
    struct phases p = {.count = 0};
    assert_int_equal(phase_later(&p, s, object("{\"rpm\":300}"), 8000, 2000, why), 0);
    shows(s, "rpm", "0");
    assert_true(phases_run(&p, s, 8001));
    shows(s, "rpm", "300");
    assert_true(phases_run(&p, s, 10001));
    shows(s, "rpm", "0");
    phases_clear(&p);
}

static void a_change_is_made_as_a_whole_or_not_at_all(void **state)
{
    (void)state;
    struct settings *s = fresh();
    struct phases p = {.count = 0};
    assert_int_equal(phase_apply(&p, s, object("{\"rpm\":60,\"itpm\":-5}"), 0, 0, why),
                     ERR_BAD_CONF);
    shows(s, "rpm", "0");
    assert_int_equal(phase_apply(&p, s, object("{\"seed\":60}"), 0, 0, why), ERR_BAD_CONF);
    assert_int_equal(phase_later(&p, s, object("{\"itpm\":-5}"), 9, 0, why), ERR_BAD_CONF);
    assert_int_equal(p.count, 0);
}

static void grouped_as(const char *model, const char *want)
{
    struct strbuf out;
    strbuf_init(&out, 256);
    ledger_group_of(span_of(model), false, &out);
    assert_string_equal(out.at, want);
    strbuf_fini(&out);
}

static void models_are_pooled_as_the_api_pools_them(void **state)
{
    (void)state;
    grouped_as("claude-opus-4-6", "claude-opus-4.x");
    grouped_as("claude-sonnet-4-5-20250929", "claude-sonnet-4.x");
    grouped_as("claude-haiku-4-5-20251001", "claude-haiku-4-5");
    grouped_as("claude-sonnet-5", "claude-sonnet-5");
    grouped_as("claude-fable-5-2", "claude-fable-5.x");
    grouped_as("my-model-20251", "my-model-20251");
}

static void keys_of_one_organisation_share_a_quota_and_others_do_not(void **state)
{
    (void)state;
    struct settings *s = fresh();
    struct ledger l;
    assert_int_equal(settings_set(s, "key", "a=k1,org=x", why), 0);
    assert_int_equal(settings_set(s, "key", "b=k2,org=x", why), 0);
    assert_int_equal(settings_set(s, "limit", "claude-haiku-4-5:rpm=5", why), 0);
    assert_int_equal(settings_set(s, "rpm", "100", why), 0);
    ledger_init(&l);
    uint32_t a = ledger_account(&l, s, span_of("k1")), b = ledger_account(&l, s, span_of("k2"));
    uint32_t c = ledger_account(&l, s, span_of("k3"));
    uint32_t m = ledger_model(&l, s, span_of("claude-sonnet-4-5"));
    uint32_t n = ledger_model(&l, s, span_of("claude-haiku-4-5"));
    struct gate *g = ledger_gate(&l, s, a, m, 0);
    assert_ptr_equal(g, ledger_gate(&l, s, b, m, 0));
    assert_ptr_not_equal(g, ledger_gate(&l, s, c, m, 0));
    assert_true(g->limiter.shown[DIM_REQUESTS].per_min == 100);
    assert_true(ledger_gate(&l, s, a, n, 0)->limiter.shown[DIM_REQUESTS].per_min == 5);
    assert_string_equal(l.accounts[a].name, "a");
    assert_int_equal(strncmp(l.accounts[c].name, "key-", 4), 0);
    ledger_fini(&l);
}

static void the_busiest_second_is_found_to_the_millisecond(void **state)
{
    (void)state;
    static struct peak p;
    for (uint64_t ms = 500; ms < 1500; ms += 10) // 100 within one second, across a border
        peak_note(&p, ms);
    assert_int_equal(p.most, 100);
    peak_note(&p, 1500); // the one at 500 has just left
    assert_int_equal(p.most, 100);
    peak_note(&p, 1501);
    assert_int_equal(p.most, 101);
    peak_note(&p, 99999);
    assert_int_equal(p.sum, 1);
    assert_int_equal(p.most, 101);
}

static void a_question_answered_twice_is_told_from_a_new_one(void **state)
{
    (void)state;
    struct stats s;
    stats_init(&s, 16);
    for (uint64_t i = 1; i <= 20000; i++)
        assert_false(stats_answered_before(&s, i * 0x9E3779B97F4A7C15u));
    for (uint64_t i = 1; i <= 20000; i++)
        assert_true(stats_answered_before(&s, i * 0x9E3779B97F4A7C15u));
    stats_reset(&s, 0);
    assert_false(stats_answered_before(&s, 0x9E3779B97F4A7C15u));
    stats_fini(&s);
}

static void the_log_forgets_the_oldest_first(void **state)
{
    (void)state;
    struct stats s;
    stats_init(&s, 16);
    for (int i = 0; i < 20; i++)
        stats_arrive(&s, (uint64_t)i);
    assert_null(stats_record(&s, 4));
    assert_int_equal(stats_record(&s, 5)->start_us, 4);
    assert_int_equal(stats_record(&s, 20)->start_us, 19);
    assert_null(stats_record(&s, 21));
    assert_null(stats_record(&s, 0));
    stats_reset(&s, 20);
    assert_null(stats_record(&s, 20));
    assert_int_equal(s.in_flight, 20);
    stats_fini(&s);
}

static const struct CMUnitTest tests[] = {
    TAP("a value is read back as it was given", a_value_is_read_back_as_it_was_given),
    TAP("nonsense is refused with a word of help", nonsense_is_refused_with_a_word_of_help),
    TAP("a key is never shown", a_key_is_never_shown),
    TAP("a phase sets back what it changed and nothing else",
        a_phase_sets_back_what_it_changed_and_nothing_else),
    TAP("a later phase waits and may pass again", a_later_phase_waits_and_may_pass_again),
    TAP("a change is made as a whole or not at all", a_change_is_made_as_a_whole_or_not_at_all),
    TAP("models are pooled as the API pools them", models_are_pooled_as_the_api_pools_them),
    TAP("keys of one organisation share a quota and others do not",
        keys_of_one_organisation_share_a_quota_and_others_do_not),
    TAP("the busiest second is found to the millisecond",
        the_busiest_second_is_found_to_the_millisecond),
    TAP("a question answered twice is told from a new one",
        a_question_answered_twice_is_told_from_a_new_one),
    TAP("the log forgets the oldest first", the_log_forgets_the_oldest_first),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
