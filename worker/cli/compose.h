// compose: one record of the input becomes one job. Pure: bytes in, bytes out.
//
//   a job                {"prompt":"..."}, {"messages":[...]}, {"request":{...}}: the contract's
//   fields a batch file's line  {"custom_id":"...","body":{...}} (OpenAI) or "params" (Anthropic):
//   the inner
//                        object is the request; custom_id comes back in the result's meta
//   text                 a prompt
//   CSV                  a row, put into a template
//
// A job without an id gets one made of the run's name, the run's defaults, its own bytes and its
// number among equal records: the same command again makes the same ids.
#ifndef PENSTOCK_CLI_COMPOSE_H
#define PENSTOCK_CLI_COMPOSE_H

#include "common/job/job.h"
#include "worker/cli/idset.h"

enum compose_form { COMPOSE_JSON, COMPOSE_TEXT, COMPOSE_CSV };
enum { COMPOSE_WHY_MAX = JOB_WHY_MAX + 64, CSV_COLUMNS_MAX = 256 };

struct compose {
    enum compose_form form;
    const char *run, *reply;
    const char *model, *system, *max_tokens, *temperature; // defaults; NULL = none
    const char *template;
    const char *conf_model; // of jobs that name none; only for the price
    int64_t conf_max_tokens;
    size_t job_max;
    struct strbuf header; // CSV: the first row
    struct span columns[CSV_COLUMNS_MAX];
    size_t column_count;
    struct strbuf prompt; // scratch
};

struct composed {
    char id[ID_BYTES_MAX + 1];
    bool own_id;                   // the record named it
    uint32_t ordinal;              // among equal records; 0 = it named its id
    struct span model;             // without a date; in the job's bytes, or the settings'
    int64_t tokens_in, tokens_out; // a guess, and the most
    int64_t nano_usd;              // the most it may cost; -1 = no price is known
};

// compose_header reads a CSV file's first row and compares the template with it. ERR_BAD_CONF with
// the reason.
int compose_header(struct compose *c, struct span row, char ret_why[COMPOSE_WHY_MAX]) MUST_CHECK;
void compose_fini(struct compose *c);

// compose_job writes the job of a record. ordinals counts equal records; NULL with ordinal > 0: it
// is known already. 0; ERR_BAD_JOB with the reason; ERR_NOMEM.
int compose_job(struct compose *c, struct span record, struct idset *ordinals, uint32_t ordinal,
                int64_t now_ms, struct strbuf *job, struct composed *ret,
                char ret_why[COMPOSE_WHY_MAX]) MUST_CHECK;

#endif
