#include "worker/cli/quota.h"

#include "common/base/attrs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const quota_names[QUOTA_KINDS] = {"requests", "input", "output"};

static void copy(char *ret, size_t room, struct span s)
{
    snprintf(ret, room, "%.*s", (int)s.len, s.at);
}

// read_kind takes "<kind>_limit" and its like.
static void read_kind(struct quota *q, struct span name, struct span value)
{
    for (int k = 0; k < QUOTA_KINDS; k++) {
        size_t len = strlen(quota_names[k]);
        if (name.len <= len || memcmp(name.at, quota_names[k], len) != 0 || name.at[len] != '_')
            continue;
        struct span rest = {name.at + len + 1, name.len - len - 1};
        if (span_is(rest, "limit"))
            q->limit[k] = span_num(value, 0);
        else if (span_is(rest, "left"))
            q->left[k] = span_num(value, 0);
        else if (span_is(rest, "capacity"))
            q->capacity[k] = span_num(value, 0);
        else if (span_is(rest, "cost"))
            q->cost[k] = span_num(value, 0);
        else if (span_is(rest, "override"))
            q->override[k] = span_num(value, 0);
        else if (span_is(rest, "drain"))
            q->drain[k] = span_num(value, 0);
    }
}

static void read_field(struct quota *q, struct span name, struct span value)
{
    if (span_is(name, "open_at"))
        q->open_at = (int64_t)span_num(value, 0);
    else if (span_is(name, "since"))
        q->since = (int64_t)span_num(value, 0);
    else if (span_is(name, "cause"))
        copy(q->cause, sizeof q->cause, value);
    else if (span_is(name, "why"))
        copy(q->why, sizeof q->why, value);
    else if (span_is(name, "breaker"))
        copy(q->breaker, sizeof q->breaker, value);
    else if (span_is(name, "output_mean"))
        q->output_mean = span_num(value, 0);
    else if (span_is(name, "pace"))
        q->pace = span_num(value, 0);
    else if (span_is(name, "accepted"))
        q->accepted = span_num(value, 0);
    else if (span_is(name, "refused"))
        q->refused = span_num(value, 0);
    else
        read_kind(q, name, value);
}

void quota_read(struct quota *q, const struct reply *hash)
{
    *q = (struct quota){.known = reply_count(hash) > 0};
    for (size_t i = 0; i + 1 < reply_count(hash); i += 2) {
        struct span name, value;
        if (reply_str(reply_at(hash, i), &name) && reply_str(reply_at(hash, i + 1), &value))
            read_field(q, name, value);
    }
}

bool quota_is_open(const struct quota *q, int64_t now_ms)
{
    return q->open_at <= now_ms;
}

// starts_of: what one limit lets be used within so many seconds; -1 = there is no such limit.
static double starts_of(const struct quota *q, enum quota_kind k, double seconds)
{
    double own = q->override[k] / 60, limit = q->limit[k] / 60, use = -1;
    if (limit > 0)
        use = MAX(q->left[k], 0) + seconds * MAX(limit - q->drain[k] * 1000, 0.05 * limit);
    if (own > 0)
        use = use < 0 ? own * seconds : MIN(use, own * seconds);
    return use;
}

double quota_jobs(const struct quota *q, const double job[QUOTA_KINDS], double seconds,
                  enum quota_kind *ret_kind)
{
    double least = -1;
    *ret_kind = QUOTA_KINDS;
    for (int k = 0; k < QUOTA_KINDS; k++) {
        double use = starts_of(q, (enum quota_kind)k, seconds);
        if (use < 0 || job[k] <= 0 || (least >= 0 && use / job[k] >= least))
            continue;
        least = use / job[k];
        *ret_kind = (enum quota_kind)k;
    }
    if (least < 0 && q->pace > 0) {
        *ret_kind = QUOTA_REQUESTS;
        least = q->pace * 1000 * seconds;
    }
    return MAX(least, 0);
}
