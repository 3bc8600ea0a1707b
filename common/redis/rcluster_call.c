// rcluster_call: carries a command to the node that holds its key.
//
// An errand is a command with a copy of its words, so that it can be sent again where a node says
// that its slot has moved (MOVED), is moving (ASK), is torn between two nodes (TRYAGAIN), or that
// the cluster cannot serve it now (CLUSTERDOWN): each of them means that nothing was done. Whoever
// sent it hears of that only after the call's patience. Like a call on one server it is answered
// with ERR_LINK_DOWN, and not sent again, where its socket broke: then nobody knows.
#include "common/base/err.h"
#include "common/redis/rlink_int.h"

#include <stdlib.h>
#include <string.h>

enum { REDIRECTS_MAX = 8, AGAIN_MS = 100 };

struct rerrand {
    struct list_link link; // in a node's parked, or the cluster's again or late
    struct rcluster *of;
    struct rnode *node; // where it was sent
    rlink_cb cb;
    void *arg;
    int64_t patience_ms;
    int slot, redirects;
    bool asking;       // ASKING goes before it, once
    uint64_t until_ms; // no "not now" is waited out after this
    uint64_t due_ms;   // in again: when
    int argc;
    const char **argv; // all in one piece of memory behind this struct
    size_t *lens;
};

static struct rerrand *errand_new(struct rcluster *c, int argc, const char **argv,
                                  const size_t *lens)
{
    size_t bytes = 0, words = (size_t)argc;
    for (size_t i = 0; i < words; i++)
        bytes += lens[i];
    struct rerrand *e = malloc(sizeof *e + words * (sizeof *e->argv + sizeof *e->lens) + bytes);
    if (!e)
        return NULL;
    *e = (struct rerrand){.of = c, .argc = argc};
    e->argv = (const char **)(e + 1);
    e->lens = (size_t *)(e->argv + words);
    char *to = (char *)(e->lens + words);
    for (size_t i = 0; i < words; i++) {
        if (lens[i])
            memcpy(to, argv[i], lens[i]);
        e->argv[i] = to;
        e->lens[i] = lens[i];
        to += lens[i];
    }
    c->errands++;
    return e;
}

static void errand_free(struct rerrand *e)
{
    e->of->errands--;
    free(e);
}

static void finish(struct rerrand *e, int err, const struct reply *reply)
{
    rlink_cb cb = e->cb;
    void *arg = e->arg;
    if (err == 0 || err == ERR_REDIS)
        e->of->root->answered_ms = uv_now(e->of->root->loop);
    errand_free(e);
    cb(err, reply, arg);
}

static void put_off(struct rerrand *e)
{
    e->due_ms = uv_now(e->of->root->loop) + AGAIN_MS;
    e->asking = false;
    list_append(&e->of->again, &e->link);
    rcluster_want_map(e->of); // also makes the timer run
}

static void on_asked(int err, const struct reply *reply, void *arg)
{
    (void)err, (void)reply, (void)arg; // what follows it tells
}

static void on_errand(int err, const struct reply *reply, void *arg);

static int send_there(struct rerrand *e, struct rnode *n)
{
    static const char *const asking[] = {"ASKING"};
    static const size_t len[] = {6};
    int err = rnode_open(n);
    e->node = n;
    n->used_ms = uv_now(e->of->root->loop);
    if (err)
        return err;
    if (!n->tried) {
        list_append(&n->parked, &e->link);
        return 0;
    }
    if (e->asking)
        err = rlink_call(n->conn, 1, (const char **)asking, len, 0, on_asked, NULL);
    if (!err)
        err = rlink_call(n->conn, e->argc, e->argv, e->lens, e->patience_ms, on_errand, e);
    return err;
}

// send_by_map sends it to the node that holds its slot.
static int send_by_map(struct rerrand *e)
{
    struct rnode *n = e->of->owner[e->slot];
    if (n)
        return send_there(e, n);
    put_off(e);
    return 0;
}

// take_redirect sends the errand on. False: the reply is for the caller.
static bool take_redirect(struct rerrand *e, const struct reply *reply)
{
    struct rcluster *c = e->of;
    bool ask = reply_is_error(reply, "ASK");
    int slot;
    if (!rcluster_is_moving(reply) || c->root->state == RLINK_CLOSED)
        return false;
    bool in_time = uv_now(c->root->loop) < e->until_ms;
    struct rnode *n = rcluster_redirect(c, reply_text(reply), e->node->url.host, &slot);
    if (!n || ++e->redirects > REDIRECTS_MAX) {
        if (in_time) {
            e->redirects = 0;
            put_off(e);
        }
        return in_time;
    }
    e->asking = ask;
    int err = send_there(e, n);
    if (err)
        finish(e, err, NULL);
    return true;
}

static void on_errand(int err, const struct reply *reply, void *arg)
{
    struct rerrand *e = arg;
    if (err != ERR_REDIS || !take_redirect(e, reply))
        finish(e, err, reply);
}

// --- from outside ---------------------------------------------------------------------------

// call_slot sends a command to the node that holds a slot.
static int call_slot(struct rcluster *c, int slot, int argc, const char **argv, const size_t *lens,
                     int64_t patience_ms, rlink_cb cb, void *arg)
{
    if (!c->up)
        return ERR_LINK_DOWN;
    if (c->errands >= RCALLS_WAITING_MAX)
        return ERR_TOO_BIG;
    struct rerrand *e = errand_new(c, argc, argv, lens);
    if (!e)
        return ERR_NOMEM;
    e->cb = cb;
    e->arg = arg;
    e->slot = slot;
    e->patience_ms = patience_ms;
    e->until_ms = uv_now(c->root->loop) + (uint64_t)MAX(patience_ms, c->root->patience_ms);
    rcluster_need(c, slot);
    int err = send_by_map(e);
    if (err)
        errand_free(e);
    else
        c->root->calls_made++;
    return err;
}

int rcluster_call(struct rcluster *c, int argc, const char **argv, const size_t *lens,
                  int64_t patience_ms, rlink_cb cb, void *arg)
{
    int slot = rslot_of_command(argc, argv, lens);
    if (slot >= 0)
        return call_slot(c, slot, argc, argv, lens, patience_ms, cb, arg);
    struct rlink *any = c->root->state == RLINK_UP ? c->root : rcluster_any(c);
    return any ? rlink_call_here(any, argc, argv, lens, patience_ms, cb, arg) : ERR_LINK_DOWN;
}

int rcluster_call_node(struct rcluster *c, size_t nth, int argc, const char **argv,
                       const size_t *lens, int64_t patience_ms, rlink_cb cb, void *arg)
{
    list_each(&c->nodes, k)
    {
        const struct rnode *n = CONTAINER_OF(k, const struct rnode, link);
        if (!rcluster_holds(c, n) || nth-- > 0)
            continue;
        for (int slot = 0; slot < RSLOT_COUNT; slot++)
            if (c->owner[slot] == n)
                return call_slot(c, slot, argc, argv, lens, patience_ms, cb, arg);
    }
    return ERR_LINK_DOWN; // the map has changed
}

static bool is_known(const struct rcluster *c, int argc, const char **argv)
{
    for (size_t i = 0; i < c->first_count; i++)
        if (c->firsts[i].argv[argc - 1] == argv[argc - 1])
            return true;
    return false;
}

int rcluster_call_each(struct rcluster *c, int argc, const char **argv, const size_t *lens,
                       rlink_cb cb, void *arg)
{
    struct rlink *any = rcluster_any(c);
    if (argc <= 4 && c->first_count < RCLUSTER_FIRSTS_MAX && !is_known(c, argc, argv)) {
        struct rfirst *f = &c->firsts[c->first_count++];
        f->argc = argc;
        memcpy(f->argv, argv, (size_t)argc * sizeof *argv);
        memcpy(f->lens, lens, (size_t)argc * sizeof *lens);
    }
    list_each(&c->nodes, k)
    {
        struct rnode *n = CONTAINER_OF(k, struct rnode, link);
        if (!n->conn || !n->up || n->conn == any)
            continue;
        int unsent = rlink_call(n->conn, argc, argv, lens, 0, on_asked, NULL);
        (void)unsent; // it will hear it when it is back
    }
    return any ? rlink_call_here(any, argc, argv, lens, 0, cb, arg) : ERR_LINK_DOWN;
}

void rcluster_greet(struct rnode *n)
{
    struct rcluster *c = n->of;
    for (size_t i = 0; i < c->first_count; i++) {
        struct rfirst *f = &c->firsts[i];
        int unsent = rlink_call(n->conn, f->argc, f->argv, f->lens, 0, on_asked, NULL);
        (void)unsent; // then neither will be what follows
    }
    for (struct list_link *k = list_pop(&n->parked); k; k = list_pop(&n->parked)) {
        struct rerrand *e = CONTAINER_OF(k, struct rerrand, link);
        if (send_there(e, n))
            list_append(&c->late, k);
    }
    rlink_soon(c->root);
}

void rcluster_give_up(struct rcluster *c, struct list *errands)
{
    for (struct list_link *k = list_pop(errands); k; k = list_pop(errands))
        list_append(&c->late, k);
    rlink_soon(c->root);
}

void rcluster_route(struct rcluster *c, struct list *errands)
{
    for (struct list_link *k = list_pop(errands); k; k = list_pop(errands))
        if (send_by_map(CONTAINER_OF(k, struct rerrand, link)))
            list_append(&c->late, k);
    if (!list_is_empty(&c->late))
        rlink_soon(c->root);
}

void rcluster_answer_late(struct rcluster *c)
{
    for (size_t due = c->late.count; due > 0; due--)
        finish(CONTAINER_OF(list_pop(&c->late), struct rerrand, link), ERR_LINK_DOWN, NULL);
}

void rcluster_again(struct rcluster *c)
{
    uint64_t now_ms = uv_now(c->root->loop);
    struct list due;
    list_init(&due);
    list_each(&c->again, k)
    {
        struct rerrand *e = CONTAINER_OF(k, struct rerrand, link);
        if (e->due_ms > now_ms)
            continue;
        list_remove(&c->again, k);
        if (!c->owner[e->slot] && now_ms >= e->until_ms)
            list_append(&c->late, k);
        else
            list_append(&due, k);
    }
    rcluster_route(c, &due);
}
