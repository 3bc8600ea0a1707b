// job: one piece of work as a producer wrote it (docs/protocol.md, A job). Parsing is pure: bytes
// in, borrowed spans out; the payload must outlive the struct. Parse into the place where the job
// stays: an id, name or model that was written with escapes ("anthropic\/claude") is borrowed from
// the struct itself, so that a struct job is never copied by assignment. A job_fault may be.
#ifndef PENSTOCK_JOB_JOB_H
#define PENSTOCK_JOB_JOB_H

#include "common/base/scan.h"
#include "common/base/strbuf.h"
#include "common/job/name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    JOB_DEPTH_MAX = 100,
    JOB_WHY_MAX = 200,
    JOB_TOKENS_MAX = 10000000,  // max_tokens
    JOB_TRIES_MAX = 1000000000, // max_attempts, max_throttles
    JOB_OWN_FIELDS_MAX = 1000,  // fields that begin with x_
};
#define JOB_TIME_MAX_MS INT64_C(253402300799999)               // the end of the year 9999
#define JOB_DELAY_MAX_MS (INT64_C(3650) * 24 * 60 * 60 * 1000) // delay_ms, ttl_ms: ten years
#define JOB_TIMEOUT_MAX_MS (INT64_C(24) * 60 * 60 * 1000)      // timeout_ms: a day

enum job_form { JOB_PROMPT, JOB_MESSAGES, JOB_REQUEST };

// The fields that go into the API's body as they stand, beside prompt or messages.
#define JOB_API_MAP(XX)                                                                            \
    XX(system)                                                                                     \
    XX(temperature)                                                                                \
    XX(top_p)                                                                                      \
    XX(top_k)                                                                                      \
    XX(stop_sequences)                                                                             \
    XX(tools)                                                                                      \
    XX(tool_choice)                                                                                \
    XX(thinking)                                                                                   \
    XX(metadata)

// The texts that were written with escapes, undone; unset where there are none.
struct job_texts {
    char id[ID_BYTES_MAX], model[MODEL_BYTES_MAX];
    char reply_to[NAME_BYTES_MAX], run[NAME_BYTES_MAX];
};

struct job {
    struct span payload; // the producer's bytes, borrowed
    struct span id;      // len 0 = absent
    enum job_form form;
    struct span content;  // raw JSON of prompt, messages or request
    struct span model;    // len 0 = absent; with form REQUEST: the one inside it
    int64_t max_tokens;   // 0 = absent; with form REQUEST: the one inside it, which may be 0
    bool has_max_tokens;  // tells a request's `"max_tokens":0` from none
    struct span messages; // form REQUEST: the raw messages inside it
#define XX(name) struct span name; // raw JSON, len 0 = absent
    JOB_API_MAP(XX)
#undef XX
    int64_t pushed_at;                   // -1 = absent, likewise below; Unix milliseconds
    int64_t run_at, delay_ms;            // not both
    int64_t expires_at, ttl_ms;          // not both
    int64_t timeout_ms;                  // of one API call
    int64_t max_attempts, max_throttles; // -1 = the worker's setting
    struct span reply_to, run;           // len 0 = absent
    struct span meta;                    // raw JSON, len 0 = absent
    struct job_texts undone;             // what id, model, reply_to, run point into, if escaped
};

// Why a payload is no job. The field is "" where the fault is not one field's ("not JSON").
struct job_fault {
    char field[72];
    char why[JOB_WHY_MAX]; // one sentence: "max_tokens is a string; it must be an integer from ..."
    // What could be read all the same; borrowed from the payload. len 0 = absent, invalid, there
    // twice, or written with escapes, which no encoder does to these characters.
    struct span id, reply_to, run, meta;
    bool stranger; // the field is none of a job's: its name is the producer's text, not for logs
};

// job_unread: what is known of a payload that is not read, or is no job.
extern const struct job job_unread;

// job_parse reads a payload of at most bytes_max. 0, or ERR_BAD_JOB with *ret_why filled in; *ret
// is then undefined. Of several faults the first one met is named.
int job_parse(const char *payload, size_t len, size_t bytes_max, struct job *ret,
              struct job_fault *ret_why) MUST_CHECK;

#endif
