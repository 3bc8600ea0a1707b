// batch_plan: the first pass over the input. Nothing is pushed before all of it makes sense.
#include "common/base/err.h"
#include "worker/cli/batch.h"

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

int plan_begin(struct batch *b)
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

int plan_make(struct batch *b)
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
