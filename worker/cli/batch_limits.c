// batch_limits: the ledgers of the pools that a run's jobs go to, for the time it takes. Workers
// tell which pools they have met; the account without a name is taken to be there.
#include "common/base/clock.h"
#include "worker/cli/batch.h"
#include "worker/cli/find.h"

#include <stdlib.h>
#include <string.h>

enum { NAMES_EVERY_TICKS = 10, WORKERS_ASKED = 99 };

struct asked {
    struct batch *of;
    size_t pool;
    enum { ASKED_POOL, ASKED_WORKERS, ASKED_WORKER } what;
};

static void ask(struct asked what, const char *verb, const char *key, const char *more);

static void take_pools(struct batch *b, const struct reply *reply)
{
    struct span list, word;
    if (!reply_str(reply, &list))
        return;
    while (names_next(&list, &word))
        forecast_name(&b->forecast, b->cli->conf.provider, word);
}

static void take_workers(struct batch *b, const struct reply *reply)
{
    char key[CLI_KEY_MAX];
    struct span id;
    for (size_t i = 0; i < reply_count(reply); i++) {
        char name[FIND_NAME_MAX];
        if (!reply_str(reply_at(reply, i), &id) || id.len >= sizeof name)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)id.len, id.at);
        key_worker(b->cli->conf.prefix, name, key, sizeof key);
        ask((struct asked){.of = b, .what = ASKED_WORKER}, "HGET", key, "pools");
    }
}

static void on_answer(int err, const struct reply *reply, void *arg)
{
    struct asked a = *(struct asked *)arg;
    free(arg);
    if (err || a.of->code) // or it has come to its end
        return;
    if (a.what == ASKED_POOL)
        quota_read(&a.of->forecast.pools[a.pool].quota, reply);
    else if (a.what == ASKED_WORKERS)
        take_workers(a.of, reply);
    else
        take_pools(a.of, reply);
}

static void ask(struct asked what, const char *verb, const char *key, const char *more)
{
    char most[24];
    const char *argv[] = {verb, key, more, most};
    struct asked *a = malloc(sizeof *a);
    if (!a)
        return;
    *a = what;
    snprintf(most, sizeof most, "%d", WORKERS_ASKED);
    size_t lens[] = {strlen(verb), strlen(key), more ? strlen(more) : 0, strlen(most)};
    int argc = what.what == ASKED_WORKERS ? 4 : more ? 3 : 2;
    if (rlink_call(sync_link(what.of->redis), argc, argv, lens, 0, on_answer, a))
        free(a);
}

void limits_look(struct batch *b)
{
    char key[CLI_KEY_MAX];
    if (b->forecast.more || b->forecast.model_count == 0)
        return;
    b->forecast.read_at_ms = b->began_ms + (int64_t)(clock_mono_ms() - b->started_ms);
    if (b->ticks++ % NAMES_EVERY_TICKS == 0) {
        key_workers(b->cli->conf.prefix, key, sizeof key);
        ask((struct asked){.of = b, .what = ASKED_WORKERS}, "ZREVRANGE", key, "0");
    }
    for (size_t i = 0; i < b->forecast.pool_count; i++) {
        key_pool(b->cli->conf.prefix, b->forecast.pools[i].name, key, sizeof key);
        ask((struct asked){.of = b, .what = ASKED_POOL, .pool = i}, "HGETALL", key, NULL);
    }
}

static void take_quota(int err, const struct reply *reply, void *arg)
{
    if (err == 0)
        quota_read(arg, reply);
}

int limits_read(struct batch *b)
{
    struct cli *c = b->cli;
    struct names pools = {0};
    char key[CLI_KEY_MAX];
    int code = cli_now(c, &b->forecast.read_at_ms);
    if (!code)
        code = find_pools(c, &pools);
    for (size_t i = 0; !code && i < pools.count; i++)
        forecast_name(&b->forecast, c->conf.provider, span_of(pools.at[i]));
    names_fini(&pools);
    forecast_main(&b->forecast, c->conf.provider);
    for (size_t i = 0; !code && i < b->forecast.pool_count; i++) {
        key_pool(c->conf.prefix, b->forecast.pools[i].name, key, sizeof key);
        if (sync_words(c->redis, take_quota, &b->forecast.pools[i].quota, "HGETALL", key, NULL))
            code = cli_lost(c);
    }
    return code;
}
