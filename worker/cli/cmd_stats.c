// penstock stats, workers, runs: how things stand, once.
#include "worker/cli/find.h"
#include "worker/cli/forecast.h"
#include "worker/cli/out.h"

#include <string.h>

struct shown {
    struct out *out;
    int64_t now_ms;
    struct forecast *backlog; // the jobs of all queues, and the pools that they share
};

static void take_now(int err, const struct reply *reply, void *arg)
{
    int64_t *ret = arg;
    if (err == 0)
        *ret =
            reply_int_or(reply_at(reply, 0), 0) * 1000 + reply_int_or(reply_at(reply, 1), 0) / 1000;
}

int cli_now(struct cli *c, int64_t *ret_ms)
{
    if (sync_words(c->redis, take_now, ret_ms, "TIME", NULL))
        return cli_lost(c);
    return 0;
}

static void print_hash(int err, const struct reply *reply, void *arg)
{
    if (err == 0)
        out_hash(arg, reply);
}

static int hash_of(struct cli *c, struct out *o, const char *key)
{
    int err = sync_words(c->redis, print_hash, o, "HGETALL", key, NULL);
    return err ? cli_lost(c) : 0;
}

// print_depths says how many jobs are where. Returns how many have not ended.
static int64_t print_depths(struct cli *c, struct out *o, const char *queue)
{
    static const struct {
        const char *name, *verb, *key;
    } all[] = {{"waiting", "LLEN", "jobs"},
               {"delayed", "ZCARD", "delayed"},
               {"active", "ZCARD", "active"},
               {"dead", "ZCARD", "dead"}};
    char key[CLI_KEY_MAX];
    int64_t open = 0;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        key_queue(c->conf.prefix, queue, all[i].key, key, sizeof key);
        int64_t count = sync_int(c->redis, all[i].verb, key, 0);
        out_int(o, all[i].name, count);
        open += strcmp(all[i].key, "dead") == 0 ? 0 : count;
    }
    struct strbuf reason;
    strbuf_init(&reason, 1 << 20);
    key_queue(c->conf.prefix, queue, "paused", key, sizeof key);
    if (sync_text(c->redis, &reason, "GET", key))
        out_text(o, "paused", reason.len ? strbuf_span(&reason) : span_of("yes"));
    strbuf_fini(&reason);
    return open;
}

static int print_queues(struct cli *c, struct out *o, struct forecast *backlog)
{
    struct names queues = {0};
    char key[CLI_KEY_MAX];
    int code = find_queues(c, &queues);
    out_begin(o, "queues");
    for (size_t i = 0; !code && i < queues.count; i++) {
        out_begin(o, queues.at[i]);
        backlog->models[0].jobs += (uint64_t)MAX(print_depths(c, o, queues.at[i]), 0);
        out_begin(o, "counters");
        key_queue(c->conf.prefix, queues.at[i], "stats", key, sizeof key);
        code = hash_of(c, o, key);
        out_end(o);
        out_end(o);
    }
    out_end(o);
    names_fini(&queues);
    return code;
}

static void print_pool(int err, const struct reply *reply, void *arg)
{
    struct shown *s = arg;
    int64_t open_at = 0;
    for (size_t i = 0; err == 0 && i + 1 < reply_count(reply); i += 2) {
        struct span name;
        if (reply_str(reply_at(reply, i), &name) && span_is(name, "open_at"))
            open_at = reply_int_or(reply_at(reply, i + 1), 0);
    }
    out_bool(s->out, "open", open_at <= s->now_ms);
    if (open_at > s->now_ms)
        out_int(s->out, "opens_in_ms", open_at - s->now_ms);
    if (err == 0)
        out_hash(s->out, reply);
    if (err == 0 && s->backlog->pool_count < FORECAST_POOLS)
        quota_read(&s->backlog->pools[s->backlog->pool_count++].quota, reply);
}

// print_backlog tells how long what has not ended takes at the limits of the pools that are there,
// where a job takes what jobs have taken lately.
static void print_backlog(struct out *o, const struct forecast *backlog)
{
    enum quota_kind kind;
    uint64_t jobs = backlog->models[0].jobs;
    double seconds = jobs ? forecast_seconds(backlog, 1, &kind) : 0;
    out_begin(o, "backlog");
    out_int(o, "jobs", (int64_t)jobs);
    if (seconds >= 0)
        out_number(o, "seconds_left", seconds);
    if (seconds > 0)
        out_str(o, "bound_by", quota_names[kind]);
    out_end(o);
}

static int print_pools(struct cli *c, struct out *o, int64_t now_ms, struct forecast *backlog)
{
    struct names pools = {0};
    struct shown s = {o, now_ms, backlog};
    char key[CLI_KEY_MAX];
    int code = find_pools(c, &pools);
    names_sort(&pools);
    out_begin(o, "pools");
    for (size_t i = 0; !code && i < pools.count; i++) {
        key_pool(c->conf.prefix, pools.at[i], key, sizeof key);
        out_begin(o, pools.at[i]);
        if (sync_words(c->redis, print_pool, &s, "HGETALL", key, NULL))
            code = cli_lost(c);
        out_end(o);
    }
    out_end(o);
    names_fini(&pools);
    return code;
}

static int print_workers(struct cli *c, struct out *o)
{
    struct names workers = {0};
    char key[CLI_KEY_MAX];
    int code = find_workers(c, &workers);
    names_sort(&workers);
    out_begin(o, "workers");
    for (size_t i = 0; !code && i < workers.count; i++) {
        key_worker(c->conf.prefix, workers.at[i], key, sizeof key);
        int64_t there = sync_int(c->redis, "EXISTS", key, 0);
        out_begin(o, workers.at[i]);
        out_bool(o, "alive", there == 1);
        code = hash_of(c, o, key);
        out_end(o);
    }
    out_end(o);
    names_fini(&workers);
    return code;
}

static void take_int(int err, const struct reply *reply, void *arg)
{
    *(int64_t *)arg = err ? 0 : reply_int_or(reply, 0);
}

// print_paused says so of a run whose name is in `held`.
static void print_paused(struct cli *c, struct out *o, const char *queue, const char *run)
{
    char key[CLI_KEY_MAX];
    int64_t held = 0;
    key_queue(c->conf.prefix, queue, "held", key, sizeof key);
    if (sync_words(c->redis, take_int, &held, "SISMEMBER", key, run, NULL) == 0 && held == 1)
        out_bool(o, "paused", true);
}

// print_run prints a run's counters. *ret_there: some job has named it, or it is paused.
static int print_run(struct cli *c, struct out *o, const char *queue, const char *run,
                     bool *ret_there)
{
    char key[CLI_KEY_MAX], name[FIND_NAME_MAX + 8];
    snprintf(name, sizeof name, "run:%s", run);
    key_queue(c->conf.prefix, queue, name, key, sizeof key);
    o->some = false;
    print_paused(c, o, queue, run);
    int code = hash_of(c, o, key);
    *ret_there = o->some;
    return code;
}

static int print_all_runs(struct cli *c, struct out *o)
{
    struct names runs = {0};
    bool there;
    int code = find_runs(c, c->queue, &runs);
    names_sort(&runs);
    out_begin(o, "runs");
    for (size_t i = 0; !code && i < runs.count; i++) {
        out_begin(o, runs.at[i]);
        code = print_run(c, o, c->queue, runs.at[i], &there);
        out_end(o);
    }
    out_end(o);
    if (runs.cut)
        fprintf(stderr, "penstock %s: there are too many keys to walk; not all runs are shown\n",
                c->verb->name);
    names_fini(&runs);
    return code;
}

// print_latest_runs prints those that the workers tell of, as `stats` shows them.
static int print_latest_runs(struct cli *c, struct out *o)
{
    struct names queues = {0}, runs = {0}, shown = {0};
    int code = find_queues(c, &queues);
    if (!code)
        code = find_latest_runs(c, &queues, &runs);
    names_sort(&runs);
    out_begin(o, "runs");
    for (size_t i = 0; !code && i < runs.count; i++) {
        char queue[FIND_NAME_MAX];
        size_t len = strcspn(runs.at[i], "/");
        struct span of = {runs.at[i], len};
        if (!runs.at[i][len] || !names_have(&queues, of))
            continue;
        snprintf(queue, sizeof queue, "%.*s", (int)len, runs.at[i]);
        const char *name = runs.at[i] + len + 1;
        bool there;
        out_begin(o, names_have(&shown, span_of(name)) ? runs.at[i] : name); // of another queue too
        names_add(&shown, span_of(name));
        code = print_run(c, o, queue, name, &there);
        out_str(o, "queue", queue);
        out_end(o);
    }
    out_end(o);
    names_fini(&queues);
    names_fini(&runs);
    names_fini(&shown);
    return code;
}

int cmd_stats(struct cli *c)
{
    struct out o = {.json = c->json};
    int64_t now_ms = 0;
    int code = cli_connect(c);
    if (!code)
        code = cli_now(c, &now_ms);
    if (code)
        return code;
    struct forecast backlog = {.model_count = 1, .read_at_ms = now_ms};
    out_begin(&o, NULL);
    code = print_queues(c, &o, &backlog);
    if (!code)
        code = print_pools(c, &o, now_ms, &backlog);
    if (!code)
        print_backlog(&o, &backlog);
    if (!code)
        code = print_workers(c, &o);
    if (!code)
        code = print_latest_runs(c, &o);
    out_end(&o);
    return code;
}

int cmd_workers(struct cli *c)
{
    struct out o = {.json = c->json};
    int code = cli_connect(c);
    if (code)
        return code;
    out_begin(&o, NULL);
    code = print_workers(c, &o);
    out_end(&o);
    return code;
}

int cmd_runs(struct cli *c)
{
    struct out o = {.json = c->json};
    for (int i = 0; i < c->argc; i++)
        if (!name_is_valid(c->argv[i], strlen(c->argv[i])))
            return cli_fail(c, EXIT_USAGE, "%s is no run's name", c->argv[i]);
    int code = cli_connect(c), unknown = 0;
    if (code)
        return code;
    out_begin(&o, NULL);
    if (c->argc == 0)
        code = print_all_runs(c, &o);
    for (int i = 0; !code && i < c->argc; i++) {
        bool there = false;
        out_begin(&o, c->argv[i]);
        code = print_run(c, &o, c->queue, c->argv[i], &there);
        out_end(&o);
        if (!code && !there)
            unknown = cli_fail(c, EXIT_SOME_FAILED,
                               "no job of the queue %s has named the run %s; penstock runs shows "
                               "those that there are",
                               c->queue, c->argv[i]);
    }
    out_end(&o);
    return code ? code : unknown;
}
