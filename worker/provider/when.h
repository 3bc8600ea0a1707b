// when: times and durations as HTTP headers and error messages write them. All pure; every function
// returns false on what it does not wholly understand, and rounds up to whole milliseconds, since
// coming back too early is the worse mistake.
#ifndef PENSTOCK_PROVIDER_WHEN_H
#define PENSTOCK_PROVIDER_WHEN_H

#include "common/base/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

// when_decimal reads "16", "1.5" (no sign, no exponent) of units of unit_ms (1 or 1000).
bool when_decimal(struct span s, int64_t unit_ms, int64_t *ret_ms);
// when_duration reads Go's form: "6m0s", "20ms", "1h2m3.5s".
bool when_duration(struct span s, int64_t *ret_ms);
// when_rfc3339 reads "2025-06-02T15:15:48Z", with fractions and offsets, as Unix milliseconds.
bool when_rfc3339(struct span s, int64_t *ret_ms);
// when_http_date reads the three forms of RFC 9110. now_ms settles the century of the old form.
bool when_http_date(struct span s, int64_t now_ms, int64_t *ret_ms);
// when_in_text finds the first date in a sentence that lies after after_ms: "2025-09-01 at 00:00
// UTC", "2025-09-01T00:00:00Z", or a date alone, which means its midnight. UTC where nothing is
// said.
bool when_in_text(struct span text, int64_t after_ms, int64_t *ret_ms);

#endif
