// batch_watch: twice a second: what Redis says about the queue and the run, and what follows.
#include "common/base/clock.h"
#include "common/base/err.h"
#include "worker/cli/batch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    AHEAD_S = 10,       // how much work should lie ahead of the workers
    SWEEP_ENTRIES = 50, // a tick: results that the reply list may have lost
    QUIET_TICKS = 6,    // nothing in the queue for so long: what has no result is lost
    LOST_A_TICK = 200,
    PUSHES_MOST = 3,
};

#define RUN_FIELDS "throttles", "retries", "input_tokens", "output_tokens", "cost_usd"

struct look {
    struct batch *of;
    int what;        // 0-2: a depth; 3: paused; 4: the run
    int64_t counted; // cost of what had been collected when we asked
};

static void take_run(struct batch *b, const struct reply *reply)
{
    b->throttles = reply_int_or(reply_at(reply, 0), 0);
    b->retries = reply_int_or(reply_at(reply, 1), 0);
    b->tokens_in = reply_int_or(reply_at(reply, 2), 0);
    b->tokens_out = reply_int_or(reply_at(reply, 3), 0);
    b->spent = (int64_t)llround(reply_num_or(reply_at(reply, 4), 0) * 1e9);
}

static void on_look(int err, const struct reply *reply, void *arg)
{
    struct look l = *(struct look *)arg;
    struct batch *b = l.of;
    free(arg);
    if (l.what == 4)
        b->watching = false;
    if (err)
        return;
    if (l.what < 3) {
        b->depth[l.what] = reply_int_or(reply, 0);
    } else if (l.what == 3) {
        b->paused = reply_int_or(reply, 0) == 1;
    } else {
        take_run(b, reply);
        b->since_poll -= l.counted;
    }
}

static bool ask(struct batch *b, int what, const char *const *words)
{
    const char *argv[8];
    size_t lens[8];
    int argc = 0;
    struct look *l = malloc(sizeof *l);
    if (!l)
        return false;
    *l = (struct look){b, what, b->since_poll};
    for (; words[argc]; argc++) {
        argv[argc] = words[argc];
        lens[argc] = strlen(words[argc]);
    }
    if (rlink_call(sync_link(b->redis), argc, argv, lens, 0, on_look, l)) {
        free(l);
        return false;
    }
    return true;
}

static void look_around(struct batch *b)
{
    static const char *const verbs[] = {"LLEN", "ZCARD", "ZCARD", "EXISTS"};
    static const char *const names[] = {"jobs", "delayed", "active", "paused"};
    char key[CLI_KEY_MAX];
    if (b->watching)
        return;
    for (int i = 0; i < 4; i++) {
        cli_key(b->cli, names[i], key);
        const char *words[] = {verbs[i], key, NULL};
        if (!ask(b, i, words))
            return;
    }
    const char *words[] = {"HMGET", b->run_key, RUN_FIELDS, NULL};
    b->watching = ask(b, 4, words);
}

static void on_swept(int err, const struct reply *reply, void *arg)
{
    struct span text;
    if (err == 0 && reply_str(reply, &text))
        collect_result(arg, text);
}

// sweep looks at some of those without a result by their ids: the reply list may have expired, or
// someone else may have read it.
static void sweep(struct batch *b)
{
    char key[CLI_KEY_MAX];
    struct window *w = &b->window;
    uint32_t steps = 0;
    for (int asked = 0; asked < SWEEP_ENTRIES && steps < w->room; steps++) {
        struct entry *e = &w->entries[b->cursor++ % w->room];
        if (e->state != ENTRY_PUSHED)
            continue;
        cli_id_key(b->cli, "result", e->id, key);
        const char *argv[] = {"GET", key};
        size_t lens[] = {3, strlen(key)};
        if (rlink_call(sync_link(b->redis), 2, argv, lens, 0, on_swept, b))
            return;
        asked++;
    }
}

// find_lost pushes again what nobody has: the queue has been empty for a while. A payload under
// which workers die ends so, for its result has a name of its own.
static void find_lost(struct batch *b)
{
    bool empty = b->depth[0] + b->depth[1] + b->depth[2] == 0 && list_is_empty(&b->packs);
    b->quiet = empty && b->window.pushed && !b->hold ? b->quiet + 1 : 0;
    if (b->quiet < QUIET_TICKS)
        return;
    b->quiet = 0;
    for (uint32_t i = 0, done = 0; i < b->window.room && done < LOST_A_TICK; i++) {
        struct entry *e = &b->window.entries[i];
        if (e->state != ENTRY_PUSHED)
            continue;
        done++;
        if (e->pushes < PUSHES_MOST)
            feed_again(b, e);
        else
            collect_lost(b, e);
    }
}

// set_ahead lets so much wait in Redis as the workers do in ten seconds.
static void set_ahead(struct batch *b, double seconds)
{
    uint64_t ended = batch_ended(b) - b->ended_before;
    double rate = (double)ended / MAX(seconds, 0.001);
    b->ended_before = batch_ended(b);
    b->rate = b->rate > 0 ? b->rate * 0.9 + rate * 0.1 : rate;
    double want = MAX(rate, b->rate) * AHEAD_S;
    if (ended > b->ahead / 4)
        want = MAX(want, 2.0 * (double)b->ahead);
    b->ahead = (size_t)MIN(MAX(want, (double)b->ahead_min), (double)b->ahead_max);
}

void on_tick(uv_timer_t *t)
{
    struct batch *b = t->data;
    static uint64_t before_ms;
    uint64_t now_ms = clock_mono_ms();
    set_ahead(b, before_ms ? (double)(now_ms - before_ms) / 1e3 : 0.5);
    before_ms = now_ms;
    if (rlink_is_up(sync_link(b->redis))) {
        feed_resend(b);
        look_around(b);
        limits_look(b);
        sweep(b);
        find_lost(b);
        collect_more(b);
    }
    const char *trouble = b->own ? private_trouble(b->own) : NULL;
    if (trouble)
        batch_fail(b, EXIT_NO_REDIS, "%s", trouble);
    show_progress(b, false);
}

static void on_last(int err, const struct reply *reply, void *arg)
{
    struct batch *b = arg;
    if (err)
        return;
    take_run(b, reply);
    b->since_poll = 0;
}

void watch_last(struct batch *b)
{
    if (rlink_is_up(sync_link(b->redis)) &&
        sync_words(b->redis, on_last, b, "HMGET", b->run_key, RUN_FIELDS, NULL))
        return; // the last word goes by what was known before
}
