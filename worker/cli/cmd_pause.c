// penstock pause, resume: a queue (a key that workers look at), a pool (its gate), or a run (its
// name in the set `held`; common/queue/lua/hold.lua).
#include "common/base/err.h"
#include "worker/cli/cli.h"

#include <string.h>

bool cli_is_pool(const char *name)
{
    size_t len = strlen(name);
    const char *colon = strchr(name, ':');
    return len > 0 && len <= 220 && colon && strchr(colon + 1, ':') && // provider:account:class
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                        "0123456789._:/@-") == len;
}

static const char *reason(struct cli *c)
{
    return c->argc ? c->argv[0] : "paused by an operator";
}

static void print_done(struct cli *c, const char *what, const char *kind, const char *name)
{
    if (c->json)
        printf("{\"%s\":\"%s\",\"state\":\"%s\"}\n", kind, name, what);
    else
        printf("%s %s is %s\n", kind, name, what);
}

static int check_words(struct cli *c, int most)
{
    const char *pool = cli_option(c, "pool"), *run = cli_option(c, "run");
    if (pool && run)
        return cli_fail(c, EXIT_USAGE, "one at a time: --pool or --run");
    if (run && !name_is_valid(run, strlen(run)))
        return cli_fail(c, EXIT_USAGE, "%s is no run's name; penstock runs shows them", run);
    if (run && c->argc)
        return cli_fail(c, EXIT_USAGE, "a run is paused without a reason");
    if (pool && !cli_is_pool(pool))
        return cli_fail(c, EXIT_USAGE, "%s is no pool's name; penstock stats shows them", pool);
    if (c->argc > most)
        return cli_fail(c, EXIT_USAGE, "too many words; a reason of several goes in quotes");
    return cli_connect(c);
}

// warn_unknown: a name that nothing has used yet is taken all the same, but may be a mistake.
static void warn_unknown(struct cli *c, const char *kind, const char *key, const char *verb)
{
    if (sync_int(c->redis, "EXISTS", key, 1) == 0)
        fprintf(stderr,
                "penstock %s: nothing has used this %s yet; is its name right? penstock %s\n",
                c->verb->name, kind, verb);
}

void cli_warn_unknown_run(struct cli *c, const char *run)
{
    char key[CLI_KEY_MAX];
    cli_id_key(c, "run", run, key);
    warn_unknown(c, "run", key, "runs shows them");
}

static int pause_pool(struct cli *c, const char *pool)
{
    static struct args args;
    char key[CLI_KEY_MAX];
    key_pool(c->conf.prefix, pool, key, sizeof key);
    warn_unknown(c, "pool", key, "stats shows them");
    args_add_str(&args, "paused");
    args_add_int(&args, -1);
    args_add_int(&args, 0);
    args_add_str(&args, reason(c));
    if (sync_script(c->redis, SCRIPT_POOL_SHUT, key, &args, NULL, NULL))
        return cli_lost(c);
    print_done(c, "paused", "pool", pool);
    return 0;
}

static int pause_run(struct cli *c, const char *run)
{
    char key[CLI_KEY_MAX];
    cli_key(c, "held", key);
    cli_warn_unknown_run(c, run);
    if (sync_words(c->redis, NULL, NULL, "SADD", key, run, NULL))
        return cli_lost(c);
    int code = cli_hold_delayed(c, run);
    if (!code)
        print_done(c, "paused", "run", run);
    return code;
}

int cmd_pause(struct cli *c)
{
    char key[CLI_KEY_MAX];
    int code = check_words(c, 1);
    if (code)
        return code;
    if (cli_option(c, "run"))
        return pause_run(c, cli_option(c, "run"));
    if (cli_option(c, "pool"))
        return pause_pool(c, cli_option(c, "pool"));
    cli_key(c, "paused", key);
    if (sync_words(c->redis, NULL, NULL, "SET", key, reason(c), NULL))
        return cli_lost(c);
    print_done(c, "paused", "queue", c->queue);
    return 0;
}

static int resume_pool(struct cli *c, const char *pool)
{
    static struct args args;
    char key[CLI_KEY_MAX];
    key_pool(c->conf.prefix, pool, key, sizeof key);
    warn_unknown(c, "pool", key, "stats shows them");
    args_add_int(&args, 0);
    args_add_int(&args, 0);
    if (sync_script(c->redis, SCRIPT_POOL_OPEN, key, &args, NULL, NULL))
        return cli_lost(c);
    print_done(c, "open", "pool", pool);
    return 0;
}

struct released {
    int64_t jobs, left;
};

static void take_released(int err, const struct reply *reply, void *arg)
{
    struct released *r = arg;
    r->jobs += err ? 0 : reply_int_or(reply_at(reply, 1), 0);
    r->left = err ? 0 : reply_int_or(reply_at(reply, 2), 0);
}

int cli_release(struct cli *c, const char *run, size_t *ret_jobs)
{
    static struct args args;
    struct released r = {0};
    char stem[CLI_KEY_MAX];
    cli_key(c, "", stem);
    args_clear(&args);
    args_add_str(&args, run);
    do {
        if (sync_script(c->redis, SCRIPT_RELEASE, stem, &args, take_released, &r))
            return cli_lost(c);
    } while (r.left > 0);
    if (ret_jobs)
        *ret_jobs = (size_t)r.jobs;
    return 0;
}

static int resume_run(struct cli *c, const char *run)
{
    cli_warn_unknown_run(c, run);
    int code = cli_release(c, run, NULL);
    if (!code)
        print_done(c, "open", "run", run);
    return code;
}

int cmd_resume(struct cli *c)
{
    char key[CLI_KEY_MAX];
    int code = check_words(c, 0);
    if (code)
        return code;
    if (cli_option(c, "run"))
        return resume_run(c, cli_option(c, "run"));
    if (cli_option(c, "pool"))
        return resume_pool(c, cli_option(c, "pool"));
    cli_key(c, "paused", key);
    if (sync_words(c->redis, NULL, NULL, "DEL", key, NULL))
        return cli_lost(c);
    print_done(c, "open", "queue", c->queue);
    return 0;
}
