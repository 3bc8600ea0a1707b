// run_int: private to worker/run: the structs its files share, and what each file offers the
// others.
#ifndef PENSTOCK_RUN_RUN_INT_H
#define PENSTOCK_RUN_RUN_INT_H

#include "common/base/clock.h"
#include "common/job/backoff.h"
#include "common/queue/keys.h"
#include "common/queue/script.h"
#include "worker/provider/provider.h"
#include "worker/run/attempt.h"
#include "worker/run/claim.h"
#include "worker/run/gate.h"
#include "worker/run/intake.h"
#include "worker/run/pools.h"
#include "worker/run/run.h"

#include <uv.h>

enum {
    CLAIM_MAX = 40,            // jobs a claim asks for: a script stays under a millisecond
    CLAIMS_OUT_MAX = 4,        // claims of one queue under way at once
    SETTLE_MAX = 40,           // jobs a settlement carries
    BATCH_BYTES_MAX = 1 << 17, // and bytes, beyond its first job: twice as much is a millisecond
    LARGE_BYTES = 16 * 1024,   // a payload or result above this goes alone
    GATHER_MS = 10,            // at a high rate, wait this long to fill a batch; with a backlog,
    GATHER_FULL_MS = 25,       // where all slots are taken,
    GATHER_PACED_MS = 100,     // and where the quota is waited for (run_gather_ms)
    TICK_MS = 1000,            // each queue's round of recovery, cancels and counts
    WAIT_S = 5,                // a blocking wait
    RETRY_SEND_MS = 200,       // Redis refused a call that must not be dropped: say it again then
    BEAT_MS = 10000,           // heartbeat of this worker
    HAND_BACK_MS = 5000,       // how long Redis may take to confirm what is handed back
};

struct wqueue {
    struct run *run;
    char name[NAME_BYTES_MAX + 1];
    char stem[KEY_BYTES_MAX], jobs[KEY_BYTES_MAX];
    int64_t weight;
    double pass;              // stride scheduling: the smallest goes first
    bool hot;                 // there may be something to claim
    bool paused, refused;     // by an operator; of a newer contract version
    size_t claims_out, asked; // claims under way, and the jobs that they ask for
    size_t admits_out;        // admissions under way
    uint64_t claimed_at_ms, settled_at_ms, ended_at_ms;
    uint64_t tick_at_ms, renew_at_ms, send_at_ms, wait_at_ms;
    int64_t next_due_ms; // Redis time; -1 = none
    double out_mean;     // tokens that its answers have, on the mean; 0 = none yet
    int64_t waiting_jobs, delayed, active, dead; // how many, at the last tick
    struct stats_queue stats;
    bool ticking, cancel_pending, waiting, depth_known, reading; // reading: a suspect's payload
    unsigned refused_moves; // BIT of each script that Redis refuses, as the log has told
    struct rlink *waiter;   // its own connection: a blocking wait holds one up
    struct pool_class *classes[CLASSES_OF_QUEUE]; // of the models seen, latest first
    uint64_t class_seen_ms[CLASSES_OF_QUEUE], peek_at_ms, ticked_ms; // ticked_ms: it last asked
    struct list to_repeat; // struct claim: sent, the answer never came
    struct list to_fetch, to_admit, to_reject, to_settle; // struct attempt.todo
};

struct run {
    uv_loop_t *loop;
    const struct conf *conf;
    char worker[128];
    struct rurl url;
    struct rlink *link;
    bool ready;               // the link is up and every script is loaded
    int64_t skew_ms;          // Redis time minus monotonic time
    uint64_t recover_from_ms; // no recovery before: Redis was away, or we have just begun
    uint64_t link_lost_ms;    // when the link went down; 0 = it has never been up
    unsigned unsafe;          // BIT of each setting of Redis that the log has warned of
    char redis_run_id[64];
    char url_shown[320]; // the Redis URL without its password
    struct http_client *http;
    struct accounts accounts;
    const struct provider *provider;
    struct backoff backoff;
    struct wqueue *queues;
    size_t queue_count;
    struct list pools, classes, by_state[ATTEMPT_STATES], spare; // spare: attempts that are gone
    size_t reserved;                    // slots that claims under way have asked for
    size_t suspects, handles;           // handles: still to be closed
    size_t claimed_bytes, memory_bytes; // payloads of all attempts; of those that are here
    double pass; // of the queue served last: one that wakes up starts from here
    enum run_mode mode;
    uint64_t drain_until_ms, leave_until_ms, beat_at_ms;
    int64_t began; // Redis ms
    struct stats stats;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t timer;
    bool pumping, leaving, left; // leaving: it signs off; left: Redis has heard it
    void (*ended)(void *arg);
    void (*closed)(void *arg);
    void *ended_arg, *closed_arg;
    struct args args; // of the call being put together
};

// run.c
int64_t run_now(const struct run *r);                    // Redis time, ms
void run_hear(struct run *r, const struct reply *reply); // a script's answer begins with the time
// run_answered logs that Redis refuses a script, and that it takes it again.
void run_answered(struct wqueue *q, enum script s, int err, const struct reply *reply);
size_t run_room(const struct run *r);                     // calls that may be added
uint64_t run_mono(const struct run *r, int64_t redis_ms); // a Redis time on the monotonic clock
void run_check_drain(struct run *r, uint64_t now_ms);     // ends the run when nothing is held
// run_gather_ms: how long to gather what goes to Redis in one call. Longer with a backlog: most
// where it waits for the quota, for then nobody waits for us.
uint64_t run_gather_ms(const struct wqueue *q);
// run_is_stale: its answer may hold no more (we were stopped). An old one has leases renewed soon.
bool run_is_stale(struct wqueue *q, uint64_t sent_ms);
void queue_heat(struct wqueue *q);                 // there may be something to claim
void queue_is_newer(struct wqueue *q, bool newer); // than this program: it is left alone
struct attempt *run_find(struct run *r, const struct wqueue *q, struct span id);

// call.c: from an admitted attempt to its end
void call_ready(struct attempt *a);     // WAITING: start it, ask the gate, or park it
void call_cancel(struct attempt *a);    // someone asked for it
void call_hand_back(struct attempt *a); // WAITING or SENDING: uncounted, due now
int64_t
call_parked_for(const struct attempt *a); // ms until its pool opens, as is known now; spread

// settle.c: telling Redis
void settle_done(struct attempt *a, const char *status, const struct outcome *o);
void settle_failed(struct attempt *a, enum failure f, const struct outcome *o);
void settle_later(struct attempt *a, const char *why, int64_t due_in_ms);
void settle_note(struct attempt *a, const struct outcome *o); // last_status, last_error
uint64_t settle_wakes(const struct wqueue *q);                // when there is something to send
void settle_send(struct wqueue *q);

// result.c
void result_write(const struct attempt *a, const char *status, enum failure f,
                  const struct outcome *o, int64_t cost_nano_usd, struct strbuf *ret);
void result_rest(const char *status, enum failure f, const char *message, const struct run *r,
                 const struct job_fault *of, struct strbuf *ret); // after the id, of a job that
                                                                  // never ran; of may be NULL

// wait.c: the blocking wait
void wait_for_work(struct wqueue *q);

// beat.c: what is done by the clock
void beat_tick(struct wqueue *q);
void beat_renew(struct wqueue *q);
void beat_worker(struct run *r);
void beat_leave(struct run *r);

// pump.c: after each turn of the loop
void pump(struct run *r);

#endif
