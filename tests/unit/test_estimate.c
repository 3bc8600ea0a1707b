// estimate: what a payload is thought to hold.
#include "tests/support/tap.h"
#include "worker/run/estimate.h"

#include <stdio.h>
#include <string.h>

static void text_counts_by_its_bytes(void **state)
{
    (void)state;
    static const char job[] = "{\"prompt\":\"Tell me a short story\"}";
    assert_int_equal(estimate_bytes(job, strlen(job)), strlen(job));
}

// with_media writes a request whose image has so many bytes of base64.
static size_t with_media(char *ret, size_t room, const char *colon, size_t bytes)
{
    size_t len = (size_t)snprintf(ret, room, "{\"source\":{\"data\"%s\"", colon);
    memset(ret + len, 'A', bytes);
    len += bytes;
    return len + (size_t)snprintf(ret + len, room - len, "\"},\"text\":\"what is this?\"}");
}

static void an_image_counts_as_its_tokens_would_however_long_it_is(void **state)
{
    (void)state;
    static char job[400000];
    size_t small = with_media(job, sizeof job, ":", 20000), seen = estimate_bytes(job, small);
    assert_in_range(seen, 5000, 7000);
    size_t large = with_media(job, sizeof job, " : ", 300000);
    assert_in_range(estimate_bytes(job, large), 5000, 7000);
}

static void a_document_of_plain_text_is_text_however_long(void **state)
{
    (void)state;
    static char job[90000];
    size_t len = with_media(job, sizeof job, ":", 80000);
    for (size_t i = 40; i < 80000; i += 7)
        job[i] = ' ';
    assert_int_equal(estimate_bytes(job, len), len);
}

static void a_short_string_of_that_name_is_text(void **state)
{
    (void)state;
    char job[4096];
    size_t len = with_media(job, sizeof job, ":", 900);
    len += (size_t)snprintf(job + len, sizeof job - len, "%1500s", "");
    assert_int_equal(estimate_bytes(job, len), len);
}

static void a_string_that_never_ends_is_no_image(void **state)
{
    (void)state;
    static char job[9000] = "{\"data\":\"";
    memset(job + 9, 'A', sizeof job - 9);
    assert_int_equal(estimate_bytes(job, sizeof job), sizeof job);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TAP("text counts by its bytes", text_counts_by_its_bytes),
        TAP("an image counts as its tokens would, however long it is",
            an_image_counts_as_its_tokens_would_however_long_it_is),
        TAP("a document of plain text is text, however long",
            a_document_of_plain_text_is_text_however_long),
        TAP("a short string of that name is text", a_short_string_of_that_name_is_text),
        TAP("a string that never ends is no image", a_string_that_never_ends_is_no_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
