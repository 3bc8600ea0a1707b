// call: from an admitted attempt to its end: the gate, the HTTP call, the verdict.
#include "common/base/err.h"
#include "common/base/fault.h"
#include "common/base/log.h"
#include "common/base/rnd.h"
#include "worker/run/estimate.h"
#include "worker/run/run_int.h"

#include <string.h>

enum { PARK_SPREAD_MS = 500, PARK_MAX_MS = 900000, HEADERS_EVERY_MS = 5 };

static int64_t limit_or(int64_t of_job, int64_t of_conf)
{
    return of_job >= 0 ? of_job : of_conf;
}

int64_t call_parked_for(const struct attempt *a)
{
    const struct pool *p = a->pool;
    uint64_t now_ms = clock_mono_ms(), until = p->shut_until_ms;
    int64_t wait = until > now_ms ? (int64_t)(until - now_ms) : 0;
    if (p->cause != CAUSE_QUOTA) // it may be opened sooner, by a trying call or a person
        wait = MIN(wait, (int64_t)PARK_MAX_MS);
    return wait + (int64_t)rnd_below(PARK_SPREAD_MS);
}

// park: all pools it may use are shut, so the job waits in `delayed` until one opens, spread, and
// jobs of other pools pass it. Nothing is charged to it.
static void park(struct attempt *a, uint64_t now_ms)
{
    a->pool = pools_best(a->class, now_ms);
    a->run->stats.parked++;
    a->pool->stats.parked++;
    settle_later(a, "parked", 0); // its time is set as Redis is told
}

// step_of is for a provider that is down or overloaded: the job waits a whole step of the backoff
// at the least. What failed comes up before what waits, so with full jitter the same few jobs would
// try again and again, and use up their attempts within an outage of seconds.
static int64_t step_of(const struct attempt *a, const struct outcome *o)
{
    const struct backoff *b = &a->run->backoff;
    bool down = o->error == ERR_CONNECT || o->error == ERR_TRANSPORT || o->http_status == 503 ||
                o->http_status == 529;
    return down ? MIN(b->cap_ms, b->base_ms << MIN(a->attempts - 1, (int64_t)20)) : -1;
}

static void back_off(struct attempt *a, const char *why, int64_t tries, int64_t floor_ms,
                     const struct outcome *o)
{
    settle_note(a, o);
    settle_later(a, why, backoff_ms(&a->run->backoff, (int)MIN(tries, 60), floor_ms, rnd_unit()));
}

// too_large buries a job that asks for more in one piece than the limit of a minute. True then.
static bool too_large(struct attempt *a, const struct outcome *refused)
{
    char why[sizeof refused->message];
    if (!estimate_never_fits(a, refused != NULL, why, sizeof why))
        return false;
    struct outcome o = {.should_retry = -1};
    if (refused)
        o = *refused;
    memcpy(o.message, why, sizeof why);
    settle_failed(a, FAILURE_OVER_LIMIT, &o);
    return true;
}

static void account_is_well(struct attempt *a)
{
    account_well(a->run, a->pool->account, a->key);
    gate_succeeded(a->pool);
}

static void throttled(struct attempt *a, const struct decision *d, const struct outcome *o)
{
    struct run *r = a->run;
    int64_t floor = d->floor_ms;
    if (floor < 0) // a bare 429: the pool rests for one step of backoff
        floor = backoff_ms(&r->backoff, (int)MIN(a->throttles, 60), -1, rnd_unit());
    account_is_well(a); // only the quota is used up
    gate_shut(a->pool, CAUSE_QUOTA, floor, o);
    r->stats.throttles++;
    a->throttles++;
    if (too_large(a, o))
        return;
    back_off(a, "throttle", a->throttles - 1, d->floor_ms, o);
}

static void account_trouble(struct attempt *a, const struct decision *d, const struct outcome *o)
{
    struct account *account = a->pool->account;
    uint64_t now_ms = clock_mono_ms();
    bool of_key = d->shut == CAUSE_AUTH || d->shut == CAUSE_PERMISSION;
    if (!of_key || !account_rest(a->run, account, a->key, d->floor_ms, now_ms))
        gate_shut(a->pool, d->shut, d->floor_ms, o);
    else
        gate_try_failed(a->pool); // another key may be good
    settle_note(a, o);
    park(a, now_ms);
}

static void obey(struct attempt *a, const struct decision *d, const struct outcome *o)
{
    struct run *r = a->run;
    switch (d->verdict) {
    case VERDICT_DONE:
        a->attempts++;
        account_is_well(a);
        settle_done(a, "succeeded", o);
        break;
    case VERDICT_RETRY:
        a->attempts++;
        r->stats.retries++;
        gate_try_failed(a->pool);
        back_off(a, "retry", a->attempts - 1, MAX(d->floor_ms, step_of(a, o)), o);
        break;
    case VERDICT_THROTTLE:
        throttled(a, d, o);
        break;
    case VERDICT_PAUSE_POOL:
        account_trouble(a, d, o);
        break;
    case VERDICT_EXPIRE:
        settle_failed(a, FAILURE_EXPIRED, o);
        break;
    case VERDICT_BURY:
        account_is_well(a); // it is this job that is refused
        if (d->failure == FAILURE_RATE_LIMITED) {
            a->throttles++;
            r->stats.throttles++;
            gate_shut(a->pool, CAUSE_QUOTA, MAX(d->floor_ms, 0), o);
        } else if (o->http_status != 429) { // one that is too large for its quota is no failed call
            a->attempts++;
        }
        settle_failed(a, d->failure, o);
        break;
    }
}

// tell_ledger notes for the pool's ledger how the call ended, and what its headers say.
static void tell_ledger(struct attempt *a, const struct http_answer *answer,
                        const struct outcome *o, const struct decision *d)
{
    struct permits *p = &a->pool->permits;
    struct rate_headers h = {0};
    uint64_t now_ms = clock_mono_ms();
    bool refused = d->verdict == VERDICT_THROTTLE || d->failure == FAILURE_RATE_LIMITED;
    if (refused || now_ms - p->headers_at_ms >= HEADERS_EVERY_MS) {
        p->headers_at_ms = now_ms;
        rate_headers_read(answer, run_now(a->run), &h);
        permit_headers(p, a, &h);
    }
    if (d->verdict == VERDICT_DONE) {
        budget_spent(a, o);
        permit_answered(p, a, &o->usage, (int64_t)(answer->total_us / 1000));
    } else if (refused)
        permit_refused(p, a, &h);
    else if (o->http_status >= 500 || o->error == ERR_CONNECT || o->error == ERR_TRANSPORT)
        permit_failed(p, a);
    else
        permit_return(p, a);
    if (d->verdict == VERDICT_DONE && o->usage.output >= 0) {
        double *mean = &a->queue->out_mean, out = (double)o->usage.output;
        *mean = *mean > 0 ? *mean + 0.05 * (out - *mean) : out;
    }
}

static void ended(struct attempt *a, struct http_answer *answer)
{
    struct run *r = a->run;
    struct strbuf text;
    struct outcome o = {.text = &text};
    char trace[TRACE_ID_LEN + 1];
    strbuf_init(&text, (size_t)r->conf->max_answer_bytes + 1024);
    accounts_hide(r->conf, answer->body.at, answer->body.len);
    r->provider->read(answer, run_now(r), &o);
    accounts_hide(r->conf, o.message, strlen(o.message)); // it may have been escaped in the body
    accounts_hide(r->conf, o.request_id, strlen(o.request_id));
    struct tries tries = {
        .attempts = a->attempts,
        .throttles = a->throttles,
        .max_attempts = limit_or(a->job.max_attempts, r->conf->max_attempts),
        .max_throttles = limit_or(a->job.max_throttles, r->conf->max_throttles),
    };
    struct decision d = verdict_of(&o, &tries);
    a->finished = run_now(r);
    log_event(LOG_DEBUG, "call_ended", log_str("job", a->id), log_str("queue", a->queue->name),
              log_int("status", o.http_status), log_str("verdict", verdict_word(d.verdict)),
              log_int("ms", (int64_t)(answer->total_us / 1000)),
              log_str("request_id", o.request_id), attempt_trace(a, trace), LOG_END);
    tell_ledger(a, answer, &o, &d);
    stats_answered(a, answer, &o, verdict_word(d.verdict));
    obey(a, &d, &o);
    strbuf_fini(&text);
}

static void on_answer(struct http_answer *answer, void *arg)
{
    struct attempt *a = arg;
    FAULT("call.after");
    a->call = NULL;
    a->pool->calls--;
    strbuf_fini(&a->body);
    if (answer->error == ERR_CANCELLED)
        permit_forget(&a->pool->permits, a);
    if (answer->error == ERR_CANCELLED && (a->hand_back || !a->cancel))
        settle_later(a, "handed_back", 0);
    else if (answer->error == ERR_CANCELLED)
        settle_failed(a, FAILURE_CANCELLED, NULL);
    else
        ended(a, answer);
    pump(a->run);
}

static void start(struct attempt *a)
{
    struct run *r = a->run;
    struct model_defaults defaults = {r->conf->model, r->conf->max_tokens};
    strbuf_init(&a->body, a->payload_len + 4096);
    int err = r->provider->build(&a->job, &defaults, &a->body);
    struct api_key *key = account_pick(r, a->pool->account, clock_mono_ms(), &a->key);
    int64_t timeout = a->job.timeout_ms > 0 ? a->job.timeout_ms : r->conf->timeout_ms;
    FAULT("call.before");
    if (!err)
        err = http_submit(key->target, strbuf_span(&a->body), timeout, on_answer, a, &a->call);
    if (err) { // no memory: nothing was sent
        strbuf_fini(&a->body);
        settle_later(a, "handed_back", TICK_MS);
        return;
    }
    a->started = run_now(r);
    a->pool->calls++;
    r->stats.calls++;
    stats_started(a);
    attempt_go(a, ATTEMPT_SENDING);
}

static void swap_starts(struct attempt *a, struct attempt *b)
{
    struct grant grant = a->grant;
    bool granted = a->granted, scheduled = a->scheduled;
    a->grant = b->grant, a->granted = b->granted, a->scheduled = b->scheduled;
    b->grant = grant, b->granted = granted, b->scheduled = scheduled;
}

// take_turn: jobs start in the order in which they came, so the earliest start of a pool is for the
// one that has waited longest. What it was charged goes with the start.
static void take_turn(struct attempt *a)
{
    list_each(&a->run->by_state[ATTEMPT_WAITING], k)
    {
        struct attempt *b = CONTAINER_OF(k, struct attempt, in_state);
        if (b == a)
            return;
        if (b->pool == a->pool && (!b->scheduled || b->grant.start_ms > a->grant.start_ms))
            swap_starts(a, b);
        if (!a->scheduled)
            return;
    }
}

static bool take_start(struct attempt *a, uint64_t now_ms)
{
    a->scheduled = gate_take(a, now_ms);
    if (a->scheduled)
        take_turn(a);
    return a->scheduled;
}

// choose_pool: a job that has no start yet, or lost it as its pool shut, goes where the next one
// is.
static void choose_pool(struct attempt *a, uint64_t now_ms)
{
    if (a->scheduled && gate_is_shut(a->pool, now_ms) && !a->pool->trouble) {
        permit_return(&a->pool->permits, a);
        a->scheduled = false;
    }
    if (a->class && !a->scheduled)
        a->pool = pools_best(a->class, now_ms);
}

void call_ready(struct attempt *a)
{
    struct run *r = a->run;
    uint64_t now_ms = clock_mono_ms();
    if (!a->class && (a->class = pools_class(r, &a->job)) != NULL) {
        pools_note(a->queue, a->class, now_ms);
        a->bytes = estimate_bytes(a->payload, a->payload_len);
    }
    choose_pool(a, now_ms);
    if (a->cancel)
        settle_failed(a, FAILURE_CANCELLED, NULL);
    else if (a->expires_at >= 0 && a->expires_at <= run_now(r))
        settle_failed(a, FAILURE_EXPIRED, NULL);
    else if (r->mode != RUN_WORKING || !a->pool)
        settle_later(a, "handed_back", 0);
    else if (!a->scheduled && too_large(a, NULL))
        return;
    else if (gate_is_shut(a->pool, now_ms) && !a->pool->trouble)
        park(a, now_ms);
    else if (a->scheduled || take_start(a, now_ms))
        a->grant.start_ms <= now_ms ? start(a) : (void)0; // else its time comes
    else if (gate_is_shut(a->pool, now_ms))
        park(a, now_ms);
    else
        gate_ask(a->pool, 1, now_ms); // its answer calls us again
}

void call_cancel(struct attempt *a)
{
    a->cancel = true;
    if (a->state == ATTEMPT_SENDING)
        http_cancel(a->call); // on_answer settles it
    else if (a->state == ATTEMPT_WAITING)
        settle_failed(a, FAILURE_CANCELLED, NULL);
}

void call_hand_back(struct attempt *a)
{
    a->hand_back = true;
    if (a->state == ATTEMPT_SENDING)
        http_cancel(a->call);
    else if (a->state == ATTEMPT_WAITING)
        settle_later(a, "handed_back", 0);
}
