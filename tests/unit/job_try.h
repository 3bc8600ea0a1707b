// job_try: parse a payload from a heap copy of its exact size, so that a sanitizer sees a step too
// far. What was parsed stays until the next call.
#ifndef PENSTOCK_TESTS_JOB_TRY_H
#define PENSTOCK_TESTS_JOB_TRY_H

#include "common/base/attrs.h"
#include "common/base/err.h"
#include "common/job/job.h"
#include "tests/support/tap.h"

#include <stdlib.h>
#include <string.h>

enum { TRY_BYTES_MAX = 4 << 20 };

static struct job job;
static struct job_fault fault;

static inline int try_bytes(const char *payload, size_t len, size_t bytes_max)
{
    static char *copy;
    free(copy);
    copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, payload, len);
    memset(&job, 0xA5, sizeof job);
    memset(&fault, 0xA5, sizeof fault);
    return job_parse(copy, len, bytes_max, &job, &fault);
}

static inline int try_job(const char *payload)
{
    return try_bytes(payload, strlen(payload), TRY_BYTES_MAX);
}

static inline void accept_job(const char *payload)
{
    if (try_job(payload) != 0)
        fail_msg("%s: %s", payload, fault.why);
}

// assert_span compares with a text; "" stands for an absent span too.
static inline void assert_span(struct span s, const char *want)
{
    if (s.len != strlen(want) || (s.len > 0 && memcmp(s.at, want, s.len) != 0))
        fail_msg("'%.*s' is not '%s'", (int)s.len, s.at ? s.at : "", want);
}

#endif
