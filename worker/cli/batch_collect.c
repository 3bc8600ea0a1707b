// batch_collect: results. The run's reply list brings them as they come; a result is taken off the
// list only when it is in the output (or in the window, from where it can be fetched by its id), so
// that nothing is lost whenever we die.
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/scan.h"
#include "worker/cli/batch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    READ_FIRST = 16,
    READ_MOST = 256,
    READ_BYTES = 512 * 1024,
    NAP_BUSY_MS = 10, // while results come: many at a time cost Redis, and us, a tenth
    NAP_MOST_MS = 100,
    FETCHES_MAX = 32,
    PUSHES_MAX = 4,
};

struct facts {
    bool good;
    int64_t finished, nano_usd;
};

static bool read_facts(struct span text, struct span *ret_id, struct facts *ret)
{
    struct scan_value root, id, value;
    const char *why;
    size_t at;
    double usd = 0;
    if (scan_check(text.at, text.len, SCAN_DEPTH_MAX, &why, &at))
        return false;
    root = scan_root(text.at, text.len);
    if (!scan_get(root, "id", &id) || !scan_str(id, ret_id))
        return false;
    *ret = (struct facts){0};
    ret->good = scan_get(root, "status", &value) && span_is(value.raw, "\"succeeded\"");
    if (scan_get(root, "finished", &value) && !scan_int(value, &ret->finished))
        ret->finished = 0;
    if (scan_get(root, "cost_usd", &value) && scan_num(value, &usd))
        ret->nano_usd = (int64_t)llround(usd * 1e9);
    return true;
}

static void on_done(int err, const struct reply *reply, void *arg)
{
    (void)err, (void)reply, (void)arg; // what was not done shows itself later
}

// --- again: a line that did not succeed, with --retry-failed ---------------------------------

struct again {
    struct batch *of;
    char id[ID_BYTES_MAX + 1];
};

static void on_revived(int err, const struct reply *reply, void *arg)
{
    struct again a = *(struct again *)arg;
    free(arg);
    struct entry *e = window_find(&a.of->window, span_of(a.id));
    if (!e || e->state != ENTRY_PUSHED || err || reply_int_or(reply_at(reply, 1), 0) == 1)
        return; // gone round again; or the link broke, and the sweep finds the old result again
    char key[CLI_KEY_MAX];
    cli_id_key(a.of->cli, "result", e->id, key);
    const char *argv[] = {"DEL", key};
    size_t lens[] = {3, strlen(key)};
    if (rlink_call(sync_link(a.of->redis), 2, argv, lens, 0, on_done, NULL) == 0)
        feed_again(a.of, e);
}

static bool try_again(struct batch *b, struct entry *e)
{
    static struct args args;
    struct again *a = malloc(sizeof *a);
    if (!a)
        return false;
    a->of = b;
    snprintf(a->id, sizeof a->id, "%s", e->id);
    args_clear(&args);
    args_add_str(&args, e->id);
    if (script_call(sync_link(b->redis), SCRIPT_DEAD_RETRY, b->stem, &args, on_revived, a)) {
        free(a);
        return false;
    }
    return true;
}

// --- one result ------------------------------------------------------------------------------

static void write_out(struct batch *b, struct entry *e, struct span result)
{
    int err = output_add(&b->out, result);
    if (err)
        batch_fail(b, EXIT_USAGE, "the output cannot be written: %s", err_text(err));
    window_remove(&b->window, e);
}

struct fetch {
    struct batch *of;
    char id[ID_BYTES_MAX + 1];
};

static void advance(struct batch *b);

static void on_fetched(int err, const struct reply *reply, void *arg)
{
    struct fetch f = *(struct fetch *)arg;
    struct span text;
    struct batch *b = f.of;
    struct entry *e = window_find(&b->window, span_of(f.id));
    free(arg);
    b->fetching--;
    if (!e || e->state != ENTRY_FETCHED)
        return;
    e->state = ENTRY_KNOWN;
    if (err == 0 && reply_str(reply, &text)) {
        if (window_first(&b->window) == e)
            write_out(b, e, text);
        else
            window_hold(&b->window, e, text);
    } else if (err == 0) { // it has expired meanwhile: it must be asked anew
        e->state = ENTRY_PUSHED;
        b->window.pushed++;
        feed_again(b, e);
    }
    advance(b);
}

static void fetch(struct batch *b, struct entry *e)
{
    char key[CLI_KEY_MAX];
    struct fetch *f = malloc(sizeof *f);
    if (!f)
        return;
    f->of = b;
    snprintf(f->id, sizeof f->id, "%s", e->id);
    cli_id_key(b->cli, "result", e->id, key);
    const char *argv[] = {"GET", key};
    size_t lens[] = {3, strlen(key)};
    if (rlink_call(sync_link(b->redis), 2, argv, lens, 0, on_fetched, f)) {
        free(f);
        return;
    }
    e->state = ENTRY_FETCHED;
    b->fetching++;
}

// advance writes what has its turn, and fetches what will have it soon.
static void advance(struct batch *b)
{
    struct entry *e;
    while ((e = window_first(&b->window)) != NULL && e->state == ENTRY_HELD)
        write_out(b, e, (struct span){e->held, e->held_len});
    for (uint64_t i = 0; i < FETCHES_MAX && b->fetching < FETCHES_MAX; i++) {
        e = window_at(&b->window, i);
        if (!e || e->state == ENTRY_PUSHED)
            return;
        if (e->state == ENTRY_KNOWN)
            fetch(b, e);
    }
}

static void settle(struct batch *b, struct entry *e, const struct facts *f, struct span result)
{
    if (f->good)
        b->ok++;
    else
        b->failed++;
    b->since_poll += f->nano_usd;
    b->reserved -= e->reserve;
    b->pushed_bytes -= e->record_len;
    e->reserve = 0;
    if (!b->ordered || window_first(&b->window) == e)
        write_out(b, e, result);
    else
        window_hold(&b->window, e, result);
    if (b->ordered)
        advance(b);
}

void collect_result(struct batch *b, struct span result)
{
    struct span id;
    struct facts f;
    if (!read_facts(result, &id, &f))
        return; // nothing of ours
    struct entry *e = window_find(&b->window, id);
    if (!e || e->state != ENTRY_PUSHED)
        return; // it came before, or is another line's
    bool old = f.finished < b->began_ms;
    if (!f.good && old && b->retry_failed && e->pushes < PUSHES_MAX && try_again(b, e))
        return;
    settle(b, e, &f, result);
}

void collect_lost(struct batch *b, struct entry *e)
{
    char text[512];
    struct facts f = {0};
    int len = snprintf(text, sizeof text,
                       "{\"id\":\"%s\",\"status\":\"failed\",\"error\":{\"type\":\"crash\","
                       "\"message\":\"it is neither in Redis nor has it a result, and could not be "
                       "pushed again\",\"http_status\":null,\"request_id\":null}}",
                       e->id);
    if (e->state == ENTRY_PUSHED)
        settle(b, e, &f, (struct span){text, (size_t)len});
}

// --- the reply list --------------------------------------------------------------------------

static void trim(struct batch *b, size_t count)
{
    char from[24];
    snprintf(from, sizeof from, "%zu", count);
    const char *argv[] = {"LTRIM", b->reply_key, from, "-1"};
    size_t lens[] = {5, strlen(b->reply_key), strlen(from), 2};
    int unsent = rlink_call(sync_link(b->redis), 4, argv, lens, 0, on_done, NULL);
    (void)unsent;
}

static void nap(struct batch *b)
{
    b->nap_ms = MIN(MAX(b->nap_ms * 2, (uint64_t)NAP_BUSY_MS), (uint64_t)NAP_MOST_MS);
    uv_timer_start(&b->nap, on_nap, b->nap_ms, 0);
}

static void on_list(int err, const struct reply *reply, void *arg)
{
    struct batch *b = arg;
    struct span result;
    size_t count = err ? 0 : reply_count(reply);
    b->reading = false;
    b->largest -= b->largest / 8;
    for (size_t i = 0; i < count && !b->code; i++)
        if (reply_str(reply_at(reply, i), &result)) {
            b->largest = MAX(b->largest, result.len);
            collect_result(b, result);
        }
    if (err == ERR_REDIS)
        batch_fail(b, EXIT_NO_REDIS, "results cannot be read: %s", reply_text(reply));
    int failed = output_flush(&b->out);
    if (failed)
        batch_fail(b, EXIT_USAGE, "the output cannot be written: %s", err_text(failed));
    if (count && !b->code)
        trim(b, count);
    size_t fit = READ_BYTES / MAX(b->largest, (size_t)1);
    bool full = count > 0 && count == b->asked;
    b->read_next = MAX(MIN(fit, (size_t)READ_MOST), (size_t)1);
    if (count)
        b->nap_ms = 0;
    if (full)
        collect_more(b);
    else
        nap(b);
}

void collect_more(struct batch *b)
{
    char to[24];
    if (b->reading || b->code)
        return;
    b->asked = b->read_next ? b->read_next : READ_FIRST;
    snprintf(to, sizeof to, "%zu", b->asked - 1);
    const char *argv[] = {"LRANGE", b->reply_key, "0", to};
    size_t lens[] = {6, strlen(b->reply_key), 1, strlen(to)};
    b->reading = rlink_call(sync_link(b->redis), 4, argv, lens, 0, on_list, b) == 0;
    if (!b->reading)
        nap(b);
}

void on_nap(uv_timer_t *t)
{
    collect_more(t->data);
}
