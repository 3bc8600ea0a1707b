// forecast: how long a run's jobs take at the present limits. A model's quota lies in one ledger
// for each account that has a key, so a run may have several; what they give adds up.
#ifndef PENSTOCK_CLI_FORECAST_H
#define PENSTOCK_CLI_FORECAST_H

#include "common/base/strbuf.h"
#include "common/job/name.h"
#include "worker/cli/quota.h"

enum { FORECAST_MODELS = 8, FORECAST_POOLS = 64, FORECAST_NAME_MAX = 260 };

struct forecast_model {
    char name[MODEL_BYTES_MAX + 1]; // without a date; or of the group that shares its quota
    uint64_t jobs;
    int64_t tokens_in, tokens_out; // of all of them: a guess, and the most
};

struct forecast_pool {
    char name[FORECAST_NAME_MAX]; // provider:account:class
    size_t model;
    struct quota quota;
    char told[24]; // the trouble that has been told of: a cause, or none
    int broken;    // looks in a row at which its calls broke; -1 = that has been told of
};

struct forecast {
    struct forecast_model models[FORECAST_MODELS];
    size_t model_count;
    bool more; // there are more models than have a place: no forecast
    struct forecast_pool pools[FORECAST_POOLS];
    size_t pool_count;
    int64_t read_at_ms; // when the quotas were read, by Redis' clock
};

// forecast_job counts a job of this model.
void forecast_job(struct forecast *f, struct span model, int64_t tokens_in, int64_t tokens_out);
// forecast_name takes a pool's name, where one of the models uses it: "anthropic:main:...".
void forecast_name(struct forecast *f, const char *provider, struct span pool);
// forecast_main names the account that there is without a file of keys, for each model.
void forecast_main(struct forecast *f, const char *provider);

// forecast_seconds: how long this part (0 to 1) of the jobs takes at least, and what binds. -1
// where it is not known.
double forecast_seconds(const struct forecast *f, double part, enum quota_kind *ret_kind);

#endif
