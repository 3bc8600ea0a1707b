// test_sim_ask: what a body asks for, what is wrong with it, and how large its answer is.
#include "common/base/err.h"
#include "tests/sim/answer.h"
#include "tests/support/tap.h"

#include <stdlib.h>
#include <string.h>

static struct ask ask;
static char why[ASK_WHY_BYTES];

// parse copies the text into a block of its own, so that a sanitizer sees a read too far. What the
// ask borrows dies with it: `prompt` is copied to be looked at.
static char prompt[ASK_PROMPT_BYTES + 1];

static int parse_as(const char *text, enum ask_kind kind)
{
    size_t len = strlen(text);
    char *copy = malloc(len);
    memcpy(copy, text, len);
    why[0] = '\0';
    int err = ask_parse(copy, len, kind, &ask, why);
    if (!err) {
        memcpy(prompt, ask.prompt.at, ask.prompt.len);
        prompt[ask.prompt.len] = '\0';
    }
    free(copy);
    return err;
}

static void what_is_missing_is_named_as_the_api_names_it(void **state)
{
    (void)state;
    static const struct {
        const char *body, *why;
    } cases[] = {
        {"[]", "Input should be a valid dictionary"},
        {"{}", "model: Field required"},
        {"{\"model\":7}", "model: Input should be a valid string"},
        {"{\"model\":\"m\"}", "max_tokens: Field required"},
        {"{\"model\":\"m\",\"max_tokens\":\"7\"}", "max_tokens: Input should be a valid integer"},
        {"{\"model\":\"m\",\"max_tokens\":-1}",
         "max_tokens: Input should be greater than or equal to 1"},
        {"{\"model\":\"m\",\"max_tokens\":1}", "messages: Field required"},
        {"{\"model\":\"m\",\"max_tokens\":1,\"messages\":{}}",
         "messages: Input should be a valid array"},
        {"{\"model\":\"m\",\"max_tokens\":1,\"messages\":[]}",
         "messages: at least one message is required"},
        {"{\"model\":\"m\",\"max_tokens\":1,\"messages\":[{\"content\":\"x\"}]}",
         "messages.0.role: Field required"},
        {"{\"model\":\"m\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\"}]}",
         "messages.0.content: Field required"},
        {"{\"model\":\"m\",\"max_tokens\":1,\"messages\":[{\"role\":\"bot\",\"content\":\"\"}]}",
         "messages: Unexpected role \"bot\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(parse_as(cases[i].body, ASK_MESSAGES), ERR_BAD_JSON);
        assert_string_equal(why, cases[i].why);
    }
    assert_int_equal(parse_as("{\"model\":", ASK_MESSAGES), ERR_BAD_JSON);
    assert_non_null(strstr(why, "not valid JSON"));
}

static void counting_tokens_needs_no_max_tokens(void **state)
{
    (void)state;
    static const char body[] =
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
    assert_int_equal(parse_as(body, ASK_COUNT_TOKENS), 0);
    assert_int_equal(parse_as(body, ASK_MESSAGES), ERR_BAD_JSON);
}

static void the_prompt_is_the_last_user_message(void **state)
{
    (void)state;
    assert_int_equal(
        parse_as("{\"messages\":[{\"role\":\"user\",\"content\":\"one\"},"
                 "{\"role\":\"assistant\",\"content\":\"no\"},"
                 "{\"content\":[{\"type\":\"image\"},{\"type\":\"text\",\"text\":\"tw\\u006f\"}],"
                 "\"role\":\"user\"}],\"stream\":true,\"top_k\":5,\"max_tokens\":9,"
                 "\"model\":\"m\"}",
                 ASK_MESSAGES),
        0);
    assert_string_equal(prompt, "two");
    assert_true(ask.stream);
    assert_string_equal(ask.sampling, "top_k");
    assert_int_equal(ask.max_tokens, 9);
}

static char *body_of(const char *piece, int times)
{
    struct strbuf b;
    strbuf_init(&b, 1 << 20);
    strbuf_add_str(&b, "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\","
                       "\"content\":\"");
    while (times-- > 0)
        strbuf_add_str(&b, piece);
    strbuf_add_str(&b, "\"}]}");
    return strbuf_take(&b);
}

// However the text is written, its head is whole characters and at most 200 of them.
static void a_long_prompt_is_cut_to_200_characters_and_never_within_one(void **state)
{
    (void)state;
    static const struct {
        const char *piece;
        int times;
        size_t chars, bytes_each;
    } cases[] = {
        {"a", 50, 50, 1},
        {"a", 2000, 200, 1},
        {"\xE4\xB8\xAD", 2000, 200, 3},
        {"\\u4e2d", 2000, 200, 3},
        {"\xF0\x9F\x98\x80", 300, 200, 4},
        {"\\ud83d\\ude00", 300, 200, 4},
        {"\\n", 2000, 200, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *body = body_of(cases[i].piece, cases[i].times);
        assert_int_equal(parse_as(body, ASK_MESSAGES), 0);
        assert_int_equal(strlen(prompt), cases[i].chars * cases[i].bytes_each);
        free(body);
    }
}

// A surrogate pair may lie across the place where the raw text is cut.
static void a_cut_never_splits_a_surrogate_pair(void **state)
{
    (void)state;
    for (int lead = 0; lead < 24; lead++) {
        char piece[64];
        memset(piece, 'x', (size_t)lead);
        strncpy(piece + lead, "\\ud83d\\ude00", sizeof piece - (size_t)lead);
        char *body = body_of(piece, 300);
        assert_int_equal(parse_as(body, ASK_MESSAGES), 0);
        assert_null(strstr(prompt, "\xEF\xBF\xBD"));
        assert_true(strlen(prompt) > 0);
        free(body);
    }
}

static void escapes_count_as_what_they_stand_for(void **state)
{
    (void)state;
    char *plain = body_of("\xE4\xB8\xAD", 100), *escaped = body_of("\\u4e2d", 100);
    assert_int_equal(parse_as(plain, ASK_MESSAGES), 0);
    uint64_t bytes = ask.text_bytes, hash = ask.hash;
    assert_int_equal(parse_as(escaped, ASK_MESSAGES), 0);
    assert_int_equal(ask.text_bytes, bytes);
    assert_true(ask.hash != hash);
    free(plain);
    free(escaped);
}

static struct settings set;
static struct question planned;

static const struct question *plan(const char *piece, int times, int64_t max_tokens)
{
    char *body = body_of(piece, times);
    settings_init(&set);
    assert_int_equal(ask_parse(body, strlen(body), ASK_MESSAGES, &ask, why), 0);
    ask.max_tokens = max_tokens;
    answer_plan(&ask, &set, &planned);
    free(body);
    return &planned;
}

static void the_same_body_always_gets_the_same_answer(void **state)
{
    (void)state;
    struct question first = *plan("hello", 3, 4096), other = *plan("hellp", 3, 4096);
    assert_memory_equal(&first, plan("hello", 3, 4096), offsetof(struct question, prompt));
    assert_true(first.out_tokens != other.out_tokens || first.hash != other.hash);
}

static void max_tokens_cuts_an_answer_and_says_so(void **state)
{
    (void)state;
    const struct question *q = plan("hello", 3, 2);
    assert_int_equal(q->out_tokens, 2);
    assert_true(q->hit_max && !q->empty);
    assert_false(plan("hello", 3, 1000000)->hit_max);
    assert_true(plan("hello", 3, 0)->empty);
    assert_int_equal(plan("hello", 3, 0)->out_tokens, 0);
}

static void output_sizes_have_the_median_that_was_asked_for(void **state)
{
    (void)state;
    int below = 0;
    for (int i = 0; i < 2000; i++) {
        char piece[16];
        snprintf(piece, sizeof piece, "%d", i);
        below += plan(piece, 1, 1000000)->out_tokens < 250;
    }
    assert_in_range(below, 900, 1100);
}

static void ids_are_unlike_each_other(void **state)
{
    (void)state;
    char a[ID_BYTES], b[ID_BYTES];
    answer_id(a, "req_01", 1, 3);
    answer_id(b, "req_01", 2, 3);
    assert_int_equal(strlen(a), 28);
    assert_string_not_equal(a, b);
}

static const struct CMUnitTest tests[] = {
    TAP("what is missing is named as the API names it",
        what_is_missing_is_named_as_the_api_names_it),
    TAP("counting tokens needs no max_tokens", counting_tokens_needs_no_max_tokens),
    TAP("the prompt is the last user message", the_prompt_is_the_last_user_message),
    TAP("a long prompt is cut to 200 characters and never within one",
        a_long_prompt_is_cut_to_200_characters_and_never_within_one),
    TAP("a cut never splits a surrogate pair", a_cut_never_splits_a_surrogate_pair),
    TAP("escapes count as what they stand for", escapes_count_as_what_they_stand_for),
    TAP("the same body always gets the same answer", the_same_body_always_gets_the_same_answer),
    TAP("max_tokens cuts an answer and says so", max_tokens_cuts_an_answer_and_says_so),
    TAP("output sizes have the median that was asked for",
        output_sizes_have_the_median_that_was_asked_for),
    TAP("ids are unlike each other", ids_are_unlike_each_other),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
