// rcluster: what makes of a link a link to a Redis Cluster. Nobody outside this folder includes it.
//
// DESIGN  The link that was opened is the root. Its own socket leads to the node of the URL, later
// to any that is known, and is what the map is asked of first (CLUSTER SLOTS). A node has a link of
// its own once a command is to go there. rcluster.c is the nodes and the state of the whole;
// rcluster_map.c reads maps; rcluster_call.c carries commands ("errands") to the node of their
// slot and again to another where a node says so. All of it is up while each node that is needed
// is: the ones that hold a slot which was ever used. So a queue move never runs against half of
// what it needs, and one lost node stops the work until its replica has taken over.
#ifndef PENSTOCK_REDIS_RCLUSTER_H
#define PENSTOCK_REDIS_RCLUSTER_H

#include "common/base/list.h"
#include "common/redis/rlink.h"
#include "common/redis/rslot.h"

#include <uv.h>

enum {
    RCLUSTER_FIRSTS_MAX = 32,  // commands that each node hears first
    RCLUSTER_NODES_MAX = 1000, // Redis' own advice
    RCLUSTER_WHY_MAX = 256,
};

struct rcluster;

struct rnode {
    struct list_link link; // in cluster->nodes
    struct rcluster *of;
    struct rurl url;      // the root's, with this node's host and port
    struct rlink *conn;   // NULL until something is to be sent there
    int needed;           // slots it holds that are used
    bool in_map, closing; // closing: its link is; it is in no list any more
    bool up, tried;       // tried: its first connect has ended, one way or the other
    uint64_t used_ms;     // when something was last sent there
    struct list parked;   // rerrand: they wait for the first connect
};

struct rfirst {
    int argc;
    const char *argv[4];
    size_t lens[4];
};

struct rcluster {
    struct rlink *root;
    struct list nodes;
    struct rnode *owner[RSLOT_COUNT];
    uint8_t used[RSLOT_COUNT / 8];
    struct rfirst firsts[RCLUSTER_FIRSTS_MAX];
    size_t first_count;

    struct list again; // rerrand: "not now", to be sent anew by the timer
    struct list late;  // rerrand: to be answered from the loop with ERR_LINK_DOWN
    size_t errands;    // not yet answered

    bool up, kicked;
    char why[RCLUSTER_WHY_MAX]; // the latest reason to be down
    uv_timer_t timer;
    bool want_map;
    int asks; // since the map was last good; sets the pace
    uint64_t ask_at_ms;
    size_t asker;         // whose turn it is
    char asked_host[256]; // for a node that does not know its own address
};

// --- rcluster.c -----------------------------------------------------------------------------

// rcluster_learn takes the answer to CLUSTER SLOTS in the root's greeting: one server, if it is an
// error. Otherwise l->cluster is there after it. ERR_NOMEM, or ERR_BAD_REPLY: no slot is served.
int rcluster_learn(struct rlink *l, const struct reply *slots, const char *host) MUST_CHECK;
void rcluster_reconsider(struct rcluster *c, const char *why); // up or down, and says so
void rcluster_kick(struct rcluster *c, const char *why);
void rcluster_close(struct rcluster *c); // the root is closing
void rcluster_free(struct rcluster *c);
// rcluster_seed gives the address to dial at the n-th try; false: the URL's own.
bool rcluster_seed(const struct rcluster *c, int n, const char **ret_host, int *ret_port);
// rcluster_where gives the node that holds a key; false where that is not known.
bool rcluster_where(const struct rcluster *c, const char *key, const char **ret_host,
                    int *ret_port);
void rcluster_want_map(struct rcluster *c);
bool rcluster_holds(const struct rcluster *c, const struct rnode *n); // it holds slots
struct rlink *rcluster_any(struct rcluster *c); // a link that is up; NULL: none
int rnode_open(struct rnode *n) MUST_CHECK;     // its link, where there is none yet
void rcluster_need(struct rcluster *c, int slot);

// --- rcluster_map.c -------------------------------------------------------------------------

struct rnode *rcluster_node(struct rcluster *c, const char *host, size_t len, int port);
// rcluster_apply reads a map. host: who was asked.
int rcluster_apply(struct rcluster *c, const struct reply *slots, const char *host) MUST_CHECK;
// rcluster_redirect reads "MOVED 3999 host:port" or "ASK ...". NULL: it is neither.
struct rnode *rcluster_redirect(struct rcluster *c, const char *text, const char *host,
                                int *ret_slot);
// rcluster_is_moving: MOVED, ASK, TRYAGAIN or CLUSTERDOWN.
bool rcluster_is_moving(const struct reply *r);
// rcluster_heard notes such an answer that another link has had.
void rcluster_heard(struct rcluster *c, const struct reply *r, const char *host);

// --- rcluster_call.c ------------------------------------------------------------------------

int rcluster_call(struct rcluster *c, int argc, const char **argv, const size_t *lens,
                  int64_t patience_ms, rlink_cb cb, void *arg) MUST_CHECK;
// rcluster_call_node sends to the nth node that holds slots.
int rcluster_call_node(struct rcluster *c, size_t nth, int argc, const char **argv,
                       const size_t *lens, int64_t patience_ms, rlink_cb cb, void *arg) MUST_CHECK;
int rcluster_call_each(struct rcluster *c, int argc, const char **argv, const size_t *lens,
                       rlink_cb cb, void *arg) MUST_CHECK;
void rcluster_greet(struct rnode *n); // its link has come up: what it hears first, then the parked
void rcluster_give_up(struct rcluster *c, struct list *errands); // they become late
void rcluster_route(struct rcluster *c, struct list *errands);   // by the map as it is now
void rcluster_answer_late(struct rcluster *c);
void rcluster_again(struct rcluster *c); // what was to be sent anew

#endif
