// beat: what is done by the clock: each queue's round, the leases, the sign of life.
#include "common/base/err.h"
#include "common/base/fault.h"
#include "common/base/log.h"
#include "common/base/rnd.h"
#include "worker/run/run_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    RENEW_MAX = 100,
    MORE_CANCELS_MS = 20,
    LEAVE_MS = 1000,
    CANCELLED_KEPT_MS = 7 * 24 * 3600 * 1000
};

// cancel_running: true where a call was under way that had not been cancelled yet.
static bool cancel_running(struct wqueue *q, const struct reply *reply)
{
    bool fresh = false;
    for (size_t i = 10; i < reply_count(reply); i++) {
        struct span id;
        struct attempt *a = NULL;
        if (reply_str(reply_at(reply, i), &id))
            a = run_find(q->run, q, id);
        fresh |= a && !a->cancel;
        if (a)
            call_cancel(a);
    }
    return fresh;
}

// A lease is renewed so often that two thirds of it are left at least. So what Redis is late with
// by less than that step finds no living holder's lease run out; by more, nothing is recovered.
static uint64_t renew_every_ms(const struct run *r)
{
    return (uint64_t)r->conf->lease_ms / 3;
}

static void on_tick(int err, const struct reply *reply, void *arg)
{
    struct wqueue *q = arg;
    struct run *r = q->run;
    uint64_t now_ms = clock_mono_ms();
    q->ticking = false;
    run_answered(q, SCRIPT_TICK, err, reply);
    if (err)
        return;
    if (now_ms - q->ticked_ms > renew_every_ms(r)) // Redis, or this worker, has been stopped
        r->recover_from_ms = MAX(r->recover_from_ms, now_ms + (uint64_t)r->conf->lease_ms);
    run_hear(q->run, reply);
    int64_t waiting = reply_int_or(reply_at(reply, 2), 0);
    int64_t recovered = reply_int_or(reply_at(reply, 7), 0);
    q->next_due_ms = reply_int_or(reply_at(reply, 1), -1);
    q->delayed = reply_int_or(reply_at(reply, 3), 0);
    q->waiting_jobs = waiting;
    q->active = reply_int_or(reply_at(reply, 4), 0);
    q->dead = reply_int_or(reply_at(reply, 5), 0);
    q->depth_known = true;
    q->run->stats.recovered += (uint64_t)MAX(recovered, 0);
    q->paused = reply_int_or(reply_at(reply, 6), 0) == 1;
    queue_is_newer(q, reply_int_or(reply_at(reply, 6), 0) == 2);
    int64_t cancels = reply_int_or(reply_at(reply, 9), 0);
    q->cancel_pending = (cancels & 1) != 0;
    if (recovered > 0)
        FAULT("recover.after");
    if (recovered > 0)
        log_event(LOG_WARN, "leases_recovered", log_str("queue", q->name),
                  log_int("count", recovered),
                  log_int("buried", reply_int_or(reply_at(reply, 8), 0)), LOG_END);
    bool too_many = q->run->conf->max_dead > 0 && q->dead > q->run->conf->max_dead;
    if (recovered >= RENEW_MAX || too_many)
        q->tick_at_ms = 0; // there may be more
    if (q->paused || q->refused)
        q->hot = false;
    else if (waiting > 0 || (q->next_due_ms >= 0 && q->next_due_ms <= run_now(q->run)))
        queue_heat(q);
    bool fresh = cancel_running(q, reply);
    if (q->run->mode == RUN_WORKING && (fresh || (cancels & 2)))
        q->tick_at_ms = MIN(q->tick_at_ms, clock_mono_ms() + MORE_CANCELS_MS);
    pump(q->run);
}

void beat_tick(struct wqueue *q)
{
    struct run *r = q->run;
    struct strbuf crash, cancelled;
    uint64_t now_ms = clock_mono_ms();
    q->ticked_ms = now_ms;
    q->tick_at_ms = now_ms + TICK_MS - 50 + rnd_below(50);
    strbuf_init(&crash, 4096);
    strbuf_init(&cancelled, 4096);
    result_rest("failed", FAILURE_CRASH, "its workers died again and again while they read it", r,
                NULL, &crash);
    result_rest("cancelled", FAILURE_CANCELLED, "cancelled by request before it came up", r, NULL,
                &cancelled);
    bool recovers = now_ms >= r->recover_from_ms && r->mode == RUN_WORKING;
    if (recovers)
        FAULT("recover.before");
    args_clear(&r->args);
    args_add_int(&r->args, recovers ? run_now(r) + (int64_t)renew_every_ms(r) : 0);
    args_add_int(&r->args, r->conf->max_recoveries);
    args_add_int(&r->args, r->conf->result_ttl_s * 1000);
    args_add_int(&r->args, CANCELLED_KEPT_MS);
    args_add(&r->args, strbuf_span(&crash));
    args_add(&r->args, strbuf_span(&cancelled));
    args_add_int(&r->args, r->conf->max_dead);
    q->ticking = script_call(r->link, SCRIPT_TICK, q->stem, &r->args, on_tick, q) == 0;
    strbuf_fini(&crash);
    strbuf_fini(&cancelled);
}

// renewal remembers whom it asked for by name: an attempt may be gone when the answer comes.
struct renewal {
    struct wqueue *queue;
    size_t count;
    struct {
        char id[ID_BYTES_MAX + 1];
        char token[ULID_LEN + 1];
    } at[RENEW_MAX];
};

// lost: the lease is another's. A call under way goes on: its answer is offered all the same.
static void lost(struct renewal *w, size_t i)
{
    char trace[TRACE_ID_LEN + 1];
    struct attempt *a = run_find(w->queue->run, w->queue, span_of(w->at[i].id));
    if (!a || strcmp(a->token, w->at[i].token) != 0 || a->lost)
        return;
    a->lost = true;
    log_event(LOG_WARN, "lease_lost", log_str("queue", w->queue->name), log_str("job", a->id),
              log_str("why", "it ran out before it was renewed"), attempt_trace(a, trace), LOG_END);
    if (a->state == ATTEMPT_WAITING)
        attempt_go(a, ATTEMPT_GONE);
}

static void on_renewed(int err, const struct reply *reply, void *arg)
{
    struct renewal *w = arg;
    FAULT("renew.after");
    if (err)
        w->queue->renew_at_ms = clock_mono_ms() + RETRY_SEND_MS;
    else
        run_hear(w->queue->run, reply);
    for (size_t i = 1; !err && i < reply_count(reply); i++) {
        int64_t n = reply_int_or(reply_at(reply, i), 0);
        if (n >= 1 && n <= (int64_t)w->count)
            lost(w, (size_t)n - 1);
    }
    free(w);
}

static void send_renewal(struct renewal *w)
{
    struct run *r = w->queue->run;
    FAULT("renew.before");
    args_clear(&r->args);
    args_add_int(&r->args, r->conf->lease_ms);
    for (size_t i = 0; i < w->count; i++) {
        args_add_str(&r->args, w->at[i].id);
        args_add_str(&r->args, w->at[i].token);
    }
    if (script_call(r->link, SCRIPT_RENEW, w->queue->stem, &r->args, on_renewed, w)) {
        w->queue->renew_at_ms = clock_mono_ms() + RETRY_SEND_MS;
        free(w);
    }
}

void beat_renew(struct wqueue *q)
{
    struct run *r = q->run;
    struct renewal *w = NULL;
    q->renew_at_ms = clock_mono_ms() + renew_every_ms(r);
    for (int s = 0; s < ATTEMPT_GONE; s++) {
        list_each(&r->by_state[s], k)
        {
            struct attempt *a = CONTAINER_OF(k, struct attempt, in_state);
            if (a->queue != q || a->lost)
                continue;
            if (!w && !(w = calloc(1, sizeof *w)))
                return;
            w->queue = q;
            snprintf(w->at[w->count].id, sizeof w->at[0].id, "%s",
                     a->admitted ? a->id : a->claim_id);
            memcpy(w->at[w->count].token, a->token, sizeof a->token);
            if (++w->count == RENEW_MAX) {
                send_renewal(w);
                w = NULL;
            }
        }
    }
    if (w)
        send_renewal(w);
}

static void on_beat(int err, const struct reply *reply, void *arg)
{
    (void)err, (void)reply, (void)arg; // the next one comes soon
}

static void send_plain(struct run *r, int argc, const char **argv)
{
    size_t lens[20];
    for (int i = 0; i < argc; i++)
        lens[i] = strlen(argv[i]);
    int unsent = rlink_call(r->link, argc, argv, lens, 0, on_beat, NULL);
    (void)unsent;
}

// name_pools lists the pools this worker has met, newest last, parted by blanks.
static void name_pools(struct run *r, char *ret, size_t room)
{
    size_t len = 0;
    ret[0] = '\0';
    list_each(&r->pools, k)
    {
        struct pool *p = CONTAINER_OF(k, struct pool, link);
        size_t more = strlen(p->name) + (len > 0);
        if (!p->account)
            continue;
        if (len + more >= room)
            return;
        snprintf(ret + len, room - len, "%s%s", len ? " " : "", p->name);
        len += more;
    }
}

// name_runs lists the runs whose jobs this worker had, the latest first, as queue/run.
static void name_runs(const struct run *r, char *ret, size_t room)
{
    enum { RUNS_TOLD = 8 };
    size_t len = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < r->stats.run_count && i < RUNS_TOLD; i++) {
        int more = snprintf(ret + len, room - len, "%s%s/%s", len ? " " : "",
                            r->stats.runs[i].queue, r->stats.runs[i].name);
        if (more < 0 || (size_t)more >= room - len) {
            ret[len] = '\0';
            return;
        }
        len += (size_t)more;
    }
}

void beat_worker(struct run *r)
{
    char pools[2048], runs[2048];
    char workers[KEY_BYTES_MAX], key[KEY_BYTES_MAX], now[24], began[24], calls[24], pid[16],
        ttl[16], stale[24];
    r->beat_at_ms = clock_mono_ms() + BEAT_MS;
    key_workers(r->conf->prefix, workers, sizeof workers);
    key_worker(r->conf->prefix, r->worker, key, sizeof key);
    name_pools(r, pools, sizeof pools);
    name_runs(r, runs, sizeof runs);
    snprintf(now, sizeof now, "%lld", (long long)run_now(r));
    snprintf(began, sizeof began, "%lld", (long long)r->began);
    snprintf(calls, sizeof calls, "%zu", r->by_state[ATTEMPT_SENDING].count);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    snprintf(ttl, sizeof ttl, "%d", BEAT_MS * 6);
    snprintf(stale, sizeof stale, "%lld", (long long)(run_now(r) - BEAT_MS * 6));
    const char *zadd[] = {"ZADD", workers, now, r->worker};
    const char *hset[] = {
        "HSET",          key,         "pid",  pid,       "started",        began,  "queues",
        r->conf->queues, "in_flight", calls,  "version", PENSTOCK_VERSION, "seen", now,
        "pools",         pools,       "runs", runs};
    const char *expire[] = {"PEXPIRE", key, ttl};
    const char *sweep[] = {"ZREMRANGEBYSCORE", workers, "-inf", stale}; // those that died
    send_plain(r, ARRAY_LEN(zadd), zadd);
    send_plain(r, ARRAY_LEN(hset), hset);
    send_plain(r, ARRAY_LEN(expire), expire);
    send_plain(r, ARRAY_LEN(sweep), sweep);
}

static void on_left(int err, const struct reply *reply, void *arg)
{
    (void)err, (void)reply; // if it has not been heard, its sign of life runs out
    struct run *r = arg;
    r->left = true;
    pump(r);
}

void beat_leave(struct run *r)
{
    r->leaving = true;
    r->leave_until_ms = clock_mono_ms() + LEAVE_MS;
    r->beat_at_ms = UINT64_MAX; // no sign of life after this
    char workers[KEY_BYTES_MAX], key[KEY_BYTES_MAX];
    key_workers(r->conf->prefix, workers, sizeof workers);
    key_worker(r->conf->prefix, r->worker, key, sizeof key);
    const char *zrem[] = {"ZREM", workers, r->worker};
    const char *del[] = {"DEL", key};
    size_t lens[] = {3, strlen(key)};
    send_plain(r, ARRAY_LEN(zrem), zrem);
    if (rlink_call(r->link, ARRAY_LEN(del), del, lens, 0, on_left, r))
        r->left = true;
}
