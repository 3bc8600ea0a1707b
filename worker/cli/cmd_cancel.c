// penstock cancel: jobs by id, or all of a run that have not ended. The same look at what is
// delayed serves to pause a run.
//
// A run's jobs are found by looking: first at what waits in `jobs`, from the left, where new ones
// come in, so that a list that moves meanwhile shows an entry twice rather than never; then at what
// is delayed or active, for it may have been claimed since.
#include "common/base/err.h"
#include "common/job/job.h"
#include "worker/cli/cli.h"

#include <stdlib.h>
#include <string.h>

enum { CANCEL_AT_ONCE = 100 };

struct canceller {
    struct cli *cli;
    const char *run;
    char ids[CANCEL_AT_ONCE][ID_BYTES_MAX + 1];
    size_t count, total, seen;
    bool hold; // the ids are to be held, not cancelled
    int code;
};

static void count_held(int err, const struct reply *reply, void *arg)
{
    struct canceller *k = arg;
    for (size_t i = 1; err == 0 && i < reply_count(reply); i++)
        k->total += reply_int_or(reply_at(reply, i), 0) == 1;
}

static void hold(struct canceller *k)
{
    static struct args args;
    char stem[CLI_KEY_MAX];
    cli_key(k->cli, "", stem);
    args_clear(&args);
    args_add_str(&args, k->run);
    for (size_t i = 0; i < k->count; i++)
        args_add_str(&args, k->ids[i]);
    if (k->count && sync_script(k->cli->redis, SCRIPT_HOLD, stem, &args, count_held, k) && !k->code)
        k->code = cli_lost(k->cli);
    k->count = 0;
}

static void send(struct canceller *k)
{
    if (k->hold) {
        hold(k);
        return;
    }
    char key[CLI_KEY_MAX];
    const char *argv[CANCEL_AT_ONCE + 2] = {"SADD", key};
    size_t lens[CANCEL_AT_ONCE + 2] = {4};
    cli_key(k->cli, "cancel", key);
    lens[1] = strlen(key);
    for (size_t i = 0; i < k->count; i++) {
        argv[2 + i] = k->ids[i];
        lens[2 + i] = strlen(k->ids[i]);
    }
    if (k->count && sync_call(k->cli->redis, (int)k->count + 2, argv, lens, 0, NULL, NULL) &&
        !k->code)
        k->code = cli_lost(k->cli);
    k->total += k->count;
    k->count = 0;
}

static void add(struct canceller *k, struct span id)
{
    if (k->count == CANCEL_AT_ONCE || !id_is_valid(id.at, id.len))
        return;
    memcpy(k->ids[k->count], id.at, id.len);
    k->ids[k->count++][id.len] = '\0';
}

// consider notes a payload's id where it is of the run; known: the id it is admitted under.
static void consider(struct canceller *k, struct span payload, const char *known)
{
    struct job job;
    struct job_fault fault;
    if (job_parse(payload.at, payload.len, (size_t)k->cli->conf.max_job_bytes, &job, &fault))
        return;
    if (span_is(job.run, k->run))
        add(k, known ? span_of(known) : job.id);
}

static void take_payloads(int err, const struct reply *reply, void *arg)
{
    struct canceller *k = arg;
    struct span payload;
    for (size_t i = 0; err == 0 && i < reply_count(reply); i++) {
        k->seen++;
        if (reply_str(reply_at(reply, i), &payload))
            consider(k, payload, NULL);
    }
}

static void look_at_waiting(struct canceller *k)
{
    char key[CLI_KEY_MAX], from[24], to[24];
    cli_key(k->cli, "jobs", key);
    for (size_t at = 0;; at += CANCEL_AT_ONCE) {
        snprintf(from, sizeof from, "%zu", at);
        snprintf(to, sizeof to, "%zu", at + CANCEL_AT_ONCE - 1);
        k->seen = 0;
        int err = sync_words(k->cli->redis, take_payloads, k, "LRANGE", key, from, to, NULL);
        if (err)
            k->code = cli_lost(k->cli);
        send(k);
        if (k->code || k->seen == 0)
            return;
    }
}

// A page of a sorted set, by ZSCAN: what is held or cancelled meanwhile changes its rank or goes,
// and a walk by rank would miss its neighbours.
struct page {
    char (*ids)[ID_BYTES_MAX + 2];
    size_t count;
    char cursor[24];
};

static void take_page(int err, const struct reply *reply, void *arg)
{
    struct page *p = arg;
    const struct reply *pairs = reply_at(reply, 1);
    struct span cursor = {0}, id;
    free(p->ids);
    p->count = 0;
    p->ids = err ? NULL : calloc(reply_count(pairs) / 2 + 1, sizeof *p->ids);
    if (!reply_str(reply_at(reply, 0), &cursor) || cursor.len >= sizeof p->cursor)
        cursor = span_of("0");
    snprintf(p->cursor, sizeof p->cursor, "%.*s", (int)cursor.len, cursor.at);
    for (size_t i = 0; p->ids && i < reply_count(pairs); i += 2)
        if (reply_str(reply_at(pairs, i), &id) && id.len < sizeof p->ids[0]) {
            memcpy(p->ids[p->count], id.at, id.len);
            p->ids[p->count++][id.len] = '\0';
        }
}

static void look_at_job(struct canceller *k, const char *id)
{
    char key[CLI_KEY_MAX];
    struct strbuf payload;
    strbuf_init(&payload, (size_t)k->cli->conf.max_job_bytes + 1);
    cli_id_key(k->cli, "job", id, key);
    if (sync_field(k->cli->redis, &payload, key, "payload"))
        consider(k, strbuf_span(&payload), id[0] == '~' ? NULL : id);
    strbuf_fini(&payload);
}

static void look_at_set(struct canceller *k, const char *set)
{
    char key[CLI_KEY_MAX];
    struct page p = {.cursor = "0"};
    cli_key(k->cli, set, key);
    do {
        if (sync_words(k->cli->redis, take_page, &p, "ZSCAN", key, p.cursor, "COUNT", "200", NULL))
            k->code = cli_lost(k->cli);
        for (size_t i = 0; !k->code && i < p.count; i++) {
            look_at_job(k, p.ids[i]);
            if (k->count == CANCEL_AT_ONCE)
                send(k);
        }
    } while (!k->code && strcmp(p.cursor, "0") != 0);
    send(k);
    free(p.ids);
}

int cli_hold_delayed(struct cli *c, const char *run)
{
    struct canceller *k = calloc(1, sizeof *k);
    if (!k)
        return cli_fail(c, EXIT_USAGE, "out of memory");
    k->cli = c;
    k->run = run;
    k->hold = true;
    look_at_set(k, "delayed");
    int code = k->code;
    free(k);
    return code;
}

static int cancel_ids(struct canceller *k)
{
    for (int i = 0; i < k->cli->argc; i++)
        if (!id_is_valid(k->cli->argv[i], strlen(k->cli->argv[i])))
            return cli_fail(k->cli, EXIT_USAGE, "%s is no job's id", k->cli->argv[i]);
    k->code = cli_connect(k->cli);
    for (int i = 0; !k->code && i < k->cli->argc; i++) {
        add(k, span_of(k->cli->argv[i]));
        if (k->count == CANCEL_AT_ONCE)
            send(k);
    }
    if (!k->code)
        send(k);
    return k->code;
}

int cmd_cancel(struct cli *c)
{
    struct canceller *k = calloc(1, sizeof *k);
    if (!k)
        return cli_fail(c, EXIT_USAGE, "out of memory");
    k->cli = c;
    k->run = cli_option(c, "run");
    int code;
    if (!k->run == !c->argc) {
        code = cli_fail(c, EXIT_USAGE, "name jobs, or --run NAME");
    } else if (k->run && !name_is_valid(k->run, strlen(k->run))) {
        code = cli_fail(c, EXIT_USAGE, "%s is no run's name; penstock runs shows them", k->run);
    } else if (!k->run) {
        code = cancel_ids(k);
    } else {
        k->code = cli_connect(c);
        if (!k->code)
            cli_warn_unknown_run(c, k->run);
        if (!k->code)
            look_at_waiting(k);
        if (!k->code)
            look_at_set(k, "delayed");
        if (!k->code)
            look_at_set(k, "active");
        code = k->code ? k->code : cli_release(c, k->run, NULL); // a pause ends with what it held
    }
    if (!code)
        printf(c->json ? "{\"asked\":%zu}\n" : "asked to cancel %zu\n", k->total);
    free(k);
    return code;
}
