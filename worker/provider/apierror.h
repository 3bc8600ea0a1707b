// apierror: what a refusal's body says, whoever wrote it: Anthropic, an OpenAI-like API, a gateway
// with a bare {"message"}, or a proxy with a page of HTML.
#ifndef PENSTOCK_PROVIDER_APIERROR_H
#define PENSTOCK_PROVIDER_APIERROR_H

#include "common/base/scan.h"
#include "common/job/outcome.h"

// apierror_json fills error_type, error_code, message and (if empty) request_id from a checked JSON
// value; what it does not hold stays as it was.
void apierror_json(struct scan_value root, struct outcome *o);
// apierror_read does the same from a body of any kind; the message is never empty after it.
void apierror_read(struct span body, struct outcome *o);

#endif
