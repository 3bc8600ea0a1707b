// admin_int: private to worker/admin.
#ifndef PENSTOCK_ADMIN_ADMIN_INT_H
#define PENSTOCK_ADMIN_ADMIN_INT_H

#include "common/base/list.h"
#include "worker/admin/admin.h"
#include "worker/admin/cancel_run.h"
#include "worker/admin/sample.h"
#include "worker/run/window.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <uv.h>

enum {
    CONNECTIONS_MAX = 64,       // with one more, the one that has idled longest is closed
    WATCHERS_MAX = 32,          // of /events
    HEAD_BYTES_MAX = 16 * 1024, // of a request; more is a 431
    BODY_BYTES_MAX = 64 * 1024,
    HEAD_WAIT_MS = 10000, // for a whole request, and to take an answer
    PAGE_BYTES_MAX = 8 << 20,
    REDIS_PER_S = 2, // questions to Redis that viewers may cause, the sample's own included
    REDIS_BURST = 4,
    PAYLOAD_SHOWN = 32 * 1024, // bytes of a payload or a result in an answer
};

// A connection: it has so long to bring its next request.
struct peer {
    struct list_link link; // in admin->peers, the oldest first
    int fd;
    uint64_t since_ms;
    bool busy; // a request of it is with us
};

// The text of one moment for all who watch /events.
struct frame {
    int refs;
    struct strbuf text;
};

struct watcher {
    struct list_link link; // in admin->watchers
    struct admin *admin;
    struct MHD_Connection *connection;
    struct frame *frame; // NULL = nothing new
    size_t sent;
    bool asleep; // suspended until there is a frame
};

// A request that is being read, or waits for Redis.
struct request {
    struct list_link link; // in admin->asking while it waits
    struct admin *admin;
    struct MHD_Connection *connection;
    struct strbuf body, answer;
    int status;
    const char *type;
    struct ask *ask; // what was asked of Redis for it
    bool done;       // answer is whole
    bool deferred;   // link is in admin->deferred: this turn has been long enough
    bool next;       // it has been put off, and now is its turn
};

// A question to Redis on behalf of a request, which may be gone when the answer comes.
struct ask {
    struct admin *admin;
    struct request *request;
    void (*heard)(struct request *q, int err, const struct reply *reply);
    char note[256], who[160]; // for the log, of an action
    bool action;
};

struct admin {
    uv_loop_t *loop;
    const struct conf *conf;
    struct run *run;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_prepare_t prepare;
    uv_timer_t timeout, second;
    size_t handles, asks;
    int socket;
    bool closing, in_mhd, readonly, held; // held: the pages have had their share of the time
    struct list peers, watchers, asking, deferred;
    uint64_t turn_us, turn_cpu_us, busy_us; // when this turn began; the CPU that all have taken
    int64_t credit_us;                      // what they may take now
    uint64_t opened_ms, second_due_ms, lag_ms[2], lag_turn; // lag: of this and the last half minute
    double questions;                                       // to Redis that viewers may still cause
    uint64_t questions_at_ms, watched_ms;
    struct sample sample;
    struct canceller canceller;
    struct frame *latest;
    int64_t opened_wall_ms;
    char host[64];
    int port;
    void (*closed)(void *arg);
    void *closed_arg;
};

// turn.c
void turn_start(struct admin *a);
void server_run(struct admin *a); // lets libmicrohttpd do what is due, or puts it off
void turn_begin(struct admin *a); // what is done until turn_end is the pages' doing
void turn_end(struct admin *a);
bool turn_is_its(const struct request *q);     // it need not be put off
enum MHD_Result turn_defer(struct request *q); // it is asked again when those before it have been
bool turn_resume(struct admin *a);             // the oldest of those; false = there is none

// server.c
void admin_gone(struct admin *a);    // one thing less that is still ours, while it ends
void server_wake(struct request *q); // its answer is whole
// A whole answer in JSON: {"error": "..."} for a status of 400 and more.
void server_refuse(struct request *q, int status, const char *why);

// assets.c: the dashboard's files by their paths
struct asset {
    const char *at;
    size_t len;
    const char *type;
};
bool asset_find(const char *path, struct asset *ret);

// metrics.c, health.c
void metrics_write(struct admin *a, struct strbuf *b);
int health_live(const struct admin *a, struct strbuf *b); // the status
int health_ready(const struct admin *a, struct strbuf *b);

// api.c: false = there is no such path
bool api_get(struct request *q, const char *path);
// action.c
bool action_post(struct request *q, const char *path);
// api_may_ask takes one of the questions that viewers may cause; false = too many just now.
bool api_may_ask(struct admin *a);
int api_ask(struct request *q, const char *const items[][4], size_t count,
            void (*heard)(struct request *q, int err, const struct reply *reply));
void api_heard(int err, const struct reply *reply, void *arg); // of every ask
struct ask *api_ask_new(struct request *q,
                        void (*heard)(struct request *q, int err, const struct reply *reply));
void api_ask_failed(struct request *q, struct ask *ask);
// api_queue gives the stem of a queue of this worker; NULL = none of that name.
const char *api_queue(const struct admin *a, const char *name);
bool api_pool(const struct admin *a, const char *name, struct pool_view *ret);

// events.c
enum MHD_Result events_begin(struct request *q);
void events_publish(struct admin *a); // a new moment for all who watch
void events_end(struct admin *a);
size_t events_watchers(const struct admin *a);

#endif
