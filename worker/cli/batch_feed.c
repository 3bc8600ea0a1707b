// batch_feed: composes jobs and pushes them, a pack at a time, not further ahead of the results
// than is useful: what waits in Redis takes memory there, and after Ctrl-C it is still worked off.
#include "common/base/err.h"
#include "worker/cli/batch.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PACK_BYTES = 128 * 1024,
    UNCONFIRMED_BYTES_MAX = 2 << 20,
    PACK_CEILING = 80 << 20,
    TURN_PACKS = 4, // before the loop has its turn again
};

static struct pack *filling(struct batch *b)
{
    struct list_link *last = list_is_empty(&b->packs) ? NULL : b->packs.head.prev;
    struct pack *p = last ? CONTAINER_OF(last, struct pack, link) : NULL;
    if (p && !p->sent && p->count < PACK_JOBS && p->bytes.len < PACK_BYTES)
        return p;
    p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->of = b;
    strbuf_init(&p->bytes, PACK_CEILING);
    list_append(&b->packs, &p->link);
    return p;
}

static void pack_free(struct batch *b, struct pack *p)
{
    list_remove(&b->packs, &p->link);
    b->unconfirmed_bytes -= p->bytes.len;
    strbuf_fini(&p->bytes);
    free(p);
}

// is_passing says whether Redis may think otherwise soon.
static bool is_passing(const struct reply *reply)
{
    static const char *const all[] = {"OOM",      "LOADING",     "READONLY", "MASTERDOWN",
                                      "TRYAGAIN", "CLUSTERDOWN", "BUSY",     "MISCONF"};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (reply_is_error(reply, all[i]))
            return true;
    return false;
}

static void on_pushed(int err, const struct reply *reply, void *arg)
{
    struct pack *p = arg;
    struct batch *b = p->of;
    if (err == 0) {
        pack_free(b, p);
        return;
    }
    p->sent = false; // again, when the tick says so; ids make it harmless
    b->hold = true;
    if (err == ERR_REDIS && !is_passing(reply))
        batch_fail(b, EXIT_NO_REDIS, "Redis refused the push: %s", reply_text(reply));
}

static void send_pack(struct batch *b, struct pack *p)
{
    const char *argv[PACK_JOBS + 2] = {"LPUSH", b->jobs_key};
    size_t lens[PACK_JOBS + 2] = {5, strlen(b->jobs_key)};
    if (p->sent || p->count == 0)
        return;
    p->at[p->count] = p->bytes.len;
    for (size_t i = 0; i < p->count; i++) {
        argv[2 + i] = p->bytes.at + p->at[i];
        lens[2 + i] = p->at[i + 1] - p->at[i];
    }
    p->sent = rlink_call(sync_link(b->redis), (int)p->count + 2, argv, lens, 0, on_pushed, p) == 0;
    b->hold = b->hold || !p->sent;
}

void feed_resend(struct batch *b)
{
    b->hold = false;
    list_each(&b->packs, k)
    {
        if (b->hold)
            return;
        send_pack(b, CONTAINER_OF(k, struct pack, link));
    }
}

// put adds a composed job to a pack. False: no memory.
static bool put(struct batch *b, struct span job)
{
    struct pack *p = filling(b);
    if (!p)
        return false;
    p->at[p->count] = p->bytes.len;
    strbuf_add_span(&p->bytes, job);
    if (strbuf_failed(&p->bytes))
        return false;
    p->count++;
    b->unconfirmed_bytes += job.len;
    if ((p->count == PACK_JOBS || p->bytes.len >= PACK_BYTES) && !b->hold)
        send_pack(b, p);
    return true;
}

static bool has_room(const struct batch *b)
{
    return !window_is_full(&b->window) && b->window.pushed < b->ahead &&
           (b->pushed_bytes < b->ahead_bytes || b->window.pushed == 0) &&
           b->unconfirmed_bytes < UNCONFIRMED_BYTES_MAX && !b->hold;
}

// may_spend keeps what is known to be spent and what is under way below --max-cost.
static bool may_spend(struct batch *b)
{
    if (b->max_cost < 0)
        return true;
    if (b->composed.nano_usd < 0) { // of an input that is read only once
        b->code = plan_no_price(b);
        return false;
    }
    int64_t known = b->spent + b->since_poll;
    if (known + b->reserved + b->composed.nano_usd <= b->max_cost)
        return true;
    if (b->window.pushed == 0 && b->since_poll == 0) { // nothing can become cheaper any more
        b->over_budget = true;
        b->stopping = true;
    }
    return false;
}

// push hands over the composed job.
static void push(struct batch *b)
{
    struct entry *e = window_add(&b->window, b->composed.id);
    if (!e || !put(b, strbuf_span(&b->job))) {
        batch_fail(b, EXIT_USAGE, "out of memory");
        return;
    }
    e->offset = b->record_offset;
    e->record_len = (uint32_t)b->record_len;
    e->ordinal = b->composed.ordinal;
    e->reserve = MAX(b->composed.nano_usd, 0);
    e->pushes = 1;
    b->reserved += e->reserve;
    b->pushed_bytes += e->record_len;
    b->pushed++;
    b->has_job = false;
}

// is_new says whether the composed job is still to be done.
static bool is_new(struct batch *b)
{
    uint64_t hash = hash_of(span_of(b->composed.id));
    if (idset_has(&b->out.done, hash))
        return false;
    if (!b->composed.own_id)
        return true;
    int fresh = idset_add(&b->own_ids, hash);
    if (fresh < 0)
        batch_fail(b, EXIT_USAGE, "out of memory");
    return fresh == 1;
}

// next_job reads on to the next record that is to be done; false at the end or where it failed.
static bool next_job(struct batch *b)
{
    char why[COMPOSE_WHY_MAX] = "longer than PENSTOCK_MAX_JOB_BYTES";
    struct span record;
    int n = reader_next(&b->reader, &record);
    if (n <= 0) {
        b->input_over = true;
        if (n < 0)
            batch_fail(b, EXIT_USAGE, "%s: %s", b->input, err_text(n));
        return false;
    }
    if (record.len == 0 && !b->reader.too_long)
        return false;
    strbuf_clear(&b->job);
    int err = b->reader.too_long ? ERR_BAD_JOB
                                 : compose_job(&b->compose, record, &b->ordinals, 0, b->began_ms,
                                               &b->job, &b->composed, why);
    if (err == ERR_BAD_JOB) {
        b->faulty++;
        if (!b->plan.known)
            cli_fail(b->cli, 0, "%s:%llu: %s; left out", b->input,
                     (unsigned long long)b->reader.number, why);
    } else if (err) {
        batch_fail(b, EXIT_USAGE, "%s", err_text(err));
    }
    b->record_offset = b->reader.record_offset;
    b->record_len = record.len;
    b->has_job = !err && is_new(b);
    if (b->has_job && !b->plan.known)
        limits_job(b, &b->composed);
    return b->has_job;
}

static void flush(struct batch *b)
{
    if (!b->hold && !list_is_empty(&b->packs))
        send_pack(b, CONTAINER_OF(b->packs.head.prev, struct pack, link));
}

bool feed_more(struct batch *b)
{
    enum { TURN_JOBS = TURN_PACKS * PACK_JOBS };
    int turn = 0;
    for (; turn < TURN_JOBS && !b->stopping && !b->code && has_room(b); turn++) {
        if (!b->has_job && !b->input_over)
            next_job(b);
        if (!b->has_job && b->input_over)
            break;
        if (b->has_job && !may_spend(b))
            break;
        if (b->has_job)
            push(b);
    }
    if (turn < TURN_JOBS)
        flush(b);
    return turn == TURN_JOBS;
}

void feed_again(struct batch *b, struct entry *e)
{
    char why[COMPOSE_WHY_MAX];
    struct composed c;
    struct strbuf job;
    char *record = b->seekable ? malloc(e->record_len + 1u) : NULL;
    if (!record ||
        pread(b->fd, record, e->record_len, (off_t)e->offset) != (ssize_t)e->record_len) {
        free(record);
        collect_lost(b, e);
        return;
    }
    strbuf_init(&job, b->compose.job_max + 4096);
    int err = compose_job(&b->compose, (struct span){record, e->record_len}, NULL, e->ordinal,
                          b->began_ms, &job, &c, why);
    if (err || strcmp(c.id, e->id) != 0 || !put(b, strbuf_span(&job))) // the input was changed
        collect_lost(b, e);
    else
        e->pushes++;
    strbuf_fini(&job);
    free(record);
}

void feed_free(struct batch *b)
{
    while (!list_is_empty(&b->packs))
        pack_free(b, CONTAINER_OF(list_first(&b->packs), struct pack, link));
}
