// ietf: the RateLimit headers of the IETF's HTTP API group, in the three shapes its drafts gave
// them:
//
//   RateLimit: "burst";r=50;t=30          RateLimit-Policy: "burst";q=100;w=60    draft 8 and later
//   RateLimit: limit=100, remaining=50, reset=30    RateLimit-Policy: 100;w=60    draft 7
//   RateLimit-Limit: 100, 100;w=60     RateLimit-Remaining: 50    RateLimit-Reset: 30     before
#ifndef PENSTOCK_PROVIDER_IETF_H
#define PENSTOCK_PROVIDER_IETF_H

#include "worker/provider/ratehdr.h"

// ietf_read gives the limit of requests that binds most: of several, the one with least remaining.
// False where there is none.
bool ietf_read(const struct http_answer *a, struct rate_limit *ret);

#endif
