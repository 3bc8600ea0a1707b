#include "worker/admin/cancel_run.h"

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/job/job.h"
#include "common/queue/keys.h"
#include "worker/admin/admin_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CANCEL_AT_ONCE = 100 };

// First what waits in `jobs`, from the left, where new ones come in: a list that moves meanwhile
// shows a job twice rather than never. Then what is delayed or active; and these twice, for a job
// may have gone from the one to the other. What is pushed after the start may be missed.
static const char *const places[] = {"jobs", "delayed", "active", "delayed", "active"};

static void next_step(struct canceller *k);

static bool add_id(struct canceller *k, struct span id)
{
    char(*more)[ID_BYTES_MAX + 1];
    if (!id_is_valid(id.at, id.len))
        return false;
    if (k->found == k->room) { // a page of members may be larger than was asked for
        more = realloc(k->ids, (k->room + CANCEL_AT_ONCE) * sizeof *more);
        if (!more)
            return false;
        k->ids = more;
        k->room += CANCEL_AT_ONCE;
    }
    memcpy(k->ids[k->found], id.at, id.len);
    k->ids[k->found++][id.len] = '\0';
    return true;
}

static void tell_log(const struct canceller *k, const char *result)
{
    char note[256];
    snprintf(note, sizeof note, "cancel run %s of queue %s", k->run, k->queue);
    log_event(LOG_INFO, "admin_action", log_str("action", note), log_str("who", k->who),
              log_str("result", result), LOG_END);
}

static void end(struct canceller *k, int err)
{
    char result[120];
    k->under_way = false;
    k->err = err;
    free(k->ids);
    k->ids = NULL;
    k->room = k->found = k->told = 0;
    if (err)
        snprintf(result, sizeof result, "%s after %zu jobs", err_text(err), k->asked);
    else
        snprintf(result, sizeof result, "done, %zu jobs", k->asked);
    tell_log(k, result);
}

// answered is the first thing that happens with every answer; false = it ends here.
static bool answered(struct canceller *k, int err)
{
    struct admin *a = k->admin;
    a->asks--;
    if (a->closing && k->under_way)
        end(k, ERR_CANCELLED);
    else if (err)
        end(k, err);
    bool goes_on = k->under_way;
    if (a->closing)
        admin_gone(a); // which may free it all
    return goes_on;
}

static void sent(struct canceller *k, int err)
{
    if (err)
        end(k, err);
    else
        k->admin->asks++;
}

static void cancel_found(struct canceller *k);

static void on_cancelled(int err, const struct reply *reply, void *arg)
{
    struct canceller *k = arg;
    if (!err)
        k->asked += (size_t)reply_int_or(reply, 0);
    if (answered(k, err))
        cancel_found(k);
}

// cancel_found asks for what the last look has found, then goes on.
static void cancel_found(struct canceller *k)
{
    char key[KEY_BYTES_MAX];
    const char *argv[CANCEL_AT_ONCE + 2] = {"SADD", key};
    int argc = 2;
    snprintf(key, sizeof key, "%scancel", k->stem);
    while (k->told < k->found && argc < CANCEL_AT_ONCE + 2)
        argv[argc++] = k->ids[k->told++];
    if (argc > 2) {
        sent(k, run_tell(k->admin->run, argc, argv, on_cancelled, k));
    } else {
        k->told = k->found = 0;
        next_step(k);
    }
}

static void on_waiting(int err, const struct reply *reply, void *arg)
{
    struct canceller *k = arg;
    const struct reply *found = reply_at(reply, 1);
    struct job job;
    struct job_fault fault;
    struct span payload;
    size_t count = err ? 0 : reply_count(found);
    for (size_t i = 0; i < count; i++) {
        if (!reply_str(reply_at(found, i), &payload) ||
            job_parse(payload.at, payload.len, (size_t)k->admin->conf->max_job_bytes, &job, &fault))
            continue;
        if (span_is(job.run, k->run) && !add_id(k, job.id))
            k->unnamed++;
    }
    k->looked += count;
    k->at += count;
    if (!count)
        k->place++;
    if (answered(k, err))
        cancel_found(k);
}

static void on_members(int err, const struct reply *reply, void *arg)
{
    struct canceller *k = arg;
    const struct reply *found = reply_at(reply, 1);
    struct span cursor = {0}, id = {0}, run = {0};
    for (size_t i = 1; !err && i < reply_count(found); i++) {
        const struct reply *one = reply_at(found, i);
        if (reply_str(reply_at(one, 0), &id) && reply_str(reply_at(one, 1), &run) &&
            span_is(run, k->run))
            k->unnamed += !add_id(k, id);
    }
    k->looked += reply_count(found) ? reply_count(found) - 1 : 0;
    if (!reply_str(reply_at(found, 0), &cursor) || cursor.len >= sizeof k->cursor)
        cursor = span_of("0");
    snprintf(k->cursor, sizeof k->cursor, "%.*s", (int)cursor.len, cursor.at);
    if (strcmp(k->cursor, "0") == 0)
        k->place++;
    if (answered(k, err))
        cancel_found(k);
}

static void on_opened(int err, const struct reply *reply, void *arg)
{
    struct canceller *k = arg;
    (void)reply;
    if (answered(k, err))
        end(k, 0);
}

// open_run ends a pause of the run: what it held has been asked for, and its next jobs should
// start.
static void open_run(struct canceller *k)
{
    char key[KEY_BYTES_MAX];
    const char *argv[] = {"SREM", key, k->run};
    snprintf(key, sizeof key, "%sheld", k->stem);
    sent(k, run_tell(k->admin->run, 3, argv, on_opened, k));
}

static void next_step(struct canceller *k)
{
    char at[24];
    snprintf(at, sizeof at, "%zu", k->at);
    if (k->place == ARRAY_LEN(places)) {
        open_run(k);
    } else if (k->place == 0) {
        const char *const items[][4] = {{"waiting", k->stem, at}};
        sent(k, run_look(k->admin->run, items, 1, on_waiting, k));
    } else {
        const char *const items[][4] = {{"members", k->stem, places[k->place], k->cursor}};
        sent(k, run_look(k->admin->run, items, 1, on_members, k));
    }
}

int cancel_run_start(struct admin *a, const char *queue, const char *run, const char *who)
{
    struct canceller *k = &a->canceller;
    const char *stem = api_queue(a, queue);
    if (k->under_way)
        return ERR_TOO_BIG;
    *k = (struct canceller){.admin = a, .stem = stem, .under_way = true, .cursor = "0"};
    snprintf(k->queue, sizeof k->queue, "%s", queue);
    snprintf(k->run, sizeof k->run, "%s", run);
    snprintf(k->who, sizeof k->who, "%s", who);
    tell_log(k, "begun");
    next_step(k);
    return k->err;
}
