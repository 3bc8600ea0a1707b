// test_name: which characters and lengths make a name, an id and a model.
#include "common/base/attrs.h"
#include "common/job/name.h"
#include "tests/support/tap.h"

#include <string.h>

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

static const struct {
    bool (*is_valid)(const char *, size_t);
    const char *marks;
    size_t most;
} kinds[] = {
    {name_is_valid, "._-", 64},
    {id_is_valid, "._:-", 128},
    {model_is_valid, "._:/@-", 128},
};

static void each_byte_is_judged_as_documented(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
        for (int c = 0; c < 0x100; c++) {
            bool allowed = c != 0 && (strchr(letters, c) || strchr(kinds[k].marks, c));
            char first[] = {(char)c, 'a', 'a'}, last[] = {'a', 'a', (char)c};
            if (kinds[k].is_valid(first, 3) != allowed || kinds[k].is_valid(last, 3) != allowed)
                fail_msg("kind %zu, byte %02x", k, c);
            assert_int_equal(kinds[k].is_valid(first, 1), allowed);
        }
}

static void lengths_go_from_one_to_the_maximum(void **state)
{
    char text[200];
    (void)state;
    memset(text, 'z', sizeof text);
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
        for (size_t len = 0; len < sizeof text; len++)
            assert_int_equal(kinds[k].is_valid(text, len), len >= 1 && len <= kinds[k].most);
}

static void the_maxima_are_the_documented_ones(void **state)
{
    (void)state;
    assert_int_equal(NAME_BYTES_MAX, 64);
    assert_int_equal(ID_BYTES_MAX, 128);
    assert_int_equal(MODEL_BYTES_MAX, 128);
}

static void a_claims_own_id_can_be_no_jobs_id(void **state)
{
    (void)state;
    assert_false(id_is_valid("~01JDG3X4M5N6P7Q8R9S0T1V2W3", 27));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TAP("each byte is judged as documented", each_byte_is_judged_as_documented),
        TAP("lengths go from one to the maximum", lengths_go_from_one_to_the_maximum),
        TAP("the maxima are the documented ones", the_maxima_are_the_documented_ones),
        TAP("a claim's own id can be no job's id", a_claims_own_id_can_be_no_jobs_id),
    };
    return cmocka_run_group_tests_name("name", tests, NULL, NULL);
}
