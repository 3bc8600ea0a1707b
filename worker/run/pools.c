// pools: which pools there are, and which of them a queue and a job may use.
#include "worker/run/pools.h"

#include "common/base/err.h"
#include "worker/run/run_int.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pool *pool_new(struct run *r, const char *name, struct span model)
{
    struct pool *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    snprintf(p->name, sizeof p->name, "%s", name);
    key_pool(r->conf->prefix, name, p->key, sizeof p->key);
    p->run = r;
    p->eager = true; // a worker that starts may try a pool in trouble at once
    p->permits.out_mean = p->permits.in_per_byte = -1;
    p->mean = (struct cost){.input = 400,
                            .output = (double)r->conf->max_tokens / 2,
                            .most = (double)r->conf->max_tokens};
    budget_price(p, model, &p->mean);
    list_init(&p->parked);
    list_append(&r->pools, &p->link);
    r->beat_at_ms = 0; // let others know soon that this pool is in use
    return p;
}

static struct pool *pool_of(struct run *r, const struct account *a, const char *class,
                            struct span model)
{
    char name[256];
    snprintf(name, sizeof name, "%s:%s:%s", r->provider->name, a->name, class);
    list_each(&r->pools, k)
    {
        struct pool *p = CONTAINER_OF(k, struct pool, link);
        if (strcmp(p->name, name) == 0)
            return p;
    }
    return pool_new(r, name, model);
}

// fill gives a class one pool for each account. The model stands for what its calls cost.
static int fill(struct run *r, struct pool_class *c, struct span model)
{
    c->count = 0;
    for (size_t i = 0; i < r->accounts.count; i++) {
        struct pool *p = pool_of(r, &r->accounts.at[i], c->name, model);
        if (!p)
            return ERR_NOMEM;
        p->account = &r->accounts.at[i];
        c->pools[c->count++] = p;
    }
    return 0;
}

// name_class writes what shares a quota: the group that a setting names, else the model without its
// date. Of more models than anyone uses, those met last share one: names that jobs make up must not
// fill the memory.
static void name_class(const struct run *r, struct span model, char *ret, size_t room)
{
    model_class(model, ret, room);
    struct span group = conf_group(r->conf, span_of(ret));
    if (group.len)
        snprintf(ret, room, "%.*s", (int)group.len, group.at);
}

static struct pool_class *class_known(struct run *r, const char *name)
{
    list_each(&r->classes, k)
    {
        struct pool_class *c = CONTAINER_OF(k, struct pool_class, link);
        if (strcmp(c->name, name) == 0)
            return c;
    }
    return NULL;
}

static struct pool_class *find_by_name(struct run *r, struct span model)
{
    char name[MODEL_BYTES_MAX + 1];
    name_class(r, model, name, sizeof name);
    struct pool_class *c = class_known(r, name);
    if (!c && r->classes.count >= CLASSES_MAX) {
        snprintf(name, sizeof name, "other");
        c = class_known(r, name);
    }
    if (c)
        return c;
    c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    memcpy(c->name, name, sizeof c->name);
    if (fill(r, c, model)) {
        free(c);
        return NULL;
    }
    list_append(&r->classes, &c->link);
    return c;
}

// find looks for the very model first: nearly always it is the one before again.
static struct pool_class *find(struct run *r, struct span model)
{
    list_each(&r->classes, k)
    {
        struct pool_class *c = CONTAINER_OF(k, struct pool_class, link);
        if (span_is(model, c->model))
            return c;
    }
    struct pool_class *c = find_by_name(r, model);
    if (c && model.len > 0 && model.len < sizeof c->model) {
        memcpy(c->model, model.at, model.len);
        c->model[model.len] = '\0';
    }
    return c;
}

struct pool_class *pools_class(struct run *r, const struct job *job)
{
    return find(r, job->model.len ? job->model : span_of(r->conf->model));
}

void pools_note(struct wqueue *q, struct pool_class *c, uint64_t now_ms)
{
    size_t at = 0;
    while (at < CLASSES_OF_QUEUE - 1 && q->classes[at] && q->classes[at] != c)
        at++;
    for (; at > 0; at--) {
        q->classes[at] = q->classes[at - 1];
        q->class_seen_ms[at] = q->class_seen_ms[at - 1];
    }
    q->classes[0] = c;
    q->class_seen_ms[0] = now_ms;
}

size_t pools_of_queue(struct wqueue *q, uint64_t now_ms, struct pool_class *ret[CLASSES_OF_QUEUE])
{
    size_t count = 0;
    for (size_t i = 0; i < CLASSES_OF_QUEUE && q->classes[i]; i++)
        if (i == 0 || now_ms - q->class_seen_ms[i] < CLASS_SEEN_MS)
            ret[count++] = q->classes[i];
    if (count == 0) {
        ret[0] = find(q->run, span_of(q->run->conf->model));
        count = ret[0] ? 1 : 0;
    }
    return count;
}

static void on_peeked(int err, const struct reply *reply, void *arg)
{
    struct wqueue *q = arg;
    struct run *r = q->run;
    uint64_t now_ms = clock_mono_ms();
    run_answered(q, SCRIPT_PEEK, err, reply);
    for (size_t i = 1; !err && i < reply_count(reply); i++) {
        struct span model = {0};
        struct pool_class *seen[CLASSES_OF_QUEUE];
        reply_str(reply_at(reply, i), &model);
        struct pool_class *c = find(r, model.len ? model : span_of(r->conf->model));
        size_t known = pools_of_queue(q, now_ms, seen);
        bool is_new = c != NULL;
        for (size_t k = 0; k < known; k++)
            is_new = is_new && seen[k] != c;
        if (is_new)
            pools_note(q, c, now_ms);
    }
    pump(r);
}

void pools_peek(struct wqueue *q, uint64_t now_ms)
{
    if (now_ms < q->peek_at_ms)
        return;
    q->peek_at_ms = now_ms + GATE_LOOK_MS;
    args_clear(&q->run->args);
    int unsent = script_call(q->run->link, SCRIPT_PEEK, q->stem, &q->run->args, on_peeked, q);
    (void)unsent; // in a second
}

static bool is_open(const struct pool *p, uint64_t now_ms)
{
    return !gate_is_shut(p, now_ms) || gate_may_try(p);
}

bool pools_all_shut(const struct pool_class *c, uint64_t now_ms)
{
    for (size_t i = 0; i < c->count; i++)
        if (is_open(c->pools[i], now_ms))
            return false;
    return true;
}

// turn_of says when a job could start in this pool, as far as is known; the earliest is best.
static uint64_t turn_of(const struct pool *p, uint64_t now_ms)
{
    enum { LATER = 1 << 20, MUCH_LATER = 1 << 30 }; // ms: any start that is there goes first
    if (!is_open(p, now_ms))
        return MUCH_LATER + p->shut_until_ms;
    uint64_t start = permit_first(&p->permits, now_ms);
    if (start != UINT64_MAX)
        return start;
    return LATER + MAX(p->permits.ask_at_ms, now_ms);
}

struct pool *pools_best(const struct pool_class *c, uint64_t now_ms)
{
    struct pool *best = c->pools[0];
    for (size_t i = 1; i < c->count; i++) {
        struct pool *p = c->pools[i];
        uint64_t turn = turn_of(p, now_ms), least = turn_of(best, now_ms);
        if (turn < least || (turn == least && p->calls < best->calls))
            best = p;
    }
    return best;
}

static size_t starts_there(const struct pool_class *c, uint64_t now_ms)
{
    size_t there = 0;
    for (size_t i = 0; i < c->count; i++)
        there += is_open(c->pools[i], now_ms) ? permit_free(&c->pools[i]->permits, now_ms) : 0;
    return there;
}

void pools_ask(struct pool_class *c, size_t want, uint64_t now_ms)
{
    size_t there = starts_there(c, now_ms), askable = 0;
    size_t missing = want > there ? want - there : 0;
    for (size_t i = 0; i < c->count; i++)
        askable += is_open(c->pools[i], now_ms) && gate_wakes(c->pools[i], true) <= now_ms;
    for (size_t i = 0; i < c->count; i++) {
        struct pool *p = c->pools[i];
        bool open = is_open(p, now_ms), now = gate_wakes(p, true) <= now_ms;
        size_t part = open && askable > 1 ? (missing + askable - 1) / askable : missing;
        if (now && (part > 0 || !open))
            gate_ask(p, MAX(MIN(part, (size_t)ASK_MAX), permit_ahead(&p->permits)), now_ms);
        if (now && open) {
            missing -= part;
            askable--;
        }
    }
}

uint64_t pools_wake(const struct pool_class *c, size_t want, uint64_t now_ms)
{
    uint64_t at = UINT64_MAX;
    bool enough = starts_there(c, now_ms) >= want;
    for (size_t i = 0; i < c->count; i++) {
        const struct pool *p = c->pools[i];
        uint64_t claim = permit_claim_at(&p->permits, now_ms);
        if (!enough || !is_open(p, now_ms))
            at = MIN(at, gate_wakes(p, true));
        if (claim > now_ms)
            at = MIN(at, claim);
    }
    return at;
}

int pools_prepare(struct run *r, const struct accounts *all)
{
    list_each(&r->classes, k)
    {
        const struct pool_class *c = CONTAINER_OF(k, struct pool_class, link);
        for (size_t i = 0; i < all->count; i++)
            if (!pool_of(r, &all->at[i], c->name, span_of(c->model)))
                return ERR_NOMEM;
    }
    return 0;
}

void pools_regroup(struct run *r)
{
    list_each(&r->pools, k) CONTAINER_OF(k, struct pool, link)->account = NULL;
    list_each(&r->classes, k)
    {
        struct pool_class *c = CONTAINER_OF(k, struct pool_class, link);
        int err = fill(r, c, span_of(c->model));
        assert(err == 0); // pools_prepare has made them
        (void)err;
    }
    list_each(&r->by_state[ATTEMPT_WAITING], k)
    {
        struct attempt *a = CONTAINER_OF(k, struct attempt, in_state);
        if (!a->scheduled || a->pool->account)
            continue;
        permit_return(&a->pool->permits, a);
        a->scheduled = false;
    }
}
