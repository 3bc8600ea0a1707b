#include "tests/sim/limiter.h"

#include "common/base/attrs.h"

#include <math.h>

static const double ramp_long_s = 20, ramp_short_s = 2;

const char *dim_name(enum dim d)
{
    static const char *const names[] = {"requests", "input_tokens", "output_tokens"};
    return names[d];
}

static bool has_hidden(const struct limiter *l)
{
    return l->quota.hidden_burst_s > 0;
}

static void take_over(struct limiter *l, const struct quota *q)
{
    l->quota = *q;
    for (int d = 0; d < DIM_COUNT; d++)
        l->shown[d].stranger = l->hidden[d].stranger = q->stranger;
}

void limiter_init(struct limiter *l, const struct quota *q, uint64_t now_us)
{
    *l = (struct limiter){.ramp_asof_us = now_us};
    for (int d = 0; d < DIM_COUNT; d++) {
        bucket_init(&l->shown[d], q->per_min[d], q->burst_s, q->fill, now_us);
        bucket_init(&l->hidden[d], q->per_min[d], q->hidden_burst_s, q->fill, now_us);
    }
    take_over(l, q);
}

void limiter_tune(struct limiter *l, const struct quota *q, uint64_t now_us)
{
    for (int d = 0; d < DIM_COUNT; d++) {
        bucket_tune(&l->shown[d], q->per_min[d], q->burst_s, now_us);
        if (has_hidden(l))
            bucket_tune(&l->hidden[d], q->per_min[d], q->hidden_burst_s, now_us);
        else
            bucket_init(&l->hidden[d], q->per_min[d], q->hidden_burst_s, 1.0, now_us);
        l->hidden[d].drain = l->shown[d].drain;
    }
    take_over(l, q);
}

void limiter_restart(struct limiter *l, const struct quota *q, uint64_t now_us)
{
    double drain_now = l->shown[DIM_OUTPUT].drain;
    uint32_t producing = l->producing;
    limiter_init(l, q, now_us);
    l->producing = producing;
    l->shown[DIM_OUTPUT].drain = l->hidden[DIM_OUTPUT].drain = drain_now;
}

void limiter_rebase(struct limiter *l, uint64_t now_us)
{
    limiter_refresh(l, now_us);
    for (int d = 0; d < DIM_COUNT; d++) {
        l->shown[d].start = l->shown[d].level;
        l->hidden[d].start = l->hidden[d].level;
        l->shown[d].charged = l->hidden[d].charged = 0;
    }
}

void limiter_refresh(struct limiter *l, uint64_t now_us)
{
    for (int d = 0; d < DIM_COUNT; d++) {
        bucket_refresh(&l->shown[d], now_us);
        bucket_refresh(&l->hidden[d], now_us);
    }
}

static void take(struct limiter *l, enum dim d, double tokens)
{
    bucket_take(&l->shown[d], tokens);
    bucket_take(&l->hidden[d], tokens);
}

static void give(struct limiter *l, enum dim d, double tokens)
{
    bucket_give(&l->shown[d], tokens);
    bucket_give(&l->hidden[d], tokens);
}

static void drain(struct limiter *l, double per_s)
{
    l->shown[DIM_OUTPUT].drain += per_s;
    l->hidden[DIM_OUTPUT].drain += per_s;
    if (l->producing == 0) // forget what rounding left over
        l->shown[DIM_OUTPUT].drain = l->hidden[DIM_OUTPUT].drain = 0;
}

// wait_for finds the bucket that keeps the request waiting longest.
static struct verdict wait_for(const struct limiter *l, const struct cost *c)
{
    double need[DIM_COUNT] = {1, c->input, l->quota.precharge ? c->max_tokens : 1};
    struct verdict v = {.accepted = true};
    for (int d = 0; d < DIM_COUNT; d++) {
        uint64_t wait_us = bucket_wait_us(&l->shown[d], need[d]);
        if (has_hidden(l))
            wait_us = MAX(wait_us, bucket_wait_us(&l->hidden[d], need[d]));
        if (wait_us > v.wait_us)
            v = (struct verdict){.dim = (enum dim)d, .wait_us = wait_us};
    }
    return v;
}

// grows_too_fast is the growth ("acceleration") limit: the last two seconds may not pass the base
// plus so many times the long mean.
static bool grows_too_fast(struct limiter *l, uint64_t now_us)
{
    if (l->quota.ramp_base <= 0)
        return false;
    double passed_s = (double)(now_us - l->ramp_asof_us) / 1e6;
    l->ramp_asof_us = now_us;
    l->ramp_mean *= exp(-passed_s / ramp_long_s);
    l->ramp_last_s *= exp(-passed_s / ramp_short_s);
    double allowed = l->quota.ramp_base + l->quota.ramp_factor * l->ramp_mean;
    if (l->ramp_last_s > allowed)
        return true;
    l->ramp_mean += 1 / ramp_long_s;
    l->ramp_last_s += 1 / ramp_short_s;
    return false;
}

static void charge(struct limiter *l, const struct cost *c, uint64_t now_us, struct charge *held)
{
    *held =
        (struct charge){.held = true, .since_us = now_us, .input_back = c->input - c->input_real};
    take(l, DIM_REQUESTS, 1);
    take(l, DIM_INPUT, c->input);
    if (l->quota.precharge) {
        take(l, DIM_OUTPUT, c->max_tokens);
        held->output_back = c->max_tokens - c->output;
    } else if (c->takes_ms == 0) {
        take(l, DIM_OUTPUT, c->output);
    } else {
        held->output = c->output;
        held->drain = c->output * 1000 / (double)c->takes_ms;
        l->producing++;
        drain(l, held->drain);
    }
}

struct verdict limiter_ask(struct limiter *l, const struct cost *c, uint64_t now_us,
                           struct charge *ret_held)
{
    limiter_refresh(l, now_us);
    struct verdict v = wait_for(l, c);
    if (v.accepted && grows_too_fast(l, now_us))
        v = (struct verdict){.ramp = true, .wait_us = (uint64_t)(ramp_short_s * 1e6)};
    if (v.accepted)
        charge(l, c, now_us, ret_held);
    else if (l->quota.charge_refused)
        take(l, DIM_REQUESTS, 1);
    return v;
}

void limiter_settle(struct limiter *l, struct charge *held, bool complete, uint64_t now_us)
{
    if (!held->held)
        return;
    limiter_refresh(l, now_us);
    give(l, DIM_INPUT, held->input_back);
    give(l, DIM_OUTPUT, held->output_back);
    if (held->drain > 0) {
        l->producing--;
        drain(l, -held->drain);
        if (complete) // a timer is never exact
            take(l, DIM_OUTPUT,
                 held->output - held->drain * (double)(now_us - held->since_us) / 1e6);
    }
    held->held = false;
}
