// job_int: the table of a job's fields (job_fields.c), for the reader (job_parse.c). Private to the
// two.
#ifndef PENSTOCK_JOB_JOB_INT_H
#define PENSTOCK_JOB_JOB_INT_H

#include "common/job/job.h"

struct job_field;

struct job_kind {
    const char *allowed; // "an object"; NULL = an integer, whose row has the bounds
    // read puts the value into the job. NULL, or what is wrong with it: "is empty".
    const char *(*read)(const struct job_field *f, const struct scan_value *v, struct job *j);
};

// One row: a field, at the top level or inside `request`.
struct job_field {
    const char *name;
    size_t len;
    const struct job_kind *kind;
    size_t at;           // where it goes: offset in struct job
    int64_t least, most; // integers
    bool joins_request;  // may stand beside `request`
};

// clang-format off
#define JOB_FIELD_MAP(XX)                                                                     \
    /* name            kind           member          least      most                joins */   \
    XX(id,             an_id,         id,             0,         0,                  true)    \
    XX(prompt,         a_prompt,      content,        0,         0,                  false)   \
    XX(model,          a_model,       model,          0,         0,                  false)   \
    XX(max_tokens,     tokens,        max_tokens,     1,         JOB_TOKENS_MAX,     false)   \
    XX(messages,       job_messages,  content,        0,         0,                  false)   \
    XX(request,        a_request,     content,        0,         0,                  true)    \
    XX(meta,           anything,      meta,           0,         0,                  true)    \
    XX(reply_to,       a_reply_to,    reply_to,       0,         0,                  true)    \
    XX(run,            a_run,         run,            0,         0,                  true)    \
    XX(pushed_at,      an_integer,    pushed_at,      0,         JOB_TIME_MAX_MS,    true)    \
    XX(system,         a_system,      system,         0,         0,                  false)   \
    XX(temperature,    a_number,      temperature,    0,         0,                  false)   \
    XX(top_p,          a_number,      top_p,          0,         0,                  false)   \
    XX(top_k,          raw_integer,   top_k,          INT64_MIN, INT64_MAX,          false)   \
    XX(stop_sequences, an_array,      stop_sequences, 0,         0,                  false)   \
    XX(tools,          an_array,      tools,          0,         0,                  false)   \
    XX(tool_choice,    an_object,     tool_choice,    0,         0,                  false)   \
    XX(thinking,       an_object,     thinking,       0,         0,                  false)   \
    XX(metadata,       an_object,     metadata,       0,         0,                  false)   \
    XX(run_at,         an_integer,    run_at,         0,         JOB_TIME_MAX_MS,    true)    \
    XX(delay_ms,       an_integer,    delay_ms,       0,         JOB_DELAY_MAX_MS,   true)    \
    XX(expires_at,     an_integer,    expires_at,     0,         JOB_TIME_MAX_MS,    true)    \
    XX(ttl_ms,         an_integer,    ttl_ms,         0,         JOB_DELAY_MAX_MS,   true)    \
    XX(timeout_ms,     an_integer,    timeout_ms,     1,         JOB_TIMEOUT_MAX_MS, true)    \
    XX(max_attempts,   an_integer,    max_attempts,   1,         JOB_TRIES_MAX,      true)    \
    XX(max_throttles,  an_integer,    max_throttles,  0,         JOB_TRIES_MAX,      true)

#define JOB_INNER_MAP(XX) /* inside request: what concerns us; the rest is the API's */       \
    XX(model,          a_model,        model,         0,         0,                  true)    \
    XX(max_tokens,     tokens,         max_tokens,    0,         JOB_TOKENS_MAX,     true)    \
    XX(messages,       inner_messages, messages,      0,         0,                  true)    \
    XX(stream,         no_stream,      messages,      0,         0,                  true)

enum job_field_no {
#define XX(name, ...) JOB_F_##name,
    JOB_FIELD_MAP(XX)
#undef XX
    JOB_FIELDS,
};

enum job_inner_no {
#define XX(name, ...) JOB_IN_##name,
    JOB_INNER_MAP(XX)
#undef XX
    JOB_INNER_FIELDS,
};
// clang-format on

extern const struct job_field job_fields[JOB_FIELDS];
extern const struct job_field job_inner_fields[JOB_INNER_FIELDS];

// job_prefix reads what stands before byte `end` of a payload, from which on it is no JSON: copy
// gets the members that are whole, as an object of the same offsets, or nothing. Returns the name
// of the member in which it ends, as it is written; nothing where that cannot be told.
struct span job_prefix(struct span payload, size_t end, struct strbuf *copy);

// job_wrong_type says what a value is instead of what it should be: "is an array".
const char *job_wrong_type(const struct scan_value *v);

#endif
