// rlink_int: what the files of a link share. Nobody outside this folder includes it.
//
// DESIGN  rlink.c is the link's life: its states, its calls, its one timer. rlink_dial.c finds an
// address and opens a socket; rlink_sentinel.c finds out whom to dial; rlink_greet.c says who we
// are once connected; rlink_uv.c is the socket: a hiredis context on a uv_poll. Each tells rlink.c
// by one of the verbs below. hiredis' callbacks run deep inside hiredis, so whatever opens the next
// socket or runs a callback of the caller for a dead one is put off to the idle handle ("soon").
#ifndef PENSTOCK_REDIS_RLINK_INT_H
#define PENSTOCK_REDIS_RLINK_INT_H

#include "common/redis/rcall.h"
#include "common/redis/rcluster.h"
#include "common/redis/rlink.h"
#include "common/redis/rlink_sock.h"

enum {
    RLINK_WHY_MAX = 256,
    RLINK_NAME_MAX = 128,
    RLINK_HOST_MAX = 256,
    RDIAL_ADDRS_MAX = 8,   // addresses of one name that are tried in turn
    RDIAL_ADDR_BYTES = 64, // an IPv6 literal and its scope
    RSENTINEL_MAX = 16,
};

// --- rlink_dial.c ---------------------------------------------------------------------------

struct rlookup;

struct rdial {
    char host[RLINK_HOST_MAX];
    int port;
    char addrs[RDIAL_ADDRS_MAX][RDIAL_ADDR_BYTES];
    int count, next;
    struct rlookup *lookup; // under way, or NULL
};

void rdial_start(struct rlink *l, const char *host, int port);
bool rdial_has_more(const struct rlink *l); // an address of this name is left to try
void rdial_next(struct rlink *l);
void rdial_stop(struct rlink *l); // lets a lookup go
// rdial_where writes "host:port" or the socket's path.
void rdial_where(const struct rlink *l, char *ret, size_t room);

// --- rlink_sentinel.c -----------------------------------------------------------------------

struct rsentinel_addr {
    char host[RLINK_HOST_MAX];
    int port;
};

struct rsentinel {
    struct rsentinel_addr
        list[RSENTINEL_MAX]; // whom to ask, in this order; the last that knew is first
    int count, asked;
    struct rsentinel_addr master;
    bool asking; // the socket leads to a Sentinel
    bool authed; // the password was sent to it already
};

void rsentinel_init(struct rlink *l);
void rsentinel_begin(struct rlink *l);
bool rsentinel_has_more(const struct rlink *l);
void rsentinel_next(struct rlink *l);
void rsentinel_ask(struct rlink *l);                                // the socket is connected
void rsentinel_prefer(struct rlink *l, const char *host, int port); // to be asked first

// --- rlink_watch.c --------------------------------------------------------------------------

struct rwatch;
void rwatch_start(struct rlink *l); // l->watch; without memory for it there is none
void rwatch_close(struct rwatch *w);
void rwatch_free(struct rwatch *w);

// --- rlink_greet.c --------------------------------------------------------------------------

// rgreet_start sends AUTH, SELECT, CLIENT SETNAME, ROLE and PING as needed, then CLUSTER SLOTS; it
// ends in rlink_up or rlink_lost.
void rgreet_start(struct rlink *l);
// rgreet_auth sends the URL's user and password.
int rgreet_auth(struct rlink *l, redisCallbackFn *fn, void *arg) MUST_CHECK;
// rgreet_refusal puts "WHAT was refused: text of Redis" into ret; never with the password.
void rgreet_refusal(const struct rlink *l, const char *what, const struct reply *r, char *ret,
                    size_t room);

// --- rlink.c --------------------------------------------------------------------------------

struct rlink {
    uv_loop_t *loop;
    const struct rurl *url; // borrowed
    int64_t connect_timeout_ms, patience_ms, backoff_cap_ms;
    char client_name[RLINK_NAME_MAX];
    void (*on_state)(struct rlink *l, enum rlink_state state, const char *why, void *arg);
    void *arg;

    enum rlink_state state;
    struct rsock *sock; // NULL while there is none
    struct rcalls calls;
    struct rdial dial;
    struct rsentinel sentinel;
    struct rlink *guide; // borrowed: knows the node that holds key; NULL = the URL's server
    const char *key;
    bool demoted;             // it was no master the last time: ask before all else
    bool alone;               // does not ask whether it is a cluster
    struct rcluster *cluster; // NULL: one server, or not known yet
    struct rwatch *watch;     // of the Sentinels; NULL: none

    uv_timer_t timer; // DOWN: next try. CONNECTING, GREETING: time-out. UP: patience
    uv_idle_t idle;   // "soon": runs once, on the loop's next turn
    int handles;      // not yet closed; the last one frees the link
    void (*next_step)(struct rlink *l); // to be taken soon, or NULL

    int tries;            // since the link was last up for long; sets the backoff
    uint64_t up_ms;       // when it came up
    uint64_t heard_ms;    // last sign of life of the other side
    uint64_t answered_ms; // last answer to a call
    uint64_t watch_ms;    // when the timer looks at the oldest call's patience; 0 = not set
    bool doubted;         // patience is over; one more turn of the loop is granted
    bool told_down;       // on_state knows
    bool tell_down;       // on_state is to be told soon, with first_why
    uint64_t calls_made;
    char why[RLINK_WHY_MAX], first_why[RLINK_WHY_MAX];

    void (*closed)(void *arg);
    void *closed_arg;
};

void rlink_soon(struct rlink *l);
void rlink_arm(struct rlink *l, int64_t after_ms); // the timer
void rlink_connected(struct rlink *l);             // the socket is
void rlink_gone(struct rlink *l, const char *why); // the socket broke by itself
void rlink_heard(struct rlink *l);
// This address failed; others may be left. The reason is in words.
void rlink_try_failed(struct rlink *l, const char *fmt, ...) PRINTF(2, 3);
void rlink_up(struct rlink *l);
// Down, and a new try after the backoff.
void rlink_lost(struct rlink *l, const char *fmt, ...) PRINTF(2, 3);
void rlink_handle_closed(struct rlink *l);
// rlink_call_here sends on the link's own socket, cluster or not.
int rlink_call_here(struct rlink *l, int argc, const char **argv, const size_t *lens,
                    int64_t patience_ms, rlink_cb cb, void *arg) MUST_CHECK;

#endif
