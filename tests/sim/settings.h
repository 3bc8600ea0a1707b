// settings: everything the simulator can be told, from flags at the start and from the control
// API at run time, out of one table of options (settings.c).
#ifndef PENSTOCK_SIM_SETTINGS_H
#define PENSTOCK_SIM_SETTINGS_H

#include "common/base/attrs.h"
#include "common/base/strbuf.h"
#include "tests/sim/faults.h"
#include "tests/sim/headers.h"
#include "tests/sim/limiter.h"
#include "tests/sim/spread.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
    KEYS_MAX = 64,
    NAME_MAX_BYTES = 64,
    SECRET_MAX_BYTES = 192,
    MODEL_MAX_BYTES = 128,
    LIMITS_MAX = 32,
    WHY_MAX_BYTES = 256,
};

// A limit of one model (or model group) that differs from the common one; < 0 = as the common one.
struct model_limit {
    char model[MODEL_MAX_BYTES + 1];
    double per_min[DIM_COUNT];
};

struct known_key {
    char name[NAME_MAX_BYTES + 1];
    char secret[SECRET_MAX_BYTES + 1];
    char org[NAME_MAX_BYTES + 1]; // keys of one organisation share its quota
};

struct settings {
    char listen[64], control[64]; // control "" = the API's own port only
    struct quota quota;
    struct model_limit limits[LIMITS_MAX];
    int limit_count;
    struct known_key keys[KEYS_MAX];
    int key_count;
    bool require_key, strict_models, group_by_model;
    enum retry_form retry_form;
    enum header_family headers;
    bool headers_at_answer; // quota headers as of the answer, not of the admission
    struct spread latency;
    double error_latency_ms, first_byte_ms, slow_ms;
    double answer_tokens; // 0 = drawn by out_median and out_sigma
    double out_median, out_sigma;
    double answer_bytes; // the text is filled up to this
    double bytes_per_token, cache_read, estimate_sigma;
    struct fault_rates fail;
    char trouble[32]; // a preset, or "none"
    char trouble_account[NAME_MAX_BYTES + 1];
    bool cloudflare_413;
    double body_max_bytes, log_size, seed;
    bool quiet;
};

void settings_init(struct settings *s);
// settings_set applies one option by its name. 0, or ERR_BAD_CONF with a line that says why.
int settings_set(struct settings *s, const char *name, const char *value,
                 char why[WHY_MAX_BYTES]) MUST_CHECK;
// settings_can_change says whether the option may be set while the simulator runs.
bool settings_can_change(const char *name);
// settings_get appends the option's value as settings_set would read it. false: no such option.
bool settings_get(const struct settings *s, const char *name, struct strbuf *out);
// settings_show appends all of them as one JSON object; keys show their names only.
void settings_show(const struct settings *s, struct strbuf *out);
// settings_args reads the command line. 0, 1 where only help or the version was asked for (and
// printed), or ERR_BAD_CONF.
int settings_args(struct settings *s, int argc, char **argv, char why[WHY_MAX_BYTES]) MUST_CHECK;
void settings_help(FILE *out);

#endif
