// test_strbuf: growth under a ceiling, failure that sticks, numbers, and JSON strings out of any
// bytes.
#include "common/base/err.h"
#include "common/base/scan.h"
#include "common/base/strbuf.h"
#include "tests/support/tap.h"

#include <stdlib.h>
#include <string.h>

static struct strbuf b;

static void expect(const char *want)
{
    assert_false(strbuf_failed(&b));
    assert_int_equal(b.len, strlen(want));
    assert_string_equal(b.at, want);
    strbuf_clear(&b);
}

static int fresh(void **state)
{
    (void)state;
    strbuf_init(&b, 1 << 20);
    return 0;
}

static int done(void **state)
{
    (void)state;
    strbuf_fini(&b);
    return 0;
}

static void what_is_added_stands_in_order_and_ends_in_nul(void **state)
{
    (void)state;
    strbuf_add(&b, "ab\0c", 4);
    assert_int_equal(b.len, 4);
    assert_memory_equal(b.at, "ab\0c", 5);
    strbuf_clear(&b);
    strbuf_add_str(&b, "x=");
    strbuf_add_int(&b, -7);
    strbuf_add_char(&b, ';');
    strbuf_add_span(&b, (struct span){"span+", 4});
    strbuf_add_span(&b, (struct span){0});
    strbuf_add(&b, NULL, 0);
    strbuf_add_fmt(&b, "%03d|%s", 5, "f");
    expect("x=-7;span005|f");
}

static void it_grows_byte_by_byte_to_the_ceiling_exactly(void **state)
{
    (void)state;
    strbuf_fini(&b);
    strbuf_init(&b, 1000);
    for (int i = 0; i < 1000; i++)
        strbuf_add_char(&b, 'a');
    assert_false(strbuf_failed(&b));
    assert_int_equal(b.len, 1000);
    assert_true(b.room <= 1001);
    strbuf_add_char(&b, 'b');
    assert_int_equal(b.err, ERR_TOO_BIG);
    assert_int_equal(b.len, 1000);
    assert_int_equal(b.at[999], 'a');
    assert_int_equal(b.at[1000], '\0');
}

static void a_write_past_the_ceiling_changes_nothing(void **state)
{
    (void)state;
    strbuf_fini(&b);
    strbuf_init(&b, 5);
    strbuf_add_str(&b, "abc");
    strbuf_add_str(&b, "def");
    assert_int_equal(b.err, ERR_TOO_BIG);
    assert_string_equal(b.at, "abc");
    assert_int_equal(b.len, 3);
}

static void failure_sticks_until_clear(void **state)
{
    (void)state;
    strbuf_fini(&b);
    strbuf_init(&b, 5);
    strbuf_add_str(&b, "too long");
    assert_true(strbuf_failed(&b));
    strbuf_add_char(&b, 'x');
    strbuf_add_int(&b, 1);
    strbuf_add_fmt(&b, "%d", 1);
    strbuf_add_json(&b, "a", 1);
    strbuf_add_json_str(&b, NULL);
    assert_int_equal(strbuf_reserve(&b, 1), ERR_TOO_BIG);
    assert_int_equal(b.len, 0);
    strbuf_clear(&b);
    strbuf_add_str(&b, "fits!");
    expect("fits!");
}

static void a_size_near_the_largest_does_not_wrap(void **state)
{
    (void)state;
    strbuf_add_str(&b, "abc");
    assert_int_equal(strbuf_reserve(&b, SIZE_MAX), ERR_TOO_BIG);
    strbuf_clear(&b);
    strbuf_add_str(&b, "abc");
    assert_int_equal(strbuf_reserve(&b, SIZE_MAX - 3), ERR_TOO_BIG);
    assert_string_equal(b.at, "abc");
}

static void reserve_makes_room_without_length(void **state)
{
    (void)state;
    assert_int_equal(strbuf_reserve(&b, 500), 0);
    assert_true(b.room > 500);
    const char *at = b.at;
    for (int i = 0; i < 50; i++)
        strbuf_add_str(&b, "0123456789");
    assert_ptr_equal(b.at, at);
}

static void cut_shortens(void **state)
{
    (void)state;
    strbuf_cut(&b, 0); // nothing is there yet
    strbuf_add_str(&b, "abcdef");
    strbuf_cut(&b, 2);
    strbuf_add_char(&b, '!');
    expect("ab!");
}

static void take_hands_the_bytes_over(void **state)
{
    (void)state;
    strbuf_add_str(&b, "mine");
    char *mine = strbuf_take(&b);
    assert_string_equal(mine, "mine");
    free(mine);
    assert_int_equal(b.len, 0);
    assert_null(b.at);
    strbuf_add_str(&b, "next");
    expect("next");
    strbuf_fini(&b);
    char *empty = strbuf_take(&b); // an empty buffer gives an empty string, not NULL
    assert_string_equal(empty, "");
    free(empty);
}

static void fini_is_harmless_twice_and_on_a_zeroed_one(void **state)
{
    struct strbuf zeroed = {0};
    (void)state;
    strbuf_fini(&zeroed);
    strbuf_fini(&b);
    strbuf_fini(&b);
    struct span s = strbuf_span(&b);
    assert_non_null(s.at);
    assert_int_equal(s.len, 0);
}

static void integers_are_written_from_end_to_end(void **state)
{
    static const struct {
        int64_t n;
        const char *text;
    } rows[] = {
        {0, "0"},
        {9, "9"},
        {10, "10"},
        {-1, "-1"},
        {-10, "-10"},
        {1764000000000, "1764000000000"},
        {INT64_MAX, "9223372036854775807"},
        {INT64_MIN, "-9223372036854775808"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        strbuf_add_int(&b, rows[i].n);
        expect(rows[i].text);
    }
}

static void a_format_longer_than_the_room_is_whole(void **state)
{
    char want[2001];
    (void)state;
    memset(want, 'z', 2000);
    want[2000] = '\0';
    strbuf_add_char(&b, '>');
    strbuf_add_fmt(&b, "%s", want);
    assert_int_equal(b.len, 2001);
    assert_string_equal(b.at + 1, want);
}

static void json_strings_are_escaped(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *json;
    } rows[] = {
        {"", 0, "\"\""},
        {"plain", 5, "\"plain\""},
        {"a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\""},
        {"\b\t\n\f\r", 5, "\"\\b\\t\\n\\f\\r\""},
        {"\0\x01\x0B\x0E\x1F\x7F", 6, "\"\\u0000\\u0001\\u000b\\u000e\\u001f\x7F\""},
        {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", 9, "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        strbuf_add_json(&b, rows[i].bytes, rows[i].len);
        expect(rows[i].json);
    }
    strbuf_add_json_str(&b, "s");
    expect("\"s\"");
    strbuf_add_json_str(&b, NULL);
    expect("null");
}

#define U_FFFD "\xEF\xBF\xBD"

static void what_is_not_utf8_becomes_a_replacement_character(void **state)
{
    static const struct {
        const char *bytes, *json;
    } rows[] = {
        {"\x80", "\"" U_FFFD "\""},
        {"a\xFF"
         "b",
         "\"a" U_FFFD "b\""},
        {"\xC3", "\"" U_FFFD "\""},
        {"\xC3(", "\"" U_FFFD "(\""},
        {"\xE2\x82", "\"" U_FFFD U_FFFD "\""},
        {"\xE2\x82\"", "\"" U_FFFD U_FFFD "\\\"\""},
        {"\xC0\x80", "\"" U_FFFD U_FFFD "\""},
        {"\xED\xA0\x80", "\"" U_FFFD U_FFFD U_FFFD "\""},
        {"\xF4\x90\x80\x80", "\"" U_FFFD U_FFFD U_FFFD U_FFFD "\""},
        {"\xF0\x9F\x98", "\"" U_FFFD U_FFFD U_FFFD "\""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        strbuf_add_json(&b, rows[i].bytes, strlen(rows[i].bytes));
        expect(rows[i].json);
    }
}

// Any three bytes, good or bad, come out as a valid JSON text.
static void any_bytes_come_out_as_valid_json(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 1u << 24; n += 37) {
        const char bytes[] = {(char)(n >> 16), (char)(n >> 8), (char)n};
        const char *why;
        size_t at;
        strbuf_add_json(&b, bytes, sizeof bytes);
        if (scan_check(b.at, b.len, 1, &why, &at) != 0)
            fail_msg("%06x: %s", n, why);
        strbuf_clear(&b);
    }
}

static void json_past_the_ceiling_fails_as_all_else(void **state)
{
    (void)state;
    strbuf_fini(&b);
    strbuf_init(&b, 7);
    strbuf_add_json(&b, "12345", 5);
    assert_false(strbuf_failed(&b));
    strbuf_clear(&b);
    strbuf_add_json(&b, "123\n5", 5);
    assert_int_equal(b.err, ERR_TOO_BIG);
}

static void a_span_is_a_text_only_if_it_is_all_of_it(void **state)
{
    (void)state;
    assert_true(span_is(span_of("id"), "id"));
    assert_false(span_is(span_of("idx"), "id"));
    assert_false(span_is(span_of("i"), "id"));
    assert_true(span_is(span_of(""), ""));
    assert_false(span_is((struct span){0}, ""));
    assert_int_equal(span_of(NULL).len, 0);
}

int main(void)
{
#define CASE(sentence, fn)                                                                         \
    {                                                                                              \
        sentence, fn, fresh, done, NULL                                                            \
    }
    static const struct CMUnitTest tests[] = {
        CASE("what is added stands in order and ends in NUL",
             what_is_added_stands_in_order_and_ends_in_nul),
        CASE("it grows byte by byte to the ceiling exactly",
             it_grows_byte_by_byte_to_the_ceiling_exactly),
        CASE("a write past the ceiling changes nothing", a_write_past_the_ceiling_changes_nothing),
        CASE("failure sticks until clear", failure_sticks_until_clear),
        CASE("a size near the largest does not wrap", a_size_near_the_largest_does_not_wrap),
        CASE("reserve makes room without length", reserve_makes_room_without_length),
        CASE("cut shortens", cut_shortens),
        CASE("take hands the bytes over", take_hands_the_bytes_over),
        CASE("fini is harmless twice and on a zeroed one",
             fini_is_harmless_twice_and_on_a_zeroed_one),
        CASE("integers are written from end to end", integers_are_written_from_end_to_end),
        CASE("a format longer than the room is whole", a_format_longer_than_the_room_is_whole),
        CASE("JSON strings are escaped", json_strings_are_escaped),
        CASE("what is not UTF-8 becomes a replacement character",
             what_is_not_utf8_becomes_a_replacement_character),
        CASE("any bytes come out as valid JSON", any_bytes_come_out_as_valid_json),
        CASE("JSON past the ceiling fails as all else", json_past_the_ceiling_fails_as_all_else),
        CASE("a span is a text only if it is all of it", a_span_is_a_text_only_if_it_is_all_of_it),
    };
    return cmocka_run_group_tests_name("strbuf", tests, NULL, NULL);
}
