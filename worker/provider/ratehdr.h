// ratehdr: what an answer's headers say about quotas, and when to come back. All pure. Times are
// measured from the answer's own Date header, so that the clocks of the two ends need not agree.
#ifndef PENSTOCK_PROVIDER_RATEHDR_H
#define PENSTOCK_PROVIDER_RATEHDR_H

#include "worker/http/message.h"

// Which dialect was found. Where an answer speaks several, the last in this order counts: it says
// most about itself.
enum rate_family {
    RATE_NONE,
    RATE_GENERIC,   // X-RateLimit-Limit, -Remaining, -Reset (a time, seconds or milliseconds)
    RATE_IETF,      // RateLimit and RateLimit-Policy, and the older RateLimit-Limit and so on
    RATE_OPENAI,    // x-ratelimit-limit-requests and so on; Azure's too
    RATE_ANTHROPIC, // anthropic-ratelimit-requests-limit and so on
};

struct rate_limit { // -1 = not said
    int64_t limit;
    int64_t remaining; // Anthropic rounds those of tokens to thousands
    // From the answer's date. ANTHROPIC, OPENAI: until the bucket is full again. GENERIC, IETF:
    // until the window ends. 0 where the time named is past.
    int64_t reset_ms;
    int64_t window_ms; // the limit holds for this long a time; only where it is certain
};

struct rate_headers {
    enum rate_family family;
    struct rate_limit requests;
    struct rate_limit input, output; // tokens
    struct rate_limit tokens; // ANTHROPIC: the most restrictive limit in force. OPENAI: the total,
                              // the project's where less of that is left
};

// The longest wait that is believed: a month's quota is the longest there is.
#define RATE_WAIT_MAX_MS (INT64_C(31) * 86400 * 1000)

void rate_headers_read(const struct http_answer *a, int64_t now_ms, struct rate_headers *ret);
const char *rate_family_word(enum rate_family f); // "anthropic"

// rate_date_ms gives the answer's Date header, or now_ms where it has none that can be read.
int64_t rate_date_ms(const struct http_answer *a, int64_t now_ms);

// rate_retry_after_ms gives how long the answer asks to wait, -1 where it names no time or one that
// is past: retry-after-ms, else retry-after, else on a 429 X-RateLimit-Reset, else on a 429 the `t`
// of a RateLimit with nothing remaining.
int64_t rate_retry_after_ms(const struct http_answer *a, int64_t now_ms);

#endif
