// rcluster: the nodes of a cluster, and whether the whole is up.
#include "common/redis/rcluster.h"

#include "common/base/err.h"
#include "common/redis/rlink_int.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TICK_MS = 1000,    // looks for nodes that are slow or no longer needed
    BUSY_TICK_MS = 50, // while something waits to be sent anew, or the map is wanted
    ASK_FIRST_MS = 50, // between two questions for the map, doubled each time
    ASK_CAP_MS = 1000, // no longer than this
    SLOW_MS = 1000,    // a call has waited so long: does the node still hold its slots?
    UNUSED_MS = 10000, // the link of a node that holds nothing we use is closed after this
};

static bool is_closed(const struct rcluster *c)
{
    return c->root->state == RLINK_CLOSED;
}

static void on_tick(uv_timer_t *t);

static void arm(struct rcluster *c)
{
    bool busy = c->want_map || !list_is_empty(&c->again);
    if (!is_closed(c))
        uv_timer_start(&c->timer, on_tick, busy ? BUSY_TICK_MS : TICK_MS, 0);
}

// --- up or down -----------------------------------------------------------------------------

static bool all_up(const struct rcluster *c)
{
    list_each(&c->nodes, k)
    {
        const struct rnode *n = CONTAINER_OF(k, const struct rnode, link);
        if (n->conn && n->needed && n->tried && !n->up)
            return false;
    }
    return !c->kicked;
}

void rcluster_reconsider(struct rcluster *c, const char *why)
{
    struct rlink *l = c->root;
    bool up = all_up(c);
    if (is_closed(c))
        return;
    if (!up && why)
        snprintf(c->why, sizeof c->why, "%s", why);
    if (!up)
        rcluster_want_map(c);
    if (up == c->up)
        return;
    c->up = up;
    if (l->on_state)
        l->on_state(l, up ? RLINK_UP : RLINK_DOWN, up ? "connected" : c->why, l->arg);
}

void rcluster_kick(struct rcluster *c, const char *why)
{
    c->kicked = true;
    snprintf(c->why, sizeof c->why, "%s", why);
    rcluster_want_map(c); // with the next map it is up again
    list_each(&c->nodes, k)
    {
        struct rnode *n = CONTAINER_OF(k, struct rnode, link);
        if (n->conn)
            rlink_kick(n->conn, why);
    }
}

// --- nodes ----------------------------------------------------------------------------------

static void on_node_closed(void *arg)
{
    struct rnode *n = arg;
    struct rlink *root = n->of->root;
    explicit_bzero(&n->url, sizeof n->url);
    free(n);
    rlink_handle_closed(root);
}

// leave closes a node's link. What was sent there is answered with ERR_LINK_DOWN, what was parked
// goes where the map says.
static void leave(struct rnode *n)
{
    struct rcluster *c = n->of;
    struct list parked;
    list_init(&parked);
    for (struct list_link *k = list_pop(&n->parked); k; k = list_pop(&n->parked))
        list_append(&parked, k);
    list_remove(&c->nodes, &n->link);
    for (int s = 0; s < RSLOT_COUNT; s++)
        if (c->owner[s] == n)
            c->owner[s] = NULL;
    if (n->conn) {
        n->closing = true;
        rlink_close(n->conn, on_node_closed, n);
    } else {
        explicit_bzero(&n->url, sizeof n->url);
        free(n);
    }
    if (is_closed(c))
        rcluster_give_up(c, &parked);
    else
        rcluster_route(c, &parked);
}

static void on_node_state(struct rlink *conn, enum rlink_state state, const char *why, void *arg)
{
    struct rnode *n = arg;
    struct rcluster *c = n->of;
    (void)conn;
    if (n->closing)
        return;
    n->tried = true;
    n->up = state == RLINK_UP;
    if (n->up) {
        rcluster_greet(n);
    } else {
        rcluster_give_up(c, &n->parked);
        rcluster_want_map(c);
    }
    rcluster_reconsider(c, why);
}

int rnode_open(struct rnode *n)
{
    const struct rlink *root = n->of->root;
    if (n->conn)
        return 0;
    struct rlink_options opt = {
        .url = &n->url,
        .connect_timeout_ms = root->connect_timeout_ms,
        .patience_ms = root->patience_ms,
        .backoff_cap_ms = root->backoff_cap_ms,
        .client_name = root->client_name[0] ? root->client_name : NULL,
        .alone = true,
        .on_state = on_node_state,
        .arg = n,
    };
    n->up = n->tried = false;
    int err = rlink_open(root->loop, &opt, &n->conn);
    if (!err)
        n->of->root->handles++;
    return err;
}

void rcluster_need(struct rcluster *c, int slot)
{
    if (c->used[slot / 8] & BIT(slot % 8))
        return;
    c->used[slot / 8] |= (uint8_t)BIT(slot % 8);
    if (c->owner[slot])
        c->owner[slot]->needed++;
}

struct rlink *rcluster_any(struct rcluster *c)
{
    size_t count = c->nodes.count + 1, i = 0;
    struct rlink *found = NULL;
    for (size_t step = 0; step < count && !found; step++) {
        size_t want = (c->asker + step) % count;
        if (want == 0)
            found = c->root->state == RLINK_UP ? c->root : NULL;
        i = 1;
        list_each(&c->nodes, k)
        {
            struct rnode *n = CONTAINER_OF(k, struct rnode, link);
            if (i++ == want && n->conn && n->up)
                found = n->conn;
        }
        if (found)
            c->asker = want;
    }
    return found;
}

// tidy follows a new map: links where they are needed, none where they are not.
static void tidy(struct rcluster *c)
{
    uint64_t now_ms = uv_now(c->root->loop);
    list_each(&c->nodes, k)
    {
        struct rnode *n = CONTAINER_OF(k, struct rnode, link);
        bool idle = now_ms - n->used_ms >= UNUSED_MS;
        if (n->needed && rnode_open(n))
            rcluster_want_map(c); // no memory: later
        else if (!n->needed && (n->conn ? idle || (n->tried && !n->up) : !n->in_map))
            leave(n);
    }
}

// --- the map --------------------------------------------------------------------------------

static void on_map(int err, const struct reply *reply, void *arg)
{
    struct rcluster *c = arg;
    if (is_closed(c))
        return;
    if (!err && !rcluster_apply(c, reply, c->asked_host)) {
        c->want_map = c->kicked = false;
        tidy(c);
        rcluster_reconsider(c, NULL);
        if (c->up && !is_closed(c))
            c->asks = 0;
    }
    arm(c);
}

static void ask(struct rcluster *c)
{
    static const char *const argv[] = {"CLUSTER", "SLOTS"};
    static const size_t lens[] = {7, 5};
    int64_t wait_ms = ASK_FIRST_MS;
    for (int i = 0; i < c->asks && wait_ms < ASK_CAP_MS; i++)
        wait_ms = MIN(wait_ms * 2, ASK_CAP_MS);
    c->asks++;
    c->ask_at_ms = uv_now(c->root->loop) + (uint64_t)wait_ms;
    c->asker++; // another one each time: one may be cut off from the rest
    struct rlink *l = rcluster_any(c);
    if (!l)
        return;
    snprintf(c->asked_host, sizeof c->asked_host, "%s", l->dial.host);
    int unsent = rlink_call_here(l, 2, (const char **)argv, lens, 0, on_map, c);
    (void)unsent; // the timer asks again
}

void rcluster_want_map(struct rcluster *c)
{
    if (is_closed(c) || c->want_map)
        return;
    c->want_map = true;
    arm(c);
}

// is_slow: a call has been waiting there, and nothing was heard meanwhile.
static bool is_slow(const struct rnode *n, uint64_t now_ms)
{
    const struct rcall *oldest = n->conn ? rcalls_oldest(&n->conn->calls) : NULL;
    return oldest && now_ms >= MAX(oldest->sent_ms, n->conn->heard_ms) + SLOW_MS;
}

static void on_tick(uv_timer_t *t)
{
    struct rcluster *c = t->data;
    uint64_t now_ms = uv_now(c->root->loop);
    list_each(&c->nodes, k)
    {
        if (is_slow(CONTAINER_OF(k, struct rnode, link), now_ms))
            c->want_map = true;
    }
    if (!c->want_map)
        tidy(c);
    rcluster_again(c);
    if (c->want_map && now_ms >= c->ask_at_ms)
        ask(c);
    arm(c);
}

bool rcluster_seed(const struct rcluster *c, int n, const char **ret_host, int *ret_port)
{
    size_t i = 0, want = c->nodes.count ? (size_t)n / 2 % c->nodes.count : 0;
    if (n % 2 == 0)
        return false;
    list_each(&c->nodes, k)
    {
        const struct rnode *node = CONTAINER_OF(k, const struct rnode, link);
        if (i++ != want)
            continue;
        *ret_host = node->url.host;
        *ret_port = node->url.port;
        return true;
    }
    return false;
}

bool rcluster_holds(const struct rcluster *c, const struct rnode *n)
{
    for (int s = 0; s < RSLOT_COUNT; s++)
        if (c->owner[s] == n)
            return true;
    return false;
}

bool rcluster_where(const struct rcluster *c, const char *key, const char **ret_host, int *ret_port)
{
    const struct rnode *n = c->owner[rslot_of_key(span_of(key))];
    if (!n)
        return false;
    *ret_host = n->url.host;
    *ret_port = n->url.port;
    return true;
}

// --- its life -------------------------------------------------------------------------------

static struct rcluster *cluster_new(struct rlink *root)
{
    struct rcluster *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->root = root;
    list_init(&c->nodes);
    list_init(&c->again);
    list_init(&c->late);
    uv_timer_init(root->loop, &c->timer);
    c->timer.data = c;
    root->handles++;
    root->cluster = c;
    return c;
}

int rcluster_learn(struct rlink *l, const struct reply *slots, const char *host)
{
    if (!reply_count(reply_at(slots, 0)))
        return reply_is_error(slots, "") || strcmp(reply_text(slots), "") != 0 ? 0 : ERR_BAD_REPLY;
    struct rcluster *c = l->cluster ? l->cluster : cluster_new(l);
    int err = c ? rcluster_apply(c, slots, host) : ERR_NOMEM;
    if (err)
        return err;
    c->want_map = c->kicked = false;
    c->asks = 0;
    tidy(c);
    arm(c);
    return 0;
}

static void on_timer_closed(uv_handle_t *h)
{
    struct rcluster *c = h->data;
    rlink_handle_closed(c->root);
}

void rcluster_close(struct rcluster *c)
{
    rcluster_give_up(c, &c->again);
    while (!list_is_empty(&c->nodes))
        leave(CONTAINER_OF(list_first(&c->nodes), struct rnode, link));
    uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

void rcluster_free(struct rcluster *c)
{
    if (!c)
        return;
    assert(c->errands == 0 && list_is_empty(&c->nodes));
    free(c);
}
