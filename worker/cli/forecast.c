#include "worker/cli/forecast.h"

#include "common/base/attrs.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ANSWERS_ENOUGH = 20, SHUT_MOST_S = 86400, HALVINGS = 60 };
static const double SECONDS_MOST = 1e9;

void forecast_job(struct forecast *f, struct span model, int64_t tokens_in, int64_t tokens_out)
{
    size_t i = 0;
    while (i < f->model_count && !span_is(model, f->models[i].name))
        i++;
    if (i == FORECAST_MODELS || model.len >= sizeof f->models[0].name) {
        f->more = true;
        return;
    }
    struct forecast_model *m = &f->models[i];
    if (i == f->model_count) {
        memcpy(m->name, model.at, model.len);
        f->model_count++;
    }
    m->jobs++;
    m->tokens_in += tokens_in;
    m->tokens_out += tokens_out;
}

void forecast_name(struct forecast *f, const char *provider, struct span pool)
{
    size_t head = strlen(provider);
    if (pool.len <= head || memcmp(pool.at, provider, head) != 0 || pool.at[head] != ':')
        return;
    const char *account = pool.at + head + 1, *end = pool.at + pool.len;
    const char *colon = memchr(account, ':', (size_t)(end - account));
    if (!colon)
        return;
    for (size_t i = 0; i < f->pool_count; i++)
        if (span_is(pool, f->pools[i].name))
            return;
    for (size_t m = 0; m < f->model_count; m++) {
        struct span class = {colon + 1, (size_t)(end - colon) - 1};
        if (!span_is(class, f->models[m].name) || f->pool_count == FORECAST_POOLS ||
            pool.len >= FORECAST_NAME_MAX)
            continue;
        struct forecast_pool *p = &f->pools[f->pool_count++];
        *p = (struct forecast_pool){.model = m};
        memcpy(p->name, pool.at, pool.len);
        return;
    }
}

void forecast_main(struct forecast *f, const char *provider)
{
    char name[FORECAST_NAME_MAX];
    for (size_t m = 0; m < f->model_count; m++) {
        snprintf(name, sizeof name, "%s:main:%s", provider, f->models[m].name);
        forecast_name(f, provider, span_of(name));
    }
}

// mean_job: what a job takes of each quota: as it was lately, or as it was guessed where too few
// have been answered.
static void mean_job(const struct forecast *f, size_t model, double ret[QUOTA_KINDS])
{
    const struct forecast_model *m = &f->models[model];
    double answers = 0, in = 0, out = 0;
    for (size_t i = 0; i < f->pool_count; i++) {
        const struct quota *q = &f->pools[i].quota;
        if (f->pools[i].model != model || q->accepted < ANSWERS_ENOUGH)
            continue;
        answers += q->accepted;
        in += q->accepted * q->cost[QUOTA_INPUT];
        out += q->accepted * q->output_mean;
    }
    ret[QUOTA_REQUESTS] = 1;
    ret[QUOTA_INPUT] = in > 0 ? in / answers : (double)m->tokens_in / (double)m->jobs;
    ret[QUOTA_OUTPUT] = out > 0 ? out / answers : (double)m->tokens_out / (double)m->jobs;
}

// jobs_of: how many jobs a pool can start within so many seconds, and what binds.
static double jobs_of(const struct forecast *f, const struct forecast_pool *p, const double *job,
                      double seconds, enum quota_kind *ret_kind)
{
    double shut_s = (double)(p->quota.open_at - f->read_at_ms) / 1e3;
    seconds -= MIN(MAX(shut_s, 0), SHUT_MOST_S);
    return quota_jobs(&p->quota, job, MAX(seconds, 0), ret_kind);
}

// jobs_within: how many jobs of a model all its pools can start within so many seconds.
static double jobs_within(const struct forecast *f, size_t model, const double *job, double seconds,
                          enum quota_kind *ret_kind)
{
    double all = 0, largest = 0;
    for (size_t i = 0; i < f->pool_count; i++) {
        enum quota_kind kind;
        if (f->pools[i].model != model)
            continue;
        double jobs = jobs_of(f, &f->pools[i], job, seconds, &kind);
        all += jobs;
        if (jobs > largest)
            *ret_kind = kind;
        largest = MAX(largest, jobs);
    }
    return all;
}

// model_seconds looks for the moment at which so many jobs can have been started.
static double model_seconds(const struct forecast *f, size_t model, double jobs,
                            enum quota_kind *ret_kind)
{
    double job[QUOTA_KINDS], least = 0, most = 1;
    *ret_kind = QUOTA_KINDS;
    mean_job(f, model, job);
    if (jobs_within(f, model, job, 0, ret_kind) >= jobs)
        return 0;
    while (jobs_within(f, model, job, most, ret_kind) < jobs)
        if ((most *= 2) > SECONDS_MOST)
            return -1;
    for (int i = 0; i < HALVINGS; i++) {
        double half = (least + most) / 2;
        if (jobs_within(f, model, job, half, ret_kind) >= jobs)
            most = half;
        else
            least = half;
    }
    jobs_within(f, model, job, most, ret_kind);
    return round(most * 1e3) / 1e3; // it was found by halves
}

double forecast_seconds(const struct forecast *f, double part, enum quota_kind *ret_kind)
{
    double longest = f->model_count ? 0 : -1;
    *ret_kind = QUOTA_KINDS;
    for (size_t m = 0; m < f->model_count && !f->more; m++) {
        enum quota_kind kind;
        double seconds = model_seconds(f, m, part * (double)f->models[m].jobs, &kind);
        if (seconds < 0)
            return -1;
        if (seconds >= longest)
            *ret_kind = kind;
        longest = MAX(longest, seconds);
    }
    return f->more || *ret_kind == QUOTA_KINDS ? -1 : longest;
}
