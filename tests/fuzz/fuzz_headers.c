// fuzz_headers: no header may crash its readers, and no number they give may be out of its range.
// Input: header lines; the same bytes are also read as each kind of time.
#include "tests/fuzz/fuzz_target.h"
#include "worker/provider/ratehdr.h"
#include "worker/provider/when.h"

#include <assert.h>

static void limit_holds(struct rate_limit l)
{
    assert(l.limit >= -1 && l.remaining >= -1 && l.reset_ms >= -1 && l.window_ms >= -1);
}

static void headers_hold(struct span text, int status)
{
    static const int64_t now_ms = INT64_C(1764000000000);
    struct http_answer a = {.status = status};
    struct rate_headers h;
    strbuf_init(&a.headers, text.len + 1);
    strbuf_add_span(&a.headers, text);
    rate_headers_read(&a, now_ms, &h);
    limit_holds(h.requests);
    limit_holds(h.input);
    limit_holds(h.output);
    limit_holds(h.tokens);
    int64_t wait_ms = rate_retry_after_ms(&a, now_ms);
    assert(wait_ms == -1 || (wait_ms > 0 && wait_ms <= RATE_WAIT_MAX_MS));
    strbuf_fini(&a.headers);
}

static void times_hold(struct span text)
{
    int64_t ms;
    if (when_decimal(text, 1000, &ms) || when_decimal(text, 1, &ms) || when_duration(text, &ms))
        assert(ms >= 0);
    if (when_rfc3339(text, &ms) || when_http_date(text, 0, &ms))
        assert(ms >= -INT64_C(86400000) &&
               ms < INT64_C(253402387200000)); // offsets reach a day out
    if (when_in_text(text, 1000, &ms))
        assert(ms > 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};
    if (size == 0)
        return 0;
    headers_hold(text, 429);
    headers_hold(text, 200);
    times_hold(text);
    return 0;
}
