#include "tests/sim/report.h"

#include <string.h>

enum { ACCOUNTS_SHOWN = 200 };

// key starts a member: ,"name":
static void key(struct strbuf *out, const char *name)
{
    if (out->len && out->at[out->len - 1] != '{')
        strbuf_add_char(out, ',');
    strbuf_add_json_str(out, name);
    strbuf_add_char(out, ':');
}

static void add_int(struct strbuf *out, const char *name, uint64_t value)
{
    key(out, name);
    strbuf_add_int(out, (int64_t)value);
}

static void add_num(struct strbuf *out, const char *name, double value)
{
    key(out, name);
    strbuf_add_fmt(out, "%.3f", value);
}

static void add_str(struct strbuf *out, const char *name, const char *value)
{
    key(out, name);
    strbuf_add_json_str(out, value);
}

static void open_object(struct strbuf *out, const char *name)
{
    key(out, name);
    strbuf_add_char(out, '{');
}

static void close_object(struct strbuf *out)
{
    strbuf_add_char(out, '}');
}

static void add_pair(struct strbuf *out, const char *name, uint64_t now, uint64_t max)
{
    open_object(out, name);
    add_int(out, "now", now);
    add_int(out, "max", max);
    close_object(out);
}

static void add_when(struct sim *s, struct strbuf *out)
{
    const struct stats *t = &s->stats;
    uint64_t now_us = sim_now_us(s);
    add_int(out, "now_ms", now_us / 1000);
    add_int(out, "now_wall_ms", (uint64_t)sim_wall_ms(s, now_us));
    if (!t->accepted)
        return;
    add_num(out, "first_accepted_ms", (double)t->first_accepted_us / 1000);
    add_num(out, "last_accepted_ms", (double)t->last_accepted_us / 1000);
    add_int(out, "first_accepted_wall_ms", (uint64_t)sim_wall_ms(s, t->first_accepted_us));
    add_int(out, "last_accepted_wall_ms", (uint64_t)sim_wall_ms(s, t->last_accepted_us));
}

static void add_counts(const struct stats *t, struct strbuf *out)
{
    open_object(out, "connections");
    add_int(out, "now", t->connections_now);
    add_int(out, "max", t->connections_max);
    add_int(out, "total", t->connections);
    close_object(out);
    add_pair(out, "in_flight", t->in_flight, t->in_flight_max);
    add_int(out, "requests", t->requests);
    add_int(out, "accepted", t->accepted);
    add_int(out, "refused", t->refused);
    add_int(out, "scripted", t->scripted);
    add_int(out, "client_gone", t->client_gone);
    add_int(out, "repeats", t->repeats);
    key(out, "repeats_exact");
    strbuf_add_str(out, t->seen.full ? "false" : "true");
    add_int(out, "peak_arrivals_per_s", t->arrivals.most);
    add_int(out, "peak_accepted_per_s", t->accepts.most);
    add_int(out, "early", t->early);
    add_int(out, "early_after_500ms", t->early_after_500ms);
    add_int(out, "early_max_ms", t->early_max_ms);
    add_int(out, "input_tokens", t->in_tokens);
    add_int(out, "output_tokens", t->out_tokens);
}

static void add_status(const struct stats *t, struct strbuf *out)
{
    open_object(out, "by_status");
    for (int i = 0; i < STATUS_MAX; i++)
        if (t->by_status[i]) {
            char name[8];
            snprintf(name, sizeof name, "%d", i);
            add_int(out, name, t->by_status[i]);
        }
    close_object(out);
    open_object(out, "faults");
    for (int f = FAULT_STATUS; f < FAULT_COUNT; f++)
        if (t->by_fault[f])
            add_int(out, fault_word((enum fault)f), t->by_fault[f]);
    close_object(out);
}

static void add_three(struct strbuf *out, uint64_t requests, uint64_t accepted, uint64_t refused)
{
    add_int(out, "requests", requests);
    add_int(out, "accepted", accepted);
    add_int(out, "refused", refused);
    close_object(out);
}

static void add_who(const struct ledger *l, struct strbuf *out)
{
    uint32_t shown = 0;
    open_object(out, "accounts");
    for (uint32_t i = 0; i < l->keys.count && shown < ACCOUNTS_SHOWN; i++) {
        const struct account *a = &l->accounts[i];
        if (!a->requests)
            continue;
        open_object(out, a->name);
        add_three(out, a->requests, a->accepted, a->refused);
        shown++;
    }
    close_object(out);
    open_object(out, "models");
    for (uint32_t i = 0; i < l->models.count; i++) {
        const struct model_count *m = &l->counts[i];
        if (!m->requests)
            continue;
        open_object(out, names_text(&l->models, i));
        add_three(out, m->requests, m->accepted, m->refused);
    }
    close_object(out);
}

// add_dim tells one limit and what a bench needs for T_adm = max (charged - credit) / refill.
static double add_dim(struct strbuf *out, const struct limiter *l, enum dim d)
{
    const struct bucket *b = &l->shown[d], *h = &l->hidden[d];
    bool hidden = l->quota.hidden_burst_s > 0;
    double refill = b->per_min / 60 * (1 - b->stranger);
    double credit = hidden ? MIN(b->start, h->start) : b->start;
    double t_adm_s = refill > 0 ? MAX(0.0, (b->charged - credit) / refill) : 0;
    open_object(out, dim_name(d));
    add_num(out, "limit_per_min", b->per_min);
    add_num(out, "capacity", b->cap);
    add_num(out, "level", b->level);
    if (hidden) {
        add_num(out, "hidden_capacity", h->cap);
        add_num(out, "hidden_level", h->level);
    }
    add_num(out, "credit_at_start", credit);
    add_num(out, "refill_per_s", refill);
    add_num(out, "charged", b->charged);
    add_num(out, "t_adm_s", t_adm_s);
    close_object(out);
    return t_adm_s;
}

static void add_gate(struct sim *s, struct gate *g, struct strbuf *out)
{
    double t_adm_s = 0;
    strbuf_add_char(out, '{');
    add_str(out, "org", names_text(&s->ledger.orgs, g->org));
    add_str(out, "group", names_text(&s->ledger.groups, g->group));
    add_num(out, "since_ms", (double)g->since_us / 1000);
    add_int(out, "requests", g->requests);
    add_int(out, "accepted", g->accepted);
    open_object(out, "refused");
    for (int d = 0; d < DIM_COUNT; d++)
        add_int(out, dim_name((enum dim)d), g->refused[d]);
    add_int(out, "ramp", g->refused_ramp);
    close_object(out);
    add_int(out, "early", g->early);
    add_pair(out, "in_flight", g->in_flight, g->in_flight_max);
    limiter_refresh(&g->limiter, sim_now_us(s));
    open_object(out, "limits");
    for (int d = 0; d < DIM_COUNT; d++) {
        double t = add_dim(out, &g->limiter, (enum dim)d);
        t_adm_s = MAX(t_adm_s, t);
    }
    close_object(out);
    add_num(out, "t_adm_s", t_adm_s);
    close_object(out);
}

void report_stats(struct sim *s, struct strbuf *out)
{
    const char *comma = "";
    uint32_t shown = 0;
    strbuf_add_char(out, '{');
    add_when(s, out);
    add_counts(&s->stats, out);
    add_status(&s->stats, out);
    add_who(&s->ledger, out);
    key(out, "quotas");
    strbuf_add_char(out, '[');
    for (uint32_t i = 0; i < s->ledger.pairs.count && shown < ACCOUNTS_SHOWN; i++) {
        struct gate *g = s->ledger.gates[i];
        if (!g)
            continue;
        strbuf_add_str(out, comma);
        add_gate(s, g, out);
        comma = ",";
        shown++;
    }
    strbuf_add_str(out, "]}\n");
}

static void add_record(struct sim *s, const struct record *r, struct strbuf *out)
{
    strbuf_add_char(out, '{');
    add_int(out, "n", r->n);
    add_num(out, "t_ms", (double)r->start_us / 1000);
    add_str(out, "account", s->ledger.accounts[r->account].name);
    add_str(out, "model", names_text(&s->ledger.models, r->model));
    add_int(out, "status", r->status);
    add_str(out, "ending", ending_word((enum ending)r->ending));
    if (r->fault)
        add_str(out, "fault", fault_word((enum fault)r->fault));
    add_int(out, "bytes", r->bytes);
    key(out, "hash");
    strbuf_add_fmt(out, "\"%016llx\"", (unsigned long long)r->hash);
    add_int(out, "retry_after_ms", r->retry_ms);
    add_int(out, "in_tokens", r->in_tokens);
    add_int(out, "out_tokens", r->out_tokens);
    key(out, "prompt_head");
    strbuf_add_json(out, r->head, r->head_len);
    if (r->ending != END_PENDING)
        add_num(out, "latency_ms", (double)(r->end_us - r->start_us) / 1000);
    strbuf_add_str(out, "}\n");
}

static uint64_t oldest(const struct stats *t)
{
    uint64_t kept_from = t->last_n > t->ring_size ? t->last_n - t->ring_size + 1 : 1;
    return MAX(kept_from, t->ring_first);
}

void report_log(struct sim *s, uint64_t since, uint64_t limit, struct strbuf *out)
{
    struct stats *t = &s->stats;
    limit = MIN(limit, (uint64_t)LOG_LINES_MAX);
    for (uint64_t n = MAX(since + 1, oldest(t)); n <= t->last_n && limit; n++, limit--) {
        const struct record *r = stats_record(t, n);
        if (r)
            add_record(s, r, out);
    }
}

void report_seen(struct sim *s, struct span text, struct strbuf *out)
{
    struct stats *t = &s->stats;
    uint64_t met = 0, answered = 0, refused = 0, pending = 0;
    for (uint64_t n = oldest(t); n <= t->last_n; n++) {
        const struct record *r = stats_record(t, n);
        if (!r || (text.len && !memmem(r->head, r->head_len, text.at, text.len)))
            continue;
        met++;
        answered += r->status == 200 && r->ending == END_ANSWERED && !r->fault;
        refused += r->status == 429;
        pending += r->ending == END_PENDING;
    }
    strbuf_add_char(out, '{');
    add_int(out, "requests", met);
    add_int(out, "answered", answered);
    add_int(out, "refused", refused);
    add_int(out, "pending", pending);
    strbuf_add_str(out, "}\n");
}

void report_series(struct sim *s, struct strbuf *out)
{
    const struct stats *t = &s->stats;
    uint64_t now_s = sim_now_us(s) / 1000000 - t->story_from_s;
    strbuf_add_char(out, '{');
    add_int(out, "from_s", t->story_from_s);
    key(out, "seconds");
    strbuf_add_char(out, '[');
    for (uint64_t i = 0; i <= now_s && i < SERIES_S; i++)
        strbuf_add_fmt(out, "%s{\"arrivals\":%u,\"accepted\":%u,\"refused\":%u,\"failed\":%u}",
                       i ? "," : "", t->story[i].arrivals, t->story[i].accepted,
                       t->story[i].refused, t->story[i].failed);
    strbuf_add_str(out, "]}\n");
}
