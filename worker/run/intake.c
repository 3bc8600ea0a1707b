// intake: from a claimed payload to an admitted attempt.
//
// A claim (claim.c) brings payloads. They are parsed here; `admit` gives each that is under a claim
// id its own, or says that it is a duplicate, scheduled or expired; `reject` buries what is no job.
// Whatever Redis does not confirm stays on its list and is sent again: every script tolerates that.
#include "common/base/err.h"
#include "common/base/fault.h"
#include "common/base/log.h"
#include "common/base/rnd.h"
#include "worker/run/admission.h"
#include "worker/run/fetch.h"
#include "worker/run/run_int.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

// batch: the attempts one script call carries.
struct batch {
    struct wqueue *queue;
    size_t count;
    uint64_t sent_ms;
    struct attempt *at[CLAIM_MAX];
};

static struct batch *batch_new(struct wqueue *q)
{
    struct batch *b = calloc(1, sizeof *b);
    if (b)
        b->queue = q;
    return b;
}

void intake_send_later(struct wqueue *q)
{
    q->send_at_ms = clock_mono_ms() + RETRY_SEND_MS;
}

static void put_back(struct batch *b, struct list *todo)
{
    for (size_t i = b->count; i-- > 0;)
        list_prepend(todo, &b->at[i]->todo);
    intake_send_later(b->queue);
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

// intake_drop forgets an attempt without a word to Redis: its lease will run out and it will be
// recovered.
void intake_drop(struct attempt *a)
{
    a->run->stats.lost++;
    attempt_go(a, ATTEMPT_GONE);
}

static void count_admitted(const struct attempt *a)
{
    struct stats *s = &a->run->stats;
    s->admitted++;
    if (a->job.run.len)
        stats_run(s, a->queue->name, a->job.run.at, a->job.run.len);
}

// leased_as: the id under which Redis has its lease.
static const char *leased_as(const struct attempt *a)
{
    return a->admitted ? a->id : a->claim_id;
}

// begin sends on a job that its claim has brought under its own id.
static void begin(struct attempt *a)
{
    struct run *r = a->run;
    if (a->lost) {
        intake_drop(a);
        return;
    }
    if (a->unread)
        count_admitted(a);
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

// is_wrong_from_the_start: no job, and no call of it was ever made.
static bool is_wrong_from_the_start(const struct attempt *a)
{
    return a->fault && !a->attempts && !a->throttles && !a->started;
}

// read_payload parses the payload and puts the attempt where it goes next.
static void read_payload(struct attempt *a)
{
    struct run *r = a->run;
    struct job_fault fault;
    FAULT("read.before");
    int err =
        job_parse(a->payload, a->payload_len, (size_t)r->conf->max_job_bytes, &a->job, &fault);
    if (err) {
        a->fault = malloc(sizeof fault);
        if (!a->fault) {
            intake_drop(a);
            return;
        }
        *a->fault = fault;
        a->job = job_unread;
    }
    struct wqueue *q = a->queue;
    if (a->noted)
        fetch_note(a, false);
    bool behind = q->admits_out || !list_is_empty(&q->to_admit);
    if (is_wrong_from_the_start(a)) {
        list_append(&q->to_reject, &a->todo);
    } else if (!a->admitted) {
        admission_id(&a->job, run_now(r), a->id);
        list_append(&q->to_admit, &a->todo);
    } else if (a->unread && behind) { // jobs start in the order of their pushes
        list_append(&q->to_admit, &a->todo);
    } else {
        begin(a);
    }
}

void intake_payload(struct attempt *a, struct span bytes)
{
    fetch_take_memory(a);
    if (keep_payload(a, bytes))
        read_payload(a);
    else
        intake_drop(a);
}

static void admitted(struct attempt *a, const struct reply *answer)
{
    struct span code = {0};
    if (!reply_str(answer, &code)) // the code alone, or with when it was created and expires
        reply_str(reply_at(answer, 0), &code);
    a->lost = span_is(code, "lost");
    if (a->admitted) { // it only had its place behind others
        a->cancel |= span_is(code, "cancelled");
        begin(a);
        return;
    }
    a->admitted = true;
    int64_t created = reply_int_or(reply_at(answer, 1), 0);
    a->created = created > 0 ? created : a->created;
    a->expires_at = reply_int_or(reply_at(answer, 2), -1);
    if (!span_is(code, "duplicate") && !span_is(code, "lost"))
        count_admitted(a);
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
    if (err || run_is_stale(b->queue, b->sent_ms)) {
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
        args_add_str(&r->args, leased_as(b->at[i]));
        admission_args(&r->args, b->at[i]->id, &b->at[i]->job);
    }
    if (script_call(r->link, SCRIPT_ADMIT, q->stem, &r->args, on_admitted, b)) {
        put_back(b, &q->to_admit);
        free(b);
        return;
    }
    b->sent_ms = clock_mono_ms();
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
        args_add_str(&r->args, leased_as(b->at[i]));
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

void intake_send(struct wqueue *q)
{
    if (!q->run->ready || clock_mono_ms() < q->send_at_ms)
        return;
    claim_repeat(q);
    fetch_due(q);
    while (!list_is_empty(&q->to_admit) && clock_mono_ms() >= q->send_at_ms)
        send_admissions(q);
    while (!list_is_empty(&q->to_reject) && clock_mono_ms() >= q->send_at_ms)
        send_rejections(q);
}
