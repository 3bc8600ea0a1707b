#include "common/queue/look.h"

#include "common/base/err.h"
#include "common/queue/keys.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PREFIX_MAX = KEY_BYTES_MAX };

// looking: one look_call at a cluster. answer is what the script would have said of all the items.
struct looking {
    struct rlink *link;
    size_t count, left; // left: calls not yet answered, and one of our own until all are sent
    int slot[LOOK_MAX];
    size_t workers;          // which item asks for the workers; LOOK_MAX: none
    char prefix[PREFIX_MAX]; // of their hashes
    struct reply *answer;
    int err;
    struct reply *refusal; // the error, where Redis said it
    rlink_cb cb;
    void *arg;
};

struct part {
    struct looking *of;
    int slot;
};

struct worker {
    struct looking *of;
    size_t item, at;
};

static void end_one(struct looking *k)
{
    if (--k->left > 0)
        return;
    k->cb(k->err, k->err ? k->refusal : k->answer, k->arg);
    reply_free(k->answer);
    reply_free(k->refusal);
    free(k);
}

static void fail(struct looking *k, int err, const struct reply *reply)
{
    if (!k->err) {
        k->err = err;
        k->refusal = reply_copy(reply);
    }
}

// --- the workers' hashes, each in a slot of its own ------------------------------------------

static void on_worker(int err, const struct reply *reply, void *arg)
{
    struct worker w = *(struct worker *)arg;
    struct reply *one = reply_part(reply_part(w.of->answer, w.item), w.at);
    free(arg);
    if (err)
        fail(w.of, err, reply);
    else
        reply_put(one, 2, reply_copy(reply));
    end_one(w.of);
}

static void ask_worker(struct looking *k, size_t item, size_t at)
{
    char key[PREFIX_MAX + 256];
    struct span id;
    struct worker *w = malloc(sizeof *w);
    if (!w || !reply_str(reply_at(reply_at(reply_at(k->answer, item), at), 0), &id)) {
        free(w);
        return;
    }
    *w = (struct worker){k, item, at};
    snprintf(key, sizeof key, "%s%.*s", k->prefix, (int)id.len, id.at);
    const char *argv[] = {"HGETALL", key};
    size_t lens[] = {7, strlen(key)};
    if (rlink_call(k->link, 2, argv, lens, 0, on_worker, w) == 0)
        k->left++;
    else
        free(w);
}

// --- the items of one slot --------------------------------------------------------------------

static void on_part(int err, const struct reply *reply, void *arg)
{
    struct part p = *(struct part *)arg;
    struct looking *k = p.of;
    free(arg);
    if (err)
        fail(k, err, reply);
    else
        reply_put(k->answer, 0, reply_copy(reply_at(reply, 0)));
    for (size_t i = 0, at = 1; !err && i < k->count; i++) {
        if (k->slot[i] != p.slot)
            continue;
        reply_put(k->answer, 1 + i, reply_copy(reply_at(reply, at++)));
        for (size_t w = 0; i == k->workers && w < reply_count(reply_at(k->answer, 1 + i)); w++)
            ask_worker(k, 1 + i, w);
    }
    end_one(k);
}

static void add_items(struct args *a, const char *const items[][4], size_t count, const int *slot,
                      int only)
{
    args_clear(a);
    for (size_t i = 0; i < count; i++)
        for (size_t n = 0; n < 4 && (!slot || slot[i] == only); n++)
            args_add_str(a, items[i][n] ? items[i][n] : "");
}

static void ask_part(struct looking *k, const char *const items[][4], size_t first)
{
    static struct args args; // borrowed by script_call until it returns
    struct part *p = malloc(sizeof *p);
    int err = ERR_NOMEM;
    add_items(&args, items, k->count, k->slot, k->slot[first]);
    if (p) {
        *p = (struct part){k, k->slot[first]};
        err = script_call(k->link, SCRIPT_LOOK, items[first][1], &args, on_part, p);
    }
    if (!err) {
        k->left++;
        return;
    }
    free(p);
    fail(k, err, NULL);
}

static int look_at_cluster(struct rlink *link, const char *const items[][4], size_t count,
                           rlink_cb cb, void *arg)
{
    struct looking *k = calloc(1, sizeof *k);
    if (!k)
        return ERR_NOMEM;
    *k = (struct looking){
        .link = link, .count = count, .left = 1, .workers = LOOK_MAX, .cb = cb, .arg = arg};
    k->answer = reply_new(1 + count);
    if (!k->answer) {
        free(k);
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        k->slot[i] = rlink_slot(link, items[i][1]);
        if (strcmp(items[i][0], "workers") == 0) {
            k->workers = i;
            snprintf(k->prefix, sizeof k->prefix, "%s", items[i][2]);
        }
    }
    for (size_t i = 0; i < count; i++) {
        size_t first = 0;
        while (k->slot[first] != k->slot[i])
            first++;
        if (first == i)
            ask_part(k, items, i);
    }
    if (--k->left > 0)
        return 0;
    int err = k->err;
    reply_free(k->answer);
    free(k);
    return err;
}

int look_call(struct rlink *link, const char *const items[][4], size_t count, rlink_cb cb,
              void *arg)
{
    static struct args args; // borrowed by script_call until it returns
    assert(count > 0 && count <= LOOK_MAX);
    if (rlink_is_cluster(link))
        return look_at_cluster(link, items, count, cb, arg);
    add_items(&args, items, count, NULL, 0);
    return script_call(link, SCRIPT_LOOK, items[0][1], &args, cb, arg);
}
