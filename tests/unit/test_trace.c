// test_trace: which trace a job's meta names, and what names none.
#include "common/base/attrs.h"
#include "common/job/trace.h"
#include "tests/support/tap.h"

#include <string.h>

#define ID "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN_ID "00f067aa0ba902b7"

static const char *read_id(const char *meta)
{
    static char id[TRACE_ID_LEN + 1];
    struct span s = {meta, strlen(meta)};
    bool found = trace_id(s, id);
    assert_int_equal(found, id[0] != '\0');
    return id;
}

static void a_traceparent_names_its_trace(void **state)
{
    (void)state;
    assert_string_equal(read_id("{\"traceparent\":\"00-" ID "-" SPAN_ID "-01\"}"), ID);
    assert_string_equal(
        read_id("{\"user\":7,\"tracep\\u0061rent\":\"00-" ID "-" SPAN_ID "-00\",\"x\":[]}"), ID);
    assert_string_equal(read_id("{\"traceparent\":\"01-" ID "-" SPAN_ID "-01-more\"}"), ID);
}

static void what_is_no_traceparent_names_none(void **state)
{
    static const char *const none[] = {
        "",
        "7",
        "[]",
        "\"00-" ID "-" SPAN_ID "-01\"",
        "{\"traceparent\":7}",
        "{\"traceparent\":\"\"}",
        "{\"traceparent\":\"00-" ID "-" SPAN_ID "-0\"}",
        "{\"traceparent\":\"00-" ID "-" SPAN_ID "-01-more\"}",
        "{\"traceparent\":\"01-" ID "-" SPAN_ID "-01more\"}",
        "{\"traceparent\":\"ff-" ID "-" SPAN_ID "-01\"}",
        "{\"traceparent\":\"00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN_ID "-01\"}",
        "{\"traceparent\":\"00-00000000000000000000000000000000-" SPAN_ID "-01\"}",
        "{\"traceparent\":\"00-" ID "-0000000000000000-01\"}",
        "{\"traceparent\":\"00_" ID "-" SPAN_ID "-01\"}",
        "{\"nested\":{\"traceparent\":\"00-" ID "-" SPAN_ID "-01\"}}",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        if (read_id(none[i])[0])
            fail_msg("%s names %s", none[i], read_id(none[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TAP("a traceparent names its trace", a_traceparent_names_its_trace),
        TAP("what is no traceparent names none", what_is_no_traceparent_names_none),
    };
    return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
