// test_scan: what the checker takes and refuses, with place and reason, and what the walkers read.
// Texts are copied to the heap at their exact size, so that a sanitizer sees a step too far.
#include "common/base/attrs.h"
#include "common/base/err.h"
#include "common/base/scan.h"
#include "tests/support/tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *why;
static size_t at;

static int check_bytes(const char *text, size_t len, int depth_max)
{
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    why = "accepted";
    at = SIZE_MAX;
    int err = scan_check(copy, len, depth_max, &why, &at);
    free(copy);
    if (err == 0)
        assert_string_equal(why, "accepted"); // outputs untouched
    else
        assert_true(at <= len);
    return err;
}

static int check(const char *text)
{
    return check_bytes(text, strlen(text), 100);
}

static void takes_every_form_the_grammar_has(void **state)
{
    static const char *const good[] = {
        "{}",
        "[]",
        "null",
        "true",
        "false",
        "0",
        "-0",
        "\"\"",
        " \t\r\n0 \t\r\n",
        "[1,2 , 3]",
        "[[],{},[{}]]",
        "{\"a\":1,\"b\":[2],\"c\":{\"d\":null}}",
        "{ \"a\" : 1 , \"a\" : 2 }",
        "{\"\":0}",
        "0.0",
        "-1.5",
        "1e5",
        "1E+5",
        "1e-05",
        "-0.0e-0",
        "123456789012345678901234567890",
        "1e999999999",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uFFff\"",
        "\"\\ud83d\\ude00\"",
        "\"\\uDBFF\\uDFFF\"",
        "\"\x7f\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"",
        "\"\xF4\x8F\xBF\xBF\xEF\xBF\xBF\xED\x9F\xBF\xEE\x80\x80\"",
        "[\"{\",\"]\",\"\\\"}\"]",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        if (check(good[i]) != 0)
            fail_msg("refused: %s (%s at %zu)", good[i], why, at);
}

static const struct {
    const char *text, *word;
    size_t at;
} refused[] = {
    {"", "no value", 0},
    {"  ", "no value", 2},
    {"\xEF\xBB\xBF{}", "byte-order mark", 0},
    {"{} x", "bytes after", 3},
    {"{}{}", "bytes after", 2},
    {"1 2", "bytes after", 2},
    {"nul", "too early", 3},
    {"nulL", "value was expected", 0},
    {"NaN", "value was expected", 0},
    {"Infinity", "value was expected", 0},
    {"True", "value was expected", 0},
    {"'a'", "value was expected", 0},
    {"// c\n1", "value was expected", 0},
    {"01", "leading zero", 0},
    {"-01", "leading zero", 1},
    {"1.", "too early", 2},
    {"[1.]", "malformed number", 3},
    {".5", "value was expected", 0},
    {"+1", "value was expected", 0},
    {"-", "too early", 1},
    {"[-]", "malformed number", 2},
    {"--1", "malformed number", 1},
    {"[1e]", "malformed number", 3},
    {"[1e+]", "malformed number", 4},
    {"[1.e1]", "malformed number", 3},
    {"0x10", "bytes after", 1},
    {"[1,]", "value was expected", 3},
    {"[,1]", "value was expected", 1},
    {"[1 2]", "comma or a closing", 3},
    {"[1}", "comma or a closing", 2},
    {"[", "too early", 1},
    {"[1", "too early", 2},
    {"]", "value was expected", 0},
    {"{\"a\":1,}", "name in quotes", 7},
    {"{,\"a\":1}", "name in quotes", 1},
    {"{a:1}", "name in quotes", 1},
    {"{1:1}", "name in quotes", 1},
    {"{\"a\"}", "colon", 4},
    {"{\"a\" 1}", "colon", 5},
    {"{\"a\"", "too early", 4},
    {"{\"a\":}", "value was expected", 5},
    {"{\"a\":1]", "comma or a closing", 6},
    {"{\"a\":1 \"b\":2}", "comma or a closing", 7},
    {"\"abc", "too early", 4},
    {"\"a\nb\"", "control character", 2},
    {"\"\x1F\"", "control character", 1},
    {"\"\\", "too early", 2},
    {"\"\\x41\"", "unknown escape", 1},
    {"\"\\'\"", "unknown escape", 1},
    {"\"\\u12G4\"", "four hexadecimal", 3},
    {"\"\\u12", "four hexadecimal", 3},
    {"\"\\ud800\"", "lone surrogate", 1},
    {"\"\\ud800\\n\"", "lone surrogate", 1},
    {"\"\\ud800\\u0041\"", "lone surrogate", 1},
    {"\"\\ud800\\ud800\"", "lone surrogate", 1},
    {"\"\\udc00\\ud800\"", "lone surrogate", 1},
    {"\"\\ud800x\\udc00\"", "lone surrogate", 1},
    {"\"\x80\"", "not UTF-8", 1},
    {"\"a\xC3\"", "not UTF-8", 2},
    {"\"\xC0\xAF\"", "not UTF-8", 1},
    {"\"\xE2\x82\"", "not UTF-8", 1},
    {"\"\xE0\x9F\xBF\"", "not UTF-8", 1},
    {"\"\xED\xA0\x80\"", "not UTF-8", 1},
    {"\"\xF0\x8F\xBF\xBF\"", "not UTF-8", 1},
    {"\"\xF4\x90\x80\x80\"", "not UTF-8", 1},
    {"\"\xF8\x88\x80\x80\x80\"", "not UTF-8", 1},
    {"{\"\xFF\":1}", "not UTF-8", 2},
    {"\xC2\xA0{}", "value was expected", 0},
};

static void refuses_with_the_place_and_the_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        int err = check(refused[i].text);
        if (err != ERR_BAD_JSON || !strstr(why, refused[i].word) || at != refused[i].at)
            fail_msg("%s: %d, %s at %zu; not %s at %zu", refused[i].text, err, why, at,
                     refused[i].word, refused[i].at);
    }
}

static void refuses_nul_bytes_wherever_they_stand(void **state)
{
    static const struct {
        const char *text;
        size_t len;
    } bad[] = {{"\0", 1},    {"{}\0", 3},     {"{\0}", 3},
               {"[1\0]", 4}, {"\"a\0b\"", 5}, {"{\"a\"\0:1}", 8}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(check_bytes(bad[i].text, bad[i].len, 100), ERR_BAD_JSON);
        assert_true(strstr(why, "NUL") || strstr(why, "control character"));
    }
}

static void a_text_cut_anywhere_is_refused(void **state)
{
    static const char whole[] =
        "{\"a\":[1.5e+3,-0,true,false,null,\"x\\u00e9\\ud83d\\ude00\\n"
        "\xE2\x82\xAC\xF0\x9F\x98\x80 and some more text\"],\"b\":{\"c\":{}}}";
    (void)state;
    assert_int_equal(check(whole), 0);
    for (size_t len = 0; len < sizeof whole - 1; len++)
        if (check_bytes(whole, len, 100) != ERR_BAD_JSON)
            fail_msg("taken when cut to %zu", len);
}

// Each byte value at each place of strings of each length up to 40: the steps of eight bytes must
// see what a step of one byte would.
static void strings_are_read_alike_at_every_alignment(void **state)
{
    char text[48];
    (void)state;
    for (size_t len = 1; len <= 40; len++)
        for (size_t place = 0; place < len; place++)
            for (int c = 0; c < 0x100; c++) {
                memset(text, 'a', sizeof text);
                text[0] = text[len + 1] = '"';
                text[place + 1] = (char)c;
                bool good = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
                // a backslash makes an escape of the next byte, 'a' or the closing quote
                assert_int_equal(check_bytes(text, len + 2, 1), good ? 0 : ERR_BAD_JSON);
            }
}

// is_code_point decodes by value, where the scanner compares ranges of bytes.
static bool is_code_point(const uint8_t *s, int len)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t code = s[0] & (0x7Fu >> len);
    for (int i = 1; i < len; i++) {
        if (s[i] >> 6 != 2)
            return false;
        code = code << 6 | (s[i] & 0x3F);
    }
    return code >= least[len] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
}

static void expect_sequence(const uint8_t *s, int len)
{
    char text[6] = "\"";
    memcpy(text + 1, s, (size_t)len);
    text[len + 1] = '"';
    int err = scan_check(text, (size_t)len + 2, 1, &why, &at);
    if ((err == 0) != is_code_point(s, len))
        fail_msg("%d for %02x %02x %02x %02x", err, s[0], s[1], len > 2 ? s[2] : 0,
                 len > 3 ? s[3] : 0);
}

static void utf8_is_what_rfc_3629_says(void **state)
{
    static const uint8_t edges[] = {0x00, 0x22, 0x7F, 0x80, 0x8F, 0x90,
                                    0x9F, 0xA0, 0xBF, 0xC0, 0xFF};
    (void)state;
    for (int lead = 0xC0; lead < 0xF8; lead++)
        for (int second = 0; second < 0x100; second++) {
            uint8_t s[4] = {(uint8_t)lead, (uint8_t)second};
            int len = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
            for (size_t i = 0; i < ARRAY_LEN(edges) * ARRAY_LEN(edges); i++) {
                s[2] = edges[i % ARRAY_LEN(edges)];
                s[3] = edges[i / ARRAY_LEN(edges)];
                expect_sequence(s, len);
            }
        }
}

static void a_byte_that_begins_no_sequence_is_refused(void **state)
{
    (void)state;
    for (int c = 0x80; c < 0x100; c++) {
        char text[] = "\"?aaa\"";
        text[1] = (char)c;
        assert_int_equal(check(text), ERR_BAD_JSON);
    }
}

// nest writes `depth` opening brackets, objects where the pattern says so, and closes them all.
static size_t nest(char *text, size_t depth, const char *pattern)
{
    size_t len = 0, period = strlen(pattern);
    for (size_t i = 0; i < depth; i++) {
        const char *open = pattern[i % period] == '{' ? "{\"k\":" : "[";
        memcpy(text + len, open, strlen(open));
        len += strlen(open);
    }
    text[len++] = '0';
    for (size_t i = depth; i-- > 0;)
        text[len++] = pattern[i % period] == '{' ? '}' : ']';
    text[len] = '\0';
    return len;
}

static void nesting_ends_at_the_stated_depth(void **state)
{
    static char text[16 * SCAN_DEPTH_MAX];
    static const int limits[] = {0, 1, 2, 63, 64, 65, 100, 1000, SCAN_DEPTH_MAX};
    static const char *const patterns[] = {"[", "{", "[{", "[[[{{{{{"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(limits) * ARRAY_LEN(patterns); i++) {
        int limit = limits[i % ARRAY_LEN(limits)];
        const char *pattern = patterns[i / ARRAY_LEN(limits)];
        size_t len = nest(text, (size_t)limit, pattern);
        assert_int_equal(check_bytes(text, len, limit), 0);
        len = nest(text, (size_t)limit + 1, pattern);
        assert_int_equal(check_bytes(text, len, limit), ERR_TOO_BIG);
        assert_string_equal(why, "nested too deeply");
    }
}

static void a_bracket_of_the_wrong_kind_is_seen_at_any_depth(void **state)
{
    static char text[16 * SCAN_DEPTH_MAX];
    (void)state;
    for (size_t wrong = 0; wrong < 300; wrong++) {
        size_t len = nest(text, 300, "[{{");
        char *close = text + len - 300 + wrong;
        *close = *close == ']' ? '}' : ']';
        assert_int_equal(check_bytes(text, len, 1000), ERR_BAD_JSON);
        assert_int_equal(at, len - 300 + wrong);
    }
}

// ---- 32 MiB: any step that is not linear would take hours here ----

enum { BIG = 32 << 20 };

// big makes a text of BIG bytes: opening, a repeated part, closing.
static char *big(const char *opening, const char *part, const char *closing)
{
    char *text = malloc(BIG + 1);
    size_t len = strlen(part), end = BIG - strlen(closing), n = strlen(opening);
    assert_non_null(text);
    memcpy(text, opening, n);
    for (; n + len <= end; n += len)
        memcpy(text + n, part, len);
    memset(text + n, closing[0] == '"' ? 'x' : ' ', end - n);
    memcpy(text + end, closing, strlen(closing) + 1);
    return text;
}

static void large_texts_are_checked_and_walked_in_linear_time(void **state)
{
    static const struct {
        const char *opening, *part, *closing;
    } rows[] = {
        {"\"", "plain text, no more", "\""},
        {"\"", "\xE4\xBD\xA0\xE5\xA5\xBD", "\""},
        {"\"", "\\u00e9\\ud83d\\ude00\\n", "\""},
        {"[", "0,", "0]"},
        {"[", "[[[]]],{\"a\":[\"\\\"\"]},", "0]"},
        {"{", "\"k\":1,", " \"k\":1}"},
        {"[", " \n\t\r", "]"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *text = big(rows[i].opening, rows[i].part, rows[i].closing);
        struct scan_member m;
        struct scan_value v;
        assert_int_equal(scan_check(text, BIG, 10, &why, &at), 0);
        struct scan_value root = scan_root(text, BIG);
        for (size_t pos = 0; scan_items(root, &pos, &v);)
            assert_true(v.raw.len < 100);
        for (size_t pos = 0; scan_members(root, &pos, &m);)
            assert_int_equal(m.key.len, 1);
        assert_true(scan_copy(root, NULL, 0) < BIG);
        free(text);
    }
}

static void a_number_of_32_mib_is_read_in_linear_time(void **state)
{
    char *text = big("1.", "0", "0");
    int64_t n;
    double d;
    (void)state;
    memset(text + 2, '0', BIG - 2);
    assert_int_equal(scan_check(text, BIG, 10, &why, &at), 0);
    assert_true(scan_int(scan_root(text, BIG), &n) && n == 1);
    assert_true(scan_num(scan_root(text, BIG), &d) && d == 1);
    memset(text, '1', BIG);
    assert_int_equal(scan_check(text, BIG, 10, &why, &at), 0);
    assert_false(scan_int(scan_root(text, BIG), &n));
    assert_false(scan_num(scan_root(text, BIG), &d));
    free(text);
}

static void a_million_brackets_do_no_harm(void **state)
{
    char *text = big("", "[", "[");
    (void)state;
    memset(text, '[', BIG);
    assert_int_equal(scan_check(text, BIG, 100, &why, &at), ERR_TOO_BIG);
    assert_int_equal(at, 100);
    free(text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TAP("every form the grammar has is taken", takes_every_form_the_grammar_has),
        TAP("a refusal names the place and the reason", refuses_with_the_place_and_the_reason),
        TAP("NUL bytes are refused wherever they stand", refuses_nul_bytes_wherever_they_stand),
        TAP("a text cut anywhere is refused", a_text_cut_anywhere_is_refused),
        TAP("strings are read alike at every alignment", strings_are_read_alike_at_every_alignment),
        TAP("UTF-8 is what RFC 3629 says", utf8_is_what_rfc_3629_says),
        TAP("a byte that begins no sequence is refused", a_byte_that_begins_no_sequence_is_refused),
        TAP("nesting ends at the stated depth", nesting_ends_at_the_stated_depth),
        TAP("a bracket of the wrong kind is seen at any depth",
            a_bracket_of_the_wrong_kind_is_seen_at_any_depth),
        TAP("large texts are checked and walked in linear time",
            large_texts_are_checked_and_walked_in_linear_time),
        TAP("a number of 32 MiB is read in linear time", a_number_of_32_mib_is_read_in_linear_time),
        TAP("a million brackets do no harm", a_million_brackets_do_no_harm),
    };
    return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
