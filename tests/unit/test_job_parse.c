// test_job_parse: what is a job, and what each field becomes. What is none: test_job_fault.c.
#include "tests/unit/job_try.h"

#include <stdio.h>

static void the_least_job_is_a_prompt(void **state)
{
    static const char payload[] = "{\"prompt\":\"Tell me a short story about a robot\"}";
    (void)state;
    accept_job(payload);
    assert_int_equal(job.form, JOB_PROMPT);
    assert_span(job.payload, payload);
    assert_span(job.content, "\"Tell me a short story about a robot\"");
    assert_span(job.id, "");
    assert_span(job.model, "");
    assert_span(job.messages, "");
    assert_span(job.reply_to, "");
    assert_span(job.run, "");
    assert_span(job.meta, "");
#define XX(name) assert_span(job.name, "");
    JOB_API_MAP(XX)
#undef XX
    assert_int_equal(job.max_tokens, 0);
    assert_false(job.has_max_tokens);
    const int64_t absent[] = {job.pushed_at, job.run_at,     job.delay_ms,     job.expires_at,
                              job.ttl_ms,    job.timeout_ms, job.max_attempts, job.max_throttles};
    for (size_t i = 0; i < ARRAY_LEN(absent); i++)
        assert_int_equal(absent[i], -1);
}

static void every_field_beside_a_prompt_is_read(void **state)
{
    (void)state;
    accept_job(
        " { \"id\":\"a.B_c:9-\", \"prompt\":\"hi\\n\", \"model\":\"org/claude@1:b\",\n"
        "\"max_tokens\":1e3,\"system\":[{\"type\":\"text\"}],\"temperature\":0.5,\"top_p\":1,"
        "\"top_k\":40,\"stop_sequences\":[\"x\"],\"tools\":[ ],\"tool_choice\":{\"type\":\"any\"},"
        "\"thinking\":{},\"metadata\":{\"user_id\":null},\"pushed_at\":1764000000000,"
        "\"run_at\":1764000000001,\"ttl_ms\":60000,\"timeout_ms\":1,\"max_attempts\":3,"
        "\"max_throttles\":0,\"reply_to\":\"r-1\",\"run\":\"n.1\",\"meta\":[1, 2 ],"
        "\"x_note\":{\"any\":1}}");
    assert_int_equal(job.form, JOB_PROMPT);
    assert_span(job.id, "a.B_c:9-");
    assert_span(job.content, "\"hi\\n\"");
    assert_span(job.model, "org/claude@1:b");
    assert_int_equal(job.max_tokens, 1000);
    assert_true(job.has_max_tokens);
    assert_span(job.system, "[{\"type\":\"text\"}]");
    assert_span(job.temperature, "0.5");
    assert_span(job.top_p, "1");
    assert_span(job.top_k, "40");
    assert_span(job.stop_sequences, "[\"x\"]");
    assert_span(job.tools, "[ ]");
    assert_span(job.tool_choice, "{\"type\":\"any\"}");
    assert_span(job.thinking, "{}");
    assert_span(job.metadata, "{\"user_id\":null}");
    assert_true(job.pushed_at == 1764000000000);
    assert_true(job.run_at == 1764000000001);
    assert_int_equal(job.delay_ms, -1);
    assert_int_equal(job.expires_at, -1);
    assert_int_equal(job.ttl_ms, 60000);
    assert_int_equal(job.timeout_ms, 1);
    assert_int_equal(job.max_attempts, 3);
    assert_int_equal(job.max_throttles, 0);
    assert_span(job.reply_to, "r-1");
    assert_span(job.run, "n.1");
    assert_span(job.meta, "[1, 2 ]");
}

static void messages_are_kept_raw(void **state)
{
    (void)state;
    accept_job("{\"messages\": [ {\"role\":\"user\",\"content\":\"a ] } b\"} ] ,\"delay_ms\":0,"
               "\"expires_at\":0}");
    assert_int_equal(job.form, JOB_MESSAGES);
    assert_span(job.content, "[ {\"role\":\"user\",\"content\":\"a ] } b\"} ]");
    assert_span(job.messages, ""); // only of a request
    assert_int_equal(job.delay_ms, 0);
    assert_int_equal(job.expires_at, 0);
}

static void a_request_is_looked_into_for_what_concerns_us(void **state)
{
    (void)state;
    accept_job(
        "{\"request\":{\"model\":\"m-1\",\"max_tokens\":5,\"messages\":[{}],\"stream\":false,"
        "\"system\":\"s\",\"tools\":5,\"unknown\":1,\"unknown\":2},\"id\":\"i\",\"meta\":null,"
        "\"x_a\":1,\"x_b\":2}");
    assert_int_equal(job.form, JOB_REQUEST);
    assert_true(job.content.len > 0 && job.content.at[0] == '{');
    assert_span(job.model, "m-1");
    assert_int_equal(job.max_tokens, 5);
    assert_true(job.has_max_tokens);
    assert_span(job.messages, "[{}]");
    assert_span(job.system, ""); // inside the request; not ours
    assert_span(job.id, "i");
    assert_span(job.meta, "null");
}

static void a_request_may_leave_model_and_max_tokens_to_us(void **state)
{
    (void)state;
    accept_job("{\"request\":{\"messages\":[0]}}");
    assert_span(job.model, "");
    assert_int_equal(job.max_tokens, 0);
    assert_false(job.has_max_tokens);
}

static void a_request_with_max_tokens_zero_is_told_from_one_without(void **state)
{
    (void)state;
    accept_job("{\"request\":{\"messages\":[0],\"max_tokens\":0}}");
    assert_int_equal(job.max_tokens, 0);
    assert_true(job.has_max_tokens);
}

static void names_written_with_escapes_are_read_all_the_same(void **state)
{
    (void)state;
    accept_job(
        "{\"\\u0069d\":\"a\\u003ab\",\"prom\\u0070t\":\"x\",\"model\":\"anthropic\\/claude\","
        "\"reply_to\":\"\\u0072\",\"run\":\"r\\u002d1\"}");
    assert_span(job.id, "a:b");
    assert_span(job.content, "\"x\"");
    assert_span(job.model, "anthropic/claude");
    assert_span(job.reply_to, "r");
    assert_span(job.run, "r-1");
    accept_job("{\"request\":{\"m\\u006fdel\":\"a\\/b\",\"messages\":[1]}}");
    assert_span(job.model, "a/b");
}

static void names_may_be_as_long_as_they_may_be(void **state)
{
    char payload[1600], id[129], name[65];
    (void)state;
    memset(id, 'i', 128);
    memset(name, 'n', 64);
    id[128] = name[64] = '\0';
    snprintf(payload, sizeof payload,
             "{\"id\":\"%s\",\"model\":\"%s\",\"reply_to\":\"%s\",\"run\":\"%s\",\"prompt\":\"x\"}",
             id, id, name, name);
    accept_job(payload);
    assert_span(job.id, id);
    assert_span(job.model, id);
    assert_span(job.reply_to, name);
    assert_span(job.run, name);
    char escaped[128 * 6 + 1] = "";
    for (int i = 0; i < 128; i++)
        memcpy(escaped + 6 * i, "\\u0069", 6);
    snprintf(payload, sizeof payload, "{\"id\":\"%s\",\"prompt\":\"x\"}", escaped);
    accept_job(payload);
    assert_span(job.id, id);
}

static void other_jobs_that_are_good(void **state)
{
    static const char *const good[] = {
        "{\"prompt\":\" \"}",
        "{\"prompt\":\"\\u0000 is allowed in a prompt\"}",
        "{\"prompt\":\"\xF0\x9F\x98\x80\"}",
        "{\"prompt\":\"x\",\"system\":\"\"}",
        "{\"prompt\":\"x\",\"system\":[]}",
        "{\"prompt\":\"x\",\"top_k\":-1}",
        "{\"prompt\":\"x\",\"temperature\":-0.0}",
        "{\"prompt\":\"x\",\"temperature\":1}",
        "{\"prompt\":\"x\",\"max_tokens\":10000000}",
        "{\"prompt\":\"x\",\"max_tokens\":1.0}",
        "{\"prompt\":\"x\",\"pushed_at\":0,\"run_at\":253402300799999}",
        "{\"prompt\":\"x\",\"delay_ms\":315360000000,\"ttl_ms\":315360000000}",
        "{\"prompt\":\"x\",\"run_at\":1,\"ttl_ms\":0}",
        "{\"prompt\":\"x\",\"delay_ms\":1,\"expires_at\":1}",
        "{\"prompt\":\"x\",\"timeout_ms\":86400000}",
        "{\"prompt\":\"x\",\"max_attempts\":1000000000,\"max_throttles\":1000000000}",
        "{\"prompt\":\"x\",\"meta\":\"\\u0000\"}",
        "{\"prompt\":\"x\",\"meta\":{\"a\":1,\"a\":2}}",
        "{\"prompt\":\"x\",\"x_\":1,\"x_\\u0000\":2}",
        "{\"prompt\":\"x\",\"\\u0078_note\":1,\"x_notes\":1}",
        "\t\r\n {\"prompt\":\"x\"}\n",
        "{\"request\":{\"messages\":[ {} ]},\"run_at\":5,\"pushed_at\":1,\"expires_at\":9}",
        "{\"request\":{\"messages\":[1]},\"timeout_ms\":9,\"max_attempts\":9,\"max_throttles\":9}",
        "{\"request\":{\"messages\":[1],\"max_tokens\":10000000,\"thinking\":null,\"stop\":1}}",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        accept_job(good[i]);
}

static void a_hundred_levels_are_allowed_and_no_more(void **state)
{
    char payload[300] = "{\"prompt\":\"x\",\"meta\":";
    size_t len = strlen(payload);
    (void)state;
    memset(payload + len, '[', 99);
    memset(payload + len + 99, ']', 99);
    memcpy(payload + len + 198, "}", 2);
    accept_job(payload);
    assert_int_equal(job.meta.len, 198);
    memset(payload + len, '[', 100);
    memset(payload + len + 100, ']', 100);
    memcpy(payload + len + 200, "}", 2);
    assert_int_equal(try_job(payload), ERR_BAD_JOB);
    assert_non_null(strstr(fault.why, "100 levels"));
}

static void a_payload_may_be_as_large_as_its_ceiling(void **state)
{
    static const char payload[] = "{\"prompt\":\"x\"}";
    (void)state;
    assert_int_equal(try_bytes(payload, sizeof payload - 1, sizeof payload - 1), 0);
    assert_int_equal(try_bytes(payload, sizeof payload - 1, sizeof payload - 2), ERR_BAD_JOB);
}

static void success_leaves_the_fault_alone(void **state)
{
    struct job_fault before;
    (void)state;
    memset(&before, 0xA5, sizeof before);
    accept_job("{\"prompt\":\"x\",\"x_a\":1,\"x_b\":1}");
    assert_memory_equal(&fault, &before, sizeof fault);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TAP("the least job is a prompt, and all else is absent", the_least_job_is_a_prompt),
        TAP("every field beside a prompt is read", every_field_beside_a_prompt_is_read),
        TAP("messages are kept raw", messages_are_kept_raw),
        TAP("a request is looked into for what concerns us",
            a_request_is_looked_into_for_what_concerns_us),
        TAP("a request may leave model and max_tokens to us",
            a_request_may_leave_model_and_max_tokens_to_us),
        TAP("a request with max_tokens 0 is told from one without",
            a_request_with_max_tokens_zero_is_told_from_one_without),
        TAP("names written with escapes are read all the same",
            names_written_with_escapes_are_read_all_the_same),
        TAP("names may be as long as they may be", names_may_be_as_long_as_they_may_be),
        TAP("other jobs that are good", other_jobs_that_are_good),
        TAP("a hundred levels are allowed and no more", a_hundred_levels_are_allowed_and_no_more),
        TAP("a payload may be as large as its ceiling", a_payload_may_be_as_large_as_its_ceiling),
        TAP("success leaves the fault alone", success_leaves_the_fault_alone),
    };
    return cmocka_run_group_tests_name("job_parse", tests, NULL, NULL);
}
