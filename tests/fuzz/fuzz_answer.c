// fuzz_answer: no answer may crash the reader, and whatever it makes of one must hold together.
// Input: three digits of a status, header lines, an empty line, the body.
#include "common/base/scan.h"
#include "tests/fuzz/fuzz_target.h"
#include "worker/provider/provider.h"

#include <assert.h>
#include <string.h>

static void word_ends(const char *word, size_t room)
{
    assert(memchr(word, '\0', room) != NULL);
}

static void outcome_holds(const struct outcome *o, const struct decision *d)
{
    const char *why;
    size_t at;
    word_ends(o->error_type, sizeof o->error_type);
    word_ends(o->error_code, sizeof o->error_code);
    word_ends(o->message, sizeof o->message);
    word_ends(o->request_id, sizeof o->request_id);
    assert(o->retry_after_ms >= -1 && o->resume_in_ms >= -1);
    assert((d->verdict == VERDICT_DONE) == (o->message[0] == '\0'));
    if (d->verdict != VERDICT_DONE) {
        assert(o->text->len == 0 && !o->response.at);
        return;
    }
    assert(o->usage.input >= 0 && o->usage.output >= 0);
    assert(scan_check(o->text->at, o->text->len, 1, &why, &at) == 0);
    assert(scan_check(o->response.at, o->response.len, SCAN_DEPTH_MAX, &why, &at) == 0);
    assert(scan_check(o->stop_reason.at, o->stop_reason.len, 1, &why, &at) == 0);
}

static int status_of(const uint8_t *data)
{
    int status = 0;
    for (int i = 0; i < 3; i++)
        status = status * 10 + data[i] % 16 % 10;
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct tries tries = {.max_attempts = 3, .max_throttles = 2};
    struct http_answer a = {0};
    struct strbuf text;
    if (size < 4)
        return 0;
    a.status = status_of(data);
    const char *rest = (const char *)data + 4, *split = memmem(rest, size - 4, "\n\n", 2);
    size_t left = size - 4, head = split ? (size_t)(split - rest) + 1 : 0;
    size_t skip = split ? head + 1 : 0;
    strbuf_init(&a.headers, size);
    strbuf_init(&a.body, size);
    strbuf_init(&text, size);
    strbuf_add(&a.headers, rest, head);
    strbuf_add(&a.body, rest + skip, left - skip);
    struct outcome o = {.text = &text};
    provider_find("anthropic")->read(&a, INT64_C(1764000000000), &o);
    struct decision d = verdict_of(&o, &tries);
    outcome_holds(&o, &d);
    strbuf_fini(&a.headers);
    strbuf_fini(&a.body);
    strbuf_fini(&text);
    return 0;
}
