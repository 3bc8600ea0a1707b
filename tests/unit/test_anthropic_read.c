// test_anthropic_read: what we make of answers. Most of it is in tests/data/anthropic: each file is
// an answer with the outcome, the verdict and the quotas that it must come to.
#include "common/base/err.h"
#include "common/base/scan.h"
#include "tests/support/exchange.h"
#include "tests/support/tap.h"
#include "worker/provider/excerpt.h"
#include "worker/provider/provider.h"
#include "worker/provider/ratehdr.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 1 << 20, FILES_LEAST = 140 };

struct seen { // one exchange read
    const struct exchange *x;
    struct outcome o;
    struct decision d;
    struct rate_headers rate;
    struct strbuf text;
};

static int error_parse(const char *name)
{
#define XX(n, text)                                                                                \
    if (strcmp(name, #n) == 0)                                                                     \
        return ERR_##n;
    ERR_MAP(XX)
#undef XX
    return 0;
}

// Conditions are applied before the answer is read: "now_ms 123", "transport TIMEOUT words".
static int64_t conditions(struct exchange *x)
{
    int64_t now_ms = INT64_C(4000000000000); // far off: where it matters, the Date header must win
    for (size_t i = 0; i < x->want_count; i++) {
        struct exchange_want *w = &x->wants[i];
        if (strcmp(w->key, "now_ms") == 0)
            now_ms = atoll(w->value);
        if (strcmp(w->key, "transport") != 0)
            continue;
        char name[32] = "";
        int end = 0;
        assert_int_equal(sscanf(w->value, "%31s %n", name, &end), 1);
        x->answer.error = error_parse(name);
        assert_int_not_equal(x->answer.error, 0);
        snprintf(x->answer.error_text, sizeof x->answer.error_text, "%s", w->value + end);
    }
    return now_ms;
}

static const char *print_limit(char *buf, size_t room, struct rate_limit l)
{
    snprintf(buf, room, "%lld %lld %lld %lld", (long long)l.limit, (long long)l.remaining,
             (long long)l.reset_ms, (long long)l.window_ms);
    return buf;
}

static const char *print_int(char *buf, size_t room, int64_t n)
{
    snprintf(buf, room, "%lld", (long long)n);
    return buf;
}

static const char *print_span(char *buf, size_t room, struct span s)
{
    snprintf(buf, room, "%.*s", (int)s.len, s.at ? s.at : "");
    return buf;
}

// The response must be the body's own bytes without the blanks around them.
static const char *print_response(const struct seen *s)
{
    struct span r = s->o.response, body = strbuf_span(&s->x->answer.body);
    if (!r.at)
        return "(none)";
    size_t lead = strspn(body.at, " \t\r\n"), tail = 0;
    while (strchr(" \t\r\n", body.at[body.len - 1 - tail]))
        tail++;
    return r.at == body.at + lead && r.len == body.len - lead - tail ? "body" : "(something else)";
}

static const char *print_usage(char *buf, size_t room, struct usage u)
{
    snprintf(buf, room, "%lld %lld %lld %lld", (long long)u.input, (long long)u.output,
             (long long)u.cache_creation, (long long)u.cache_read);
    return buf;
}

// print gives what the exchange came to under a key, as its file would write it; NULL for a
// stranger.
static const char *print(const struct seen *s, const char *key, char *buf, size_t room)
{
    const struct outcome *o = &s->o;
    struct {
        const char *key, *value;
    } words[] = {
        {"error", o->error ? err_name(o->error) : ""},
        {"error_type", o->error_type},
        {"error_code", o->error_code},
        {"message", o->message},
        {"message_has", o->message},
        {"request_id", o->request_id},
        {"text", s->text.len ? s->text.at : "(none)"},
        {"response", print_response(s)},
        {"verdict", verdict_word(s->d.verdict)},
        {"failure", failure_word(s->d.failure)},
        {"cause", cause_word(s->d.shut)},
        {"rate", rate_family_word(s->rate.family)},
    };
    struct {
        const char *key;
        int64_t value;
    } numbers[] = {
        {"http_status", o->http_status},   {"broken", o->broken},
        {"should_retry", o->should_retry}, {"retry_after_ms", o->retry_after_ms},
        {"resume_in_ms", o->resume_in_ms}, {"floor_ms", s->d.floor_ms},
    };
    struct {
        const char *key;
        struct rate_limit value;
    } limits[] = {
        {"rate_requests", s->rate.requests},
        {"rate_input", s->rate.input},
        {"rate_output", s->rate.output},
        {"rate_tokens", s->rate.tokens},
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(key, words[i].key) == 0)
            return words[i].value;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (strcmp(key, numbers[i].key) == 0)
            return print_int(buf, room, numbers[i].value);
    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        if (strcmp(key, limits[i].key) == 0)
            return print_limit(buf, room, limits[i].value);
    if (strcmp(key, "usage") == 0)
        return print_usage(buf, room, o->usage);
    if (strcmp(key, "model") == 0)
        return print_span(buf, room, o->model);
    return strcmp(key, "stop_reason") == 0 ? print_span(buf, room, o->stop_reason) : NULL;
}

static bool want_is_met(const struct seen *s, const struct exchange_want *w, const char *file)
{
    char buf[256];
    if (strcmp(w->key, "now_ms") == 0 || strcmp(w->key, "transport") == 0)
        return true;
    const char *got = print(s, w->key, buf, sizeof buf);
    if (!got) {
        print_error("%s: no such expectation: %s\n", file, w->key);
        return false;
    }
    bool met = strcmp(w->key, "message_has") == 0 ? strstr(got, w->value) != NULL
                                                  : strcmp(got, w->value) == 0;
    if (!met)
        print_error("%s: %s is \"%s\", expected \"%s\"\n", file, w->key, got, w->value);
    return met;
}

// What holds of every outcome, whatever the file asks.
static bool is_sound(const struct seen *s, const char *file)
{
    const char *why;
    size_t at;
    bool done = s->d.verdict == VERDICT_DONE;
    bool ok = done == (s->text.len > 0) && done == (s->o.response.at != NULL) &&
              done == (s->o.message[0] == '\0') &&
              done == (s->d.failure == FAILURE_NONE && s->d.shut == CAUSE_NONE);
    if (done && scan_check(s->text.at, s->text.len, 1, &why, &at))
        ok = false;
    if (!ok)
        print_error("%s: the outcome contradicts itself\n", file);
    return ok;
}

static bool exchange_reads_as_it_says(const char *path)
{
    static struct exchange x;
    struct seen s = {.x = &x};
    struct tries tries = {.max_attempts = 5};
    const char *file = strrchr(path, '/') + 1;
    bool has_verdict = false;
    exchange_load(path, &x);
    int64_t now_ms = conditions(&x);
    strbuf_init(&s.text, TEXT_MAX);
    memset(&s.o, 0x5A, sizeof s.o); // whatever was in it must not matter
    s.o.text = &s.text;
    provider_find("anthropic")->read(&x.answer, now_ms, &s.o);
    s.d = verdict_of(&s.o, &tries);
    rate_headers_read(&x.answer, now_ms, &s.rate);
    bool ok = is_sound(&s, file);
    for (size_t i = 0; i < x.want_count; i++) {
        ok = want_is_met(&s, &x.wants[i], file) && ok;
        has_verdict = has_verdict || strcmp(x.wants[i].key, "verdict") == 0;
    }
    if (!has_verdict)
        print_error("%s: says no verdict\n", file);
    strbuf_fini(&s.text);
    exchange_fini(&x);
    return ok && has_verdict;
}

static void recorded_exchanges_read_as_their_files_say(void **state)
{
    (void)state;
    glob_t files;
    int bad = 0;
    assert_int_equal(glob(TEST_DATA_DIR "/anthropic/*.http", 0, NULL, &files), 0);
    assert_true(files.gl_pathc >= FILES_LEAST);
    for (size_t i = 0; i < files.gl_pathc; i++)
        bad += !exchange_reads_as_it_says(files.gl_pathv[i]);
    globfree(&files);
    assert_int_equal(bad, 0);
}

static struct http_answer answer_of(int status, const char *body)
{
    struct http_answer a = {.status = status};
    strbuf_init(&a.headers, 1024);
    strbuf_init(&a.body, 1 << 20);
    strbuf_add_str(&a.body, body);
    return a;
}

static void answer_fini(struct http_answer *a)
{
    strbuf_fini(&a->headers);
    strbuf_fini(&a->body);
}

#define GOOD                                                                                       \
    "{\"type\":\"message\",\"model\":\"m\",\"content\":[{\"type\":\"text\",\"text\":"              \
    "\"0123456789\"}],"                                                                            \
    "\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}"

static void text_may_be_unwanted(void **state)
{
    (void)state;
    struct http_answer a = answer_of(200, GOOD);
    struct outcome o = {.text = NULL};
    provider_find("anthropic")->read(&a, 0, &o);
    assert_int_equal(o.error, 0);
    assert_false(o.broken);
    assert_null(o.text);
    assert_int_equal(o.usage.output, 2);
    answer_fini(&a);
}

static void a_text_beyond_its_ceiling_is_an_error_and_leaves_no_half_text(void **state)
{
    (void)state;
    struct http_answer a = answer_of(200, GOOD);
    struct strbuf text;
    strbuf_init(&text, 11); // one byte short of the text with its quotes
    struct outcome o = {.text = &text};
    provider_find("anthropic")->read(&a, 0, &o);
    assert_int_equal(o.error, ERR_TOO_BIG);
    assert_false(o.broken);
    assert_int_equal(text.len, 0);
    assert_int_equal(verdict_of(&o, &(struct tries){.max_attempts = 5}).verdict, VERDICT_BURY);
    strbuf_fini(&text);
    strbuf_init(&text, 12);
    o.text = &text;
    provider_find("anthropic")->read(&a, 0, &o);
    assert_int_equal(o.error, 0);
    assert_string_equal(text.at, "\"0123456789\"");
    strbuf_fini(&text);
    answer_fini(&a);
}

static void a_long_message_is_cut_between_characters(void **state)
{
    (void)state;
    struct strbuf body;
    strbuf_init(&body, 1 << 16);
    strbuf_add_str(&body, "{\"error\":{\"type\":\"t\",\"message\":\"");
    for (int i = 0; i < 1000; i++)
        strbuf_add_str(&body, i % 2 ? "\xE4\xB8\x96" : "\\u4e16");
    strbuf_add_str(&body, "\"}}");
    struct http_answer a = answer_of(400, body.at);
    struct outcome o = {.text = NULL};
    provider_find("anthropic")->read(&a, 0, &o);
    assert_int_equal(strlen(o.message), (sizeof o.message - 1) / 3 * 3);
    for (size_t i = 0; o.message[i]; i += 3)
        assert_memory_equal(o.message + i, "\xE4\xB8\x96", 3);
    strbuf_fini(&body);
    answer_fini(&a);
}

static void ids_and_codes_are_cut_and_hold_no_blanks(void **state)
{
    (void)state;
    char type[200];
    memset(type, 'x', sizeof type);
    struct strbuf body;
    strbuf_init(&body, 1 << 16);
    strbuf_add_fmt(&body, "{\"error\":{\"type\":\"%.*s\",\"code\":\"a b\",\"message\":\"m\"}}", 199,
                   type);
    struct http_answer a = answer_of(400, body.at);
    strbuf_add_str(&a.headers, "Request-ID: req \x01 \xC3\xA9 1\n");
    struct outcome o = {.text = NULL};
    provider_find("anthropic")->read(&a, 0, &o);
    assert_int_equal(strlen(o.error_type), sizeof o.error_type - 1);
    assert_string_equal(o.error_code, "ab");
    assert_string_equal(o.request_id, "req1");
    strbuf_fini(&body);
    answer_fini(&a);
}

static void what_looks_like_a_key_is_hidden(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"sk-ant-api03-abcdefgh", "sk-..."},
        {"key=sk-ant-1234567, again sk-proj-1234567!", "key=sk-..., again sk-...!"},
        {"sk-12345", "sk-..."},
        {"sk-1234", "sk-1234"}, // too short for one
        {"risk-management and task-force", "risk-management and task-force"},
        {"", ""},
        {"sk-", "sk-"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[64];
        snprintf(text, sizeof text, "%s", cases[i].text);
        excerpt_hide(text);
        assert_string_equal(text, cases[i].want);
    }
}

static void a_page_is_read_as_a_person_would(void **state)
{
    (void)state;
    static const struct {
        const char *page, *want;
    } cases[] = {
        {"<p>one</p><p>two</p>", "one two"},
        {"<!-- a > b -->one<!-- never closed", "one"},
        {"<SCRIPT>if (a < b) x();</SCRIPT>one<style>p{}</style>", "one"},
        {"3 < 4 and 5 > 4", "3 < 4 and 5 > 4"},
        {"one<never closed", "one"},
        {"\x01 a\tb\r\n\xC3\xA9 c \x7F", "a b c"},
        {"<", "<"},
        {"", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char got[32];
        excerpt_page(span_of(cases[i].page), got, sizeof got);
        assert_string_equal(got, cases[i].want);
    }
    char small[4];
    excerpt_page(span_of("one two"), small, sizeof small);
    assert_string_equal(small, "one");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TAP("recorded exchanges read as their files say",
            recorded_exchanges_read_as_their_files_say),
        TAP("text may be unwanted", text_may_be_unwanted),
        TAP("a text beyond its ceiling is an error and leaves no half text",
            a_text_beyond_its_ceiling_is_an_error_and_leaves_no_half_text),
        TAP("a long message is cut between characters", a_long_message_is_cut_between_characters),
        TAP("ids and codes are cut and hold no blanks", ids_and_codes_are_cut_and_hold_no_blanks),
        TAP("what looks like a key is hidden", what_looks_like_a_key_is_hidden),
        TAP("a page is read as a person would", a_page_is_read_as_a_person_would),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
