// top_json: a board as JSON: what stats has, with rates, and without what nobody watches.
#include "worker/cli/out.h"
#include "worker/cli/top.h"

#include <stdio.h>
#include <string.h>

static void print_queue(struct out *o, const struct board_queue *q)
{
    out_begin(o, q->name);
    out_int(o, "waiting", q->depth[DEPTH_WAITING]);
    out_int(o, "delayed", q->depth[DEPTH_DELAYED]);
    out_int(o, "active", q->depth[DEPTH_ACTIVE]);
    out_int(o, "dead", q->depth[DEPTH_DEAD]);
    if (q->paused)
        out_str(o, "paused", q->why);
    out_number(o, "finished_per_s", q->finished.per_s);
    out_number(o, "failed_per_s", q->failed.per_s);
    out_number(o, "throttles_per_s", q->throttles.per_s);
    if (board_eta_s(q) >= 0)
        out_number(o, "seconds_left", board_eta_s(q));
    out_end(o);
}

static void print_pool(struct out *o, const struct board_pool *p, int64_t now_ms)
{
    const struct quota *q = &p->quota;
    char name[64];
    out_begin(o, p->name);
    out_bool(o, "open", quota_is_open(q, now_ms));
    if (!quota_is_open(q, now_ms)) {
        out_str(o, "cause", q->cause);
        out_str(o, "why", q->why);
        out_int(o, "opens_in_ms", q->open_at - now_ms);
    }
    for (int k = 0; k < QUOTA_KINDS; k++) {
        if (q->limit[k] <= 0)
            continue;
        snprintf(name, sizeof name, "%s_limit", quota_names[k]);
        out_number(o, name, q->limit[k]);
        snprintf(name, sizeof name, "%s_left", quota_names[k]);
        out_number(o, name, q->left[k]);
    }
    out_number(o, "calls_per_s", p->calls.per_s);
    out_number(o, "throttles_per_s", p->refused.per_s);
    out_end(o);
}

// run_key: a run's name, with its queue where another queue has a run of that name before it.
static void run_key(const struct board *b, size_t at, char *ret, size_t room)
{
    const struct board_run *r = &b->runs[at];
    bool taken = false;
    for (size_t i = 0; i < at; i++)
        taken |= strcmp(b->runs[i].name, r->name) == 0;
    snprintf(ret, room, "%s%s%s", taken ? r->queue : "", taken ? "/" : "", r->name);
}

static void print_run(struct out *o, const struct board *b, size_t at)
{
    const struct board_run *r = &b->runs[at];
    char key[2 * NAME_BYTES_MAX + 2];
    run_key(b, at, key, sizeof key);
    out_begin(o, key);
    out_str(o, "queue", r->queue);
    out_number(o, "succeeded", r->succeeded.value);
    out_number(o, "failed", r->failed.value);
    out_number(o, "finished_per_s", r->succeeded.per_s + r->failed.per_s);
    out_number(o, "throttles", r->throttles.value);
    out_int(o, "input_tokens", r->tokens_in);
    out_int(o, "output_tokens", r->tokens_out);
    out_number(o, "cost_usd", r->cost_usd);
    out_int(o, "updated", r->updated);
    out_end(o);
}

static void print_worker(struct out *o, const struct board_worker *w)
{
    out_begin(o, w->id);
    out_int(o, "in_flight", w->in_flight);
    out_int(o, "started", w->started);
    out_int(o, "seen", w->seen);
    out_str(o, "version", w->version);
    out_str(o, "queues", w->queues);
    out_end(o);
}

void top_json(const struct top *t)
{
    static const char *const names[] = {"queues", "pools", "runs", "workers"};
    const struct board *b = &t->board;
    struct out o = {.json = true};
    out_begin(&o, NULL);
    out_int(&o, "now", b->now_ms);
    for (int s = 0; s < TOP_SECTIONS; s++) {
        out_begin(&o, names[s]);
        for (size_t n = 0; n < t->count[s]; n++) {
            size_t i = t->order[s][n];
            if (s == TOP_QUEUES)
                print_queue(&o, &b->queues[i]);
            else if (s == TOP_POOLS)
                print_pool(&o, &b->pools[i], b->now_ms);
            else if (s == TOP_RUNS)
                print_run(&o, b, i);
            else
                print_worker(&o, &b->workers[i]);
        }
        out_end(&o);
    }
    out_end(&o);
}
