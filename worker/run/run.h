// run: the worker's work. It claims jobs from its queues while it has room, calls the API, and
// settles what became of each; the only part that sees both Redis and the API.
//
// A job's way through it: queue_claim -> intake (parse, admit) -> call (gate, HTTP, verdict) ->
// settle. Nothing here blocks, and nothing is retried anywhere else.
#ifndef PENSTOCK_RUN_RUN_H
#define PENSTOCK_RUN_RUN_H

#include "common/base/attrs.h"
#include "common/conf/conf.h"
#include "worker/run/stats.h"

#include <stdbool.h>
#include <stddef.h>

struct uv_loop_s;
struct run;

// How the work ends. Each signal moves one down.
enum run_mode {
    RUN_WORKING,      // claims and calls
    RUN_DRAINING,     // claims nothing; calls under way may end within PENSTOCK_DRAIN_MS
    RUN_HANDING_BACK, // calls are aborted, their jobs go back to `delayed`, due now, uncounted
    RUN_ENDED,        // nothing is held any more, or Redis is away: `ended` has been called
};

// run_new opens the links and begins. conf is borrowed for the run's life. ended is called once,
// when the last job has been settled or handed back after run_drain.
int run_new(struct uv_loop_s *loop, const struct conf *conf, const char *worker_id,
            void (*ended)(void *arg), void *arg, struct run **ret, char *ret_why,
            size_t why_room) MUST_CHECK;
void run_drain(struct run *r); // each call moves the mode one down
// run_reload takes over what may change while running; the key opens a shut pool's probe at once.
int run_reload(struct run *r, const struct conf *conf) MUST_CHECK;
// run_close closes all links; closed is called when every handle is, and r is freed.
void run_close(struct run *r, void (*closed)(void *arg), void *arg);

const struct stats *run_stats(const struct run *r);
size_t run_in_flight(const struct run *r);
bool run_is_ready(const struct run *r); // Redis answers and jobs may be claimed

#endif
