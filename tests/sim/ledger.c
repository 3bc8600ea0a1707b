#include "tests/sim/ledger.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DATE_DIGITS = 8 };

static void *must(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory)
        abort(); // bounded tables
    return memory;
}

void ledger_init(struct ledger *l)
{
    names_init(&l->keys, ACCOUNTS_MAX);
    names_init(&l->orgs, ACCOUNTS_MAX);
    names_init(&l->models, MODELS_MAX);
    names_init(&l->groups, MODELS_MAX);
    names_init(&l->pairs, GATES_MAX);
    l->accounts = must(ACCOUNTS_MAX, sizeof *l->accounts);
    l->counts = must(MODELS_MAX, sizeof *l->counts);
    l->gates = must(GATES_MAX, sizeof *l->gates);
    memcpy(l->accounts[0].name, "other", sizeof "other");
}

void ledger_fini(struct ledger *l)
{
    for (uint32_t i = 0; i < l->pairs.count; i++)
        free(l->gates[i]);
    free(l->gates);
    free(l->counts);
    free(l->accounts);
    names_fini(&l->pairs);
    names_fini(&l->groups);
    names_fini(&l->models);
    names_fini(&l->orgs);
    names_fini(&l->keys);
}

// describe says whose account a key is. The key itself never leaves the table.
static void describe(struct ledger *l, const struct settings *s, uint32_t number)
{
    struct account *a = &l->accounts[number];
    const char *key = names_text(&l->keys, number), *org = a->name;
    a->known = false;
    snprintf(a->name, sizeof a->name, number ? "key-%06x" : "other",
             (unsigned)(hash_bytes(key, strlen(key), 1) & 0xFFFFFF));
    for (int i = 0; i < s->key_count; i++)
        if (strcmp(s->keys[i].secret, key) == 0) {
            memcpy(a->name, s->keys[i].name, sizeof a->name);
            org = s->keys[i].org;
            a->known = true;
        }
    a->org = names_of(&l->orgs, span_of(org));
}

uint32_t ledger_account(struct ledger *l, const struct settings *s, struct span key)
{
    uint32_t before = l->keys.count, number = names_of(&l->keys, key);
    if (l->keys.count > before)
        describe(l, s, number);
    return number;
}

// without_date cuts a trailing -YYYYMMDD.
static struct span without_date(struct span model)
{
    if (model.len <= DATE_DIGITS + 1 || model.at[model.len - DATE_DIGITS - 1] != '-')
        return model;
    for (size_t i = model.len - DATE_DIGITS; i < model.len; i++)
        if (!isdigit((unsigned char)model.at[i]))
            return model;
    model.len -= DATE_DIGITS + 1;
    return model;
}

static bool starts_with(struct span s, const char *prefix)
{
    size_t len = strlen(prefix);
    return s.len >= len && memcmp(s.at, prefix, len) == 0;
}

void ledger_group_of(struct span model, bool by_model, struct strbuf *out)
{
    static const struct {
        const char *prefix, *group;
    } pooled[] = {{"claude-opus-4", "claude-opus-4.x"},
                  {"claude-sonnet-4", "claude-sonnet-4.x"},
                  {"claude-fable-5", "claude-fable-5.x"},
                  {"claude-mythos-5", "claude-mythos-5.x"}};
    struct span plain = without_date(model);
    for (size_t i = 0; i < ARRAY_LEN(pooled) && !by_model; i++)
        if (starts_with(plain, pooled[i].prefix)) {
            strbuf_add_str(out, pooled[i].group);
            return;
        }
    strbuf_add_span(out, plain);
}

static void regroup(struct ledger *l, const struct settings *s, uint32_t number)
{
    struct strbuf group;
    strbuf_init(&group, MODEL_MAX_BYTES * 2);
    ledger_group_of(span_of(names_text(&l->models, number)), s->group_by_model, &group);
    l->counts[number].group = names_of(&l->groups, strbuf_span(&group));
    strbuf_fini(&group);
}

uint32_t ledger_model(struct ledger *l, const struct settings *s, struct span model)
{
    if (model.len > MODEL_MAX_BYTES)
        return 0;
    uint32_t before = l->models.count, number = names_of(&l->models, model);
    if (l->models.count > before)
        regroup(l, s, number);
    return number;
}

// quota_of lays the limits of one model or group over the common ones.
static struct quota quota_of(const struct ledger *l, const struct settings *s, uint32_t group)
{
    struct quota q = s->quota;
    for (int i = 0; i < s->limit_count; i++) {
        const struct model_limit *m = &s->limits[i];
        struct strbuf name;
        strbuf_init(&name, MODEL_MAX_BYTES * 2);
        ledger_group_of(span_of(m->model), s->group_by_model, &name);
        bool ours = span_is(strbuf_span(&name), names_text(&l->groups, group)) ||
                    strcmp(m->model, names_text(&l->groups, group)) == 0;
        strbuf_fini(&name);
        for (int d = 0; ours && d < DIM_COUNT; d++)
            if (m->per_min[d] >= 0)
                q.per_min[d] = m->per_min[d];
    }
    return q;
}

struct gate *ledger_gate(struct ledger *l, const struct settings *s, uint32_t account,
                         uint32_t model, uint64_t now_us)
{
    uint32_t pair[2] = {l->accounts[account].org, l->counts[model].group};
    uint32_t number = names_of(&l->pairs, (struct span){(const char *)pair, sizeof pair});
    struct gate *g = l->gates[number];
    if (g)
        return g;
    g = l->gates[number] = must(1, sizeof *g);
    g->org = pair[0];
    g->group = pair[1];
    g->since_us = now_us;
    snprintf(g->org_line, sizeof g->org_line,
             "anthropic-organization-id: 5e0f1a52-0000-4000-8000-%012x\r\n", g->org);
    struct quota q = quota_of(l, s, g->group);
    limiter_init(&g->limiter, &q, now_us);
    return g;
}

void ledger_tune(struct ledger *l, const struct settings *s, uint64_t now_us)
{
    for (uint32_t i = 0; i < l->keys.count; i++)
        describe(l, s, i);
    for (uint32_t i = 1; i < l->models.count; i++)
        regroup(l, s, i);
    for (uint32_t i = 0; i < l->pairs.count; i++) {
        struct gate *g = l->gates[i];
        if (!g)
            continue;
        struct quota q = quota_of(l, s, g->group);
        limiter_tune(&g->limiter, &q, now_us);
    }
}

static void reset_gate(struct ledger *l, const struct settings *s, struct gate *g, bool buckets,
                       uint64_t now_us)
{
    struct gate fresh = {.limiter = g->limiter,
                         .org = g->org,
                         .group = g->group,
                         .since_us = now_us,
                         .in_flight = g->in_flight,
                         .in_flight_max = g->in_flight};
    if (buckets) {
        struct quota q = quota_of(l, s, g->group);
        limiter_restart(&fresh.limiter, &q, now_us);
    } else {
        limiter_rebase(&fresh.limiter, now_us);
        fresh.told_us = g->told_us;
        fresh.told_at_us = g->told_at_us;
    }
    memcpy(fresh.org_line, g->org_line, sizeof fresh.org_line);
    *g = fresh;
}

void ledger_reset(struct ledger *l, const struct settings *s, bool buckets, uint64_t now_us)
{
    for (uint32_t i = 0; i < l->keys.count; i++)
        l->accounts[i].requests = l->accounts[i].accepted = l->accounts[i].refused = 0;
    for (uint32_t i = 0; i < l->models.count; i++)
        l->counts[i].requests = l->counts[i].accepted = l->counts[i].refused = 0;
    for (uint32_t i = 0; i < l->pairs.count; i++)
        if (l->gates[i])
            reset_gate(l, s, l->gates[i], buckets, now_us);
}
