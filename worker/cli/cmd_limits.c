// penstock limits: what the ledger of a pool knows, and a limit of one's own below the API's.
#include "common/base/err.h"
#include "worker/cli/find.h"
#include "worker/cli/out.h"
#include "worker/cli/quota.h"

#include <stdlib.h>
#include <string.h>

enum { LEDGER_KEPT_MS = 604800000 }; // as pool_lib.lua

struct shown {
    struct out *out;
    int64_t now_ms;
};

static void print_kind(struct out *o, const struct quota *q, enum quota_kind k)
{
    if (q->limit[k] <= 0 && q->override[k] <= 0)
        return;
    out_begin(o, quota_names[k]);
    if (q->limit[k] > 0) {
        out_number(o, "limit", q->limit[k]);
        out_number(o, "left", q->left[k]);
        out_number(o, "capacity", q->capacity[k]);
        out_number(o, "strangers", q->drain[k] * 60000);
    }
    if (q->override[k] > 0)
        out_number(o, "override", q->override[k]);
    out_number(o, "cost", q->cost[k]);
    out_end(o);
}

static void print_pool(int err, const struct reply *reply, void *arg)
{
    struct shown *s = arg;
    struct quota q;
    quota_read(&q, err ? NULL : reply);
    bool open = quota_is_open(&q, s->now_ms);
    out_bool(s->out, "open", open);
    if (!open) {
        out_str(s->out, "cause", q.cause);
        if (q.why[0])
            out_str(s->out, "why", q.why);
        out_int(s->out, "opens_in_ms", q.open_at - s->now_ms);
    }
    for (int k = 0; k < QUOTA_KINDS; k++)
        print_kind(s->out, &q, (enum quota_kind)k);
    if (q.limit[QUOTA_REQUESTS] <= 0 && q.pace > 0)
        out_number(s->out, "pace_per_min", q.pace * 60000);
    out_number(s->out, "answered", q.accepted);
    out_number(s->out, "throttled", q.refused);
}

static int list_all(struct cli *c)
{
    struct names pools = {0};
    struct out o = {.json = c->json};
    struct shown s = {.out = &o};
    char key[CLI_KEY_MAX];
    int code = cli_now(c, &s.now_ms), unknown = 0;
    for (int i = 0; i < c->argc; i++)
        names_add(&pools, span_of(c->argv[i]));
    if (!code && c->argc == 0)
        code = find_pools(c, &pools);
    names_sort(&pools);
    out_begin(&o, NULL);
    for (size_t i = 0; !code && i < pools.count; i++) {
        key_pool(c->conf.prefix, pools.at[i], key, sizeof key);
        if (c->argc && sync_int(c->redis, "EXISTS", key, 1) == 0) {
            unknown =
                cli_fail(c, EXIT_SOME_FAILED, "%s: no worker has used this pool", pools.at[i]);
            continue;
        }
        out_begin(&o, pools.at[i]);
        if (sync_words(c->redis, print_pool, &s, "HGETALL", key, NULL))
            code = cli_lost(c);
        out_end(&o);
    }
    out_end(&o);
    if (!code && pools.count == 0)
        fprintf(stderr, "penstock limits: no pool yet; the first call of a worker makes one\n");
    names_fini(&pools);
    return code ? code : unknown;
}

static int kind_of(const char *word, size_t len)
{
    for (int k = 0; k < QUOTA_KINDS; k++)
        if (strlen(quota_names[k]) == len && strncmp(quota_names[k], word, len) == 0)
            return k;
    return -1;
}

// set_one writes "requests=600". The whole line has been checked before the first is written.
static int set_one(struct cli *c, const char *key, const char *word)
{
    char name[64];
    const char *equals = strchr(word, '=');
    snprintf(name, sizeof name, "%.*s_override", (int)(equals - word), word);
    if (sync_words(c->redis, NULL, NULL, "HSET", key, name, equals + 1, NULL))
        return cli_lost(c);
    return 0;
}

static int check_set(struct cli *c, int argc, char **words)
{
    if (argc == 0)
        return cli_fail(c, EXIT_USAGE,
                        "set what? requests=N, input=N or output=N, each a minute's limit");
    for (int i = 0; i < argc; i++) {
        const char *equals = strchr(words[i], '=');
        if (!equals || kind_of(words[i], (size_t)(equals - words[i])) < 0)
            return cli_fail(c, EXIT_USAGE, "%s: write requests=N, input=N or output=N", words[i]);
        size_t digits = strspn(equals + 1, "0123456789");
        if (digits == 0 || digits > 12 || equals[1 + digits] || strtoll(equals + 1, NULL, 10) < 1)
            return cli_fail(c, EXIT_USAGE,
                            "%s: a whole number of 1 or more a minute; to stop all calls, "
                            "penstock pause --pool",
                            words[i]);
    }
    return 0;
}

static int clear_one(struct cli *c, const char *key, enum quota_kind k)
{
    char name[64], next[64];
    snprintf(name, sizeof name, "%s_override", quota_names[k]);
    snprintf(next, sizeof next, "%s_override_next", quota_names[k]);
    return sync_words(c->redis, NULL, NULL, "HDEL", key, name, next, NULL) ? cli_lost(c) : 0;
}

static int change(struct cli *c, bool set)
{
    char key[CLI_KEY_MAX], ttl[24];
    if (c->argc == 0 || !cli_is_pool(c->argv[0]))
        return cli_fail(c, EXIT_USAGE, "which pool? penstock limits shows their names");
    int code = set ? check_set(c, c->argc - 1, c->argv + 1) : 0;
    for (int i = 1; !set && !code && i < c->argc; i++)
        if (kind_of(c->argv[i], strlen(c->argv[i])) < 0)
            code = cli_fail(c, EXIT_USAGE, "%s is none of requests, input, output", c->argv[i]);
    if (!code)
        code = cli_connect(c);
    if (code)
        return code;
    key_pool(c->conf.prefix, c->argv[0], key, sizeof key);
    bool there = sync_int(c->redis, "EXISTS", key, 1) == 1;
    if (set && !there)
        fprintf(stderr, "penstock limits: no worker has used this pool yet; is its name right?\n");
    for (int i = 1; set && !code && i < c->argc; i++)
        code = set_one(c, key, c->argv[i]);
    for (int k = 0; !set && !code && k < QUOTA_KINDS; k++) {
        bool meant = c->argc == 1;
        for (int i = 1; i < c->argc; i++)
            meant = meant || kind_of(c->argv[i], strlen(c->argv[i])) == k;
        if (meant)
            code = clear_one(c, key, (enum quota_kind)k);
    }
    snprintf(ttl, sizeof ttl, "%d", LEDGER_KEPT_MS);
    if (!code && set && !there && sync_words(c->redis, NULL, NULL, "PEXPIRE", key, ttl, NULL))
        code = cli_lost(c);
    c->argc = 1;
    return code ? code : list_all(c);
}

int cmd_limits(struct cli *c)
{
    const char *what = c->argc ? c->argv[0] : "list";
    bool set = strcmp(what, "set") == 0, clear = strcmp(what, "clear") == 0;
    if (set || clear || strcmp(what, "list") == 0) {
        c->argc -= c->argc > 0;
        memmove(c->argv, c->argv + 1, (size_t)c->argc * sizeof *c->argv);
    }
    if (set || clear)
        return change(c, set);
    for (int i = 0; i < c->argc; i++)
        if (!cli_is_pool(c->argv[i]))
            return cli_fail(c, EXIT_USAGE, "limits %s? list, set, clear, or a pool's name",
                            c->argv[i]);
    int code = cli_connect(c);
    return code ? code : list_all(c);
}
