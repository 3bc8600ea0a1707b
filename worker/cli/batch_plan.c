// batch_plan: the first pass over the input. Nothing is pushed before all of it makes sense.
#include "common/base/err.h"
#include "worker/cli/batch.h"
#include "worker/cli/plain.h"

#include <string.h>
#include <unistd.h>

enum { FAULTS_SHOWN = 10, RECORD_SLACK = 4096 };

static void tell_fault(struct batch *b, const char *why)
{
    b->plan.faulty++;
    if (b->plan.faulty <= FAULTS_SHOWN)
        fprintf(stderr, "%s:%llu: %s\n", b->input, (unsigned long long)b->reader.number, why);
    else if (b->plan.faulty == FAULTS_SHOWN + 1)
        fprintf(stderr, "... and more like these\n");
}

static void count(struct batch *b, const struct composed *c)
{
    struct plan *p = &b->plan;
    p->tokens_in += c->tokens_in;
    p->tokens_out += c->tokens_out;
    if (c->nano_usd < 0)
        p->unpriced++;
    else
        p->nano_usd += c->nano_usd;
    limits_job(b, c);
}

double plan_seconds(const struct batch *b, uint64_t jobs, enum quota_kind *ret_kind)
{
    uint64_t planned = b->plan.lines - b->plan.done;
    *ret_kind = QUOTA_KINDS;
    return planned ? forecast_seconds(&b->forecast, (double)jobs / (double)planned, ret_kind) : -1;
}

static int look_at(struct batch *b, struct span record)
{
    struct composed c;
    char why[COMPOSE_WHY_MAX] = "longer than PENSTOCK_MAX_JOB_BYTES";
    strbuf_clear(&b->job);
    int err = b->reader.too_long ? ERR_BAD_JOB
                                 : compose_job(&b->compose, record, &b->ordinals, 0, b->began_ms,
                                               &b->job, &c, why);
    if (err == ERR_BAD_JOB) {
        tell_fault(b, why);
        return 0;
    }
    if (err)
        return err;
    if (c.own_id) {
        int fresh = idset_add(&b->own_ids, hash_of(span_of(c.id)));
        if (fresh < 0)
            return fresh;
        if (fresh == 0) {
            b->plan.twins++;
            return 0;
        }
    }
    b->plan.lines++;
    if (idset_has(&b->out.done, hash_of(span_of(c.id))))
        b->plan.done++;
    else
        count(b, &c);
    return 0;
}

static int plan_begin(struct batch *b)
{
    char why[COMPOSE_WHY_MAX];
    struct span row;
    idset_fini(&b->ordinals);
    idset_fini(&b->own_ids);
    if (b->seekable && lseek(b->fd, 0, SEEK_SET) < 0)
        return cli_fail(b->cli, EXIT_USAGE, "%s: cannot be read", b->input);
    reader_fini(&b->reader);
    reader_init(&b->reader, b->fd, b->compose.job_max + RECORD_SLACK,
                b->compose.form == COMPOSE_CSV);
    if (b->compose.form != COMPOSE_CSV)
        return 0;
    if (reader_next(&b->reader, &row) != 1)
        return cli_fail(b->cli, EXIT_USAGE, "%s: there is no header row", b->input);
    if (compose_header(&b->compose, row, why))
        return cli_fail(b->cli, EXIT_USAGE, "%s", why);
    return 0;
}

static int plan_make(struct batch *b)
{
    struct span record;
    int n, code = plan_begin(b);
    if (code)
        return code;
    while ((n = reader_next(&b->reader, &record)) == 1) {
        if (record.len == 0 && !b->reader.too_long)
            continue; // an empty line
        int err = look_at(b, record);
        if (err)
            return cli_fail(b->cli, EXIT_USAGE, "%s", err_text(err));
    }
    if (n < 0)
        return cli_fail(b->cli, EXIT_USAGE, "%s: %s", b->input, err_text(n));
    b->plan.known = true;
    strbuf_clear(&b->job);
    return 0;
}

// --- what it says, and what it asks -----------------------------------------------------------

// time_plan asks the ledgers how long the plan takes, where a Redis is there. -1 = not known.
static double time_plan(struct batch *b, enum quota_kind *ret_kind)
{
    struct cli *c = b->cli;
    char why[SYNC_WHY_MAX];
    *ret_kind = QUOTA_KINDS;
    if (cli_option(c, "simulate"))
        return -1;
    if (sync_open(&c->conf, &c->redis, why, sizeof why)) {
        if (c->redis_named)
            fprintf(stderr, "penstock run: %s\n", why);
        return -1;
    }
    return limits_read(b) ? -1 : plan_seconds(b, b->plan.lines - b->plan.done, ret_kind);
}

static void print_time(struct batch *b)
{
    enum quota_kind kind;
    char word[PLAIN_WORD];
    double seconds = time_plan(b, &kind);
    plain_seconds(seconds, word);
    if (b->cli->json && seconds >= 0)
        printf(",\"seconds_least\":%.3f,\"bound_by\":\"%s\"}\n", seconds, quota_names[kind]);
    else if (b->cli->json)
        puts(",\"seconds_least\":null,\"bound_by\":null}");
    else if (seconds >= 0)
        printf("at the present limits it takes %s or more (%s bind)\n", word,
               kind == QUOTA_REQUESTS ? "requests"
               : kind == QUOTA_INPUT  ? "input tokens"
                                      : "output tokens");
    else
        printf("how long it takes is not known before the first answers tell the limits\n");
}

static void print_plan(struct batch *b)
{
    struct plan *p = &b->plan;
    uint64_t left = p->lines - p->done;
    if (b->cli->json)
        printf("{\"run\":\"%s\",\"jobs\":%llu,\"done\":%llu,\"left\":%llu,\"faulty\":%llu,"
               "\"same_id\":%llu,\"input_tokens_about\":%lld,\"output_tokens_most\":%lld,"
               "\"cost_usd_most\":%.6g,\"unpriced\":%llu",
               b->run, (unsigned long long)p->lines, (unsigned long long)p->done,
               (unsigned long long)left, (unsigned long long)p->faulty,
               (unsigned long long)p->twins, (long long)p->tokens_in, (long long)p->tokens_out,
               (double)p->nano_usd / 1e9, (unsigned long long)p->unpriced);
    else
        printf("run %s: %llu jobs, %llu done, %llu left; %llu faulty lines, %llu with the id of "
               "another\nabout %lld input tokens, at most %lld output tokens, at most $%.2f%s\n",
               b->run, (unsigned long long)p->lines, (unsigned long long)p->done,
               (unsigned long long)left, (unsigned long long)p->faulty,
               (unsigned long long)p->twins, (long long)p->tokens_in, (long long)p->tokens_out,
               (double)p->nano_usd / 1e9, p->unpriced ? " (some models have no known price)" : "");
    print_time(b);
}

// ask_cost has a person agree to what may be dear.
static int ask_cost(struct batch *b)
{
    char answer[16];
    if (cli_option(b->cli, "yes") || cli_option(b->cli, "simulate") ||
        b->plan.nano_usd <= b->ask_above || b->max_cost >= 0) // a limit has been thought about
        return 0;
    double usd = (double)b->plan.nano_usd / 1e9;
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return cli_fail(b->cli, EXIT_USAGE,
                        "this may cost up to $%.2f: say --yes, or set a limit with --max-cost",
                        usd);
    fprintf(stderr, "This may cost up to $%.2f. Go on? [y/N] ", usd);
    if (!fgets(answer, sizeof answer, stdin) || (answer[0] != 'y' && answer[0] != 'Y'))
        return cli_fail(b->cli, EXIT_USAGE, "nothing was pushed");
    return 0;
}

int plan_no_price(struct batch *b)
{
    return cli_fail(b->cli, EXIT_USAGE,
                    "--max-cost: some jobs name a model whose price is not known; give it one in a "
                    "file (--prices-file), or leave --max-cost out");
}

int plan_survey(struct batch *b)
{
    if (!b->seekable)
        return cli_option(b->cli, "dry-run")
                   ? cli_fail(b->cli, EXIT_USAGE, "--dry-run needs a file, which can be read twice")
                   : plan_begin(b);
    int code = plan_make(b);
    if (code)
        return code;
    if (cli_option(b->cli, "dry-run")) {
        print_plan(b);
        return b->plan.faulty ? EXIT_SOME_FAILED : EXIT_ALL_WELL;
    }
    if (b->plan.faulty && !b->skip_bad)
        return cli_fail(b->cli, EXIT_USAGE,
                        "%llu faulty line%s; nothing was pushed. Mend what is wrong, or leave such "
                        "lines out with --skip-bad",
                        (unsigned long long)b->plan.faulty, b->plan.faulty == 1 ? "" : "s");
    if (b->max_cost >= 0 && b->plan.unpriced)
        return plan_no_price(b);
    code = ask_cost(b);
    return code ? code : plan_begin(b);
}
