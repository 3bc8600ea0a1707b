// quota: a pool's ledger as the command line reads it: the gate, the limits, and how much
// work they allow in a time (docs/governor.md has the fields).
#ifndef PENSTOCK_CLI_QUOTA_H
#define PENSTOCK_CLI_QUOTA_H

#include "common/redis/reply.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum quota_kind { QUOTA_REQUESTS, QUOTA_INPUT, QUOTA_OUTPUT, QUOTA_KINDS };
extern const char *const quota_names[QUOTA_KINDS]; // "requests", "input", "output"

struct quota {
    bool known; // the pool has been used
    int64_t open_at, since;
    char cause[24], why[100], breaker[12];
    double limit[QUOTA_KINDS]; // a minute's; 0 = not known
    double left[QUOTA_KINDS], capacity[QUOTA_KINDS];
    double cost[QUOTA_KINDS];     // of a start, lately
    double override[QUOTA_KINDS]; // an operator's own limit a minute; 0 = none
    double drain[QUOTA_KINDS];    // what strangers take, a ms
    double output_mean;           // tokens out of an answer; 0 = none yet
    double pace;                  // starts a ms while no header tells a limit; 0 = none
    double accepted, refused;
};

// quota_read takes the answer of HGETALL penstock:pool:{...}.
void quota_read(struct quota *q, const struct reply *hash);
bool quota_is_open(const struct quota *q, int64_t now_ms);
// quota_jobs: how many jobs can be started within so many seconds, where one takes job[] of each
// quota. *ret_kind: what binds; QUOTA_KINDS = nothing is known (the answer is 0 then).
double quota_jobs(const struct quota *q, const double job[QUOTA_KINDS], double seconds,
                  enum quota_kind *ret_kind);

#endif
