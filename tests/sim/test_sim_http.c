// test_sim_http: requests whole, in pieces, and wrong.
#include "common/base/err.h"
#include "tests/sim/http_parse.h"
#include "tests/support/tap.h"

#include <stdlib.h>
#include <string.h>

static const char post[] = "POST /v1/messages?beta=true HTTP/1.1\r\n"
                           "Host: api\r\n"
                           "X-Api-Key: sk-1\r\n"
                           "authorization:Bearer  t0ken \r\n"
                           "Anthropic-Version: 2023-06-01\r\n"
                           "Content-Type: application/json\r\n"
                           "Expect: 100-continue\r\n"
                           "Content-Length: 12\r\n\r\n";

static int parse(const char *text, struct http_head *h)
{
    return http_head_parse(text, strlen(text), h);
}

static void a_head_is_read_with_names_in_any_case(void **state)
{
    (void)state;
    struct http_head h;
    assert_int_equal(parse(post, &h), 1);
    assert_int_equal(h.method, HTTP_POST);
    assert_true(span_is(h.path, "/v1/messages"));
    assert_true(span_is(h.query, "beta=true"));
    assert_true(span_is(h.api_key, "sk-1"));
    assert_true(span_is(h.authorization, "Bearer  t0ken"));
    assert_true(span_is(h.version, "2023-06-01"));
    assert_true(span_is(h.content_type, "application/json"));
    assert_int_equal(h.body_bytes, 12);
    assert_true(h.keep_alive && h.expects_continue && !h.chunked);
    assert_int_equal(h.bytes, sizeof post - 1);
}

static void any_part_of_a_head_asks_for_more(void **state)
{
    (void)state;
    struct http_head h;
    for (size_t len = 0; len < sizeof post - 1; len++) {
        char *part = malloc(len + 1); // its own block, so that a sanitizer sees a read too far
        memcpy(part, post, len);
        assert_int_equal(http_head_parse(part, len, &h), HTTP_PARTIAL);
        free(part);
    }
}

static void keep_alive_is_as_the_version_and_the_header_say(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool keep;
    } cases[] = {{"GET / HTTP/1.1\r\n\r\n", true},
                 {"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", false},
                 {"GET / HTTP/1.0\r\n\r\n", false},
                 {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
                 {"\r\n\r\nGET / HTTP/1.1\n\n", true}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_head h;
        assert_int_equal(parse(cases[i].text, &h), 1);
        assert_int_equal(h.keep_alive, cases[i].keep);
    }
}

static void what_is_no_request_is_refused_with_the_right_status(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int want;
    } cases[] = {{"GET\r\n\r\n", HTTP_BAD},
                 {"GET / HTTP/2.0\r\n\r\n", HTTP_BAD},
                 {"GET http://x/ HTTP/1.1\r\n\r\n", HTTP_BAD},
                 {"GET / HTTP/1.1\r\nno colon\r\n\r\n", HTTP_BAD},
                 {"GET / HTTP/1.1\r\n folded: x\r\n\r\n", HTTP_BAD},
                 {"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", HTTP_BAD},
                 {"POST / HTTP/1.1\r\nContent-Length: 1x\r\n\r\n", HTTP_BAD},
                 {"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", HTTP_BAD},
                 {"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", HTTP_NOT_IMPLEMENTED}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_head h;
        assert_int_equal(parse(cases[i].text, &h), cases[i].want);
    }
}

static void a_head_without_an_end_is_too_big_at_last(void **state)
{
    (void)state;
    size_t len = HTTP_HEAD_MAX_BYTES + 10;
    char *text = malloc(len);
    struct http_head h;
    memset(text, 'a', len);
    assert_int_equal(http_head_parse(text, HTTP_HEAD_MAX_BYTES - 1, &h), HTTP_PARTIAL);
    assert_int_equal(http_head_parse(text, len, &h), HTTP_HEAD_TOO_BIG);
    free(text);
}

static const char chunked[] = "5\r\nhello\r\n1;ext=\"a\"\r\n \r\n00a\r\nworld12345\r\n0\r\n"
                              "Trailer: x\r\n\r\nNEXT";

static void chunks_come_out_whole_wherever_they_are_cut(void **state)
{
    (void)state;
    size_t whole = sizeof chunked - 1;
    for (size_t cut = 0; cut <= whole; cut++) {
        struct http_chunks c = {.state = CHUNK_SIZE};
        struct strbuf body;
        strbuf_init(&body, 100);
        int64_t used = http_chunks_feed(&c, chunked, cut, &body);
        assert_true(used >= 0);
        if (c.state != CHUNK_DONE)
            used += http_chunks_feed(&c, chunked + cut, whole - cut, &body);
        assert_int_equal(c.state, CHUNK_DONE);
        assert_int_equal(used, whole - strlen("NEXT"));
        assert_string_equal(body.at, "hello world12345");
        strbuf_fini(&body);
    }
}

static void broken_chunks_and_too_large_a_body_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want;
    } cases[] = {{"x\r\n", HTTP_BAD},
                 {"\r\n", HTTP_BAD},
                 {"5\r\nhelloX\r\n", HTTP_BAD},
                 {"fffffffffffffffff\r\n", HTTP_BAD},
                 {"b\r\nhello world\r\n", ERR_TOO_BIG}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_chunks c = {.state = CHUNK_SIZE};
        struct strbuf body;
        strbuf_init(&body, 10);
        int64_t got = http_chunks_feed(&c, cases[i].text, strlen(cases[i].text), &body);
        assert_int_equal(got, cases[i].want);
        strbuf_fini(&body);
    }
}

static const struct CMUnitTest tests[] = {
    TAP("a head is read with names in any case", a_head_is_read_with_names_in_any_case),
    TAP("any part of a head asks for more", any_part_of_a_head_asks_for_more),
    TAP("keep-alive is as the version and the header say",
        keep_alive_is_as_the_version_and_the_header_say),
    TAP("what is no request is refused with the right status",
        what_is_no_request_is_refused_with_the_right_status),
    TAP("a head without an end is too big at last", a_head_without_an_end_is_too_big_at_last),
    TAP("chunks come out whole wherever they are cut", chunks_come_out_whole_wherever_they_are_cut),
    TAP("broken chunks and too large a body are refused",
        broken_chunks_and_too_large_a_body_are_refused),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
