// test_job_fault: what is no job, which field is blamed and in what words, and what can be read of
// a bad job all the same.
#include "tests/unit/job_try.h"

#include <stdio.h>

struct bad {
    const char *payload, *field, *word;
};

// expect_bad holds of every fault: it is printable and one sentence, and names its field.
static void expect_bad(const struct bad *b)
{
    int err = try_job(b->payload);
    if (err != ERR_BAD_JOB || strcmp(fault.field, b->field) != 0 || !strstr(fault.why, b->word))
        fail_msg("%s: %d, '%s', '%s'; expected '%s', '%s'", b->payload, err, err ? fault.field : "",
                 err ? fault.why : "", b->field, b->word);
    for (const char *p = fault.why; *p; p++)
        assert_true(*p >= ' ' && *p < 0x7F);
    assert_true(strncmp(fault.why, fault.field, strlen(fault.field)) == 0);
    assert_true(strlen(fault.why) < sizeof fault.why - 1);
}

static void values_of_wrong_types(void **state)
{
    static const struct bad rows[] = {
        {"{\"prompt\":1}", "prompt", "is a number; it must be a string that is not empty"},
        {"{\"prompt\":null}", "prompt", "is null"},
        {"{\"prompt\":[\"x\"]}", "prompt", "is an array"},
        {"{\"prompt\":\"\"}", "prompt", "is empty; it must be a string that is not empty"},
        {"{\"messages\":\"hi\"}", "messages", "is a string; it must be an array"},
        {"{\"messages\":{}}", "messages", "is an object"},
        {"{\"messages\":[]}", "messages", "is empty; it must be an array of at least one"},
        {"{\"messages\":[ \n\t\r ]}", "messages", "is empty"},
        {"{\"request\":[]}", "request", "is an array; it must be an object"},
        {"{\"request\":null}", "request", "is null"},
        {"{\"prompt\":\"x\",\"id\":7}", "id", "is a number; it must be a string of 1 to 128"},
        {"{\"prompt\":\"x\",\"id\":null}", "id", "is null"},
        {"{\"prompt\":\"x\",\"model\":[]}", "model", "is an array"},
        {"{\"prompt\":\"x\",\"reply_to\":true}", "reply_to",
         "is true; it must be a string of 1 to 64"},
        {"{\"prompt\":\"x\",\"run\":false}", "run", "is false"},
        {"{\"prompt\":\"x\",\"max_tokens\":\"5\"}", "max_tokens", "is a string"},
        {"{\"prompt\":\"x\",\"temperature\":\"hot\"}", "temperature", "must be a number"},
        {"{\"prompt\":\"x\",\"top_p\":null}", "top_p", "must be a number"},
        {"{\"prompt\":\"x\",\"top_k\":\"1\"}", "top_k", "must be an integer"},
        {"{\"prompt\":\"x\",\"system\":{}}", "system", "a string or an array"},
        {"{\"prompt\":\"x\",\"system\":null}", "system", "is null"},
        {"{\"prompt\":\"x\",\"stop_sequences\":\"a\"}", "stop_sequences", "must be an array"},
        {"{\"prompt\":\"x\",\"tools\":{}}", "tools", "must be an array"},
        {"{\"prompt\":\"x\",\"tool_choice\":\"any\"}", "tool_choice", "must be an object"},
        {"{\"prompt\":\"x\",\"thinking\":true}", "thinking", "must be an object"},
        {"{\"prompt\":\"x\",\"metadata\":[]}", "metadata", "must be an object"},
        {"{\"prompt\":\"x\",\"run_at\":\"2026-11-24\"}", "run_at", "is a string"},
        {"{\"prompt\":\"x\",\"delay_ms\":null}", "delay_ms", "is null"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_bad(&rows[i]);
}

static void numbers_out_of_range(void **state)
{
    static const struct bad rows[] = {
        {"{\"prompt\":\"x\",\"max_tokens\":0}", "max_tokens",
         "is out of range; it must be an integer from 1 to 10000000"},
        {"{\"prompt\":\"x\",\"max_tokens\":-1}", "max_tokens", "out of range"},
        {"{\"prompt\":\"x\",\"max_tokens\":10000001}", "max_tokens", "out of range"},
        {"{\"prompt\":\"x\",\"max_tokens\":1e400}", "max_tokens", "out of range"},
        {"{\"prompt\":\"x\",\"max_tokens\":18446744073709551617}", "max_tokens", "out of range"},
        {"{\"prompt\":\"x\",\"max_tokens\":1.5}", "max_tokens", "is not a whole number"},
        {"{\"prompt\":\"x\",\"max_tokens\":1e-1}", "max_tokens", "is not a whole number"},
        {"{\"prompt\":\"x\",\"temperature\":1e400}", "temperature", "out of range"},
        {"{\"prompt\":\"x\",\"top_k\":9223372036854775808}", "top_k", "out of range"},
        {"{\"prompt\":\"x\",\"top_k\":0.5}", "top_k", "not a whole"},
        {"{\"prompt\":\"x\",\"pushed_at\":-1}", "pushed_at", "from 0 to 253402300799999"},
        {"{\"prompt\":\"x\",\"run_at\":253402300800000}", "run_at", "out of range"},
        {"{\"prompt\":\"x\",\"expires_at\":1e18}", "expires_at", "out of range"},
        {"{\"prompt\":\"x\",\"delay_ms\":-1}", "delay_ms", "from 0 to 315360000000"},
        {"{\"prompt\":\"x\",\"delay_ms\":315360000001}", "delay_ms", "out of range"},
        {"{\"prompt\":\"x\",\"ttl_ms\":315360000001}", "ttl_ms", "out of range"},
        {"{\"prompt\":\"x\",\"timeout_ms\":0}", "timeout_ms", "from 1 to 86400000"},
        {"{\"prompt\":\"x\",\"timeout_ms\":86400001}", "timeout_ms", "out of range"},
        {"{\"prompt\":\"x\",\"max_attempts\":0}", "max_attempts", "from 1 to 1000000000"},
        {"{\"prompt\":\"x\",\"max_throttles\":-1}", "max_throttles", "from 0 to 1000000000"},
        {"{\"prompt\":\"x\",\"max_throttles\":1000000001}", "max_throttles", "out of range"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_bad(&rows[i]);
}

#define CHARS_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void names_that_are_none(void **state)
{
    static const struct bad rows[] = {
        {"{\"prompt\":\"x\",\"id\":\"\"}", "id", "is empty"},
        {"{\"prompt\":\"x\",\"id\":\"" CHARS_64 CHARS_64 "1\"}", "id", "is too long"},
        {"{\"prompt\":\"x\",\"id\":\"\\u0031" CHARS_64 CHARS_64 "\"}", "id", "is too long"},
        {"{\"prompt\":\"x\",\"id\":\"a b\"}", "id", "character that is not allowed"},
        {"{\"prompt\":\"x\",\"id\":\"a/b\"}", "id", "character that is not allowed"},
        {"{\"prompt\":\"x\",\"id\":\"~01JDG3X4M5N6P7Q8R9S0T1V2W3\"}", "id", "not allowed"},
        {"{\"prompt\":\"x\",\"id\":\"a{b}\"}", "id", "not allowed"},
        {"{\"prompt\":\"x\",\"id\":\"\xC3\xA9\"}", "id", "not allowed"},
        {"{\"prompt\":\"x\",\"id\":\"a\\u0000\"}", "id", "not allowed"},
        {"{\"prompt\":\"x\",\"id\":\"\\u0000\"}", "id", "not allowed"},
        {"{\"prompt\":\"x\",\"id\":\"a\\n\"}", "id", "not allowed"},
        {"{\"prompt\":\"x\",\"reply_to\":\"a:b\"}", "reply_to", "not allowed"},
        {"{\"prompt\":\"x\",\"reply_to\":\"" CHARS_64 "1\"}", "reply_to", "is too long"},
        {"{\"prompt\":\"x\",\"reply_to\":\"\"}", "reply_to", "is empty"},
        {"{\"prompt\":\"x\",\"run\":\"a\\u0000\"}", "run", "not allowed"},
        {"{\"prompt\":\"x\",\"run\":\"a@b\"}", "run", "not allowed"},
        {"{\"prompt\":\"x\",\"model\":\"gpt 4\"}", "model", "not allowed"},
        {"{\"prompt\":\"x\",\"model\":\"m\\\\\"}", "model", "not allowed"},
        {"{\"prompt\":\"x\",\"model\":\"" CHARS_64 CHARS_64 "1\"}", "model", "is too long"},
        {"{\"prompt\":\"x\",\"model\":\"\"}", "model", "is empty"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_bad(&rows[i]);
}

static void fields_that_are_unknown_or_there_twice(void **state)
{
    static const struct bad rows[] = {
        {"{\"prompt\":\"x\",\"max_token\":5}", "max_token", "not a field of a job"},
        {"{\"prompt\":\"x\",\"Id\":\"a\"}", "Id", "not a field"},
        {"{\"prompt\":\"x\",\"\":1}", "", "an empty name is not a field"},
        {"{\"prompt\":\"x\",\"X_a\":1}", "X_a", "not a field"},
        {"{\"prompt\":\"x\",\"x\":1}", "x", "only names that begin with x_ are free"},
        {"{\"prompt\":\"x\",\"id\\u0000\":\"a\"}", "id?", "not a field"},
        {"{\"prompt\":\"x\",\"a\\u001b[31m b\":1}", "a?[31m?b", "not a field"},
        {"{\"prompt\":\"x\",\"\xC3\xA9\":1}", "??", "not a field"},
        {"{\"prompt\":\"x\",\"" CHARS_64 "\":1}",
         "0123456789abcdef0123456789abcdef0123456789abcdef", "not a field"},
        {"{\"prompt\":\"x\",\"\\u0030" CHARS_64 "\":1}",
         "00123456789abcdef0123456789abcdef0123456789abcde", "not a field"},
        {"{\"prompt\":\"x\",\"stream\":true}", "stream", "streaming is not available"},
        {"{\"prompt\":\"x\",\"stream\":false}", "stream", "streaming is not available"},
        {"{\"prompt\":\"x\",\"prompt\":\"x\"}", "prompt", "is there twice"},
        {"{\"prompt\":\"x\",\"id\":\"a\",\"id\":\"a\"}", "id", "is there twice"},
        {"{\"prompt\":\"x\",\"id\":\"a\",\"\\u0069d\":\"b\"}", "id", "is there twice"},
        {"{\"prompt\":\"x\",\"meta\":1,\"meta\":1}", "meta", "is there twice"},
        {"{\"x_a\":1,\"prompt\":\"x\",\"x_b\":1,\"x_a\":2}", "x_a", "is there twice"},
        {"{\"x_a\":1,\"prompt\":\"x\",\"\\u0078_a\":2}", "x_a", "is there twice"},
        {"{\"x_\xC3\xA9\":1,\"prompt\":\"x\",\"x_\\u00e9\":2}", "x_", "is there twice"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows) - 2; i++)
        expect_bad(&rows[i]);
    for (size_t i = ARRAY_LEN(rows) - 2; i < ARRAY_LEN(rows); i++) { // either spelling may be named
        assert_int_equal(try_job(rows[i].payload), ERR_BAD_JOB);
        assert_non_null(strstr(fault.why, "is there twice"));
    }
}

static void forms_that_do_not_go_together(void **state)
{
    static const struct bad rows[] = {
        {"{}", "", "none of prompt, messages and request"},
        {"{\"id\":\"a\",\"x_prompt\":\"x\"}", "", "none of prompt"},
        {"{\"prompt\":\"x\",\"messages\":[1]}", "messages", "cannot stand beside prompt"},
        {"{\"messages\":[1],\"prompt\":\"x\"}", "messages", "cannot stand beside prompt"},
        {"{\"request\":{\"messages\":[1]},\"prompt\":\"x\"}", "request",
         "cannot stand beside prompt"},
        {"{\"messages\":[1],\"request\":{\"messages\":[1]}}", "request", "beside messages"},
        {"{\"request\":{\"messages\":[1]},\"model\":\"m\"}", "model", "write it inside request"},
        {"{\"request\":{\"messages\":[1]},\"max_tokens\":5}", "max_tokens", "inside request"},
        {"{\"system\":\"s\",\"request\":{\"messages\":[1]}}", "system", "inside request"},
        {"{\"request\":{\"messages\":[1]},\"temperature\":1}", "temperature", "inside request"},
        {"{\"request\":{\"messages\":[1]},\"metadata\":{}}", "metadata", "inside request"},
        {"{\"prompt\":\"x\",\"run_at\":1,\"delay_ms\":1}", "delay_ms",
         "cannot stand beside run_at"},
        {"{\"prompt\":\"x\",\"delay_ms\":1,\"run_at\":1}", "delay_ms",
         "cannot stand beside run_at"},
        {"{\"prompt\":\"x\",\"ttl_ms\":1,\"expires_at\":1}", "ttl_ms", "beside expires_at"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_bad(&rows[i]);
}

static void faults_inside_a_request(void **state)
{
    static const struct bad rows[] = {
        {"{\"request\":{}}", "request.messages", "is missing; it must be an array of at least one"},
        {"{\"request\":{\"model\":\"m\"}}", "request.messages", "is missing"},
        {"{\"request\":{\"x\":{\"messages\":[1]}}}", "request.messages", "is missing"},
        {"{\"request\":{\"messages\":[]}}", "request.messages", "is empty"},
        {"{\"request\":{\"messages\":\"x\"}}", "request.messages", "is a string"},
        {"{\"request\":{\"messages\":[1],\"model\":\"a b\"}}", "request.model", "not allowed"},
        {"{\"request\":{\"messages\":[1],\"model\":null}}", "request.model", "is null"},
        {"{\"request\":{\"messages\":[1],\"max_tokens\":-1}}", "request.max_tokens", "from 0 to"},
        {"{\"request\":{\"messages\":[1],\"max_tokens\":\"1\"}}", "request.max_tokens",
         "is a string"},
        {"{\"request\":{\"messages\":[1],\"max_tokens\":10000001}}", "request.max_tokens", "range"},
        {"{\"request\":{\"messages\":[1],\"stream\":true}}", "request.stream", "streaming is not"},
        {"{\"request\":{\"messages\":[1],\"stream\":null}}", "request.stream", "is null"},
        {"{\"request\":{\"messages\":[1],\"stre\\u0061m\":true}}", "request.stream", "is true"},
        {"{\"request\":{\"messages\":[1],\"stream\":false,\"stream\":true}}", "request.stream",
         "twice"},
        {"{\"request\":{\"messages\":[1],\"messages\":[1]}}", "request.messages", "twice"},
        {"{\"request\":{\"messages\":[1],\"model\":\"m\",\"mode\\u006c\":\"n\"}}", "request.model",
         "twice"},
        {"{\"request\":{\"messages\":[1],\"max_tokens\":1,\"max_tokens\":1}}", "request.max_tokens",
         "twice"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_bad(&rows[i]);
}

static void payloads_that_are_no_object_of_strict_json(void **state)
{
    static const struct bad rows[] = {
        {"", "", "not strict JSON: there is no value at byte 0"},
        {"null", "", "the payload is null; a job is an object"},
        {"[{\"prompt\":\"x\"}]", "", "is an array; a job is an object"},
        {"\"prompt\"", "", "is a string"},
        {"hello", "", "a value was expected at byte 0"},
        {"{\"prompt\":\"x\"} {", "", "bytes after the value at byte 15"},
        {"{\"prompt\":\"x\",}", "", "a name in quotes"},
        {"{\"prompt\":\"a\nb\"}", "prompt", "control character in a string at byte 12"},
        {"{\"prompt\":\"\\ud83d\"}", "prompt", "lone surrogate escape"},
        {"{\"prompt\":\"\xFF\"}", "prompt", "not UTF-8"},
        {"{\"id\":\"a\",\"meta\":{\"x\":[1,\"\\\"},{\",tru]}}", "meta", "is not strict JSON"},
        {"{\"prompt\":\"x\",\"bogus\":tru}", "", "the payload is not strict JSON"},
        {"\xEF\xBB\xBF{\"prompt\":\"x\"}", "", "a byte-order mark at byte 0"},
        {"{\"prompt\":\"x\",\"max_tokens\":01}", "max_tokens", "leading zero"},
        {"{'prompt':'x'}", "", "a name in quotes"},
    };
    static const char nul[] = "{\"prompt\":\"x\"}\0";
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_bad(&rows[i]);
    assert_int_equal(try_bytes(nul, sizeof nul - 1, 100), ERR_BAD_JOB);
    assert_non_null(strstr(fault.why, "a NUL byte at byte 14"));
    assert_int_equal(fault.id.len + fault.reply_to.len + fault.run.len, 0);
}

static void a_payload_too_large_is_told_both_numbers(void **state)
{
    static const char payload[] = "{\"prompt\":\"xx\",\"id\":\"a\",\"reply_to\":\"r\"}";
    (void)state;
    assert_int_equal(try_bytes(payload, sizeof payload - 1, 30), ERR_BAD_JOB);
    assert_string_equal(fault.why, "the payload has 39 bytes; at most 30 are allowed");
    assert_string_equal(fault.field, "");
    assert_span(fault.id, "a"); // so that the producer hears of it
    assert_span(fault.reply_to, "r");
}

static void a_payload_far_too_large_is_not_even_read(void **state)
{
    size_t len = (32 << 20) + 1;
    char *payload = malloc(len);
    (void)state;
    assert_non_null(payload);
    int head = snprintf(payload, len, "{\"id\":\"a\",\"prompt\":\"");
    memset(payload + head, 'x', len - (size_t)head);
    memcpy(payload + len - 2, "\"}", 2);
    assert_int_equal(job_parse(payload, len, 4 << 20, &job, &fault), ERR_BAD_JOB);
    assert_string_equal(fault.why, "the payload has 33554433 bytes; at most 4194304 are allowed");
    assert_int_equal(fault.id.len, 0);
    assert_int_equal(job_parse(payload, len, len, &job, &fault), 0);
    free(payload);
}

static void what_is_good_in_a_bad_job_is_read_all_the_same(void **state)
{
    static const struct {
        const char *payload, *id, *reply_to, *run;
    } rows[] = {
        {"{\"max_tokens\":0,\"id\":\"a\",\"reply_to\":\"r\",\"run\":\"n\"}", "a", "r", "n"},
        {"{\"id\":\"a\",\"bogus\":1,\"reply_to\":\"r\",\"run\":\"n\"}", "a", "r", "n"},
        {"{\"id\":\"a b\",\"reply_to\":\"r\",\"run\":\"n\"}", "", "r", "n"},
        {"{\"id\":\"a\",\"reply_to\":\"r:\",\"run\":5}", "a", "", ""},
        {"{\"id\":\"a\",\"id\":\"b\",\"reply_to\":\"r\"}", "", "r", ""},
        {"{\"id\":5,\"id\":\"b\",\"reply_to\":\"r\",\"reply_to\":\"r\",\"run\":\"n\"}", "", "",
         "n"},
        {"{\"prompt\":\"x\",\"prompt\":\"x\",\"id\":\"\\u0061\",\"reply_to\":\"\\u0072\","
         "\"r\\u0075n\":\"n\"}",
         "", "", "n"},
        {"{\"request\":{\"id\":\"inside\"},\"run\":\"n\"}", "", "", "n"},
        {"{\"meta\":{\"id\":\"a\",\"reply_to\":\"r\"}}", "", "", ""},
        // No JSON from some byte on: what stands before it.
        {"{\"id\":\"a\",\"reply_to\":\"r\",\"run\":\"n\"", "a", "r", ""},
        {"{\"id\":\"a\",\"reply_to\":\"r\",\"run\":\"n\"} more", "a", "r", "n"},
        {"{\"id\":\"a\",\"prompt\":\"\xFF\",\"reply_to\":\"r\"}", "a", "", ""},
        {"{\"id\":\"a\",\"id\":\"b\",\"reply_to\":\"r\",\"x\":01", "", "r", ""},
        {" {\"id\" : \"a,{\\\"\", \"reply_to\":\"r\", nonsense", "", "r", ""},
        {"[{\"id\":\"a\",\"reply_to\":\"r\"},", "", "", ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(try_job(rows[i].payload), ERR_BAD_JOB);
        memset(&job, 0x5A, sizeof job); // the fault must not lean on the job
        assert_span(fault.id, rows[i].id);
        assert_span(fault.reply_to, rows[i].reply_to);
        assert_span(fault.run, rows[i].run);
    }
}

static void what_nests_too_deeply_is_named_and_the_rest_is_read(void **state)
{
    char payload[3000], deep[2101];
    static const int depths[] = {99, 100, 1000, 1050};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(depths); i++) {
        int n = depths[i];
        memset(deep, '[', (size_t)n);
        memset(deep + n, ']', (size_t)n);
        deep[2 * n] = '\0';
        snprintf(payload, sizeof payload,
                 "{\"id\":\"a\",\"meta\":%s,\"prompt\":\"x\",\"reply_to\":\"r\"}", deep);
        if (n < JOB_DEPTH_MAX) {
            accept_job(payload);
            continue;
        }
        assert_int_equal(try_job(payload), ERR_BAD_JOB);
        assert_string_equal(fault.field, "meta");
        assert_non_null(strstr(fault.why, "meta nests too deeply at byte 1"));
        assert_span(fault.id, "a");
        assert_span(fault.reply_to, n < SCAN_DEPTH_MAX ? "r" : "");
    }
}

static void the_meta_of_a_bad_job_is_read_and_a_made_up_name_is_marked(void **state)
{
    (void)state;
    assert_int_equal(try_job("{\"max_tokens\":0,\"meta\":{\"a\": [1]},\"bogus\":1}"), ERR_BAD_JOB);
    assert_span(fault.meta, "{\"a\": [1]}");
    assert_false(fault.stranger);
    assert_int_equal(try_job("{\"bogus\":1,\"meta\":1,\"meta\":2}"), ERR_BAD_JOB);
    assert_span(fault.meta, "");
    assert_true(fault.stranger);
    assert_int_equal(try_job("{\"prompt\":\"x\",\"x_a\":1,\"x_a\":1}"), ERR_BAD_JOB);
    assert_true(fault.stranger);
    assert_int_equal(try_job("{\"prompt\":\"x\",\"id\":\"a\",\"id\":\"a\",\"bogus\":1}"),
                     ERR_BAD_JOB);
    assert_false(fault.stranger);
}

static void the_first_fault_met_is_named(void **state)
{
    static const struct bad rows[] = {
        {"{\"bogus\":1,\"prompt\":5,\"id\":7}", "bogus", "not a field"},
        {"{\"prompt\":5,\"bogus\":1}", "prompt", "is a number"},
        {"{\"run_at\":1,\"delay_ms\":-1}", "delay_ms", "out of range"},
        {"{\"request\":{},\"system\":5}", "system", "is a number"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_bad(&rows[i]);
}

static void no_text_of_the_payload_is_in_the_reason(void **state)
{
    static const char *const fields[] = {"id",     "model",    "reply_to",   "run",
                                         "prompt", "messages", "max_tokens", "thinking",
                                         "run_at", "request",  "stream",     "x_a\":1,\"x_a"};
    char payload[200];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        snprintf(payload, sizeof payload, "{\"%s\":\"SECRET words\",\"meta\":\"SECRET\"}",
                 fields[i]);
        assert_int_equal(try_job(payload) && strstr(fault.why, "SECRET") != NULL, 0);
        payload[strlen(payload) - 1] = '!';
        assert_int_equal(try_job(payload), ERR_BAD_JOB);
        assert_null(strstr(fault.why, "SECRET"));
    }
}

// own_fields writes a job with `count` fields of the producer's own; the last may repeat the first.
static char *own_fields(int count, bool repeat)
{
    struct strbuf b;
    strbuf_init(&b, (size_t)count * 32 + 64);
    strbuf_add_str(&b, "{\"prompt\":\"x\"");
    for (int i = 0; i < count; i++)
        strbuf_add_fmt(&b, ",\"x_%d\":%d", repeat && i == count - 1 ? 0 : i, i);
    strbuf_add_char(&b, '}');
    char *payload = strbuf_take(&b);
    assert_non_null(payload);
    return payload;
}

static void a_thousand_fields_of_ones_own_are_allowed_and_no_more(void **state)
{
    (void)state;
    char *payload = own_fields(1000, false);
    accept_job(payload);
    free(payload);
    payload = own_fields(1000, true);
    assert_int_equal(try_job(payload), ERR_BAD_JOB);
    assert_string_equal(fault.field, "x_0");
    free(payload);
    payload = own_fields(200000, false); // and many more take no longer than reading them
    assert_int_equal(try_job(payload), ERR_BAD_JOB);
    assert_string_equal(fault.why, "200000 fields begin with x_; at most 1000 are allowed");
    free(payload);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TAP("values of wrong types are refused", values_of_wrong_types),
        TAP("numbers out of range are refused with the range", numbers_out_of_range),
        TAP("names that are none are refused", names_that_are_none),
        TAP("fields that are unknown or there twice are refused",
            fields_that_are_unknown_or_there_twice),
        TAP("forms that do not go together are refused", forms_that_do_not_go_together),
        TAP("faults inside a request are named as such", faults_inside_a_request),
        TAP("payloads that are no object of strict JSON are refused",
            payloads_that_are_no_object_of_strict_json),
        TAP("a payload too large is told both numbers", a_payload_too_large_is_told_both_numbers),
        TAP("a payload far too large is not even read", a_payload_far_too_large_is_not_even_read),
        TAP("what is good in a bad job is read all the same",
            what_is_good_in_a_bad_job_is_read_all_the_same),
        TAP("what nests too deeply is named and the rest is read",
            what_nests_too_deeply_is_named_and_the_rest_is_read),
        TAP("the meta of a bad job is read and a made-up name is marked",
            the_meta_of_a_bad_job_is_read_and_a_made_up_name_is_marked),
        TAP("the first fault met is named", the_first_fault_met_is_named),
        TAP("no text of the payload is in the reason", no_text_of_the_payload_is_in_the_reason),
        TAP("a thousand fields of one's own are allowed and no more",
            a_thousand_fields_of_ones_own_are_allowed_and_no_more),
    };
    return cmocka_run_group_tests_name("job_fault", tests, NULL, NULL);
}
