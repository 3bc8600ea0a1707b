// run: the owner of the links, the queues and the attempts; start, drain and end.
#include "worker/run/run.h"

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/rnd.h"
#include "worker/run/link.h"
#include "worker/run/run_int.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUES_MAX = 1000, START_GRACE_MS = 3000, TICK_PATIENCE_MS = 1500 };

int64_t run_now(const struct run *r)
{
    return (int64_t)clock_mono_ms() + r->skew_ms;
}

uint64_t run_mono(const struct run *r, int64_t redis_ms)
{
    int64_t at = redis_ms - r->skew_ms;
    return at > 0 ? (uint64_t)at : 0;
}

void run_hear(struct run *r, const struct reply *reply)
{
    int64_t now;
    if (reply_int(reply_at(reply, 0), &now))
        r->skew_ms = now - (int64_t)clock_mono_ms();
}

void run_answered(struct wqueue *q, enum script s, int err, const struct reply *reply)
{
    bool told = q->refused_moves & BIT(s);
    if (err == 0 && told) {
        q->refused_moves &= ~BIT(s);
        log_event(LOG_INFO, "script_taken", log_str("queue", q->name),
                  log_str("script", script_name(s)), LOG_END);
    }
    if (err != ERR_REDIS || told || reply_is_error(reply, "NOSCRIPT"))
        return;
    q->refused_moves |= BIT(s);
    log_event(LOG_ERROR, "script_refused", log_str("queue", q->name),
              log_str("script", script_name(s)), log_str("why", reply_text(reply)), LOG_END);
}

size_t run_room(const struct run *r)
{
    size_t used = r->reserved, most = (size_t)r->conf->concurrency;
    for (int s = 0; s < ATTEMPT_GONE; s++)
        used += r->by_state[s].count;
    if (r->claimed_bytes >= (size_t)r->conf->max_inflight_bytes)
        return 0;
    return used < most ? most - used : 0;
}

// Longer with a backlog: most where it waits for the quota, for then nobody waits for us.
uint64_t run_gather_ms(const struct wqueue *q)
{
    if (!q->hot || q->waiting_jobs == 0)
        return GATHER_MS;
    const struct run *r = q->run;
    bool paced =
        r->by_state[ATTEMPT_WAITING].count > 0 || run_room(r) > (size_t)r->conf->concurrency / 4;
    return paced ? GATHER_PACED_MS : GATHER_FULL_MS;
}

bool run_is_stale(struct wqueue *q, uint64_t sent_ms)
{
    uint64_t age_ms = clock_mono_ms() - sent_ms, lease_ms = (uint64_t)q->run->conf->lease_ms;
    if (age_ms >= lease_ms / 4)
        q->renew_at_ms = 0;
    return age_ms >= lease_ms * 3 / 4;
}

void queue_heat(struct wqueue *q)
{
    if (q->hot || q->refused || q->paused)
        return;
    q->hot = true;
    q->pass = MAX(q->pass, q->run->pass); // what it did not use while idle is not saved up
}

void queue_is_newer(struct wqueue *q, bool newer)
{
    if (newer && !q->refused)
        log_event(LOG_ERROR, "queue_refused", log_str("queue", q->name),
                  log_str("why", "its keys are of a newer version of Penstock"), LOG_END);
    q->refused = newer;
}

struct attempt *run_find(struct run *r, const struct wqueue *q, struct span id)
{
    for (int s = 0; s < ATTEMPT_SETTLING; s++) {
        list_each(&r->by_state[s], k)
        {
            struct attempt *a = CONTAINER_OF(k, struct attempt, in_state);
            if (a->queue == q && span_is(id, a->admitted ? a->id : a->claim_id))
                return a;
        }
    }
    return NULL;
}

// ------------------------------------------------------------------------------------ the API

static int open_http(struct run *r)
{
    const struct conf *c = r->conf;
    struct http_options opt = {
        .connect_timeout_ms = c->connect_timeout_ms,
        .first_byte_timeout_ms = c->first_byte_timeout_ms,
        .idle_timeout_ms = c->idle_timeout_ms,
        .body_bytes_max = (size_t)c->max_answer_bytes,
        .ca_file = c->ca_file && c->ca_file[0] ? c->ca_file : NULL,
        .proxy = c->proxy && c->proxy[0] ? c->proxy : NULL,
        .calls_max = (int)c->concurrency,
    };
    int err = http_client_new(r->loop, &opt, &r->http);
    return err ? err : accounts_make(r, c, &r->accounts);
}

// ------------------------------------------------------------------------------------ start

static void on_timer(uv_timer_t *t)
{
    (void)t; // waking the loop is all: the hooks below pump
}

static void on_prepare(uv_prepare_t *h)
{
    pump(h->data);
}

static void on_check(uv_check_t *h)
{
    pump(h->data);
}

static void start_hooks(struct run *r)
{
    r->handles = 3;
    r->prepare.data = r->check.data = r->timer.data = r;
    uv_prepare_init(r->loop, &r->prepare);
    uv_check_init(r->loop, &r->check);
    uv_timer_init(r->loop, &r->timer);
    uv_prepare_start(&r->prepare, on_prepare);
    uv_check_start(&r->check, on_check);
    uv_timer_start(&r->timer, on_timer, 1, 0);
}

static int make_queues(struct run *r, char *ret_why, size_t why_room)
{
    struct conf_queue *named = calloc(QUEUES_MAX, sizeof *named);
    int count = named ? conf_queues(r->conf, named, QUEUES_MAX, ret_why, why_room) : ERR_NOMEM;
    r->queues = count > 0 ? calloc((size_t)count, sizeof *r->queues) : NULL;
    for (int i = 0; r->queues && i < count; i++) {
        struct wqueue *q = &r->queues[i];
        q->run = r;
        snprintf(q->name, sizeof q->name, "%s", named[i].name);
        q->weight = named[i].weight;
        q->pass = rnd_unit() / (double)q->weight; // else all of a fleet begin with the small ones
        q->next_due_ms = -1;
        key_queue(r->conf->prefix, q->name, "", q->stem, sizeof q->stem);
        key_queue(r->conf->prefix, q->name, "jobs", q->jobs, sizeof q->jobs);
        list_init(&q->to_repeat);
        list_init(&q->to_fetch);
        list_init(&q->to_admit);
        list_init(&q->to_reject);
        list_init(&q->to_settle);
    }
    r->queue_count = r->queues ? (size_t)count : 0;
    free(named);
    return r->queues ? 0 : count < 0 ? count : ERR_NOMEM;
}

static enum backoff_jitter jitter_of(const char *word)
{
    return word[0] == 'a' ? BACKOFF_ADDITIVE : word[0] == 'e' ? BACKOFF_EQUAL : BACKOFF_FULL;
}

static void take_conf(struct run *r, const struct conf *c)
{
    r->conf = c;
    r->backoff =
        (struct backoff){jitter_of(c->backoff_jitter), c->backoff_base_ms, c->backoff_cap_ms};
}

static int open_all(struct run *r, char *ret_why, size_t why_room)
{
    int err = rurl_parse(r->conf->redis_url, &r->url, ret_why, why_room);
    if (!err)
        err = make_queues(r, ret_why, why_room);
    if (err)
        return err;
    rurl_show(&r->url, r->url_shown, sizeof r->url_shown);
    err = open_http(r);
    if (!err)
        err = link_open(r, &r->link, NULL);
    for (size_t i = 0; !err && i < r->queue_count; i++)
        err = link_open(r, &r->queues[i].waiter, &r->queues[i]);
    if (err && r->url.kind == RURL_TLS && !rlink_has_tls())
        snprintf(
            ret_why, why_room,
            "redis-url: this build cannot speak TLS to Redis, since its hiredis has none; install "
            "hiredis 1.0 or later with hiredis_ssl and build again, or write redis://");
    else if (err)
        snprintf(ret_why, why_room, "could not start: %s", err_text(err));
    return err;
}

int run_new(struct uv_loop_s *loop, const struct conf *conf, const char *worker_id,
            void (*ended)(void *arg), void *arg, struct run **ret, char *ret_why, size_t why_room)
{
    struct run *r = calloc(1, sizeof *r);
    if (!r)
        return ERR_NOMEM;
    r->loop = loop;
    r->ended = ended;
    r->ended_arg = arg;
    r->provider = provider_find(conf->provider);
    r->skew_ms = clock_wall_ms() - (int64_t)clock_mono_ms(); // until Redis tells its time
    r->recover_from_ms = clock_mono_ms() + START_GRACE_MS;
    snprintf(r->worker, sizeof r->worker, "%s", worker_id);
    take_conf(r, conf);
    list_init(&r->pools);
    list_init(&r->classes);
    list_init(&r->spare);
    for (int s = 0; s < ATTEMPT_STATES; s++)
        list_init(&r->by_state[s]);
    start_hooks(r);
    *ret = r; // what was opened is closed by run_close, whether or not all was
    if (!r->provider) {
        snprintf(ret_why, why_room, "provider: %s is not known; write anthropic", conf->provider);
        return ERR_BAD_CONF;
    }
    return open_all(r, ret_why, why_room);
}

int run_reload(struct run *r, const struct conf *conf)
{
    struct accounts fresh;
    int err = accounts_make(r, conf, &fresh);
    if (!err && (err = pools_prepare(r, &fresh)) != 0)
        accounts_drop(&fresh);
    if (err)
        return err;
    accounts_drop(&r->accounts);
    r->accounts = fresh;
    take_conf(r, conf);
    pools_regroup(r);
    gate_eager(r);
    return 0;
}

// ------------------------------------------------------------------------------------ end

static void hand_back_all(struct run *r)
{
    static const enum attempt_state states[] = {ATTEMPT_WAITING, ATTEMPT_SENDING};
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        list_each(&r->by_state[states[i]], k)
            call_hand_back(CONTAINER_OF(k, struct attempt, in_state));
    }
}

void run_drain(struct run *r)
{
    if (r->mode == RUN_WORKING) {
        r->mode = RUN_DRAINING;
        r->drain_until_ms = clock_mono_ms() + (uint64_t)r->conf->drain_ms;
        log_event(LOG_INFO, "draining", log_int("in_flight", (int64_t)run_in_flight(r)), LOG_END);
    } else if (r->mode == RUN_DRAINING) {
        r->mode = RUN_HANDING_BACK;
        log_event(LOG_INFO, "handing_back", log_int("in_flight", (int64_t)run_in_flight(r)),
                  LOG_END);
        r->drain_until_ms = clock_mono_ms() + HAND_BACK_MS;
        hand_back_all(r);
    }
}

static bool holds_nothing(const struct run *r)
{
    size_t claims = 0;
    for (size_t i = 0; i < r->queue_count; i++)
        claims += r->queues[i].claims_out + r->queues[i].to_repeat.count;
    for (int s = 0; s < ATTEMPT_GONE; s++)
        claims += r->by_state[s].count;
    return claims == 0;
}

void run_check_drain(struct run *r, uint64_t now_ms)
{
    if (r->mode == RUN_WORKING || r->mode == RUN_ENDED)
        return;
    if (r->mode == RUN_DRAINING && now_ms >= r->drain_until_ms)
        run_drain(r);
    bool gave_up = r->mode == RUN_HANDING_BACK && now_ms >= r->drain_until_ms;
    if (!holds_nothing(r) && !gave_up)
        return;
    if (gave_up && !r->leaving)
        log_event(LOG_WARN, "left_behind", log_int("count", (int64_t)run_in_flight(r)), LOG_END);
    if (r->ready && !r->leaving)
        beat_leave(r);
    if (r->ready && !r->left && now_ms < r->leave_until_ms)
        return;
    r->mode = RUN_ENDED;
    r->ended(r->ended_arg);
}

static void free_all(struct run *r)
{
    for (int s = 0; s < ATTEMPT_GONE; s++) {
        struct list_link *k;
        while ((k = list_first(&r->by_state[s])) != NULL) {
            struct attempt *a = CONTAINER_OF(k, struct attempt, in_state);
            if (list_is_linked(&a->todo))
                a->todo = (struct list_link){0}; // its list is freed with its queue
            attempt_go(a, ATTEMPT_GONE);
        }
    }
    for (size_t i = 0; i < r->queue_count; i++) {
        while (!list_is_empty(&r->queues[i].to_repeat))
            free(CONTAINER_OF(list_pop(&r->queues[i].to_repeat), struct claim, link));
    }
    while (!list_is_empty(&r->pools))
        gate_free(CONTAINER_OF(list_pop(&r->pools), struct pool, link));
    while (!list_is_empty(&r->classes))
        free(CONTAINER_OF(list_pop(&r->classes), struct pool_class, link));
    while (!list_is_empty(&r->spare))
        free(CONTAINER_OF(list_pop(&r->spare), struct attempt, in_state));
    free(r->queues);
}

static void one_closed(struct run *r)
{
    if (--r->handles > 0)
        return;
    free_all(r);
    void (*closed)(void *) = r->closed;
    void *arg = r->closed_arg;
    free(r);
    closed(arg);
}

static void on_part_closed(void *arg)
{
    one_closed(arg);
}

static void on_handle_closed(uv_handle_t *h)
{
    one_closed(h->data);
}

void run_close(struct run *r, void (*closed)(void *arg), void *arg)
{
    r->mode = RUN_ENDED;
    r->ready = false;
    r->closed = closed;
    r->closed_arg = arg;
    r->handles++; // ours, until all closings have begun
    accounts_drop(&r->accounts);
    if (r->http)
        r->handles++, http_client_close(r->http, on_part_closed, r);
    if (r->link)
        r->handles++, rlink_close(r->link, on_part_closed, r);
    for (size_t i = 0; i < r->queue_count; i++)
        if (r->queues[i].waiter)
            r->handles++, rlink_close(r->queues[i].waiter, on_part_closed, r);
    uv_close((uv_handle_t *)&r->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&r->check, on_handle_closed);
    uv_close((uv_handle_t *)&r->timer, on_handle_closed);
    one_closed(r);
}

const struct stats *run_stats(const struct run *r)
{
    return &r->stats;
}

size_t run_in_flight(const struct run *r)
{
    return r->by_state[ATTEMPT_CLAIMED].count + r->by_state[ATTEMPT_WAITING].count +
           r->by_state[ATTEMPT_SENDING].count;
}

bool run_is_ready(const struct run *r)
{
    uint64_t now_ms = clock_mono_ms();
    bool silent = false;
    for (size_t i = 0; i < r->queue_count; i++)
        silent |= r->queues[i].ticking && now_ms - r->queues[i].ticked_ms > TICK_PATIENCE_MS;
    return r->ready && r->mode == RUN_WORKING && !silent;
}
