// rcluster_map: which node holds which slot, from CLUSTER SLOTS and from redirections.
#include "common/base/err.h"
#include "common/redis/rlink_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rnode *rcluster_node(struct rcluster *c, const char *host, size_t len, int port)
{
    list_each(&c->nodes, k)
    {
        struct rnode *n = CONTAINER_OF(k, struct rnode, link);
        if (n->url.port == port && span_is((struct span){host, len}, n->url.host))
            return n;
    }
    if (c->nodes.count >= RCLUSTER_NODES_MAX || len == 0 || len >= sizeof c->root->url->host ||
        port < 1 || port > 65535)
        return NULL;
    struct rnode *n = calloc(1, sizeof *n);
    if (!n)
        return NULL;
    n->of = c;
    n->url = *c->root->url;
    n->url.kind = n->url.kind == RURL_TLS ? RURL_TLS : RURL_TCP;
    snprintf(n->url.host, sizeof n->url.host, "%.*s", (int)len, host);
    n->url.port = port;
    n->url.db = 0;
    list_init(&n->parked);
    list_append(&c->nodes, &n->link);
    return n;
}

// take_node reads {host, port, ...}. A node that does not know its own address is where we asked.
static struct rnode *take_node(struct rcluster *c, const struct reply *r, const char *asked)
{
    struct span host = span_of(asked);
    int64_t port = reply_int_or(reply_at(r, 1), 0);
    struct span named;
    if (reply_str(reply_at(r, 0), &named) && named.len > 0 && !span_is(named, "?"))
        host = named;
    return port > 0 && port <= 65535 ? rcluster_node(c, host.at, host.len, (int)port) : NULL;
}

// take_range reads {first slot, last slot, master, replica...}.
static int take_range(struct rcluster *c, const struct reply *r, const char *asked,
                      struct rnode **owner)
{
    int64_t first = reply_int_or(reply_at(r, 0), -1), last = reply_int_or(reply_at(r, 1), -1);
    if (first < 0 || last < first || last >= RSLOT_COUNT)
        return ERR_BAD_REPLY;
    for (size_t i = 2; i < reply_count(r); i++) {
        struct rnode *n = take_node(c, reply_at(r, i), asked);
        if (!n)
            continue; // a replica of no known address
        n->in_map = true;
        for (int64_t s = first; i == 2 && s <= last; s++)
            owner[s] = n;
    }
    return 0;
}

// count_needs says of each node how many slots it holds that are used.
static void count_needs(struct rcluster *c)
{
    list_each(&c->nodes, k) CONTAINER_OF(k, struct rnode, link)->needed = 0;
    for (int s = 0; s < RSLOT_COUNT; s++)
        if (c->owner[s] && c->used[s / 8] & BIT(s % 8))
            c->owner[s]->needed++;
}

int rcluster_apply(struct rcluster *c, const struct reply *slots, const char *asked)
{
    struct rnode **owner = calloc(RSLOT_COUNT, sizeof *owner);
    int err = owner ? 0 : ERR_NOMEM;
    list_each(&c->nodes, k) CONTAINER_OF(k, struct rnode, link)->in_map = false;
    for (size_t i = 0; !err && i < reply_count(slots); i++)
        err = take_range(c, reply_at(slots, i), asked, owner);
    if (!err && reply_count(slots) == 0)
        err = ERR_BAD_REPLY;
    if (!err)
        memcpy(c->owner, owner, sizeof c->owner);
    else
        for (int s = 0; s < RSLOT_COUNT; s++)
            if (c->owner[s])
                c->owner[s]->in_map = true; // the old map stands
    free(owner);
    count_needs(c);
    return err;
}

struct rnode *rcluster_redirect(struct rcluster *c, const char *text, const char *asked,
                                int *ret_slot)
{
    bool moved = strncmp(text, "MOVED ", 6) == 0;
    if (!moved && strncmp(text, "ASK ", 4) != 0)
        return NULL;
    char *at;
    long slot = strtol(text + (moved ? 6 : 4), &at, 10);
    const char *colon = strrchr(at, ':');
    if (slot < 0 || slot >= RSLOT_COUNT || *at != ' ' || !colon)
        return NULL;
    struct span host = {at + 1, (size_t)(colon - at - 1)};
    if (host.len == 0)
        host = span_of(asked);
    struct rnode *n = rcluster_node(c, host.at, host.len, (int)strtol(colon + 1, NULL, 10));
    if (!n)
        return NULL;
    *ret_slot = (int)slot;
    n->in_map = true;
    if (moved && c->owner[slot] != n) {
        c->owner[slot] = n;
        count_needs(c);
        rcluster_want_map(c);
    }
    return n;
}

bool rcluster_is_moving(const struct reply *r)
{
    return reply_is_error(r, "MOVED") || reply_is_error(r, "ASK") ||
           reply_is_error(r, "TRYAGAIN") || reply_is_error(r, "CLUSTERDOWN");
}

void rcluster_heard(struct rcluster *c, const struct reply *r, const char *asked)
{
    int slot;
    rcluster_redirect(c, reply_text(r), asked, &slot);
    if (reply_is_error(r, "CLUSTERDOWN"))
        rcluster_want_map(c);
}
