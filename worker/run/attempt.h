// attempt: one claimed job on its way through this worker, and the only door to its state.
//
//   CLAIMED --> WAITING --> SENDING --> SETTLING --> GONE
//      |           |           |            ^
//      |           +-----------+------------+   parked, expired, cancelled, handed back
//      +--> SETTLING, or GONE: a duplicate, scheduled for later, or the lease was lost
#ifndef PENSTOCK_RUN_ATTEMPT_H
#define PENSTOCK_RUN_ATTEMPT_H

#include "common/base/list.h"
#include "common/base/log.h"
#include "common/job/job.h"
#include "common/job/name.h"
#include "common/job/outcome.h"
#include "common/job/trace.h"
#include "common/job/ulid.h"
#include "worker/http/client.h"
#include "worker/run/account.h"
#include "worker/run/permit.h"

#include <stdbool.h>
#include <stdint.h>

// clang-format off
#define ATTEMPT_MAP(XX)                                             \
    XX(CLAIMED,  "claimed")  /* leased; to be read, or admitted */  \
    XX(WAITING,  "waiting")  /* admitted; the pool's gate decides */\
    XX(SENDING,  "sending")  /* the call is under way */            \
    XX(SETTLING, "settling") /* ended here; Redis has yet to know */\
    XX(GONE,     "gone")     /* nothing is held any more */
// clang-format on

enum attempt_state {
#define XX(name, word) ATTEMPT_##name,
    ATTEMPT_MAP(XX)
#undef XX
        ATTEMPT_STATES
};

// settlement: what Redis is to be told of the attempt's end.
struct settlement {
    const char *verb;     // done, bury or later (common/queue/lua/settle.lua)
    const char *why;      // the status, or why it comes back
    struct strbuf result; // done, bury
    int64_t due_in_ms;    // later
    int64_t last_status;  // 0 = no answer came
    char last_error[256]; // "" = leave as it is
    const char *cause;    // bury: the failure's word
    struct usage usage;   // tokens counted
    int64_t cost_nano_usd;
};

struct attempt {
    struct list_link in_state; // in run->by_state[state]
    struct list_link todo;     // in one of its queue's lists of things to send
    enum attempt_state state;
    struct run *run;
    struct wqueue *queue;
    struct pool_class *class; // from WAITING on: the pools it may use
    struct pool *pool;        // the one it is in, or was last
    struct which_key key;     // of the call under way
    struct pool *promised; // one of its grants is kept for this job until it is known whose it is
    struct cost cost;      // what its call is thought to cost
    struct grant grant;    // where granted: its start is charged in the pool's ledger
    bool granted;
    bool scheduled; // WAITING for grant.start_ms
    size_t bytes;   // of the payload, as estimate_bytes counts them
    char token[ULID_LEN + 1];
    char claim_id[ULID_LEN + 2]; // "" once it has its own id
    char id[ID_BYTES_MAX + 1];
    char *payload; // owned; NULL until fetched
    size_t payload_len;
    size_t claimed_bytes;    // of the payload, as Redis told them; in run->claimed_bytes
    bool in_memory;          // and in run->memory_bytes: it is here, or has been asked for
    struct job job;          // borrows from payload
    struct job_fault *fault; // owned; why it is no job
    int64_t attempts, throttles, recoveries;
    int64_t created, expires_at; // Redis ms; expires_at -1 = never
    int64_t started, finished;   // of the latest call; 0 = none
    bool cancel;                 // someone asked for it
    bool admitted;               // has its own id in Redis
    bool unread;                 // and was given it by its claim, just now
    bool noted;                  // Redis has a note that this suspect is being read,
    bool killed_its_reader;      // or has one of a worker that died meanwhile
    bool suspect;                // has crashed workers before: runs with no other such
    bool lost;                   // the lease is another's; a good answer is offered all the same
    bool hand_back;              // the call was aborted by a drain
    struct strbuf body;          // of the call under way
    struct http_call *call;
    struct settlement end;
};

const char *attempt_state_name(enum attempt_state s);
struct attempt *attempt_new(struct run *r, struct wqueue *q);
// attempt_trace gives the log field trace_id; where the job names no trace, the end of the list.
struct log_field attempt_trace(const struct attempt *a, char room[TRACE_ID_LEN + 1]);
// attempt_go is the only way to change a state; GONE frees it.
void attempt_go(struct attempt *a, enum attempt_state next);

#endif
