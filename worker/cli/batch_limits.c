// batch_limits: the ledgers of the pools that a run's jobs go to: the time left, and what holds it
// up. Workers tell which pools they have met; the account without a name is taken to be there.
#include "common/base/clock.h"
#include "worker/cli/batch.h"
#include "worker/cli/find.h"
#include "worker/cli/plain.h"

#include <stdlib.h>
#include <string.h>

enum { NAMES_EVERY_TICKS = 10, OLD_TROUBLE_MS = 3000, BROKEN_LOOKS = 6 };

struct asked {
    struct batch *of;
    size_t pool;
    enum { ASKED_POOL, ASKED_WORKERS, ASKED_WORKER } what;
};

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
static void ask(struct asked what, const char *const *words);

// take_worker reads which pools a worker has met, and whether it serves our queue ("a:2,b:1").
static void take_worker(struct batch *b, const struct reply *reply)
{
    struct span list, word;
    if (reply_str(reply_at(reply, 0), &list))
        while (names_next(&list, &word))
            forecast_name(&b->forecast, b->cli->conf.provider, word);
    if (!reply_str(reply_at(reply, 1), &list))
        return;
    while (names_next(&list, &word)) {
        const char *colon = memchr(word.at, ':', word.len);
        if (colon)
            word.len = (size_t)(colon - word.at);
        b->served |= span_is(word, b->cli->queue);
    }
}

// tell_unserved says once that nobody will work on what is pushed.
static void tell_unserved(struct batch *b)
{
    if (!b->served && b->ticks > NAMES_EVERY_TICKS && !b->told_unserved && !b->own) {
        show_note(b,
                  "no worker serves the queue %s here: its jobs wait. Start one: penstock-worker "
                  "--queues %s",
                  b->cli->queue, b->cli->queue);
        b->told_unserved = true;
    }
    b->served = false;
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
        ask((struct asked){.of = b, .what = ASKED_WORKER}, WORDS("HMGET", key, "pools", "queues"));
    }
}

// advice says what to do about a shut pool.
static const char *advice(const char *cause)
{
    static const struct {
        const char *cause, *text;
    } all[] = {
        {"auth", "give the workers the right key (SIGHUP has them read it again)"},
        {"permission", "the key may not do this: choose another model or another key"},
        {"spend",
         "raise the limit or the balance at the provider; workers try again by themselves"},
        {"billing", "settle it with the provider; workers try again by themselves"},
        {"budget", "penstock resume --pool lifts it until tomorrow"},
        {"paused", "penstock resume --pool opens it"},
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (strcmp(all[i].cause, cause) == 0)
            return all[i].text;
    return "penstock check looks why";
}

// trouble names what keeps a pool from starting calls, other than its quota; "" = nothing does.
static const char *trouble(const struct batch *b, const struct quota *q)
{
    bool shut = !quota_is_open(q, b->forecast.read_at_ms);
    if (shut && q->cause[0] && strcmp(q->cause, "quota") != 0)
        return q->cause;
    return strcmp(q->breaker, "open") == 0 ? "breaker" : "";
}

const char *limits_trouble(const struct batch *b)
{
    const struct forecast *f = &b->forecast;
    for (size_t m = 0; m < f->model_count; m++) {
        const char *word = "";
        bool free = false;
        for (size_t i = 0; i < f->pool_count; i++)
            if (f->pools[i].model == m && f->pools[i].quota.known) {
                const char *one = trouble(b, &f->pools[i].quota);
                word = one[0] ? one : word;
                free |= !one[0];
            }
        if (!free && word[0])
            return strcmp(word, "breaker") == 0 ? "calls break" : word;
    }
    return NULL;
}

// tell_broken says it once in a run, and not of what is over soon.
static void tell_broken(struct batch *b, struct forecast_pool *p, bool broken)
{
    if (p->broken < 0)
        return;
    p->broken = broken ? p->broken + 1 : 0;
    if (p->broken < BROKEN_LOOKS)
        return;
    p->broken = -1;
    show_note(b,
              "calls of %s break: the API does not answer, or fails; they are tried again. "
              "penstock check looks why",
              p->name);
}

// tell_trouble says once what keeps a pool shut: else a run would stand still without a word. What
// was so before we began is given a moment to be over.
static void tell_trouble(struct batch *b, struct forecast_pool *p)
{
    const char *word = trouble(b, &p->quota);
    bool broken = strcmp(word, "breaker") == 0, fresh = p->quota.since >= b->began_ms;
    tell_broken(b, p, broken);
    if (broken || (!fresh && b->forecast.read_at_ms - b->began_ms < OLD_TROUBLE_MS))
        return;
    bool told = strcmp(p->told, word) == 0;
    snprintf(p->told, sizeof p->told, "%s", word);
    plain_clean(p->quota.why);
    if (b->own && fresh && strcmp(word, "auth") == 0 && limits_trouble(b))
        batch_fail(b, EXIT_USAGE,
                   "the API refuses the key (%s); set the right ANTHROPIC_API_KEY and run the same "
                   "command again",
                   p->quota.why);
    else if (!told && word[0])
        show_note(b, "no call is started of %s: %s%s%s%s; %s", p->name, word,
                  p->quota.why[0] ? " (" : "", p->quota.why, p->quota.why[0] ? ")" : "",
                  advice(word));
}

void limits_job(struct batch *b, const struct composed *c)
{
    struct span group = conf_group(&b->cli->conf, c->model);
    size_t before = b->forecast.model_count;
    forecast_job(&b->forecast, group.len ? group : c->model, c->tokens_in, c->tokens_out);
    if (b->forecast.model_count > before)
        forecast_main(&b->forecast, b->cli->conf.provider);
}

static void on_answer(int err, const struct reply *reply, void *arg)
{
    struct asked a = *(struct asked *)arg;
    free(arg);
    if (err && a.what != ASKED_POOL)
        a.of->served =
            true;          // nothing is known of workers: this user may not look, or the link broke
    if (err || a.of->code) // or it has come to its end
        return;
    if (a.what == ASKED_POOL) {
        quota_read(&a.of->forecast.pools[a.pool].quota, reply);
        tell_trouble(a.of, &a.of->forecast.pools[a.pool]);
    } else if (a.what == ASKED_WORKERS) {
        take_workers(a.of, reply);
    } else {
        take_worker(a.of, reply);
    }
}

static void ask(struct asked what, const char *const *words)
{
    enum { WORDS_MAX = 8 };
    const char *argv[WORDS_MAX];
    size_t lens[WORDS_MAX];
    int argc = 0;
    struct asked *a = malloc(sizeof *a);
    if (!a)
        return;
    *a = what;
    for (; words[argc] && argc < WORDS_MAX; argc++) {
        argv[argc] = words[argc];
        lens[argc] = strlen(words[argc]);
    }
    if (rlink_call(sync_link(what.of->redis), argc, argv, lens, 0, on_answer, a))
        free(a);
}

void limits_look(struct batch *b)
{
    char key[CLI_KEY_MAX];
    if (b->forecast.model_count == 0)
        return;
    b->forecast.read_at_ms = b->began_ms + (int64_t)(clock_mono_ms() - b->started_ms);
    if (b->ticks++ % NAMES_EVERY_TICKS == 0) {
        tell_unserved(b);
        key_workers(b->cli->conf.prefix, key, sizeof key);
        ask((struct asked){.of = b, .what = ASKED_WORKERS}, WORDS("ZREVRANGE", key, "0", "99"));
    }
    for (size_t i = 0; i < b->forecast.pool_count; i++) {
        key_pool(b->cli->conf.prefix, b->forecast.pools[i].name, key, sizeof key);
        ask((struct asked){.of = b, .what = ASKED_POOL, .pool = i}, WORDS("HGETALL", key));
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
    for (size_t i = 0; !code && i < b->forecast.pool_count; i++) {
        key_pool(c->conf.prefix, b->forecast.pools[i].name, key, sizeof key);
        if (sync_words(c->redis, take_quota, &b->forecast.pools[i].quota, "HGETALL", key, NULL))
            code = cli_lost(c);
    }
    return code;
}
