// gate: this worker's knowledge of each pool's gate. The truth is penstock:pool:{...} in Redis;
// here is what was heard of it, good for a quarter of a second, and what this worker learnt itself.
#include "common/base/err.h"
#include "common/base/log.h"
#include "worker/run/run_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TROUBLE_FIRST_MS = 60000, SAME_GATE_MS = 20 };

static struct pool *pool_new(struct run *r, const char *name)
{
    struct pool *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    snprintf(p->name, sizeof p->name, "%s", name);
    key_pool(r->conf->prefix, name, p->key, sizeof p->key);
    p->run = r;
    p->eager = true; // a worker that starts may try a pool in trouble at once
    list_append(&r->pools, &p->link);
    r->beat_at_ms = 0; // let others know soon that this pool is in use
    return p;
}

static struct pool *find(struct run *r, struct span model)
{
    char class[MODEL_BYTES_MAX + 1], name[256];
    model_class(model, class, sizeof class);
    snprintf(name, sizeof name, "%s:main:%s", r->provider->name, class);
    list_each(&r->pools, k)
    {
        struct pool *p = CONTAINER_OF(k, struct pool, link);
        if (strcmp(p->name, name) == 0)
            return p;
    }
    return pool_new(r, name);
}

struct pool *gate_pool(struct run *r, const struct job *job)
{
    return find(r, job->model.len ? job->model : span_of(r->conf->model));
}

void gate_note(struct wqueue *q, struct pool *p, uint64_t now_ms)
{
    size_t at = 0;
    while (at < POOLS_OF_QUEUE - 1 && q->pools[at] && q->pools[at] != p)
        at++;
    for (; at > 0; at--) {
        q->pools[at] = q->pools[at - 1];
        q->pool_seen_ms[at] = q->pool_seen_ms[at - 1];
    }
    q->pools[0] = p;
    q->pool_seen_ms[0] = now_ms;
}

size_t gate_pools(struct wqueue *q, uint64_t now_ms, struct pool *ret[POOLS_OF_QUEUE])
{
    size_t count = 0;
    for (size_t i = 0; i < POOLS_OF_QUEUE && q->pools[i]; i++)
        if (i == 0 || now_ms - q->pool_seen_ms[i] < POOL_SEEN_MS)
            ret[count++] = q->pools[i];
    if (count == 0) {
        ret[0] = find(q->run, span_of(q->run->conf->model));
        count = ret[0] ? 1 : 0;
    }
    return count;
}

bool gate_is_open(const struct pool *p, uint64_t now_ms)
{
    return p->fresh_until_ms > now_ms && p->shut_until_ms <= now_ms && p->permits != 0;
}

bool gate_is_shut(const struct pool *p, uint64_t now_ms)
{
    return p->shut_until_ms > now_ms;
}

bool gate_take(struct pool *p, uint64_t now_ms)
{
    if (!gate_is_open(p, now_ms))
        return false;
    if (p->permits > 0)
        p->permits--;
    return true;
}

// retry_waiting looks again at the attempts that waited for this pool's answer.
static void retry_waiting(struct pool *p)
{
    list_each(&p->run->by_state[ATTEMPT_WAITING], k)
    {
        struct attempt *a = CONTAINER_OF(k, struct attempt, in_state);
        if (a->pool == p)
            call_ready(a);
    }
}

static void on_entered(int err, const struct reply *reply, void *arg)
{
    struct pool *p = arg;
    p->asking = false;
    if (err)
        return; // pump asks again
    struct span cause = {0};
    uint64_t now_ms = clock_mono_ms();
    int64_t wait = reply_int_or(reply_at(reply, 1), 0);
    run_hear(p->run, reply);
    reply_str(reply_at(reply, 2), &cause);
    p->cause = cause_parse(cause);
    p->permits = reply_int_or(reply_at(reply, 3), 0);
    p->trouble = p->permits > 0;
    p->eager = false;
    p->shut_until_ms = wait > 0 ? now_ms + (uint64_t)wait : 0;
    p->fresh_until_ms = wait > 0 ? 0 : now_ms + (p->trouble ? PROBE_HOLD_MS : GATE_FRESH_MS);
    retry_waiting(p);
    pump(p->run);
}

void gate_ask(struct pool *p)
{
    struct run *r = p->run;
    if (p->asking || !r->ready)
        return;
    args_clear(&r->args);
    args_add_int(&r->args, PROBE_HOLD_MS);
    args_add_int(&r->args, p->eager);
    p->asking = script_call(r->link, SCRIPT_POOL_ENTER, p->key, &r->args, on_entered, p) == 0;
}

static void on_shut(int err, const struct reply *reply, void *arg)
{
    struct pool *p = arg;
    if (err)
        return; // this worker holds back all the same
    run_hear(p->run, reply);
    uint64_t until_ms = run_mono(p->run, reply_int_or(reply_at(reply, 1), 0));
    p->shut_until_ms = MAX(p->shut_until_ms, until_ms);
    if (reply_int_or(reply_at(reply, 2), 0) == 1)
        log_event(LOG_WARN, "pool_shut", log_str("pool", p->name),
                  log_str("cause", cause_word(p->cause)),
                  log_int("for_ms", (int64_t)(p->shut_until_ms - clock_mono_ms())), LOG_END);
}

void gate_shut(struct pool *p, enum cause why, int64_t wait_ms, const struct outcome *o)
{
    struct run *r = p->run;
    bool trouble = why != CAUSE_QUOTA;
    uint64_t now_ms = clock_mono_ms();
    uint64_t until = now_ms + (uint64_t)(wait_ms >= 0 ? wait_ms : TROUBLE_FIRST_MS);
    if (p->cause == why && until <= p->shut_until_ms + SAME_GATE_MS)
        return; // known already, here and so in Redis
    char words[320];
    snprintf(words, sizeof words, "HTTP %d %s: %.200s", o->http_status, o->error_type, o->message);
    p->cause = why;
    p->trouble = false;
    p->permits = 0;
    p->fresh_until_ms = 0;
    p->shut_until_ms = MAX(p->shut_until_ms, until);
    args_clear(&r->args);
    args_add_str(&r->args, cause_word(why));
    args_add_int(&r->args, wait_ms);
    args_add_int(&r->args, trouble);
    args_add_str(&r->args, words);
    int unsent = script_call(r->link, SCRIPT_POOL_SHUT, p->key, &r->args, on_shut, p);
    (void)unsent; // Redis is away: this worker holds back, the others will learn for themselves
}

static void on_opened(int err, const struct reply *reply, void *arg)
{
    struct pool *p = arg;
    if (err)
        return;
    run_hear(p->run, reply);
    if (reply_int_or(reply_at(reply, 1), 0) == 1)
        log_event(LOG_INFO, "pool_open", log_str("pool", p->name), LOG_END);
}

static void send_open(struct pool *p, bool retry)
{
    struct run *r = p->run;
    args_clear(&r->args);
    args_add_int(&r->args, 1);
    args_add_int(&r->args, retry);
    int unsent = script_call(r->link, SCRIPT_POOL_OPEN, p->key, &r->args, on_opened, p);
    (void)unsent; // the next good answer says it again
}

void gate_succeeded(struct pool *p)
{
    if (!p->trouble)
        return;
    p->trouble = false;
    p->cause = CAUSE_NONE;
    p->permits = -1;
    p->shut_until_ms = 0;
    p->fresh_until_ms = clock_mono_ms() + GATE_FRESH_MS;
    send_open(p, false);
}

void gate_try_failed(struct pool *p)
{
    if (!p->trouble)
        return;
    p->trouble = false;
    p->permits = 0;
    p->fresh_until_ms = 0;
    send_open(p, true);
}

void gate_unused(struct pool *p)
{
    if (p->trouble && p->permits > 0)
        gate_try_failed(p);
}

void gate_eager(struct run *r)
{
    list_each(&r->pools, k)
    {
        struct pool *p = CONTAINER_OF(k, struct pool, link);
        p->eager = true;
        if (p->cause != CAUSE_QUOTA)
            p->shut_until_ms = 0; // ask Redis, with the new key in hand
    }
}
