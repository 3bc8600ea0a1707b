// outcome: what one API call came to, as plain facts; and verdict: what that means for the job.
// The provider fills the outcome from the answer; the verdict is one pure function of it.
#ifndef PENSTOCK_JOB_OUTCOME_H
#define PENSTOCK_JOB_OUTCOME_H

#include "common/base/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

struct usage { // tokens; -1 = the answer did not say
    int64_t input, output, cache_creation, cache_read;
};

struct outcome {
    int error;        // 0, or ERR_CONNECT, ERR_TIMEOUT, ERR_TRANSPORT, ERR_TRUNCATED, ERR_TOO_BIG
    int http_status;  // 0 where no answer came
    bool broken;      // a 2xx whose body is not what the API promises
    int should_retry; // the x-should-retry header: 1 true, 0 false, -1 absent
    int64_t retry_after_ms; // from whichever header named a time, relative to now; -1 = none
    int64_t resume_in_ms;   // a spend limit's message named the time access resumes; -1 = none
    char error_type[64];    // the API's error.type; "" = none
    char error_code[64];    // the API's error.details.error_code (OpenAI: error.code); "" = none
    char message[512];      // the API's or the transport's own words, for a person; "" = none
    char request_id[128];   // "" = none
    // Of a good answer; borrowed from its body.
    struct usage usage;
    struct span model;       // without quotes
    struct span stop_reason; // raw JSON: a string or null
    struct span response;    // the whole body, verbatim
    struct strbuf *text;     // the answer's text as a raw JSON string, quotes included; may be NULL
};

// clang-format off
#define VERDICT_MAP(XX)                                                                        \
    XX(DONE,       "done",       "a good answer: it is the result")                            \
    XX(RETRY,      "retry",      "a failed call: counts an attempt, comes back after backoff") \
    XX(THROTTLE,   "throttle",   "a 429 of a quota: counts a throttle, never an attempt")      \
    XX(PAUSE_POOL, "pause_pool", "the account's trouble: the pool shuts, the job is untouched")\
    XX(EXPIRE,     "expire",     "its time ran out before a call could start")                 \
    XX(BURY,       "bury",       "failed for good: dead, with a result that says why")
// clang-format on

enum verdict {
#define XX(name, word, text) VERDICT_##name,
    VERDICT_MAP(XX)
#undef XX
};

// Why a pool is shut; the word stands in penstock:pool:{...} `cause`.
// clang-format off
#define CAUSE_MAP(XX)                                                        \
    XX(NONE,       "")                                                       \
    XX(QUOTA,      "quota")      /* a 429 of requests or tokens a minute */  \
    XX(SPEND,      "spend")      /* a spend limit or an empty balance */     \
    XX(AUTH,       "auth")       /* 401: the key is wrong or expired */      \
    XX(BILLING,    "billing")    /* 402 */                                   \
    XX(PERMISSION, "permission") /* 403: the key may not do this */          \
    XX(OVERLOAD,   "overload")   /* 529: the provider is overloaded */       \
    XX(BUDGET,     "budget")     /* our own PENSTOCK_BUDGET_... */           \
    XX(PAUSED,     "paused")     /* an operator */
// clang-format on

enum cause {
#define XX(name, word) CAUSE_##name,
    CAUSE_MAP(XX)
#undef XX
};

// The closed list of error types in results (docs/protocol.md, Error types).
// clang-format off
#define FAILURE_MAP(XX)                                                                          \
    XX(NONE,             "")                                                                     \
    XX(INVALID_JOB,      "invalid_job")      /* the payload is not a valid job */                \
    XX(INVALID_REQUEST,  "invalid_request")  /* the API refused it for good: 400, 413, 422 ... */\
    XX(NOT_FOUND,        "not_found")        /* 404: no such model */                            \
    XX(PERMISSION,       "permission")       /* 403 for this job's model */                      \
    XX(API_ERROR,        "api_error")        /* 5xx, 408, 409: attempts used up */               \
    XX(OVERLOADED,       "overloaded")       /* 529: attempts used up */                         \
    XX(TIMEOUT,          "timeout")          /* calls took too long: attempts used up */         \
    XX(CONNECTION,       "connection")       /* no connection, or it broke: attempts used up */  \
    XX(BAD_ANSWER,       "bad_answer")       /* broken answers: attempts used up */              \
    XX(RATE_LIMITED,     "rate_limited")     /* max_throttles used up */                         \
    XX(OVER_LIMIT,       "over_limit")       /* asks for more at once than the limit of a minute */\
    XX(CRASH,            "crash")            /* max_recoveries used up */                        \
    XX(EXPIRED,          "expired")                                                              \
    XX(CANCELLED,        "cancelled")
// clang-format on

enum failure {
#define XX(name, word) FAILURE_##name,
    FAILURE_MAP(XX)
#undef XX
};

const char *verdict_word(enum verdict v);
const char *cause_word(enum cause c);
enum cause cause_parse(struct span word); // CAUSE_NONE for a stranger
const char *failure_word(enum failure f);

struct tries { // the job's counters before this outcome, and its limits
    int64_t attempts, throttles;
    int64_t max_attempts;  // >= 1
    int64_t max_throttles; // 0 = no limit
};

struct decision {
    enum verdict verdict;
    int64_t floor_ms;     // not sooner than this from now, for the job and the gate; -1 = none
    enum failure failure; // BURY, and the last_error of a RETRY or a THROTTLE
    enum cause shut;      // the pool's gate shuts with this cause; NONE = it stays as it is. Also
                     // with a BURY, where a 429 used up max_throttles: the gate shuts all the same
};

// verdict_of decides what an outcome means. It is a table in tests/unit/test_verdict.c.
struct decision verdict_of(const struct outcome *o, const struct tries *t);

#endif
