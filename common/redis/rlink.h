// rlink: one logical connection to Redis that outlives many sockets. The only folder that knows
// hiredis.
//
// A link whose server turns out to be a node of a Redis Cluster has a connection to each node it
// needs, and sends each command to the one that holds its key; that is found out when it connects
// (CLUSTER SLOTS). It follows MOVED and ASK, and waits TRYAGAIN and CLUSTERDOWN out for as long as
// the call's patience. It is up while all nodes are that hold a key it has ever used.
//
// A call made while the link is down fails at once with ERR_LINK_DOWN and is never queued: a queue
// move replayed after its lease has gone would take the job from its new owner. When the socket
// breaks, every outstanding call is answered with ERR_LINK_DOWN, from the loop. The link reconnects
// by itself, with capped and jittered backoff; a link that is silent for longer than its patience
// while calls are outstanding is torn down on purpose.
//
// All of it belongs to the loop's thread. rlink_open turns SIGPIPE off where nobody has chosen
// otherwise: hiredis writes to sockets that may be gone.
#ifndef PENSTOCK_REDIS_RLINK_H
#define PENSTOCK_REDIS_RLINK_H

#include "common/base/attrs.h"
#include "common/redis/reply.h"
#include "common/redis/rurl.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uv_loop_s;
struct rlink;

enum rlink_state { RLINK_DOWN, RLINK_CONNECTING, RLINK_GREETING, RLINK_UP, RLINK_CLOSED };

struct rlink_options {
    const struct rurl *url;     // borrowed for the link's life
    int64_t connect_timeout_ms; // default 5000 where 0
    int64_t patience_ms;        // longest silence with a call outstanding; default 10000 where 0
    int64_t backoff_cap_ms;     // longest wait between connects; default 2000 where 0
    const char *client_name;    // CLIENT SETNAME; NULL = none
    // on_state reports each change to RLINK_UP and to RLINK_DOWN, from the loop, with a reason in
    // words ("connection refused (127.0.0.1:6379)"). DOWN comes once, with the first reason; the
    // tries that follow are silent (rlink_why has the latest).
    void (*on_state)(struct rlink *l, enum rlink_state state, const char *why, void *arg);
    void *arg;
    // For a link that is used for one key only (a blocking wait): where the server of the link
    // `guide` is a cluster, it leads to the node that holds `key`. Both are borrowed until it is
    // closed. Answers that say that the slot is elsewhere, or not served now, make it look anew.
    struct rlink *guide;
    const char *key;
    bool alone; // one server, whatever it says
};

// An answer: err is 0 and reply the tree (borrowed until return), or err is ERR_LINK_DOWN (reply
// NULL) or ERR_REDIS (reply is the error: reply_text gives its words, "NOSCRIPT ...").
typedef void (*rlink_cb)(int err, const struct reply *reply, void *arg);

// rlink_has_tls says whether this build can speak TLS to Redis (hiredis with hiredis_ssl).
bool rlink_has_tls(void);

// rlink_open starts the first connect from the loop. ERR_NOMEM, or ERR_BAD_CONF: TLS is asked for
// and this build has none.
int rlink_open(struct uv_loop_s *loop, const struct rlink_options *opt,
               struct rlink **ret) MUST_CHECK;
// rlink_close answers what is outstanding with ERR_LINK_DOWN, then calls closed; freed after that.
// A second close is ignored. A name lookup under way is let go: it may keep the loop busy for a
// while after closed.
void rlink_close(struct rlink *l, void (*closed)(void *arg), void *arg);

// rlink_call sends one command. If it returns 0, cb runs exactly once, from the loop, after
// rlink_call has returned. If it fails, cb never runs: ERR_LINK_DOWN, or ERR_TOO_BIG (too many
// outstanding, or too many bytes waiting to be sent). patience_ms > 0 replaces the link's patience
// for this command (a blocking one). argv and lens are copied. Not for commands that are answered
// more than once (SUBSCRIBE, MONITOR).
int rlink_call(struct rlink *l, int argc, const char **argv, const size_t *lens,
               int64_t patience_ms, rlink_cb cb, void *arg) MUST_CHECK;

// rlink_call_node sends a command without a key, such as SCAN, to the nth of rlink_nodes. On one
// server it is rlink_call.
int rlink_call_node(struct rlink *l, size_t nth, int argc, const char **argv, const size_t *lens,
                    int64_t patience_ms, rlink_cb cb, void *arg) MUST_CHECK;

// rlink_call_each sends a command without a key to every node that is connected, and to each that
// will be before anything else (SCRIPT LOAD); cb hears the answer of one of them. At most 32
// different ones of at most 4 words, borrowed for the link's life. On one server it is rlink_call.
int rlink_call_each(struct rlink *l, int argc, const char **argv, const size_t *lens, rlink_cb cb,
                    void *arg) MUST_CHECK;
// rlink_slot gives the slot of a key; 0 for every key where there is no cluster.
int rlink_slot(const struct rlink *l, const char *key);
bool rlink_is_cluster(const struct rlink *l);
// rlink_nodes: how many nodes hold slots; 0 where there is no cluster.
size_t rlink_nodes(const struct rlink *l);

bool rlink_is_up(const struct rlink *l);
// rlink_why gives the latest reason to be down, also of a silent try; "" where there was none yet.
const char *rlink_why(const struct rlink *l);
uint64_t rlink_last_answer_ms(const struct rlink *l); // monotonic; 0 = never
// rlink_kick tears the socket down and reconnects (a demoted master; a reply that cannot be).
void rlink_kick(struct rlink *l, const char *why);
size_t rlink_outstanding(const struct rlink *l);
uint64_t rlink_calls_made(const struct rlink *l);

#endif
