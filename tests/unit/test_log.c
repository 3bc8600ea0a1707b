// test_log: a line is one JSON object, levels filter, long values are cut, and no line is lost.
#include "common/base/attrs.h"
#include "common/base/log.h"
#include "common/base/scan.h"
#include "tests/support/tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int ends[2];
static char line[65536];

// written gives all that was logged since the last call.
static const char *written(void)
{
    ssize_t len = read(ends[0], line, sizeof line - 1);
    line[len > 0 ? len : 0] = '\0';
    return line;
}

static struct scan_value one_object(void)
{
    const char *text = written();
    size_t len = strlen(text), at = 0;
    const char *why = "";
    assert_true(len > 0 && text[len - 1] == '\n');
    assert_ptr_equal(strchr(text, '\n'), text + len - 1);
    if (scan_check(text, len, 2, &why, &at) != 0)
        fail_msg("%s at %zu: %s", why, at, text);
    return scan_root(text, len);
}

static void expect_text(struct scan_value v, const char *key, const char *want)
{
    char text[4096];
    assert_true(scan_get(v, key, &v));
    assert_int_equal(v.type, SCAN_STRING);
    size_t len = scan_copy(v, text, sizeof text);
    assert_int_equal(len, strlen(want));
    assert_memory_equal(text, want, len);
}

static int to_pipe(void **state)
{
    (void)state;
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    log_to(ends[1]);
    return 0;
}

static int log_all(void **state)
{
    (void)state;
    log_setup(LOG_DEBUG, LOG_JSON);
    return 0;
}

static int to_stderr(void **state)
{
    (void)state;
    log_to(STDERR_FILENO);
    log_setup(LOG_INFO, LOG_JSON);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static void a_line_is_one_json_object_in_order(void **state)
{
    struct scan_value v;
    int64_t n;
    (void)state;
    log_event(LOG_WARN, "pool_shut", log_str("pool", "a:b:c"), log_int("for_ms", -5),
              log_bytes("part", "abcdef", 3), LOG_END);
    struct scan_value root = one_object();
    expect_text(root, "lvl", "warn");
    expect_text(root, "ev", "pool_shut");
    expect_text(root, "pool", "a:b:c");
    expect_text(root, "part", "abc");
    assert_true(scan_get(root, "for_ms", &v) && scan_int(v, &n) && n == -5);
    assert_memory_equal(root.raw.at, "{\"t\":\"20", 8);
    assert_true(scan_get(root, "t", &v));
    assert_int_equal(v.raw.len, strlen("\"2026-11-24T02:20:31.117Z\""));
    assert_int_equal(v.raw.at[v.raw.len - 2], 'Z');
}

static void bytes_that_would_break_the_line_are_escaped(void **state)
{
    (void)state;
    log_event(LOG_INFO, "odd", log_bytes("v", "a\"\\\n\0\x1b\xFF", 7), LOG_END);
    char want[] = "a\"\\\n?\x1b\xEF\xBF\xBD";
    want[4] = '\0';
    char text[64];
    struct scan_value v;
    assert_true(scan_get(one_object(), "v", &v));
    assert_int_equal(scan_copy(v, text, sizeof text), sizeof want - 1);
    assert_memory_equal(text, want, sizeof want - 1);
}

static void a_null_string_is_an_empty_one(void **state)
{
    (void)state;
    log_event(LOG_INFO, "none", log_str("v", NULL), log_bytes("w", NULL, 0), LOG_END);
    struct scan_value root = one_object();
    expect_text(root, "v", "");
    expect_text(root, "w", "");
}

static void lines_under_the_least_level_are_dropped(void **state)
{
    static const enum log_level levels[] = {LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR};
    static const char *const names[] = {"debug", "info", "warn", "error"};
    (void)state;
    for (size_t least = 0; least < 4; least++)
        for (size_t level = 0; level < 4; level++) {
            log_setup(levels[least], LOG_JSON);
            log_event(levels[level], "e", LOG_END);
            if (level < least)
                assert_string_equal(written(), "");
            else
                expect_text(one_object(), "lvl", names[level]);
        }
}

static void long_values_are_cut_to_512_bytes(void **state)
{
    char value[2000];
    struct scan_value v;
    (void)state;
    memset(value, 'v', sizeof value);
    log_event(LOG_INFO, "long", log_bytes("v", value, sizeof value), log_int("after", 1), LOG_END);
    struct scan_value root = one_object();
    assert_true(scan_get(root, "v", &v));
    assert_int_equal(v.raw.len, 512 + 2);
    assert_true(scan_get(root, "after", &v));
}

static void a_cut_inside_a_character_leaves_valid_json(void **state)
{
    char value[600];
    (void)state;
    for (size_t shift = 0; shift < 4; shift++) {
        memset(value, 'v', sizeof value);
        for (size_t i = shift; i + 4 <= sizeof value; i += 4)
            memcpy(value + i, "\xF0\x9F\x98\x80", 4);
        log_event(LOG_INFO, "cut", log_bytes("v", value, sizeof value), LOG_END);
        (void)one_object();
    }
}

static void a_line_of_many_long_values_is_not_lost(void **state)
{
    char ugly[512]; // each byte becomes six
    (void)state;
    memset(ugly, 1, sizeof ugly);
    struct log_field f = log_bytes("v", ugly, sizeof ugly);
    log_event(LOG_ERROR, "kept", f, f, f, f, f, f, f, f, log_int("last", 1), LOG_END);
    struct scan_value root = one_object();
    expect_text(root, "lvl", "error");
    expect_text(root, "ev", "kept");
    struct scan_value v;
    assert_true(scan_get(root, "fields_dropped", &v));
    log_setup(LOG_DEBUG, LOG_TEXT);
    log_event(LOG_ERROR, "kept", f, f, f, f, f, f, f, f, LOG_END);
    assert_non_null(strstr(written(), " error kept fields_dropped=1\n"));
}

static void text_format_is_one_line_too(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_TEXT);
    log_event(LOG_WARN, "pool_shut", log_str("pool", "a\nb"), log_int("for_ms", 7), LOG_END);
    const char *text = written();
    assert_string_equal(strchr(text, ' '), " warn  pool_shut pool=\"a\\nb\" for_ms=7\n");
}

static void level_names_are_read(void **state)
{
    (void)state;
    assert_int_equal(log_level_parse("debug"), LOG_DEBUG);
    assert_int_equal(log_level_parse("info"), LOG_INFO);
    assert_int_equal(log_level_parse("warn"), LOG_WARN);
    assert_int_equal(log_level_parse("error"), LOG_ERROR);
    assert_int_equal(log_level_parse("WARN"), -1);
    assert_int_equal(log_level_parse(""), -1);
}

int main(void)
{
#define CASE(sentence, fn)                                                                         \
    {                                                                                              \
        sentence, fn, log_all, NULL, NULL                                                          \
    }
    static const struct CMUnitTest tests[] = {
        CASE("a line is one JSON object in order", a_line_is_one_json_object_in_order),
        CASE("bytes that would break the line are escaped",
             bytes_that_would_break_the_line_are_escaped),
        CASE("a NULL string is an empty one", a_null_string_is_an_empty_one),
        CASE("lines under the least level are dropped", lines_under_the_least_level_are_dropped),
        CASE("long values are cut to 512 bytes", long_values_are_cut_to_512_bytes),
        CASE("a cut inside a character leaves valid JSON",
             a_cut_inside_a_character_leaves_valid_json),
        CASE("a line of many long values is not lost", a_line_of_many_long_values_is_not_lost),
        CASE("text format is one line too", text_format_is_one_line_too),
        CASE("level names are read", level_names_are_read),
    };
    return cmocka_run_group_tests_name("log", tests, to_pipe, to_stderr);
}
