// trace: the trace that a producer put its job under, by the W3C's trace context: `traceparent` in
// the job's `meta`, as 00-<trace id, 32 hex>-<span id, 16 hex>-<flags, 2 hex>.
#ifndef PENSTOCK_JOB_TRACE_H
#define PENSTOCK_JOB_TRACE_H

#include "common/base/strbuf.h"

#include <stdbool.h>

enum { TRACE_ID_LEN = 32 };

// trace_id reads the trace id of a job's meta (checked JSON, len 0 = none). False, and "", where
// there is none or it is not in that form.
bool trace_id(struct span meta, char ret[TRACE_ID_LEN + 1]);

#endif
