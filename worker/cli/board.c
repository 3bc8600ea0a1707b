#include "worker/cli/board.h"

#include "common/base/clock.h"
#include "common/base/err.h"
#include "worker/cli/find.h"
#include "worker/cli/plain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { SMOOTH_S = 5, ROUNDS_FOR_NAMES = 4 };

// ask: one answer that is awaited, and where it goes.
struct ask {
    struct board *board;
    size_t at; // of its kind
    enum {
        ASK_TIME,
        ASK_WORKERS,
        ASK_WORKER,
        ASK_DEPTH, // and the next three
        ASK_PAUSED = ASK_DEPTH + DEPTHS,
        ASK_COUNTS,
        ASK_POOL,
        ASK_RUN,
    } what;
};

// meter_put takes a counter's value. The first sample tells no rate; a counter that falls was begun
// anew.
static void meter_put(struct meter *m, double value, double seconds)
{
    if (m->samples > 0 && seconds > 0) {
        double now = MAX(value - m->value, 0) / seconds;
        double part = m->samples == 1 ? 1 : 1 - exp(-seconds / SMOOTH_S);
        m->per_s += part * (now - m->per_s);
    }
    m->value = value;
    m->samples += m->samples < 2;
}

// --- names -----------------------------------------------------------------------------------

static void add_queue(struct board *b, struct span name)
{
    for (size_t i = 0; i < b->queue_count; i++)
        if (span_is(name, b->queues[i].name))
            return;
    if (b->queue_count == BOARD_QUEUES || !name_is_valid(name.at, name.len))
        return;
    struct board_queue *q = &b->queues[b->queue_count++];
    *q = (struct board_queue){0};
    memcpy(q->name, name.at, name.len);
    b->more_names = true;
}

static void add_pool(struct board *b, struct span name)
{
    for (size_t i = 0; i < b->pool_count; i++)
        if (span_is(name, b->pools[i].name))
            return;
    if (b->pool_count == BOARD_POOLS || name.len == 0 || name.len >= sizeof b->pools[0].name)
        return;
    struct board_pool *p = &b->pools[b->pool_count++];
    *p = (struct board_pool){0};
    memcpy(p->name, name.at, name.len);
    b->more_names = true;
}

static void add_worker(struct board *b, struct span id)
{
    size_t at = b->worker_count;
    for (size_t i = 0; i < b->worker_count; i++) {
        if (span_is(id, b->workers[i].id)) {
            b->workers[i].alive = true;
            return;
        }
        if (!b->workers[i].alive)
            at = i; // its place is free
    }
    if (at == BOARD_WORKERS || id.len == 0 || id.len >= sizeof b->workers[0].id)
        return;
    b->worker_count = MAX(b->worker_count, at + 1);
    b->workers[at] = (struct board_worker){.alive = true};
    memcpy(b->workers[at].id, id.at, id.len);
    b->more_names = true;
}

// add_run: where there is no place, the one that has been quiet for longest goes.
static void add_run(struct board *b, struct span queue, struct span name)
{
    size_t at = 0;
    for (size_t i = 0; i < b->run_count; i++) {
        if (span_is(name, b->runs[i].name) && span_is(queue, b->runs[i].queue))
            return;
        if (b->runs[i].updated < b->runs[at].updated)
            at = i;
    }
    if (!name_is_valid(name.at, name.len) || !name_is_valid(queue.at, queue.len))
        return;
    if (b->run_count < BOARD_RUNS)
        at = b->run_count++;
    b->runs[at] = (struct board_run){0};
    memcpy(b->runs[at].queue, queue.at, queue.len);
    memcpy(b->runs[at].name, name.at, name.len);
    b->more_names = true;
}

static void add_names(struct board *b, struct span field, struct span list)
{
    struct span word;
    while (names_next(&list, &word)) {
        const char *colon = memchr(word.at, ':', word.len);
        const char *slash = memchr(word.at, '/', word.len);
        if (span_is(field, "pools")) {
            add_pool(b, word);
        } else if (span_is(field, "queues")) {
            size_t len = colon ? (size_t)(colon - word.at) : word.len;
            if (!cli_option(b->cli, "queue"))
                add_queue(b, (struct span){word.at, len});
        } else if (slash) { // runs: "queue/run"
            size_t len = (size_t)(slash - word.at);
            add_run(b, (struct span){word.at, len}, (struct span){slash + 1, word.len - len - 1});
        }
    }
}

// --- answers ---------------------------------------------------------------------------------

static void take_workers(struct board *b, const struct reply *reply)
{
    struct span id;
    for (size_t i = 0; i < b->worker_count; i++)
        b->workers[i].alive = false;
    for (size_t i = 0; i < reply_count(reply); i++)
        if (reply_str(reply_at(reply, i), &id))
            add_worker(b, id);
}

static void take_worker(struct board *b, struct board_worker *w, const struct reply *reply)
{
    w->alive = w->alive && reply_count(reply) > 0; // its hash lives as long as it gives signs
    for (size_t i = 0; i + 1 < reply_count(reply); i += 2) {
        struct span name, value;
        const struct reply *of = reply_at(reply, i + 1);
        if (!reply_str(reply_at(reply, i), &name) || !reply_str(of, &value))
            continue;
        if (span_is(name, "in_flight"))
            w->in_flight = reply_int_or(of, 0);
        else if (span_is(name, "started"))
            w->started = reply_int_or(of, 0);
        else if (span_is(name, "seen"))
            w->seen = reply_int_or(of, 0);
        else if (span_is(name, "version"))
            plain_copy(w->version, sizeof w->version, value);
        else if (span_is(name, "queues"))
            plain_copy(w->queues, sizeof w->queues, value);
        if (span_is(name, "queues") || span_is(name, "pools") || span_is(name, "runs"))
            add_names(b, name, value);
    }
}

static void take_paused(struct board_queue *q, const struct reply *reply)
{
    struct span why;
    q->paused = reply_str(reply, &why);
    q->why[0] = '\0';
    if (q->paused)
        plain_copy(q->why, sizeof q->why, why);
}

static void take_counts(struct board *b, struct board_queue *q, const struct reply *reply)
{
    double ended = 0;
    for (size_t i = 0; i < 4; i++)
        ended += reply_num_or(reply_at(reply, i), 0);
    meter_put(&q->finished, ended, b->seconds);
    meter_put(&q->failed, reply_num_or(reply_at(reply, 1), 0), b->seconds);
    meter_put(&q->throttles, reply_num_or(reply_at(reply, 4), 0), b->seconds);
}

static void take_pool(struct board *b, struct board_pool *p, const struct reply *reply)
{
    quota_read(&p->quota, reply);
    plain_clean(p->quota.why);
    plain_clean(p->quota.cause);
    meter_put(&p->calls, p->quota.accepted, b->seconds);
    meter_put(&p->refused, p->quota.refused, b->seconds);
}

static void take_run(struct board *b, struct board_run *r, const struct reply *reply)
{
    double lost = reply_num_or(reply_at(reply, 2), 0) + reply_num_or(reply_at(reply, 3), 0);
    meter_put(&r->succeeded, reply_num_or(reply_at(reply, 0), 0), b->seconds);
    meter_put(&r->failed, reply_num_or(reply_at(reply, 1), 0) + lost, b->seconds);
    meter_put(&r->throttles, reply_num_or(reply_at(reply, 4), 0), b->seconds);
    r->tokens_in = reply_int_or(reply_at(reply, 5), 0);
    r->tokens_out = reply_int_or(reply_at(reply, 6), 0);
    r->cost_usd = reply_num_or(reply_at(reply, 7), 0);
    r->updated = reply_int_or(reply_at(reply, 8), 0);
}

static void take(struct board *b, const struct ask *a, const struct reply *reply)
{
    if (a->what == ASK_TIME)
        b->now_ms =
            reply_int_or(reply_at(reply, 0), 0) * 1000 + reply_int_or(reply_at(reply, 1), 0) / 1000;
    else if (a->what == ASK_WORKERS)
        take_workers(b, reply);
    else if (a->what == ASK_WORKER)
        take_worker(b, &b->workers[a->at], reply);
    else if (a->what < ASK_PAUSED)
        b->queues[a->at].depth[a->what - ASK_DEPTH] = reply_int_or(reply, 0);
    else if (a->what == ASK_PAUSED)
        take_paused(&b->queues[a->at], reply);
    else if (a->what == ASK_COUNTS)
        take_counts(b, &b->queues[a->at], reply);
    else if (a->what == ASK_POOL)
        take_pool(b, &b->pools[a->at], reply);
    else
        take_run(b, &b->runs[a->at], reply);
}

static void on_answer(int err, const struct reply *reply, void *arg)
{
    struct ask *a = arg;
    struct board *b = a->board;
    bool other_type = err == ERR_REDIS && reply_is_error(reply, "WRONGTYPE");
    if (err == ERR_REDIS && !other_type && !b->refusal[0])
        snprintf(b->refusal, sizeof b->refusal, "%.150s", reply_text(reply));
    if (!err || other_type) // a key of another type reads as nothing
        take(b, a, err ? NULL : reply);
    free(a);
    if (--b->pending == 0)
        b->fresh(b);
}

// --- questions -------------------------------------------------------------------------------

static void ask(struct board *b, struct ask what, const char *const *words)
{
    const char *argv[16];
    size_t lens[16];
    int argc = 0;
    struct ask *a = malloc(sizeof *a);
    if (!a)
        return;
    *a = what;
    a->board = b;
    for (; words[argc]; argc++) {
        argv[argc] = words[argc];
        lens[argc] = strlen(words[argc]);
    }
    if (rlink_call(sync_link(b->cli->redis), argc, argv, lens, 0, on_answer, a))
        free(a);
    else
        b->pending++;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void ask_queue(struct board *b, size_t at)
{
    static const char *const names[] = {"jobs", "delayed", "active", "dead"};
    const char *prefix = b->cli->conf.prefix, *queue = b->queues[at].name;
    char key[CLI_KEY_MAX];
    for (int i = 0; i < DEPTHS; i++) {
        key_queue(prefix, queue, names[i], key, sizeof key);
        ask(b, (struct ask){.what = ASK_DEPTH + i, .at = at}, WORDS(i ? "ZCARD" : "LLEN", key));
    }
    key_queue(prefix, queue, "paused", key, sizeof key);
    ask(b, (struct ask){.what = ASK_PAUSED, .at = at}, WORDS("GET", key));
    key_queue(prefix, queue, "stats", key, sizeof key);
    ask(b, (struct ask){.what = ASK_COUNTS, .at = at},
        WORDS("HMGET", key, "succeeded", "failed", "expired", "cancelled", "throttles"));
}

static void ask_run(struct board *b, size_t at)
{
    char key[CLI_KEY_MAX], name[NAME_BYTES_MAX + 8];
    snprintf(name, sizeof name, "run:%s", b->runs[at].name);
    key_queue(b->cli->conf.prefix, b->runs[at].queue, name, key, sizeof key);
    ask(b, (struct ask){.what = ASK_RUN, .at = at},
        WORDS("HMGET", key, "succeeded", "failed", "expired", "cancelled", "throttles",
              "input_tokens", "output_tokens", "cost_usd", "updated"));
}

void board_ask(struct board *b)
{
    const char *prefix = b->cli->conf.prefix;
    uint64_t now_ms = clock_mono_ms();
    char key[CLI_KEY_MAX];
    if (b->pending || !rlink_is_up(sync_link(b->cli->redis)))
        return;
    b->seconds = b->at_ms ? (double)(now_ms - b->at_ms) / 1e3 : 0;
    b->at_ms = now_ms;
    b->more_names = false;
    b->refusal[0] = '\0';
    ask(b, (struct ask){.what = ASK_TIME}, WORDS("TIME"));
    key_workers(prefix, key, sizeof key);
    ask(b, (struct ask){.what = ASK_WORKERS}, WORDS("ZREVRANGE", key, "0", "99"));
    for (size_t i = 0; i < b->worker_count; i++) {
        if (!b->workers[i].alive)
            continue;
        key_worker(prefix, b->workers[i].id, key, sizeof key);
        ask(b, (struct ask){.what = ASK_WORKER, .at = i}, WORDS("HGETALL", key));
    }
    for (size_t i = 0; i < b->queue_count; i++)
        ask_queue(b, i);
    for (size_t i = 0; i < b->pool_count; i++) {
        key_pool(prefix, b->pools[i].name, key, sizeof key);
        ask(b, (struct ask){.what = ASK_POOL, .at = i}, WORDS("HGETALL", key));
    }
    for (size_t i = 0; i < b->run_count; i++)
        ask_run(b, i);
}

// --- from outside ----------------------------------------------------------------------------

static int64_t updated_of(struct cli *c, const char *queue, const char *run)
{
    char key[CLI_KEY_MAX], name[FIND_NAME_MAX + 8];
    struct strbuf text;
    strbuf_init(&text, 256);
    snprintf(name, sizeof name, "run:%s", run);
    key_queue(c->conf.prefix, queue, name, key, sizeof key);
    int64_t at = sync_field(c->redis, &text, key, "updated") ? strtoll(text.at, NULL, 10) : 0;
    strbuf_fini(&text);
    return at;
}

static int find_runs_of(struct board *b, const char *queue)
{
    struct names runs = {0};
    int code = find_runs(b->cli, queue, &runs);
    for (size_t i = 0; !code && i < runs.count; i++) {
        add_run(b, span_of(queue), span_of(runs.at[i]));
        for (size_t k = 0; k < b->run_count; k++)
            if (strcmp(b->runs[k].name, runs.at[i]) == 0 && strcmp(b->runs[k].queue, queue) == 0)
                b->runs[k].updated = updated_of(b->cli, queue, runs.at[i]);
    }
    names_fini(&runs);
    return code;
}

int board_begin(struct board *b)
{
    struct names queues = {0}, pools = {0};
    int code = find_queues(b->cli, &queues);
    if (!code)
        code = find_pools(b->cli, &pools);
    for (size_t i = 0; !code && i < queues.count; i++)
        add_queue(b, span_of(queues.at[i]));
    for (size_t i = 0; !code && i < pools.count; i++)
        add_pool(b, span_of(pools.at[i]));
    for (size_t i = 0; !code && i < b->queue_count; i++)
        code = find_runs_of(b, b->queues[i].name);
    names_fini(&queues);
    names_fini(&pools);
    return code;
}

void board_ignore(struct board *b)
{
    (void)b;
}

static int round_to_end(struct board *b)
{
    board_ask(b);
    while (b->pending)
        uv_run(sync_loop(b->cli->redis), UV_RUN_ONCE);
    if (b->refusal[0])
        return cli_fail(b->cli, EXIT_NO_REDIS, "Redis refuses: %s", b->refusal);
    return rlink_is_up(sync_link(b->cli->redis))
               ? 0
               : cli_fail(b->cli, EXIT_NO_REDIS, "the connection to Redis broke: %s",
                          rlink_why(sync_link(b->cli->redis)));
}

int board_read(struct board *b)
{
    b->fresh = board_ignore;
    int code = round_to_end(b);
    for (int i = 0; !code && b->more_names && i < ROUNDS_FOR_NAMES; i++)
        code = round_to_end(b);
    uv_sleep(1000);
    return code ? code : round_to_end(b);
}

double board_eta_s(const struct board_queue *q)
{
    int64_t left = q->depth[DEPTH_WAITING] + q->depth[DEPTH_DELAYED] + q->depth[DEPTH_ACTIVE];
    if (left == 0)
        return 0;
    return q->finished.per_s > 0.001 ? (double)left / q->finished.per_s : -1;
}
