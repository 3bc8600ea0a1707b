// penstock dead: list, show, retry, drop. What is retried or dropped goes through the same scripts
// as anyone's: at most 100 ids a call, and a bound on the bytes.
#include "common/base/err.h"
#include "common/job/job.h"
#include "worker/cli/cli.h"
#include "worker/cli/out.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DEAD_PAGE = 100, CAUSES_MAX = 32 };

struct dead_page {
    char ids[DEAD_PAGE][ID_BYTES_MAX + 1];
    size_t count;
};

struct dead {
    struct cli *cli;
    const char *cause, *run;
    int64_t until_ms; // dead since then at the latest
    struct dead_page page, chosen;
    struct {
        char name[64];
        size_t count;
    } causes[CAUSES_MAX]; // of `list --dry-run`
    size_t cause_count;
    enum script script; // SCRIPT_COUNT = only count
    size_t moved, left; // by the script; ids that it did not find dead
    struct out out;
};

static void page_add(struct dead_page *p, struct span id)
{
    if (p->count == DEAD_PAGE || id.len == 0 || id.len > ID_BYTES_MAX)
        return;
    memcpy(p->ids[p->count], id.at, id.len);
    p->ids[p->count++][id.len] = '\0';
}

static void take_page(int err, const struct reply *reply, void *arg)
{
    struct span id;
    for (size_t i = 0; err == 0 && i < reply_count(reply); i++)
        if (reply_str(reply_at(reply, i), &id))
            page_add(arg, id);
}

static int read_page(struct dead *d, size_t from)
{
    char key[CLI_KEY_MAX], most[24], at[24], many[24];
    cli_key(d->cli, "dead", key);
    snprintf(most, sizeof most, "%lld", (long long)d->until_ms);
    snprintf(at, sizeof at, "%zu", from);
    snprintf(many, sizeof many, "%d", DEAD_PAGE);
    d->page.count = 0;
    int err = sync_words(d->cli->redis, take_page, &d->page, "ZRANGEBYSCORE", key, "-inf", most,
                         "LIMIT", at, many, NULL);
    return err ? cli_lost(d->cli) : 0;
}

static void job_key(struct dead *d, const char *id, char ret[CLI_KEY_MAX])
{
    cli_id_key(d->cli, "job", id, ret);
}

static bool is_of_run(struct dead *d, const char *key)
{
    struct job job;
    struct job_fault fault;
    struct strbuf payload;
    bool yes = false;
    strbuf_init(&payload, 64u << 20);
    if (sync_field(d->cli->redis, &payload, key, "payload"))
        yes = job_parse(payload.at, payload.len, payload.len, &job, &fault)
                  ? span_is(fault.run, d->run)
                  : span_is(job.run, d->run);
    strbuf_fini(&payload);
    return yes;
}

static bool matches(struct dead *d, const char *id)
{
    char key[CLI_KEY_MAX];
    struct strbuf cause;
    bool yes = true;
    job_key(d, id, key);
    strbuf_init(&cause, 4096);
    if (d->cause)
        yes = sync_field(d->cli->redis, &cause, key, "cause") &&
              span_is(strbuf_span(&cause), d->cause);
    strbuf_fini(&cause);
    return yes && (!d->run || is_of_run(d, key));
}

static void print_one(int err, const struct reply *reply, void *arg)
{
    struct dead *d = arg;
    static const char *const names[] = {"cause", "died", "attempts", "last_status", "last_error"};
    struct span value, error = {"", 0}, cause = {"?", 1};
    if (err)
        return;
    if (d->cli->json) {
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
            if (reply_str(reply_at(reply, i), &value))
                out_field(&d->out, span_of(names[i]), value);
        return;
    }
    reply_str(reply_at(reply, 0), &cause);
    reply_str(reply_at(reply, 4), &error);
    time_t died = (time_t)(reply_int_or(reply_at(reply, 1), 0) / 1000);
    struct tm tm;
    char when[32] = "";
    if (localtime_r(&died, &tm))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
    printf("  %s  %-15.*s  %.*s\n", when, (int)cause.len, cause.at, (int)MIN(error.len, 100u),
           error.at);
}

static int list_one(struct dead *d, const char *id)
{
    char key[CLI_KEY_MAX];
    job_key(d, id, key);
    if (d->cli->json)
        out_begin(&d->out, id);
    else
        printf("%-26s", id);
    int err = sync_words(d->cli->redis, print_one, d, "HMGET", key, "cause", "died", "attempts",
                         "last_status", "last_error", NULL);
    if (d->cli->json)
        out_end(&d->out);
    return err ? cli_lost(d->cli) : 0;
}

// count_causes adds those of the page that match, each to its cause.
static void count_causes(struct dead *d)
{
    char key[CLI_KEY_MAX];
    struct strbuf cause;
    strbuf_init(&cause, 4096);
    for (size_t i = 0; i < d->page.count; i++) {
        if (!matches(d, d->page.ids[i]))
            continue;
        job_key(d, d->page.ids[i], key);
        struct span word =
            sync_field(d->cli->redis, &cause, key, "cause") ? strbuf_span(&cause) : span_of("?");
        size_t at = 0;
        while (at < d->cause_count && !span_is(word, d->causes[at].name))
            at++;
        if (at == CAUSES_MAX) // the last place is for all the others
            at--;
        else if (at == d->cause_count)
            snprintf(d->causes[d->cause_count++].name, sizeof d->causes[0].name, "%.*s",
                     (int)word.len, word.at);
        d->causes[at].count++;
        d->moved++;
    }
    strbuf_fini(&cause);
}

// dead_count is `dead list --dry-run`: how many there are, in all and of each cause.
static int dead_count(struct dead *d)
{
    int code;
    size_t at = 0;
    do {
        code = read_page(d, at);
        if (!code)
            count_causes(d);
        at += DEAD_PAGE;
    } while (!code && d->page.count == DEAD_PAGE);
    if (code)
        return code;
    out_begin(&d->out, NULL);
    out_int(&d->out, "matching", (int64_t)d->moved);
    out_begin(&d->out, "causes");
    for (size_t i = 0; i < d->cause_count; i++)
        out_int(&d->out, d->causes[i].name, (int64_t)d->causes[i].count);
    out_end(&d->out);
    out_end(&d->out);
    return 0;
}

static int dead_list(struct dead *d)
{
    const char *text = cli_option(d->cli, "limit");
    if (d->cli->argc)
        return cli_fail(d->cli, EXIT_USAGE, "list takes no id; penstock dead show %s",
                        d->cli->argv[0]);
    if (cli_option(d->cli, "dry-run"))
        return dead_count(d);
    int64_t given = text ? cli_count(text) : DEAD_PAGE;
    if (given < 0)
        return cli_fail(d->cli, EXIT_USAGE, "--limit %s: write a number of jobs, 1 or more", text);
    size_t most = (size_t)given, shown = 0, at = 0;
    int code = 0;
    out_begin(&d->out, NULL);
    do {
        code = read_page(d, at);
        for (size_t i = 0; !code && i < d->page.count && shown < most; i++) {
            if (!matches(d, d->page.ids[i]))
                continue;
            code = list_one(d, d->page.ids[i]);
            shown++;
        }
        at += DEAD_PAGE;
    } while (!code && d->page.count == DEAD_PAGE && shown < most);
    if (d->cli->json || shown == 0)
        out_end(&d->out);
    if (!d->cli->json && shown == 0 && !code)
        puts("none");
    return code;
}

static void print_all(int err, const struct reply *reply, void *arg)
{
    struct dead *d = arg;
    d->moved = err ? 0 : reply_count(reply);
    if (d->moved == 0)
        return;
    out_begin(&d->out, NULL);
    out_str(&d->out, "id", d->cli->argv[0]);
    out_hash(&d->out, reply);
    out_end(&d->out);
}

static int dead_show(struct dead *d)
{
    char key[CLI_KEY_MAX];
    if (d->cli->argc != 1)
        return cli_fail(d->cli, EXIT_USAGE, "which one? penstock dead show ID");
    job_key(d, d->cli->argv[0], key);
    if (sync_words(d->cli->redis, print_all, d, "HGETALL", key, NULL))
        return cli_lost(d->cli);
    return d->moved
               ? 0
               : cli_fail(d->cli, EXIT_SOME_FAILED,
                          "%s is not there; penstock dead list shows which are", d->cli->argv[0]);
}

// take_moved keeps in `chosen` what the script wants to see again.
static void take_moved(int err, const struct reply *reply, void *arg)
{
    struct dead *d = arg;
    size_t again = 0;
    for (size_t i = 0; err == 0 && i < d->chosen.count; i++) {
        int64_t word = reply_int_or(reply_at(reply, i + 1), 0);
        d->moved += word == 1;
        d->left += word == 0;
        if (word == 2)
            memmove(d->chosen.ids[again++], d->chosen.ids[i], sizeof d->chosen.ids[0]);
    }
    d->chosen.count = again;
}

static void take_score(int err, const struct reply *reply, void *arg)
{
    struct dead *d = arg;
    struct span score;
    bool dead = err == 0 && reply_str(reply, &score);
    d->moved += dead;
    d->left += !dead;
}

// count_chosen is what --dry-run does in the script's place.
static int count_chosen(struct dead *d)
{
    char key[CLI_KEY_MAX];
    cli_key(d->cli, "dead", key);
    for (size_t i = 0; i < d->chosen.count; i++)
        if (sync_words(d->cli->redis, take_score, d, "ZSCORE", key, d->chosen.ids[i], NULL))
            return cli_lost(d->cli);
    d->chosen.count = 0;
    return 0;
}

static int move_chosen(struct dead *d)
{
    static struct args args;
    char stem[CLI_KEY_MAX];
    cli_key(d->cli, "", stem);
    if (d->script == SCRIPT_COUNT)
        return count_chosen(d);
    while (d->chosen.count) {
        args_clear(&args);
        for (size_t i = 0; i < d->chosen.count; i++)
            args_add_str(&args, d->chosen.ids[i]);
        if (sync_script(d->cli->redis, d->script, stem, &args, take_moved, d))
            return cli_lost(d->cli);
    }
    return 0;
}

// move_matching goes through those that were dead when it began. What it moves is no longer in the
// set, so the next page begins that much earlier.
static int move_matching(struct dead *d)
{
    size_t at = 0;
    int code;
    do {
        size_t before = d->moved;
        code = read_page(d, at);
        for (size_t i = 0; !code && i < d->page.count; i++)
            if (matches(d, d->page.ids[i]))
                page_add(&d->chosen, span_of(d->page.ids[i]));
        if (!code)
            code = move_chosen(d);
        at += d->page.count - (d->script == SCRIPT_COUNT ? 0 : d->moved - before);
    } while (!code && d->page.count == DEAD_PAGE);
    return code;
}

static int move_named(struct dead *d)
{
    int code = 0;
    for (int i = 0; !code && i < d->cli->argc; i++) {
        if (!id_is_valid(d->cli->argv[i], strlen(d->cli->argv[i])))
            return cli_fail(d->cli, EXIT_USAGE, "%s is no job's id", d->cli->argv[i]);
        page_add(&d->chosen, span_of(d->cli->argv[i]));
        if (d->chosen.count == DEAD_PAGE)
            code = move_chosen(d);
    }
    return code ? code : move_chosen(d);
}

static int dead_move(struct dead *d, enum script script, const char *did)
{
    struct cli *c = d->cli;
    bool filtered = d->cause || d->run || cli_option(c, "older") || cli_option(c, "all");
    bool dry = cli_option(c, "dry-run") != NULL;
    if (!c->argc == !filtered)
        return cli_fail(c, EXIT_USAGE, "name ids, or say which: --cause, --run, --older or --all");
    d->script = dry ? SCRIPT_COUNT : script;
    int code = c->argc ? move_named(d) : move_matching(d);
    if (code)
        return code;
    if (c->json)
        printf("{\"%s\":%zu,\"not_dead\":%zu,\"dry_run\":%s}\n", did, d->moved, d->left,
               dry ? "true" : "false");
    else
        printf("%s%zu %s%s\n", dry ? "would have " : "", d->moved, did,
               d->left ? "; some were not dead" : "");
    return d->left ? EXIT_SOME_FAILED : 0;
}

static int prepare(struct dead *d)
{
    const char *older = cli_option(d->cli, "older");
    int64_t age_ms = older ? cli_ms(older) : 0;
    if (age_ms < 0)
        return cli_fail(d->cli, EXIT_USAGE, "--older %s is no time; write 30m, 2h or 1d", older);
    int code = cli_connect(d->cli);
    if (!code)
        code = cli_now(d->cli, &d->until_ms);
    d->until_ms -= age_ms;
    return code;
}

int cmd_dead(struct cli *c)
{
    const char *what = c->argc ? c->argv[0] : "list";
    struct dead *d = calloc(1, sizeof *d);
    if (!d)
        return cli_fail(c, EXIT_USAGE, "out of memory");
    *d = (struct dead){.cli = c,
                       .cause = cli_option(c, "cause"),
                       .run = cli_option(c, "run"),
                       .out = {.json = c->json}};
    if (c->argc) {
        c->argc--;
        memmove(c->argv, c->argv + 1, (size_t)c->argc * sizeof *c->argv);
    }
    int code = prepare(d);
    if (code)
        ;
    else if (strcmp(what, "list") == 0)
        code = dead_list(d);
    else if (strcmp(what, "show") == 0)
        code = dead_show(d);
    else if (strcmp(what, "retry") == 0)
        code = dead_move(d, SCRIPT_DEAD_RETRY, "retried");
    else if (strcmp(what, "drop") == 0)
        code = dead_move(d, SCRIPT_DEAD_DROP, "dropped");
    else
        code = cli_fail(c, EXIT_USAGE, "dead %s? list, show, retry or drop", what);
    free(d);
    return code;
}
