// intake: from the queue to an admitted attempt.
//
// A claim brings payloads under claim ids. They are parsed here; `admit` gives each its own id, or
// says that it is a duplicate, scheduled or expired; `reject` buries what is no job. A payload that
// the blocking wait has shown is parsed before, and the claim admits it. Whatever Redis does not
// confirm stays on its list and is sent again: every script tolerates that.
#include "common/base/err.h"
#include "common/base/fault.h"
#include "common/base/log.h"
#include "common/base/rnd.h"
#include "worker/run/admission.h"
#include "worker/run/run_int.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

// batch: the attempts one script call carries.
struct batch {
    struct wqueue *queue;
    size_t count;
    struct attempt *at[CLAIM_MAX];
};

static struct batch *batch_new(struct wqueue *q)
{
    struct batch *b = calloc(1, sizeof *b);
    if (b)
        b->queue = q;
    return b;
}

static void send_later(struct wqueue *q)
{
    q->send_at_ms = clock_mono_ms() + RETRY_SEND_MS;
}

static void put_back(struct batch *b, struct list *todo)
{
    for (size_t i = b->count; i-- > 0;)
        list_prepend(todo, &b->at[i]->todo);
    send_later(b->queue);
}

static void on_claimed(int err, const struct reply *reply, void *arg);

// seen_no_more: what was seen is used once. A claim that is repeated goes without it, for a job
// without an id has been given one.
static void seen_no_more(struct claim *c)
{
    free(c->seen);
    c->seen = NULL;
}

static void claim_send(struct claim *c)
{
    struct wqueue *q = c->queue;
    struct run *r = q->run;
    struct args *a = &r->args;
    if (r->mode != RUN_WORKING)
        c->want = 0; // a repeat brings what was taken, and nothing new
    args_clear(a);
    args_add_str(a, c->token);
    args_add_str(a, r->worker);
    args_add_int(a, r->conf->lease_ms);
    args_add_int(a, (int64_t)c->want);
    args_add(a, (struct span){c->token, 23}); // unique to this claim, so its ids are
    if (c->seen)
        preview_args(a, c->seen);
    if (script_call(r->link, SCRIPT_CLAIM, q->stem, a, on_claimed, c) == 0) {
        q->claims_out++;
        q->asked += c->want;
        r->reserved += c->want;
        if (c->pool)
            c->pool->permits.promised += c->want;
        return;
    }
    seen_no_more(c);
    list_append(&q->to_repeat, &c->link);
    send_later(q);
}

void intake_claim(struct wqueue *q, struct pool *p, size_t want)
{
    struct claim *c = calloc(1, sizeof *c);
    if (!c)
        return;
    c->queue = q;
    c->pool = p;
    c->want = MIN(want, (size_t)CLAIM_MAX);
    if (want > 0) {
        c->seen = q->seen;
        q->seen = NULL;
    }
    ulid_make(run_now(q->run), c->token);
    q->claimed_at_ms = clock_mono_ms();
    q->pass += (double)c->want / (double)q->weight;
    claim_send(c);
}

static bool keep_payload(struct attempt *a, struct span bytes)
{
    a->payload = malloc(bytes.len + 1);
    if (!a->payload)
        return false;
    if (bytes.len)
        memcpy(a->payload, bytes.at, bytes.len);
    a->payload[bytes.len] = '\0';
    a->payload_len = bytes.len;
    return true;
}

// drop forgets an attempt without a word to Redis: its lease will run out and it will be recovered.
static void drop(struct attempt *a)
{
    a->run->stats.lost++;
    attempt_go(a, ATTEMPT_GONE);
}

// admit_again sends on a job that came from `delayed`: it has its id and its counters already.
static void admit_again(struct attempt *a)
{
    struct run *r = a->run;
    int64_t max = r->conf->max_recoveries;
    if (a->fault) { // a setting has changed since it was admitted
        settle_failed(a, FAILURE_INVALID_JOB, NULL);
    } else if (a->cancel) {
        settle_failed(a, FAILURE_CANCELLED, NULL);
    } else if (max > 0 && a->recoveries >= max) {
        settle_failed(a, FAILURE_CRASH, NULL);
    } else if (a->recoveries >= 2 && r->suspects > 0) {
        settle_later(a, "handed_back", TICK_MS + (int64_t)rnd_below(TICK_MS));
    } else {
        a->suspect = a->recoveries >= 2;
        r->suspects += a->suspect;
        attempt_go(a, ATTEMPT_WAITING);
        call_ready(a);
    }
}

// read parses the payload and puts the attempt where it goes next.
static void read_payload(struct attempt *a)
{
    struct run *r = a->run;
    struct job_fault fault;
    int err =
        job_parse(a->payload, a->payload_len, (size_t)r->conf->max_job_bytes, &a->job, &fault);
    if (err) {
        a->fault = malloc(sizeof fault);
        if (!a->fault) {
            drop(a);
            return;
        }
        *a->fault = fault;
        a->job = (struct job){.pushed_at = -1, .max_attempts = -1, .max_throttles = -1};
    }
    if (a->admitted) {
        admit_again(a);
        return;
    }
    admission_id(&a->job, run_now(r), a->id);
    list_append(err ? &a->queue->to_reject : &a->queue->to_admit, &a->todo);
}

static void note_admitted(struct wqueue *q, struct span run)
{
    struct stats *s = &q->run->stats;
    s->admitted++;
    if (run.len)
        stats_run(s, q->name, run.at, run.len);
}

// take_memory counts a payload that is here, or about to come.
static void take_memory(struct attempt *a)
{
    a->run->memory_bytes += a->in_memory ? 0 : a->claimed_bytes;
    a->in_memory = true;
}

// take_again notes what a job from `delayed` brings along: it has its id and its counters.
static void take_again(struct attempt *a, struct span id, const struct reply *item)
{
    span_copy(a->id, sizeof a->id, id);
    a->admitted = true;
    a->attempts = reply_int_or(reply_at(item, 3), 0);
    a->throttles = reply_int_or(reply_at(item, 4), 0);
    a->recoveries = reply_int_or(reply_at(item, 5), 0);
    a->created = reply_int_or(reply_at(item, 6), 0);
    a->expires_at = reply_int_or(reply_at(item, 7), -1);
    a->cancel = reply_int_or(reply_at(item, 8), 0) == 1;
    a->started = reply_int_or(reply_at(item, 9), 0);
}

// take_item: a claim id comes without its bytes and when it was created, where the payload and the
// claim's time tell.
static void take_item(const struct claim *c, const struct reply *item, int64_t now_ms)
{
    struct wqueue *q = c->queue;
    struct run *r = q->run;
    struct span id, bytes = {0};
    struct attempt *a = reply_str(reply_at(item, 0), &id) ? attempt_new(r, q) : NULL;
    if (!a)
        return;
    memcpy(a->token, c->token, sizeof a->token);
    r->stats.claimed++;
    a->promised = c->pool;
    if (c->pool)
        c->pool->permits.promised++;
    if (id.len && id.at[0] == '~') {
        span_copy(a->claim_id, sizeof a->claim_id, id);
        a->created = reply_int_or(reply_at(item, 3), now_ms);
    } else {
        take_again(a, id, item);
    }
    bool here = reply_str(reply_at(item, 1), &bytes);
    a->claimed_bytes = (size_t)MAX(reply_int_or(reply_at(item, 2), (int64_t)bytes.len), 0);
    r->claimed_bytes += a->claimed_bytes;
    if (!here) {
        list_append(&q->to_fetch, &a->todo); // a large one comes by itself
        return;
    }
    take_memory(a);
    if (keep_payload(a, bytes))
        read_payload(a);
    else
        drop(a);
}

// learn notes what a claim's answer says of the queue as a whole.
static void learn(struct wqueue *q, const struct claim *c, const struct reply *reply)
{
    struct span why = {0};
    int64_t waiting = reply_int_or(reply_at(reply, 2), 0);
    q->next_due_ms = reply_int_or(reply_at(reply, 1), -1);
    reply_str(reply_at(reply, 3), &why);
    q->paused = span_is(why, "paused");
    queue_is_newer(q, span_is(why, "version"));
    if (c->seen && span_is(why, "admitted"))
        note_admitted(q, c->seen->job.run);
    q->waiting_jobs = waiting;
    bool due = q->next_due_ms >= 0 && q->next_due_ms <= run_now(q->run);
    q->hot = false;
    if (waiting > 0 || due)
        queue_heat(q);
}

static void on_claimed(int err, const struct reply *reply, void *arg)
{
    struct claim *c = arg;
    struct wqueue *q = c->queue;
    q->claims_out--;
    q->asked -= c->want;
    q->run->reserved -= c->want;
    if (c->pool)
        c->pool->permits.promised -= c->want;
    run_answered(q, SCRIPT_CLAIM, err, reply);
    if (err) {
        seen_no_more(c);
        list_append(&q->to_repeat, &c->link);
        send_later(q);
        return;
    }
    FAULT("claim.after");
    run_hear(q->run, reply);
    learn(q, c, reply);
    size_t count = reply_count(reply);
    q->pass -= (double)(c->want - MIN(c->want, count - MIN(count, (size_t)4))) / (double)q->weight;
    for (size_t i = 4; i < count; i++)
        take_item(c, reply_at(reply, i), reply_int_or(reply_at(reply, 0), 0));
    if (c->want == 0 && count > 4)
        q->tick_at_ms = 0; // these were cancelled; there may be more
    seen_no_more(c);
    free(c);
    pump(q->run);
}

static void on_fetched(int err, const struct reply *reply, void *arg)
{
    struct attempt *a = arg;
    struct span bytes;
    if (err) {
        list_append(&a->queue->to_fetch, &a->todo);
        send_later(a->queue);
    } else if (reply_str(reply, &bytes) && keep_payload(a, bytes)) {
        read_payload(a);
    } else {
        drop(a); // recovered by another meanwhile, or no memory
    }
}

static void fetch(struct attempt *a)
{
    char key[KEY_BYTES_MAX + ID_BYTES_MAX];
    int len =
        snprintf(key, sizeof key, "%sjob:%s", a->queue->stem, a->admitted ? a->id : a->claim_id);
    const char *argv[] = {"HGET", key, "payload"};
    size_t lens[] = {4, (size_t)len, 7};
    take_memory(a);
    if (rlink_call(a->run->link, 3, argv, lens, 0, on_fetched, a)) {
        list_append(&a->queue->to_fetch, &a->todo);
        send_later(a->queue);
    }
}

static void admitted(struct attempt *a, const struct reply *answer)
{
    struct span code = {0};
    if (!reply_str(answer, &code)) // the code alone, or with when it was created and expires
        reply_str(reply_at(answer, 0), &code);
    a->admitted = true;
    int64_t created = reply_int_or(reply_at(answer, 1), 0);
    a->created = created > 0 ? created : a->created;
    a->expires_at = reply_int_or(reply_at(answer, 2), -1);
    if (!span_is(code, "duplicate") && !span_is(code, "lost"))
        note_admitted(a->queue, a->job.run);
    if (span_is(code, "active")) {
        attempt_go(a, ATTEMPT_WAITING);
        call_ready(a);
    } else if (span_is(code, "expired")) {
        settle_failed(a, FAILURE_EXPIRED, NULL);
    } else if (span_is(code, "cancelled")) {
        settle_failed(a, FAILURE_CANCELLED, NULL);
    } else {
        a->run->stats.duplicates += span_is(code, "duplicate");
        a->run->stats.lost += span_is(code, "lost");
        attempt_go(a, ATTEMPT_GONE);
    }
}

static void on_admitted(int err, const struct reply *reply, void *arg)
{
    struct batch *b = arg;
    b->queue->admits_out--;
    run_answered(b->queue, SCRIPT_ADMIT, err, reply);
    if (err) {
        put_back(b, &b->queue->to_admit);
    } else {
        FAULT("admit.after");
        run_hear(b->queue->run, reply);
        for (size_t i = 0; i < b->count; i++)
            admitted(b->at[i], reply_at(reply, 1 + i));
    }
    free(b);
}

// take_batch moves attempts of one claim (they share a token) from a list into a batch: so many at
// most, and so many bytes of what goes along for them beyond the first.
static struct batch *take_batch(struct wqueue *q, struct list *todo, size_t most)
{
    struct batch *b = batch_new(q);
    struct attempt *first = NULL;
    size_t bytes = 0;
    while (b && b->count < most && !list_is_empty(todo)) {
        struct attempt *a = CONTAINER_OF(list_first(todo), struct attempt, todo);
        bytes += first && a->fault ? a->fault->meta.len : 0;
        first = first ? first : a;
        if (strcmp(a->token, first->token) != 0 || bytes > BATCH_BYTES_MAX)
            break;
        list_remove(todo, &a->todo);
        b->at[b->count++] = a;
    }
    return b;
}

static void send_admissions(struct wqueue *q)
{
    struct run *r = q->run;
    struct batch *b = take_batch(q, &q->to_admit, CLAIM_MAX);
    if (!b)
        return;
    args_clear(&r->args);
    args_add_str(&r->args, b->at[0]->token);
    args_add_str(&r->args, r->worker);
    args_add_int(&r->args, r->conf->lease_ms);
    args_add_int(&r->args, r->conf->result_ttl_s * 1000);
    for (size_t i = 0; i < b->count; i++) {
        args_add_str(&r->args, b->at[i]->claim_id);
        admission_args(&r->args, b->at[i]->id, &b->at[i]->job);
    }
    if (script_call(r->link, SCRIPT_ADMIT, q->stem, &r->args, on_admitted, b)) {
        put_back(b, &q->to_admit);
        free(b);
        return;
    }
    q->admits_out++;
}

// field_word: which field is wrong, for the log: a name that the producer made up is his own text.
static const char *field_word(const struct job_fault *f)
{
    return f->stranger ? "(unknown)" : f->field;
}

static void on_rejected(int err, const struct reply *reply, void *arg)
{
    struct batch *b = arg;
    run_answered(b->queue, SCRIPT_REJECT, err, reply);
    if (err) {
        put_back(b, &b->queue->to_reject);
        free(b);
        return;
    }
    struct run *r = b->queue->run;
    run_hear(r, reply);
    for (size_t i = 0; i < b->count; i++) {
        struct span id = {0};
        reply_str(reply_at(reply, 1 + i), &id);
        r->stats.rejected++;
        b->queue->stats.finished[FINISH_FAILED]++;
        log_event(LOG_DEBUG, "job_rejected", log_str("queue", b->queue->name),
                  log_bytes("job", id.at, id.len), log_str("field", field_word(b->at[i]->fault)),
                  LOG_END);
        attempt_go(b->at[i], ATTEMPT_GONE);
    }
    free(b);
}

// send_rejections buries up to sixteen payloads: each carries its own result.
static void send_rejections(struct wqueue *q)
{
    enum { REJECT_MAX = 16 };
    struct run *r = q->run;
    struct batch *b = take_batch(q, &q->to_reject, REJECT_MAX);
    struct strbuf rest[REJECT_MAX];
    char ulid[REJECT_MAX][ULID_LEN + 1];
    if (!b)
        return;
    args_clear(&r->args);
    args_add_str(&r->args, b->at[0]->token);
    args_add_int(&r->args, r->conf->result_ttl_s * 1000);
    for (size_t i = 0; i < b->count; i++) {
        const struct job_fault *f = b->at[i]->fault;
        strbuf_init(&rest[i], 4096 + f->meta.len);
        result_rest("failed", FAILURE_INVALID_JOB, f->why, r, f, &rest[i]);
        ulid_make(run_now(r), ulid[i]);
        args_add_str(&r->args, b->at[i]->claim_id);
        args_add(&r->args, f->id);
        args_add_str(&r->args, ulid[i]);
        args_add_str(&r->args, f->why);
        args_add(&r->args, strbuf_span(&rest[i]));
        args_add(&r->args, f->reply_to);
        args_add(&r->args, f->run);
    }
    int err = script_call(r->link, SCRIPT_REJECT, q->stem, &r->args, on_rejected, b);
    for (size_t i = 0; i < b->count; i++)
        strbuf_fini(&rest[i]);
    if (err) {
        put_back(b, &q->to_reject);
        free(b);
    }
}

// intake_may_fetch: payloads in memory have a budget; one that is larger than all of it comes
// alone.
bool intake_may_fetch(const struct wqueue *q)
{
    const struct run *r = q->run;
    if (list_is_empty(&q->to_fetch))
        return false;
    const struct attempt *a = CONTAINER_OF(q->to_fetch.head.next, const struct attempt, todo);
    size_t most = (size_t)r->conf->max_inflight_bytes;
    return a->in_memory || r->memory_bytes == 0 || r->memory_bytes + a->claimed_bytes <= most;
}

void intake_send(struct wqueue *q)
{
    if (!q->run->ready || clock_mono_ms() < q->send_at_ms)
        return;
    for (size_t n = q->to_repeat.count; n > 0; n--)
        claim_send(CONTAINER_OF(list_pop(&q->to_repeat), struct claim, link));
    for (size_t n = q->to_fetch.count; n > 0 && intake_may_fetch(q); n--)
        fetch(CONTAINER_OF(list_pop(&q->to_fetch), struct attempt, todo));
    while (!list_is_empty(&q->to_admit) && clock_mono_ms() >= q->send_at_ms)
        send_admissions(q);
    while (!list_is_empty(&q->to_reject) && clock_mono_ms() >= q->send_at_ms)
        send_rejections(q);
}
