// test_anthropic_build: the headers and the body of a request. Bodies are compared byte for byte:
// what a producer wrote must arrive as it was written.
#include "common/base/err.h"
#include "common/base/scan.h"
#include "tests/support/tap.h"
#include "worker/provider/provider.h"

#include <string.h>

static const struct model_defaults defaults = {"claude-sonnet-5", 1024};

static const struct provider *api(void)
{
    return provider_find("anthropic");
}

// built_is builds a job and compares; what comes out must be JSON too.
static void built_is(const struct job *j, const char *want)
{
    struct strbuf out;
    const char *why;
    size_t at;
    strbuf_init(&out, 1 << 20);
    assert_int_equal(api()->build(j, &defaults, &out), 0);
    assert_string_equal(out.at, want);
    assert_int_equal(scan_check(out.at, out.len, JOB_DEPTH_MAX + 8, &why, &at), 0);
    strbuf_fini(&out);
}

static void a_prompt_becomes_one_user_message_with_its_escapes(void **state)
{
    (void)state;
    struct job j = {.form = JOB_PROMPT,
                    .content = span_of("\"Say \\\"hi\\\"\\n\\ud83d\\ude00 \\u00e9\"")};
    built_is(&j,
             "{\"model\":\"claude-sonnet-5\",\"max_tokens\":1024,\"messages\":[{\"role\":\"user\","
             "\"content\":\"Say \\\"hi\\\"\\n\\ud83d\\ude00 \\u00e9\"}]}");
}

static void what_the_job_names_goes_before_the_defaults(void **state)
{
    (void)state;
    struct job j = {.form = JOB_PROMPT,
                    .content = span_of("\"x\""),
                    .model = span_of("claude-opus-5-5"),
                    .max_tokens = 7};
    built_is(&j, "{\"model\":\"claude-opus-5-5\",\"max_tokens\":7,\"messages\":[{\"role\":\"user\","
                 "\"content\":\"x\"}]}");
}

static void messages_go_in_as_they_stand(void **state)
{
    (void)state;
    struct job j = {.form = JOB_MESSAGES,
                    .content = span_of("[ {\"role\":\"user\",\n \"content\":\"x\"} ]")};
    built_is(&j, "{\"model\":\"claude-sonnet-5\",\"max_tokens\":1024,\"messages\":"
                 "[ {\"role\":\"user\",\n \"content\":\"x\"} ]}");
}

static void every_field_of_the_api_goes_in_raw(void **state)
{
    (void)state;
    struct job j = {.form = JOB_MESSAGES,
                    .content = span_of("[]"),
                    .system = span_of("\"be \\u0041\""),
                    .temperature = span_of("1.0e-1"),
                    .top_p = span_of("0.50"),
                    .top_k = span_of("40"),
                    .stop_sequences = span_of("[ \"###\" ]"),
                    .tools = span_of("[{\"name\":\"f\",\"input_schema\":{}}]"),
                    .tool_choice = span_of("{\"type\":\"any\"}"),
                    .thinking = span_of("{\"type\":\"adaptive\"}"),
                    .metadata = span_of("{\"user_id\":9007199254740993}")};
    built_is(&j, "{\"model\":\"claude-sonnet-5\",\"max_tokens\":1024,\"messages\":[],"
                 "\"system\":\"be \\u0041\",\"temperature\":1.0e-1,\"top_p\":0.50,\"top_k\":40,"
                 "\"stop_sequences\":[ \"###\" ],\"tools\":[{\"name\":\"f\",\"input_schema\":{}}],"
                 "\"tool_choice\":{\"type\":\"any\"},\"thinking\":{\"type\":\"adaptive\"},"
                 "\"metadata\":{\"user_id\":9007199254740993}}");
}

// What job_parse would say of a request: its model and max_tokens where they are there.
struct request_case {
    const char *request, *want;
};

#define MODEL "\"model\":\"claude-sonnet-5\""
#define TOKENS "\"max_tokens\":1024"

// clang-format off
static const struct request_case requests[] = {
    // Whole: not a byte changes.
    {"{\"model\":\"m\",\"max_tokens\":5,\"messages\":[]}", "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[]}"},
    {"{ \"messages\" : [ ] ,\n\t\"max_tokens\":1e1, \"model\":\"m\", \"new\":{\"a\":1.50} }",
     "{ \"messages\" : [ ] ,\n\t\"max_tokens\":1e1, \"model\":\"m\", \"new\":{\"a\":1.50} }"},
    // Missing parts go right after the brace.
    {"{\"messages\":[]}", "{" MODEL "," TOKENS ",\"messages\":[]}"},
    {"{ \"messages\":[]}", "{" MODEL "," TOKENS ", \"messages\":[]}"},
    {"{\"max_tokens\":5,\"messages\":[]}", "{" MODEL ",\"max_tokens\":5,\"messages\":[]}"},
    {"{\"model\":\"m\",\"messages\":[]}", "{" TOKENS ",\"model\":\"m\",\"messages\":[]}"},
    // A given 0 warms the prompt cache; null is the producer's own affair.
    {"{\"model\":\"m\",\"max_tokens\":0,\"messages\":[]}", "{\"model\":\"m\",\"max_tokens\":0,\"messages\":[]}"},
    {"{\"model\":\"m\",\"max_tokens\":null,\"messages\":[]}", "{\"model\":\"m\",\"max_tokens\":null,\"messages\":[]}"},
    // Keys inside other objects are not the request's, and a key may be written with escapes.
    {"{\"x\":{\"model\":\"m\",\"max_tokens\":1},\"messages\":[]}", "{" MODEL "," TOKENS ",\"x\":{\"model\":\"m\",\"max_tokens\":1},\"messages\":[]}"},
    {"{\"\\u006dodel\":\"m\",\"max_\\u0074okens\":1,\"messages\":[]}", "{\"\\u006dodel\":\"m\",\"max_\\u0074okens\":1,\"messages\":[]}"},
    {"{\"a\\nb\":1,\"Model\":\"m\",\"max_tokens \":1}", "{" MODEL "," TOKENS ",\"a\\nb\":1,\"Model\":\"m\",\"max_tokens \":1}"},
    // Nothing inside at all.
    {"{}", "{" MODEL "," TOKENS "}"},
    {"{ \n }", "{" MODEL "," TOKENS " \n }"},
};
// clang-format on

static void a_request_passes_through_and_only_gains_what_is_missing(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct job j = {.form = JOB_REQUEST, .content = span_of(requests[i].request)};
        struct scan_value root = scan_root(j.content.at, j.content.len), v;
        if (scan_get(root, "model", &v))
            (void)scan_str(v, &j.model);
        if (scan_get(root, "max_tokens", &v))
            (void)scan_int(v, &j.max_tokens);
        built_is(&j, requests[i].want);
    }
}

static void fields_beside_a_request_do_not_leak_into_it(void **state)
{
    (void)state;
    struct job j = {.form = JOB_REQUEST,
                    .content = span_of("{\"model\":\"m\",\"max_tokens\":5,\"messages\":[]}"),
                    .model = span_of("m"),
                    .max_tokens = 5,
                    .meta = span_of("{}")};
    built_is(&j, "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[]}");
}

static void a_body_beyond_the_ceiling_is_refused(void **state)
{
    (void)state;
    struct job j = {.form = JOB_PROMPT, .content = span_of("\"0123456789\"")};
    struct strbuf out;
    size_t fits =
        strlen("{\"model\":\"claude-sonnet-5\",\"max_tokens\":1024,\"messages\":[{\"role\":"
               "\"user\",\"content\":\"0123456789\"}]}");
    strbuf_init(&out, fits);
    assert_int_equal(api()->build(&j, &defaults, &out), 0);
    assert_int_equal(out.len, fits);
    strbuf_fini(&out);
    for (size_t ceiling = 1; ceiling < fits; ceiling++) {
        strbuf_init(&out, ceiling);
        assert_int_equal(api()->build(&j, &defaults, &out), ERR_TOO_BIG);
        strbuf_fini(&out);
    }
}

static void headers_are(const char *key, const char *auth, const char *want)
{
    struct strbuf out;
    strbuf_init(&out, 1 << 12);
    api()->headers(key, "2023-06-01", auth, &out);
    assert_string_equal(out.at, want);
    strbuf_fini(&out);
}

#define REST "anthropic-version: 2023-06-01\ncontent-type: application/json\n"

static void the_key_goes_into_the_header_that_the_setting_names(void **state)
{
    (void)state;
    headers_are("sk-ant-1", "x-api-key", "x-api-key: sk-ant-1\n" REST);
    headers_are("sk-ant-1", "bearer", "authorization: Bearer sk-ant-1\n" REST);
}

static void no_key_is_no_header_and_a_key_cannot_start_another(void **state)
{
    (void)state;
    headers_are("", "x-api-key", REST);
    headers_are(NULL, "bearer", REST);
    headers_are("sk-ant-1\r\nx-evil: 1\n", "x-api-key", "x-api-key: sk-ant-1x-evil: 1\n" REST);
}

static void providers_are_found_by_name(void **state)
{
    (void)state;
    assert_non_null(provider_find("anthropic"));
    assert_string_equal(provider_find("anthropic")->name, "anthropic");
    assert_string_equal(provider_find("anthropic")->path, "/v1/messages");
    assert_null(provider_find("Anthropic"));
    assert_null(provider_find(""));
}

static void class_is(const char *model, const char *want)
{
    char got[64];
    model_class(span_of(model), got, sizeof got);
    assert_string_equal(got, want);
}

static void a_class_is_the_model_without_its_date(void **state)
{
    (void)state;
    class_is("claude-sonnet-4-5-20250929", "claude-sonnet-4-5");
    class_is("claude-sonnet-4-5@20250929", "claude-sonnet-4-5");
    class_is("claude-sonnet-4-5", "claude-sonnet-4-5");
    class_is("claude-sonnet-4-5-latest", "claude-sonnet-4-5-latest");
    class_is("claude-3-5-sonnet-20241022-v2:0", "claude-3-5-sonnet-20241022-v2:0");
    class_is("model-12345678", "model-12345678"); // no date: month 56
    class_is("model-20251301", "model-20251301");
    class_is("model-20251200", "model-20251200");
    class_is("model-2025120", "model-2025120");
    class_is("model20251201", "model20251201");
    class_is("-20251201", "-20251201");
    class_is("a-20251201", "a");
    class_is("a-20001231", "a");
    class_is("20251201", "20251201");
    class_is("", "");
}

static void a_class_is_safe_inside_a_hash_tag_and_a_small_buffer(void **state)
{
    (void)state;
    char got[6];
    class_is("a{b}c d", "a_b_c_d");
    model_class(span_of("claude-sonnet-4-5-20250929"), got, sizeof got);
    assert_string_equal(got, "claud");
    model_class(span_of("abc"), got, 1);
    assert_string_equal(got, "");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TAP("a prompt becomes one user message with its escapes",
            a_prompt_becomes_one_user_message_with_its_escapes),
        TAP("what the job names goes before the defaults",
            what_the_job_names_goes_before_the_defaults),
        TAP("messages go in as they stand", messages_go_in_as_they_stand),
        TAP("every field of the API goes in raw", every_field_of_the_api_goes_in_raw),
        TAP("a request passes through and only gains what is missing",
            a_request_passes_through_and_only_gains_what_is_missing),
        TAP("fields beside a request do not leak into it",
            fields_beside_a_request_do_not_leak_into_it),
        TAP("a body beyond the ceiling is refused", a_body_beyond_the_ceiling_is_refused),
        TAP("the key goes into the header that the setting names",
            the_key_goes_into_the_header_that_the_setting_names),
        TAP("no key is no header, and a key cannot start another",
            no_key_is_no_header_and_a_key_cannot_start_another),
        TAP("providers are found by name", providers_are_found_by_name),
        TAP("a class is the model without its date", a_class_is_the_model_without_its_date),
        TAP("a class is safe inside a hash tag and a small buffer",
            a_class_is_safe_inside_a_hash_tag_and_a_small_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
