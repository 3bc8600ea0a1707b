#include "worker/run/permit.h"

#include "worker/run/run_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDED_TOKENS = 1000, MINUTE_MS = 60000 };

size_t permit_free(const struct permits *p, uint64_t now_ms)
{
    if (p->any_until_ms > now_ms)
        return ANY_STARTS;
    return p->count > p->promised ? p->count - p->promised : 0;
}

size_t permit_ahead(const struct permits *p)
{
    double ends = p->gap_ms > 0 ? ASK_AHEAD_MS / p->gap_ms : 1;
    return ends < 1 ? 1 : ends > CLAIM_ENOUGH ? CLAIM_ENOUGH : (size_t)ends;
}

uint64_t permit_first(const struct permits *p, uint64_t now_ms)
{
    if (p->any_until_ms > now_ms)
        return now_ms;
    return p->count > 0 ? p->grants[p->first].start_ms : UINT64_MAX;
}

uint64_t permit_claim_at(const struct permits *p, uint64_t now_ms)
{
    if (p->any_until_ms > now_ms)
        return now_ms;
    if (p->count <= p->promised)
        return UINT64_MAX;
    if (p->count - p->promised >= CLAIM_ENOUGH)
        return now_ms;
    uint64_t start_ms = p->grants[(p->first + p->promised) % GRANTS_MAX].start_ms;
    return start_ms > now_ms + CLAIM_BEFORE_MS ? start_ms - CLAIM_BEFORE_MS : now_ms;
}

static void add_num(struct args *args, double n)
{
    args_add_int(args, llround(n));
}

static void add_cost(struct args *args, struct cost c)
{
    add_num(args, c.input);
    add_num(args, c.output);
    add_num(args, c.most);
}

static void add_headers(struct args *args, const struct report *r)
{
    args_add_int(args, r->sent);
    args_add_int(args, r->marked);
    for (int i = 0; i < 3; i++)
        add_num(args, r->marks[i]);
    for (int i = 0; i < 3; i++) {
        args_add_int(args, r->limits[i].limit);
        args_add_int(args, r->limits[i].remaining);
        args_add_int(args, r->limits[i].reset_ms);
    }
}

void permit_args(struct permits *p, struct args *args, int64_t want, struct cost mean, bool reserve)
{
    struct report *r = &p->report;
    args_add_int(args, want);
    add_cost(args, mean);
    args_add_int(args, reserve);
    add_num(args, r->back);
    add_cost(args, r->back_cost);
    add_cost(args, r->fixed);
    args_add_int(args, r->ok);
    args_add_int(args, r->ok_sent);
    args_add_int(args, r->failed);
    args_add_int(args, r->failed_sent);
    args_add_int(args, r->refused);
    args_add_int(args, r->refused_sent);
    args_add_int(args, r->explained);
    add_num(args, r->spare_out);
    add_num(args, r->spare_most);
    add_num(args, r->in_sum);
    add_num(args, r->in_bytes);
    add_num(args, r->out_sum);
    add_num(args, r->ok ? r->latency_ms / (double)r->ok : 0);
    add_headers(args, r);
    *r = (struct report){0};
    p->report_at_ms = 0;
}

static void put(struct permits *p, struct grant g)
{
    if (p->count == GRANTS_MAX)
        return;
    p->grants[(p->first + p->count++) % GRANTS_MAX] = g;
    budget_hold(&p->budget, &g.cost, 1);
}

void permit_hear(struct permits *p, const struct reply *reply, int64_t granted, struct cost mean,
                 uint64_t now_ms)
{
    double marks[3];
    int64_t marked = reply_int_or(reply_at(reply, 0), 0);
    for (size_t i = 0; i < 3; i++)
        marks[i] = reply_num_or(reply_at(reply, 5 + i), 0);
    memcpy(p->marks, marks, sizeof marks);
    p->marked = marked;
    p->out_mean = reply_num_or(reply_at(reply, 8), -1);
    p->in_per_byte = reply_num_or(reply_at(reply, 9), -1) / 1e6;
    p->ask_at_ms = now_ms + (uint64_t)reply_int_or(reply_at(reply, 10), 0);
    p->limit_input = (double)reply_int_or(reply_at(reply, 11), 0);
    p->limit_output = (double)reply_int_or(reply_at(reply, 12), 0);
    p->any_until_ms = granted < 0 ? now_ms + GATE_FRESH_MS : 0;
    for (int64_t i = 0; i < granted; i++) {
        marks[0] += 1;
        marks[1] += mean.input;
        marks[2] += mean.output;
        struct grant g = {.marked = marked, .cost = mean};
        g.start_ms = now_ms + (uint64_t)reply_int_or(reply_at(reply, 14 + (size_t)i), 0);
        memcpy(g.marks, marks, sizeof marks);
        put(p, g);
    }
}

static void add_to(struct cost *sum, struct cost c, double sign)
{
    sum->input += sign * c.input;
    sum->output += sign * c.output;
    sum->most += sign * c.most;
}

static void note(struct permits *p)
{
    if (!p->report.some)
        p->report_at_ms = clock_mono_ms() + (p->budget.tight ? REPORT_TIGHT_MS : REPORT_AFTER_MS);
    p->report.some = true;
}

bool permit_take(struct permits *p, struct attempt *a, uint64_t now_ms)
{
    if (p->any_until_ms > now_ms) {
        a->granted = false;
        a->grant = (struct grant){.start_ms = now_ms, .marked = p->marked};
        memcpy(a->grant.marks, p->marks, sizeof p->marks);
        return true;
    }
    if (p->count == 0)
        return false;
    a->grant = p->grants[p->first];
    p->first = (p->first + 1) % GRANTS_MAX;
    p->count--;
    a->granted = true;
    add_to(&p->report.fixed, a->cost, 1);
    add_to(&p->report.fixed, a->grant.cost, -1);
    budget_hold(&p->budget, &a->grant.cost, -1);
    budget_hold(&p->budget, &a->cost, 1);
    a->grant.cost = a->cost;
    return true;
}

void permit_return(struct permits *p, struct attempt *a)
{
    if (!a->granted)
        return;
    permit_forget(p, a);
    p->report.back += 1;
    add_to(&p->report.back_cost, a->grant.cost, 1);
    note(p);
}

void permit_forget(struct permits *p, struct attempt *a)
{
    if (a->granted)
        budget_hold(&p->budget, &a->grant.cost, -1);
    a->granted = false;
}

void permit_return_all(struct permits *p, bool stale_only, uint64_t now_ms)
{
    while (p->count > 0) {
        struct grant *g = &p->grants[p->first];
        if (stale_only && (p->promised > 0 || g->start_ms + GRANT_KEPT_MS > now_ms))
            return;
        p->report.back += 1;
        add_to(&p->report.back_cost, g->cost, 1);
        budget_hold(&p->budget, &g->cost, -1);
        note(p);
        p->first = (p->first + 1) % GRANTS_MAX;
        p->count--;
    }
}

void permit_answered(struct permits *p, struct attempt *a, const struct usage *u,
                     int64_t latency_ms)
{
    struct report *r = &p->report;
    double input = (double)(MAX(u->input, 0) + MAX(u->cache_creation, 0));
    double output = (double)MAX(u->output, 0);
    uint64_t now_ms = clock_mono_ms();
    if (p->answered_ms)
        p->gap_ms += (p->gap_ms > 0 ? 0.1 : 1) * ((double)(now_ms - p->answered_ms) - p->gap_ms);
    p->answered_ms = now_ms;
    note(p);
    r->ok++;
    r->ok_sent = MAX(r->ok_sent, a->started);
    r->in_sum += input;
    r->in_bytes += (double)a->bytes;
    r->out_sum += output;
    r->latency_ms += (double)latency_ms;
    if (a->granted) {
        r->spare_out += a->grant.cost.output - output;
        r->spare_most += a->grant.cost.most - output;
    }
    permit_forget(p, a);
}

void permit_failed(struct permits *p, struct attempt *a)
{
    note(p);
    if (++p->report.failed == 1)
        p->report_at_ms = MIN(p->report_at_ms, clock_mono_ms() + FAILED_AFTER_MS);
    p->report.failed_sent = MAX(p->report.failed_sent, a->started);
    permit_return(p, a);
}

// explains: do the headers say why the call was refused?
static bool explains(const struct rate_headers *h, const struct cost *c)
{
    const struct rate_limit *r = &h->requests, *i = &h->input, *o = &h->output;
    return (r->remaining >= 0 && r->remaining < 2) ||
           (i->remaining >= 0 && (double)i->remaining < c->input + ROUNDED_TOKENS) ||
           (o->remaining >= 0 && (double)o->remaining < c->output + ROUNDED_TOKENS);
}

void permit_refused(struct permits *p, struct attempt *a, const struct rate_headers *h)
{
    note(p);
    p->report.refused++;
    p->report.refused_sent = MAX(p->report.refused_sent, a->started);
    p->report.explained = explains(h, &a->cost);
    permit_return(p, a);
    p->report_at_ms = clock_mono_ms(); // the fleet should know at once
}

// per_minute brings a limit of another window to a minute's; a day's or a month's is no bucket, and
// is left to the 429s that name it.
static void per_minute(struct rate_limit *l)
{
    if (l->window_ms > 0 && l->window_ms != MINUTE_MS && l->limit > 0)
        l->limit = MAX(l->limit * MINUTE_MS / l->window_ms, (int64_t)1);
    if (l->reset_ms > 10 * MINUTE_MS || l->window_ms > 10 * MINUTE_MS)
        *l = (struct rate_limit){-1, -1, -1, -1};
}

void permit_headers(struct permits *p, const struct attempt *a, const struct rate_headers *h)
{
    struct report *r = &p->report;
    if (h->family == RATE_NONE || a->started <= r->sent)
        return;
    note(p);
    r->sent = a->started;
    r->marked = a->grant.marked;
    memcpy(r->marks, a->grant.marks, sizeof r->marks);
    r->limits[0] = h->requests;
    r->limits[1] = h->input;
    r->limits[2] = h->output;
    for (int i = 0; i < 3; i++)
        per_minute(&r->limits[i]);
    p->limit_input = (double)MAX(r->limits[1].limit, (int64_t)0);
    p->limit_output = (double)MAX(r->limits[2].limit, (int64_t)0);
}
