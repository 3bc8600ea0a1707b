// budget: this worker's part of a pool's budgets of the day.
#include "worker/run/budget.h"

#include "common/base/log.h"
#include "common/job/prices.h"
#include "worker/run/run_int.h"

#include <math.h>

bool budget_is_set(const struct conf *c)
{
    return c->budget_tokens > 0 || conf_nano_usd(c->budget_usd) > 0;
}

static double nano_usd(struct span model, double input, double output)
{
    struct usage u = {llround(input), llround(output), 0, 0};
    int64_t nano;
    return price_usd(model, &u, &nano) ? (double)nano : 0;
}

void budget_price(struct pool *p, struct span model, struct cost *c)
{
    if (conf_nano_usd(p->run->conf->budget_usd) <= 0)
        return;
    c->nano_usd = nano_usd(model, c->input, c->most);
    c->nano_usd_mean = nano_usd(model, c->input, c->output);
    if (c->nano_usd <= 0 && !p->permits.budget.unpriced_told) {
        p->permits.budget.unpriced_told = true;
        log_event(LOG_WARN, "budget_without_price", log_str("pool", p->name), LOG_END);
    }
}

void budget_hold(struct budget *b, const struct cost *c, double sign)
{
    b->held_tokens = MAX(0, b->held_tokens + sign * (c->input + c->most));
    b->held_nano_usd = MAX(0, b->held_nano_usd + sign * c->nano_usd);
}

void budget_spent(struct attempt *a, const struct outcome *o)
{
    const struct usage *u = &o->usage;
    struct budget *b = &a->pool->permits.budget;
    struct span model = o->model.len ? o->model : a->job.model;
    int64_t input = MAX(u->input, 0) + MAX(u->cache_creation, 0) + MAX(u->cache_read, 0), nano;
    b->spent_tokens += (double)(input + MAX(u->output, 0));
    if (price_usd(model, u, &nano))
        b->spent_nano_usd += (double)nano;
}

static void add_two(struct args *args, double tokens, double nano)
{
    args_add_int(args, llround(tokens));
    args_add_int(args, llround(nano));
}

void budget_args(struct pool *p, struct args *args)
{
    const struct conf *c = p->run->conf;
    struct budget *b = &p->permits.budget;
    const struct cost *mean = &p->mean;
    if (!budget_is_set(c)) {
        *b = (struct budget){.report = b->report};
        return;
    }
    if (!b->told) { // else the same report goes once more
        b->report++;
        b->told_tokens = b->spent_tokens;
        b->told_nano_usd = b->spent_nano_usd;
        b->spent_tokens = b->spent_nano_usd = 0;
        b->told = true;
    }
    args_add_str(args, p->run->worker);
    args_add_int(args, b->report);
    add_two(args, (double)c->budget_tokens, (double)conf_nano_usd(c->budget_usd));
    add_two(args, b->held_tokens, b->held_nano_usd);
    add_two(args, b->told_tokens, b->told_nano_usd);
    add_two(args, mean->input + mean->most, mean->nano_usd);
    add_two(args, mean->input + mean->output, mean->nano_usd_mean);
}

void budget_heard(struct pool *p, int64_t state)
{
    struct budget *b = &p->permits.budget;
    b->told = false;
    b->tight = state == 1;
    if (state == 2)
        log_event(LOG_WARN, "pool_shut", log_str("pool", p->name), log_str("cause", "budget"),
                  log_int("for_ms", (int64_t)(p->shut_until_ms - clock_mono_ms())), LOG_END);
}
