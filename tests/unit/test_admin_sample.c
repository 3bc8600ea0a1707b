// sample and view: what is reckoned from what Redis said, and how it is written as JSON. The run
// behind them is made up here: its views are tables, and a look is answered by the test.
#include "common/base/clock.h"
#include "common/base/err.h"
#include "tests/support/tap.h"
#include "worker/admin/admin_int.h"

#include <cjson/cJSON.h>
#include <hiredis/hiredis.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUES_MAX = 60, POOLS_MAX = 80 };
static const int64_t NOW = 1795521600000; // 2026-11-24 12:00 UTC

static struct {
    struct run_view run;
    struct queue_view queues[QUEUES_MAX];
    struct pool_view pools[POOLS_MAX];
    struct stats stats;
    struct stats_queue queue_stats[QUEUES_MAX];
    struct stats_pool pool_stats[POOLS_MAX];
    uint64_t mono_ms;
    // the look that waits for its answer
    char asked[LOOK_ITEMS_MAX][2][80];
    size_t asked_count;
    run_heard heard;
    void *arg;
} fake;
static struct admin admin;
static struct conf conf = {.prefix = "penstock", .concurrency = 10};

uint64_t clock_mono_ms(void)
{
    return fake.mono_ms;
}
uint64_t clock_mono_us(void)
{
    return fake.mono_ms * 1000;
}
int64_t clock_wall_ms(void)
{
    return NOW;
}
void run_see(const struct run *r, struct run_view *ret)
{
    (void)r;
    *ret = fake.run;
}
bool run_see_queue(const struct run *r, size_t i, struct queue_view *ret)
{
    (void)r;
    if (i < fake.run.queues)
        *ret = fake.queues[i];
    return i < fake.run.queues;
}
bool run_see_pool(const struct run *r, size_t i, struct pool_view *ret)
{
    (void)r;
    if (i < fake.run.pools)
        *ret = fake.pools[i];
    return i < fake.run.pools;
}
const struct stats *run_stats(const struct run *r)
{
    (void)r;
    return &fake.stats;
}
bool run_is_ready(const struct run *r)
{
    (void)r;
    return true;
}
int run_look(struct run *r, const char *const items[][4], size_t count, run_heard heard, void *arg)
{
    (void)r;
    for (size_t i = 0; i < count; i++)
        for (int k = 0; k < 2; k++)
            snprintf(fake.asked[i][k], sizeof fake.asked[i][k], "%s", items[i][k]);
    fake.asked_count = count;
    fake.heard = heard;
    fake.arg = arg;
    return 0;
}

size_t events_watchers(const struct admin *a)
{
    return a->watchers.count;
}
void admin_gone(struct admin *a)
{
    (void)a;
}

// ------------------------------------------------------------------------------------ the stage

static int stage(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    memset(&admin, 0, sizeof admin);
    fake.mono_ms = 1000000;
    fake.run = (struct run_view){
        .worker = "w", .provider = "p", .redis = "r", .redis_up = true, .now = NOW};
    admin.conf = &conf;
    list_init(&admin.watchers);
    return 0;
}

static int clear(void **state)
{
    (void)state;
    sample_fini(&admin);
    return 0;
}

static struct queue_view *add_queue(const char *name, int64_t waiting, int64_t weight)
{
    size_t i = fake.run.queues++;
    fake.queues[i] = (struct queue_view){.name = name,
                                         .stem = name,
                                         .waiting = waiting,
                                         .weight = weight,
                                         .next_due_ms = -1,
                                         .stats = &fake.queue_stats[i]};
    return &fake.queues[i];
}

static struct pool_view *add_pool(const char *name)
{
    size_t i = fake.run.pools++;
    fake.pools[i] =
        (struct pool_view){.name = name, .key = name, .cause = "", .stats = &fake.pool_stats[i]};
    return &fake.pools[i];
}

static void begin(void)
{
    assert_int_equal(sample_init(&admin), 0);
}

// answer lets so many ms go by, takes a sample and answers it with what a Redis would say: RESP.
static void answer(uint64_t ms, const char *resp)
{
    void *reply = NULL;
    redisReader *reader = redisReaderCreate();
    fake.mono_ms += ms;
    fake.run.now += (int64_t)ms;
    sample_take(&admin, fake.mono_ms);
    assert_true(admin.sample.asking);
    redisReaderFeed(reader, resp, strlen(resp));
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    fake.heard(0, reply, fake.arg);
    freeReplyObject(reply);
    redisReaderFree(reader);
}

// succeeded is the answer about one queue of which so many jobs have succeeded, with no pool or
// run.
static const char *succeeded(int n, bool workers)
{
    static char text[400];
    snprintf(text, sizeof text, "*%d\r\n:1\r\n%s*3\r\n+\r\n*2\r\n+succeeded\r\n+%d\r\n*8\r\n%s",
             workers ? 3 : 2, workers ? "*0\r\n" : "", n,
             ":0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n");
    return text;
}

// finish lets n jobs a second end for so many seconds, each second looked at.
static int finish(int had, int n, int seconds)
{
    admin.watched_ms = fake.mono_ms;
    for (int i = 0; i < seconds; i++) {
        bool workers =
            !admin.sample.workers_ms || fake.mono_ms + 1000 - admin.sample.workers_ms >= 5000;
        had += n;
        admin.watched_ms = fake.mono_ms;
        answer(1000, succeeded(had, workers));
    }
    return had;
}

static void near(double got, double want, int line)
{
    if (fabs(got - want) > fabs(want) * 0.05 + 1e-9)
        fail_msg("line %d: %g, wanted %g", line, got, want);
}
#define assert_near(got, want) near(got, want, __LINE__)

// ------------------------------------------------------------------------------------ the pace

static void the_pace_of_the_first_seconds_is_that_of_the_work(void **state)
{
    (void)state;
    add_queue("q", 1000, 1);
    begin();
    finish(finish(0, 0, 1), 20, 3);
    assert_near(admin.sample.finished_s, 20);
    assert_near((double)sample_eta_ms(&admin), 50000);
}

static void a_later_change_of_pace_is_followed_within_a_minute(void **state)
{
    (void)state;
    add_queue("q", 1000, 1);
    begin();
    int had = finish(finish(0, 0, 1), 20, 30);
    had = finish(had, 10, 1);
    assert_true(admin.sample.finished_s > 18); // it does not jump
    finish(had, 10, 60);
    assert_near(admin.sample.finished_s, 10);
}

static void a_burst_after_a_long_first_call_is_not_taken_for_the_pace(void **state)
{
    (void)state;
    add_queue("q", 1000, 1);
    begin();
    finish(finish(0, 0, 60), 64, 1);
    assert_true(admin.sample.finished_s < 6);
}

static void a_counter_that_begins_again_is_no_pace_below_nothing(void **state)
{
    (void)state;
    add_queue("q", 1000, 1);
    begin();
    finish(finish(0, 0, 1), 20, 5);
    finish(0, 0, 2);
    assert_true(admin.sample.finished_s >= 0);
}

// ------------------------------------------------------------------------------------ the end

static void nothing_left_is_done_now(void **state)
{
    (void)state;
    add_queue("q", 0, 1);
    begin();
    assert_int_equal(sample_eta_ms(&admin), 0);
}

static void without_a_pace_or_a_quota_the_end_cannot_be_said(void **state)
{
    (void)state;
    add_queue("q", 10, 1);
    begin();
    assert_int_equal(sample_eta_ms(&admin), -1);
}

static void what_is_paused_is_not_counted_and_alone_has_no_end(void **state)
{
    (void)state;
    add_queue("paused", 1000, 1)->paused = true;
    struct queue_view *q = add_queue("q", 100, 1);
    begin();
    admin.sample.finished_s = 10;
    assert_int_equal(sample_eta_ms(&admin), 10000);
    q->waiting = 0;
    assert_int_equal(sample_eta_ms(&admin), -1);
}

static void it_is_not_done_before_the_last_job_is_due(void **state)
{
    (void)state;
    add_queue("q", 0, 1)->delayed = 3;
    begin();
    admin.sample.finished_s = 10;
    admin.sample.queues[0].due[6] = 3; // in five minutes to an hour
    assert_int_equal(sample_eta_ms(&admin), 300000);
}

static void a_shut_gate_is_waited_for_and_then_the_quota_is_the_pace(void **state)
{
    (void)state;
    add_queue("q", 600, 1);
    struct pool_view *p = add_pool("m");
    begin();
    admin.sample.pools[0] = (struct pool_sample){.limit = {60}, .at_ms = 1};
    assert_int_equal(sample_eta_ms(&admin), 600000);
    p->shut = true;
    p->shut_for_ms = 30000;
    assert_int_equal(sample_eta_ms(&admin), 630000);
    admin.sample.finished_s = 0.02; // what is left of a pace, while the gate is shut
    assert_int_equal(sample_eta_ms(&admin), 630000);
}

static void one_shut_gate_of_two_holds_nobody_up_for_good(void **state)
{
    (void)state;
    add_queue("q", 600, 1);
    struct pool_view *p = add_pool("m");
    add_pool("n");
    begin();
    p->shut = true;
    p->shut_for_ms = 3000000;
    admin.sample.finished_s = 1;
    admin.sample.pools[0] = admin.sample.pools[1] = (struct pool_sample){.limit = {60}, .at_ms = 1};
    assert_int_equal(sample_eta_ms(&admin), 600000);
}

static void a_limit_of_ones_own_is_the_quota_where_it_is_the_smaller(void **state)
{
    (void)state;
    add_queue("q", 600, 1);
    add_pool("m");
    begin();
    admin.sample.pools[0] = (struct pool_sample){.limit = {60}, .override = {30}, .at_ms = 1};
    assert_int_equal(sample_eta_ms(&admin), 1200000);
    admin.sample.pools[0].override[0] = 90;
    assert_int_equal(sample_eta_ms(&admin), 600000);
    admin.sample.pools[0].limit[0] = 0;
    assert_int_equal(sample_eta_ms(&admin), 400000);
}

static void more_than_a_year_is_no_answer(void **state)
{
    (void)state;
    add_queue("q", 1000000000, 1);
    begin();
    admin.sample.finished_s = 0.01;
    assert_int_equal(sample_eta_ms(&admin), -1);
}

// ------------------------------------------------------------------------------------ the quota

static void a_bucket_fills_with_time_up_to_its_brim_and_is_never_below_nothing(void **state)
{
    (void)state;
    struct pool_sample p = {.limit = {60}, .capacity = {10}, .left = {2}, .at = NOW};
    assert_near(sample_level(&p, KIND_requests, NOW), 2);
    assert_near(sample_level(&p, KIND_requests, NOW + 3000), 5);
    assert_near(sample_level(&p, KIND_requests, NOW + 60000), 10);
    assert_near(sample_level(&p, KIND_requests, NOW - 5000), 2);
    p.left[0] = -4;
    assert_near(sample_level(&p, KIND_requests, NOW), 0);
}

static void as_many_workers_are_useful_as_the_quota_feeds(void **state)
{
    (void)state;
    add_queue("q", 100000, 1);
    struct pool_view *p = add_pool("m");
    begin();
    // 1,200 requests a minute at 2 s a call: 40 calls at once, and a worker makes ten
    admin.sample.pools[0] = (struct pool_sample){.limit = {1200}, .latency_ms = 2000, .at_ms = 1};
    assert_near(sample_useful_workers(&admin), 4);
    // output tokens bind: 60,000 a minute at 400 a call are 150 calls a minute
    admin.sample.pools[0].limit[KIND_output] = 60000;
    admin.sample.pools[0].cost[KIND_output] = 400;
    assert_near(sample_useful_workers(&admin), 1);
    p->shut = true;
    p->shut_for_ms = 600000;
    assert_near(sample_useful_workers(&admin), 0);
}

static void no_more_workers_are_useful_than_there_are_jobs_for(void **state)
{
    (void)state;
    struct queue_view *q = add_queue("q", 25, 1);
    begin();
    assert_near(sample_useful_workers(&admin), 3); // no limit is known
    q->waiting = 0;
    assert_near(sample_useful_workers(&admin), 0);
}

static void twenty_pools_are_asked_for_in_turns(void **state)
{
    (void)state;
    static char names[20][8];
    add_queue("q", 1, 1);
    for (int i = 0; i < 20; i++) {
        snprintf(names[i], sizeof names[i], "m%d", i);
        add_pool(names[i]);
    }
    begin();
    bool seen[20] = {false};
    for (int turn = 0; turn < 2; turn++) {
        sample_take(&admin, fake.mono_ms += 10000);
        for (size_t i = 0; i < fake.asked_count; i++)
            if (strcmp(fake.asked[i][0], "hash") == 0)
                seen[strtoul(fake.asked[i][1] + 1, NULL, 10)] = true;
        fake.heard(ERR_LINK_DOWN, NULL, fake.arg);
    }
    for (int i = 0; i < 20; i++)
        assert_true(seen[i]);
}

// ------------------------------------------------------------------------------------ JSON

static cJSON *parsed(void (*view)(const struct admin *a, struct strbuf *b))
{
    struct strbuf b;
    strbuf_init(&b, PAGE_BYTES_MAX);
    view(&admin, &b);
    cJSON *got = cJSON_ParseWithLength(b.at, b.len);
    assert_non_null(got);
    strbuf_fini(&b);
    return got;
}

static void view_part(const struct admin *a, struct strbuf *b)
{
    view_queues(a, "team", 1, 2, b);
}

static void queues_are_filtered_and_paged(void **state)
{
    (void)state;
    static const char *const names[] = {"team-a", "other", "team-b", "team-c", "team-d"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        add_queue(names[i], 0, 1);
    begin();
    cJSON *got = parsed(view_part);
    assert_int_equal(cJSON_GetArraySize(got), 2);
    assert_string_equal(cJSON_GetObjectItem(cJSON_GetArrayItem(got, 0), "name")->valuestring,
                        "team-b");
    assert_string_equal(cJSON_GetObjectItem(cJSON_GetArrayItem(got, 1), "name")->valuestring,
                        "team-c");
    cJSON_Delete(got);
}

static void of_many_queues_those_with_work_or_trouble_come_first(void **state)
{
    (void)state;
    static char names[QUEUES_MAX][8];
    for (int i = 0; i < QUEUES_MAX; i++) {
        snprintf(names[i], sizeof names[i], "q%d", i);
        add_queue(names[i], 0, 1);
    }
    fake.queues[57].dead = 1;
    fake.queues[58].paused = true;
    fake.queues[59].waiting = 1;
    begin();
    cJSON *got = parsed(view_overview), *queues = cJSON_GetObjectItem(got, "queues");
    assert_int_equal(cJSON_GetArraySize(queues), 40);
    for (int i = 0; i < 3; i++)
        assert_string_equal(cJSON_GetObjectItem(cJSON_GetArrayItem(queues, i), "name")->valuestring,
                            names[57 + i]);
    assert_int_equal(cJSON_GetObjectItem(got, "queue_count")->valueint, QUEUES_MAX);
    cJSON_Delete(got);
}

static void what_strangers_write_comes_back_as_they_wrote_it(void **state)
{
    (void)state;
    static const char evil[] = "\"><script>\\u0000\n\x01\xff";
    add_queue("q", 0, 1)->paused = true;
    struct pool_view *p = add_pool("m");
    p->shut = true;
    p->cause = "auth";
    begin();
    snprintf(admin.sample.queues[0].paused, sizeof admin.sample.queues[0].paused, "%s", evil);
    snprintf(admin.sample.pools[0].why, sizeof admin.sample.pools[0].why, "%s", evil);
    cJSON *got = parsed(view_overview);
    cJSON *queue = cJSON_GetArrayItem(cJSON_GetObjectItem(got, "queues"), 0);
    const char *why = cJSON_GetObjectItem(queue, "why_paused")->valuestring;
    assert_memory_equal(why, evil, sizeof evil - 2); // but for the byte that is no UTF-8
    cJSON_Delete(got);
}

static void numbers_that_are_none_are_null(void **state)
{
    (void)state;
    struct strbuf b;
    strbuf_init(&b, 1000);
    double all[] = {NAN, INFINITY, -INFINITY, 0, 1e14, 0.1, 12345678, -3};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        view_num(&b, all[i]);
        strbuf_add_char(&b, ' ');
    }
    strbuf_add_char(&b, '\0');
    assert_string_equal(b.at, "null null null 0 100000000000000 0.1 12345678 -3 ");
    strbuf_fini(&b);
}

static double reserved(size_t pool)
{
    cJSON *got = parsed(view_pools);
    cJSON *quota = cJSON_GetObjectItem(cJSON_GetArrayItem(got, (int)pool), "quota");
    double n = cJSON_GetObjectItem(cJSON_GetObjectItem(quota, "requests"), "reserved")->valuedouble;
    cJSON_Delete(got);
    return n;
}

static void what_is_reserved_is_that_of_all_workers(void **state)
{
    (void)state;
    add_queue("q", 0, 1)->active = 30;
    add_pool("m")->calls = 10;
    begin();
    fake.run.sending = 10;
    admin.sample.pools[0] = (struct pool_sample){.limit = {60}, .capacity = {50}, .left = {5}};
    admin.sample.pools[1] = admin.sample.pools[0];
    assert_near(reserved(0), 30);
    fake.pools[0].calls = 8;
    add_pool("n")->calls = 2;
    assert_near(reserved(0), 24);
    assert_near(reserved(1), 6);
    admin.sample.pools[0].left[0] = 40; // no more than is missing
    assert_near(reserved(0), 10);
}

static void a_budget_of_yesterday_is_spent_no_more(void **state)
{
    (void)state;
    add_queue("q", 0, 1);
    add_pool("m");
    begin();
    struct pool_sample *p = &admin.sample.pools[0];
    *p = (struct pool_sample){.budget = {5}, .budget_spent = {3}, .budget_day = "2026-11-23"};
    for (int today = 0; today < 2; today++) {
        snprintf(p->budget_day, sizeof p->budget_day, "2026-11-2%d", 3 + today);
        cJSON *got = parsed(view_pools);
        cJSON *usd =
            cJSON_GetObjectItem(cJSON_GetObjectItem(cJSON_GetArrayItem(got, 0), "budgets"), "usd");
        assert_near(cJSON_GetObjectItem(usd, "spent")->valuedouble, today ? 3.0 : 0.0);
        cJSON_Delete(got);
    }
}

static void a_worker_that_is_silent_for_half_a_minute_is_told_so(void **state)
{
    (void)state;
    add_queue("q", 0, 1);
    begin();
    admin.sample.worker_count = 2;
    admin.sample.workers[0] = (struct worker_sample){.id = "a", .seen = NOW - 29000};
    admin.sample.workers[1] = (struct worker_sample){.id = "b", .seen = NOW - 31000};
    cJSON *got = parsed(view_workers);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(cJSON_GetArrayItem(got, 0), "alive")));
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(cJSON_GetArrayItem(got, 1), "alive")));
    cJSON_Delete(got);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, stage, clear)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(the_pace_of_the_first_seconds_is_that_of_the_work),
        CASE(a_later_change_of_pace_is_followed_within_a_minute),
        CASE(a_burst_after_a_long_first_call_is_not_taken_for_the_pace),
        CASE(a_counter_that_begins_again_is_no_pace_below_nothing),
        CASE(nothing_left_is_done_now),
        CASE(without_a_pace_or_a_quota_the_end_cannot_be_said),
        CASE(what_is_paused_is_not_counted_and_alone_has_no_end),
        CASE(it_is_not_done_before_the_last_job_is_due),
        CASE(a_shut_gate_is_waited_for_and_then_the_quota_is_the_pace),
        CASE(one_shut_gate_of_two_holds_nobody_up_for_good),
        CASE(a_limit_of_ones_own_is_the_quota_where_it_is_the_smaller),
        CASE(more_than_a_year_is_no_answer),
        CASE(a_bucket_fills_with_time_up_to_its_brim_and_is_never_below_nothing),
        CASE(as_many_workers_are_useful_as_the_quota_feeds),
        CASE(no_more_workers_are_useful_than_there_are_jobs_for),
        CASE(twenty_pools_are_asked_for_in_turns),
        CASE(queues_are_filtered_and_paged),
        CASE(of_many_queues_those_with_work_or_trouble_come_first),
        CASE(what_strangers_write_comes_back_as_they_wrote_it),
        CASE(numbers_that_are_none_are_null),
        CASE(what_is_reserved_is_that_of_all_workers),
        CASE(a_budget_of_yesterday_is_spent_no_more),
        CASE(a_worker_that_is_silent_for_half_a_minute_is_told_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
