// settle: telling Redis what became of each job, in batches, until it has confirmed.
//
// A settlement is kept here and sent again until it is answered: a paid answer is not thrown away
// because Redis was away. The script makes repeating it harmless.
#include "common/base/err.h"
#include "common/base/fault.h"
#include "common/base/log.h"
#include "common/job/prices.h"
#include "worker/run/money.h"
#include "worker/run/run_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOLD_MS = 5 }; // how long to wait for Redis to say when a pool opens

static void begin(struct attempt *a)
{
    struct wqueue *q = a->queue;
    attempt_go(a, ATTEMPT_SETTLING);
    if (list_is_empty(&q->to_settle))
        q->ended_at_ms = clock_mono_ms();
    list_append(&q->to_settle, &a->todo);
}

void settle_note(struct attempt *a, const struct outcome *o)
{
    a->end.last_status = o->http_status;
    snprintf(a->end.last_error, sizeof a->end.last_error, "%s%s%.180s",
             o->error_type[0] ? o->error_type : "", o->error_type[0] && o->message[0] ? ": " : "",
             o->message);
}

// write_result builds the result. Without the memory for it the job is handed back: half a result,
// or none under a good status, would be worse than a second call. False then.
static bool write_result(struct attempt *a, const char *status, enum failure f,
                         const struct outcome *o)
{
    const struct run *r = a->run;
    struct span model = o && o->model.len ? o->model : a->job.model;
    int64_t cost = -1;
    if (o && !f) {
        a->end.usage = o->usage;
        if (!price_usd(model, &o->usage, &cost))
            cost = -1;
    }
    a->end.cost_nano_usd = cost;
    strbuf_init(&a->end.result, (size_t)r->conf->max_answer_bytes * 2 + a->payload_len + 8192);
    result_write(a, status, f, o, cost, &a->end.result);
    if (!strbuf_failed(&a->end.result) && !(o && o->text && strbuf_failed(o->text)))
        return true;
    strbuf_fini(&a->end.result);
    log_event(LOG_ERROR, "result_no_memory", log_str("queue", a->queue->name),
              log_str("job", a->id), LOG_END);
    a->end = (struct settlement){0};
    settle_later(a, "handed_back", TICK_MS);
    return false;
}

void settle_done(struct attempt *a, const char *status, const struct outcome *o)
{
    a->end.verb = "done";
    a->end.why = status;
    a->end.last_status = o->http_status;
    if (!write_result(a, status, FAILURE_NONE, o))
        return;
    a->run->stats.succeeded++;
    begin(a);
}

void settle_failed(struct attempt *a, enum failure f, const struct outcome *o)
{
    struct stats *s = &a->run->stats;
    char trace[TRACE_ID_LEN + 1];
    bool bury = f != FAILURE_EXPIRED && f != FAILURE_CANCELLED;
    a->end.verb = bury ? "bury" : "done";
    a->end.why = f == FAILURE_EXPIRED ? "expired" : f == FAILURE_CANCELLED ? "cancelled" : "failed";
    a->end.cause = failure_word(f);
    if (o)
        settle_note(a, o);
    else if (a->fault)
        snprintf(a->end.last_error, sizeof a->end.last_error, "%s", a->fault->why);
    if (!write_result(a, a->end.why, f, o))
        return;
    s->expired += f == FAILURE_EXPIRED;
    s->cancelled += f == FAILURE_CANCELLED;
    s->failed += bury;
    if (bury)
        log_event(LOG_WARN, "job_failed", log_str("queue", a->queue->name), log_str("job", a->id),
                  log_str("type", failure_word(f)), log_int("status", a->end.last_status),
                  log_int("attempts", a->attempts), log_str("request_id", o ? o->request_id : ""),
                  attempt_trace(a, trace), LOG_END);
    begin(a);
}

void settle_later(struct attempt *a, const char *why, int64_t due_in_ms)
{
    a->end.verb = "later";
    a->end.why = why;
    a->end.due_in_ms = MAX(due_in_ms, 0);
    a->run->stats.handed_back += why[0] == 'h';
    begin(a);
}

uint64_t settle_wakes(const struct wqueue *q)
{
    size_t enough = MIN((size_t)q->run->conf->concurrency / 4 + 1, (size_t)SETTLE_MAX * 3 / 4);
    if (q->to_settle.count == 0)
        return UINT64_MAX;
    if (q->to_settle.count >= enough || q->run->mode != RUN_WORKING)
        return q->send_at_ms;
    uint64_t gather = run_gather_ms(q);
    uint64_t at = gather > GATHER_MS ? q->ended_at_ms + gather : q->settled_at_ms + GATHER_MS;
    return MAX(at, q->send_at_ms);
}

struct settle_batch {
    struct wqueue *queue;
    size_t count;
    struct attempt *at[SETTLE_MAX];
};

// comes_back: the queue is looked at when the job is due, without waiting for the next tick.
static void comes_back(struct wqueue *q, int64_t due_in_ms)
{
    int64_t due_ms = run_now(q->run) + due_in_ms;
    if (q->next_due_ms < 0 || due_ms < q->next_due_ms)
        q->next_due_ms = due_ms;
}

static void settled(struct attempt *a, struct span word)
{
    char trace[TRACE_ID_LEN + 1];
    if (span_is(word, "lost")) {
        a->run->stats.lost++;
        log_event(LOG_INFO, "lease_lost", log_str("queue", a->queue->name), log_str("job", a->id),
                  log_str("why", a->end.why), attempt_trace(a, trace), LOG_END);
    } else {
        stats_settled(a);
        if (strcmp(a->end.why, "parked") == 0)
            gate_parked(a);
        if (strcmp(a->end.verb, "later") == 0)
            comes_back(a->queue, a->end.due_in_ms);
    }
    attempt_go(a, ATTEMPT_GONE);
}

static void on_settled(int err, const struct reply *reply, void *arg)
{
    struct settle_batch *b = arg;
    struct wqueue *q = b->queue;
    run_answered(q, SCRIPT_SETTLE, err, reply);
    if (err) {
        for (size_t i = b->count; i-- > 0;)
            list_prepend(&q->to_settle, &b->at[i]->todo);
        q->send_at_ms = clock_mono_ms() + RETRY_SEND_MS;
    } else {
        FAULT("settle.after");
        run_hear(q->run, reply);
        for (size_t i = 0; i < b->count; i++) {
            struct span word = {0};
            reply_str(reply_at(reply, 1 + i), &word);
            settled(b->at[i], word);
        }
    }
    free(b);
    pump(q->run);
}

static void add_tokens(struct args *args, const struct settlement *e)
{
    const struct usage *u = &e->usage;
    args_add_int(args, MAX(u->input, 0) + MAX(u->cache_creation, 0) + MAX(u->cache_read, 0));
    args_add_int(args, MAX(u->output, 0));
}

static void add_counts(struct args *args, const struct attempt *a)
{
    args_add_int(args, a->attempts);
    args_add_int(args, a->throttles);
    args_add_int(args, a->end.last_status);
    args_add_str(args, a->end.last_error);
}

// add_settlement adds what goes with the verb (common/queue/lua/settle.lua).
static void add_settlement(struct args *args, const struct attempt *a, char cost[COST_BYTES])
{
    const struct settlement *e = &a->end;
    bool later = strcmp(e->verb, "later") == 0;
    args_add_str(args, a->id);
    args_add_str(args, a->token);
    args_add_str(args, e->verb);
    if (later)
        args_add_int(args, e->due_in_ms);
    else
        args_add(args, strbuf_span(&e->result));
    args_add_str(args, e->why);
    args_add(args, a->fault ? a->fault->reply_to : a->job.reply_to);
    args_add(args, a->fault ? a->fault->run : a->job.run);
    if (later) {
        add_counts(args, a);
        args_add_int(args, a->started);
        return;
    }
    add_tokens(args, e);
    cost_text(MAX(e->cost_nano_usd, 0), cost);
    args_add_str(args, cost);
    if (strcmp(e->verb, "bury") == 0) {
        args_add_str(args, e->cause ? e->cause : "");
        add_counts(args, a);
    }
}

// is_ready: a parked job is due when its pool opens, and Redis is just saying when that is.
static bool is_ready(struct attempt *a)
{
    if (strcmp(a->end.why, "parked") != 0)
        return true;
    a->end.due_in_ms = call_parked_for(a);
    return !a->pool->telling;
}

// fill takes what one call may carry: up to SETTLE_MAX, up to BATCH_BYTES_MAX beyond the first, and
// a large result alone.
static void fill(struct settle_batch *b)
{
    size_t bytes = 0;
    list_each(&b->queue->to_settle, k)
    {
        struct attempt *a = CONTAINER_OF(k, struct attempt, todo);
        size_t len = a->end.result.len;
        if (!is_ready(a))
            continue;
        if (b->count && (len > LARGE_BYTES || bytes + len > BATCH_BYTES_MAX))
            return;
        list_remove(&b->queue->to_settle, &a->todo);
        b->at[b->count++] = a;
        bytes += b->count > 1 ? len : 0;
        if (len > LARGE_BYTES || b->count == SETTLE_MAX)
            return;
    }
}

void settle_send(struct wqueue *q)
{
    struct run *r = q->run;
    struct settle_batch *b = calloc(1, sizeof *b);
    char cost[SETTLE_MAX][COST_BYTES];
    if (!b)
        return;
    b->queue = q;
    fill(b);
    if (b->count == 0) {
        free(b);
        q->send_at_ms = clock_mono_ms() + TOLD_MS;
        return;
    }
    args_clear(&r->args);
    args_add_int(&r->args, r->conf->result_ttl_s * 1000);
    for (size_t i = 0; i < b->count; i++)
        add_settlement(&r->args, b->at[i], cost[i]);
    q->settled_at_ms = clock_mono_ms();
    FAULT("settle.before");
    if (script_call(r->link, SCRIPT_SETTLE, q->stem, &r->args, on_settled, b)) {
        for (size_t i = b->count; i-- > 0;)
            list_prepend(&q->to_settle, &b->at[i]->todo);
        q->send_at_ms = clock_mono_ms() + RETRY_SEND_MS;
        free(b);
    }
}
