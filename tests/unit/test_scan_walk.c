// test_scan_walk: what the walkers read from a checked text.
#include "common/base/attrs.h"
#include "common/base/scan.h"
#include "tests/support/tap.h"

#include <stdio.h>
#include <string.h>

static struct scan_value root_of(const char *text)
{
    const char *why = "";
    size_t at = 0;
    if (scan_check(text, strlen(text), 100, &why, &at) != 0)
        fail_msg("%s: %s at %zu", text, why, at);
    return scan_root(text, strlen(text));
}

static void assert_span(struct span s, const char *want)
{
    if (!span_is(s, want))
        fail_msg("'%.*s' is not '%s'", (int)s.len, s.at, want);
}

static void the_root_is_the_value_without_blanks_around(void **state)
{
    static const struct {
        const char *text, *raw;
        enum scan_type type;
    } rows[] = {
        {" null\n", "null", SCAN_NULL},
        {"true", "true", SCAN_TRUE},
        {"\tfalse ", "false", SCAN_FALSE},
        {"-1e5", "-1e5", SCAN_NUMBER},
        {" \"a b \" ", "\"a b \"", SCAN_STRING},
        {"[ ]\r\n", "[ ]", SCAN_ARRAY},
        {" {} ", "{}", SCAN_OBJECT},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct scan_value v = root_of(rows[i].text);
        assert_int_equal(v.type, rows[i].type);
        assert_span(v.raw, rows[i].raw);
    }
}

static void members_come_in_order_with_their_raw_values(void **state)
{
    static const char text[] =
        "{ \"a\" : [1, \"]\", {\"x\":\"}\"}] ,\"\":\"q\\\"\\\\\",\"\\u0062\":-1e5 , "
        "\"d\":{\"e\" : [ ] }\n,\"f\":true,\"g\":null}";
    static const struct {
        const char *key, *raw;
        enum scan_type type;
    } want[] = {
        {"a", "[1, \"]\", {\"x\":\"}\"}]", SCAN_ARRAY},
        {"", "\"q\\\"\\\\\"", SCAN_STRING},
        {"\\u0062", "-1e5", SCAN_NUMBER},
        {"d", "{\"e\" : [ ] }", SCAN_OBJECT},
        {"f", "true", SCAN_TRUE},
        {"g", "null", SCAN_NULL},
    };
    struct scan_value root = root_of(text);
    struct scan_member m;
    size_t pos = 0, i = 0;
    (void)state;
    for (; scan_members(root, &pos, &m); i++) {
        assert_true(i < ARRAY_LEN(want));
        assert_span(m.key, want[i].key);
        assert_int_equal(m.key_escaped, i == 2);
        assert_span(m.value.raw, want[i].raw);
        assert_int_equal(m.value.type, want[i].type);
    }
    assert_int_equal(i, ARRAY_LEN(want));
    assert_false(scan_members(root, &pos, &m)); // the end stays the end
}

static void items_come_in_order(void **state)
{
    static const char *const want[] = {"1", "[[2],3]", "\"a,b\"", "{\"k\":[4]}", "false"};
    struct scan_value root = root_of("[ 1 ,[[2],3],\"a,b\" , {\"k\":[4]},false ]"), v;
    size_t pos = 0, i = 0;
    (void)state;
    for (; scan_items(root, &pos, &v); i++)
        assert_span(v.raw, want[i]);
    assert_int_equal(i, ARRAY_LEN(want));
}

// A string's end must be seen whatever stands in it, at every alignment of the steps of eight
// bytes.
static void any_byte_may_stand_in_a_string(void **state)
{
    char text[64];
    (void)state;
    for (size_t len = 1; len <= 24; len++)
        for (size_t place = 0; place < len; place++)
            for (int c = 0x20; c < 0x100; c++) {
                size_t after = (size_t)snprintf(text, sizeof text, "[\"%.*s\",7]", (int)len,
                                                "aaaaaaaaaaaaaaaaaaaaaaaaa");
                struct scan_value array = {SCAN_ARRAY, {text, after}}, v;
                size_t pos = 0;
                text[2 + place] = (char)c;
                if (c == '"' || c == '\\') {
                    if (place == len - 1)
                        continue;
                    text[2 + place] = '\\';
                    text[3 + place] = (char)c;
                }
                assert_true(scan_items(array, &pos, &v));
                assert_int_equal(v.raw.len, len + 2);
                assert_true(scan_items(array, &pos, &v));
                assert_span(v.raw, "7");
            }
}

static void values_of_other_types_have_nothing_inside(void **state)
{
    static const char *const texts[] = {"null", "1", "\"a\"", "[]", "{}", "[ ]", "{ }"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct scan_value root = root_of(texts[i]), v;
        struct scan_member m;
        size_t pos = 0;
        assert_false(scan_members(root, &pos, &m));
        assert_false(scan_items(root, &pos, &v));
        assert_int_equal(pos, 0);
        assert_false(scan_get(root, "a", &v));
    }
}

static void get_finds_the_first_of_that_name_escaped_or_not(void **state)
{
    struct scan_value root =
        root_of("{\"i\":0,\"\\u0069d\":1,\"id\":2,\"idx\":3,\"a\\u0000b\":4,\"in\":{\"deep\":5}}");
    struct scan_value v = {.type = SCAN_TRUE};
    (void)state;
    assert_true(scan_get(root, "id", &v));
    assert_span(v.raw, "1");
    assert_true(scan_get(root, "idx", &v));
    assert_span(v.raw, "3");
    assert_false(scan_get(root, "deep", &v));
    assert_false(scan_get(root, "a", &v));
    assert_false(scan_get(root, "ID", &v));
    assert_span(v.raw, "3"); // untouched
    assert_true(scan_get(root, "in", &v) && scan_get(v, "deep", &v));
    assert_span(v.raw, "5");
}

static void str_lends_only_what_has_no_escapes(void **state)
{
    struct span s = {"untouched", 9};
    (void)state;
    assert_false(scan_str(root_of("\"a\\nb\""), &s));
    assert_false(scan_str(root_of("12"), &s));
    assert_span(s, "untouched");
    assert_true(scan_str(root_of("\"a b\""), &s));
    assert_span(s, "a b");
    assert_true(scan_str(root_of("\"\""), &s));
    assert_int_equal(s.len, 0);
}

static const struct {
    const char *text, *plain;
    size_t len;
} escapes[] = {
    {"\"\"", "", 0},
    {"\"plain\"", "plain", 5},
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8},
    {"\"a\\u0000b\"", "a\0b", 3},
    {"\"\\u007f\\u0080\\u07ff\\u0800\\uFFFF\"", "\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF", 11},
    {"\"\\ud83d\\ude00!\"", "\xF0\x9F\x98\x80!", 5},
    {"\"\\uD800\\uDC00\\udbff\\udfff\"", "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", 8},
    {"\"\xC3\xA9\\u00e9\xE2\x82\xAC\"", "\xC3\xA9\xC3\xA9\xE2\x82\xAC", 7},
};

static void unescape_gives_the_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(escapes); i++) {
        struct strbuf b;
        strbuf_init(&b, 100);
        strbuf_add_str(&b, ">");
        scan_unescape(root_of(escapes[i].text), &b);
        assert_int_equal(b.len, escapes[i].len + 1);
        assert_memory_equal(b.at + 1, escapes[i].plain, escapes[i].len);
        strbuf_fini(&b);
    }
}

static void copy_gives_the_whole_length_and_what_fits(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(escapes); i++)
        for (size_t room = 0; room <= escapes[i].len + 1; room++) {
            char text[16];
            memset(text, '~', sizeof text);
            assert_int_equal(scan_copy(root_of(escapes[i].text), text, room), escapes[i].len);
            assert_memory_equal(text, escapes[i].plain, MIN(room, escapes[i].len));
            assert_int_equal(text[MIN(room, escapes[i].len)], '~');
        }
}

static void texts_are_ordered_by_their_bytes_after_unescaping(void **state)
{
    static const struct {
        const char *a, *b;
        int sign;
    } rows[] = {
        {"", "", 0},
        {"a", "", 1},
        {"a", "b", -1},
        {"ab", "a", 1},
        {"id", "i\\u0064", 0},
        {"\\/", "/", 0},
        {"\\u00e9", "\xC3\xA9", 0},
        {"a\\u0000", "a", 1},
        {"\xC3\xA9", "z", 1},
        {"\\n", "\\t", 1},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int order = scan_text_cmp(span_of(rows[i].a), span_of(rows[i].b));
        int back = scan_text_cmp(span_of(rows[i].b), span_of(rows[i].a));
        assert_int_equal((order > 0) - (order < 0), rows[i].sign);
        assert_int_equal((back > 0) - (back < 0), -rows[i].sign);
    }
}

static void int_reads_whole_numbers_however_written(void **state)
{
    static const struct {
        const char *text;
        int64_t n;
    } rows[] = {
        {"0", 0},
        {"-0", 0},
        {"7", 7},
        {"-12", -12},
        {"1e3", 1000},
        {"1.0", 1},
        {"100.00", 100},
        {"1.5e1", 15},
        {"-2.50E+2", -250},
        {"120e-1", 12},
        {"0e999999999999999999999", 0},
        {"0.000e-5", 0},
        {"999999999999999999", 999999999999999999},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
        {"922337203685477580.7e1", INT64_MAX},
        {"9223372036854775807000e-3", INT64_MAX},
        {"9007199254740993", 9007199254740993},
        {"1e18", 1000000000000000000},
        {"0.000000000000000000001e21", 1},
        {"10000000000000000000000000000000000000000e-40", 1},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t n = 99;
        if (!scan_int(root_of(rows[i].text), &n) || n != rows[i].n)
            fail_msg("%s gave %lld", rows[i].text, (long long)n);
    }
}

static void int_refuses_what_is_not_whole_or_too_large(void **state)
{
    static const char *const bad[] = {
        "1.5",
        "1e-1",
        "-0.1",
        "15e-1",
        "9223372036854775808",
        "-9223372036854775809",
        "1e19",
        "922337203685477580.8e1",
        "1e400",
        "10e18",
        "1e99999999999999999999",
        "1e-99999999999999999999",
        "99999999999999999999",
        "184467440737095516160",
        "\"1\"",
        "null",
        "[1]",
        "true",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t n = 99;
        if (scan_int(root_of(bad[i]), &n) || n != 99)
            fail_msg("%s gave %lld", bad[i], (long long)n);
    }
}

static void num_reads_what_a_double_can_hold(void **state)
{
    double n = 0;
    (void)state;
    assert_true(scan_num(root_of("-1.25e2"), &n));
    assert_true(n == -125);
    assert_true(scan_num(root_of("0.1"), &n));
    assert_true(n == 0.1);
    assert_true(scan_num(root_of("1e-400"), &n));
    assert_true(n == 0);
    assert_true(scan_num(
        root_of("1.00000000000000000000000000000000000000000000000000000000000000000000000000e1"),
        &n));
    assert_true(n == 10);
    assert_false(scan_num(root_of("1e400"), &n));
    assert_false(scan_num(root_of("\"1\""), &n));
    assert_true(n == 10); // untouched
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TAP("the root is the value without blanks around",
            the_root_is_the_value_without_blanks_around),
        TAP("members come in order with their raw values",
            members_come_in_order_with_their_raw_values),
        TAP("items come in order", items_come_in_order),
        TAP("any byte may stand in a string", any_byte_may_stand_in_a_string),
        TAP("values of other types have nothing inside", values_of_other_types_have_nothing_inside),
        TAP("get finds the first of that name, escaped or not",
            get_finds_the_first_of_that_name_escaped_or_not),
        TAP("str lends only what has no escapes", str_lends_only_what_has_no_escapes),
        TAP("unescape gives the text", unescape_gives_the_text),
        TAP("copy gives the whole length and what fits", copy_gives_the_whole_length_and_what_fits),
        TAP("texts are ordered by their bytes after unescaping",
            texts_are_ordered_by_their_bytes_after_unescaping),
        TAP("int reads whole numbers however written", int_reads_whole_numbers_however_written),
        TAP("int refuses what is not whole or too large",
            int_refuses_what_is_not_whole_or_too_large),
        TAP("num reads what a double can hold", num_reads_what_a_double_can_hold),
    };
    return cmocka_run_group_tests_name("scan_walk", tests, NULL, NULL);
}
