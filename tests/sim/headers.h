// headers: the quota headers that the API and other providers send, as pure text from a snapshot.
#ifndef PENSTOCK_SIM_HEADERS_H
#define PENSTOCK_SIM_HEADERS_H

#include "common/base/strbuf.h"
#include "tests/sim/limiter.h"

enum header_family {
    HEADERS_ANTHROPIC,
    HEADERS_OPENAI,
    HEADERS_GENERIC,
    HEADERS_IETF,
    HEADERS_NONE
};
enum retry_form { RETRY_SECONDS, RETRY_DATE, RETRY_MS, RETRY_RESET, RETRY_NONE };

// What the buckets showed at one moment.
struct snapshot {
    int64_t wall_ms; // that moment
    struct {
        int64_t limit, remaining; // limit 0: not limited, no header
        int64_t full_ms;          // full again after this long
    } dim[DIM_COUNT];
};

void snapshot_take(struct snapshot *s, const struct limiter *l, int64_t wall_ms);

// headers_add_quota adds the family's quota header lines, each ending in CRLF.
void headers_add_quota(struct strbuf *out, enum header_family family, const struct snapshot *s);

// headers_add_retry adds the lines that name when to come again, wait_ms after wall_ms, and gives
// the wait in milliseconds as a client will read it: rounded up to the form's precision, at least
// one second in whole seconds. 0 where nothing is named.
int64_t headers_add_retry(struct strbuf *out, enum retry_form form, int64_t wait_ms,
                          int64_t wall_ms);

void headers_add_rfc3339(struct strbuf *out, int64_t wall_ms);   // 2026-11-24T05:06:07Z
void headers_add_http_date(struct strbuf *out, int64_t wall_ms); // Tue, 24 Nov 2026 05:06:07 GMT
void headers_add_go_duration(struct strbuf *out, int64_t ms);    // 6m0s, 1.5s, 20ms, 0s
int64_t headers_round_1000(double tokens);                       // to the nearest thousand

#endif
