// rlink_sock: one socket of a link, a hiredis context on a uv_poll (rlink_uv.c), with TLS on it
// where that is built in (rlink_tls.c, else rlink_notls.c). Nobody outside this folder includes it.
#ifndef PENSTOCK_REDIS_RLINK_SOCK_H
#define PENSTOCK_REDIS_RLINK_SOCK_H

#include "common/base/attrs.h"
#include "common/base/strbuf.h"

#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct rlink;
struct ssl_st;

enum { RSOCK_BACKLOG_BYTES_MAX = 512 << 20 }; // queued to be written; Redis' own limit of one value

struct rsock {
    struct rlink *link;
    redisAsyncContext *ctx; // NULL once hiredis has freed it
    uv_poll_t poll;
    int mask;       // what poll waits for now
    bool connected; // the socket itself; a greeting or a TLS handshake may be under way
    bool busy;      // hiredis is on the stack
    bool doomed;    // let go while busy: to be freed as soon as hiredis has returned
    bool queueing;  // a command is being added, so hiredis' wish to write may wait for "soon"
    bool flush_due; // something was queued since the last write
    bool stuck;     // the kernel's buffer was full: the next room in it is a sign of life
    size_t pending; // answers due
    struct strbuf command; // the one being queued
    struct ssl_st *tls;    // owned by hiredis; NULL without TLS
};

// rsock_open connects to a literal address, or to a unix socket where port is 0. ERR_CONNECT or
// ERR_NOMEM with the reason in ret_why.
int rsock_open(struct rlink *l, const char *where, int port, struct rsock **ret, char *ret_why,
               size_t why_room) MUST_CHECK;
// rsock_drop lets the socket go: nothing of it is heard again. It closes and frees itself.
void rsock_drop(struct rsock *s);
// rsock_send queues a command, whose fn begins with rsock_of. ERR_TOO_BIG, or ERR_LINK_DOWN where
// hiredis takes no more.
int rsock_send(struct rsock *s, redisCallbackFn *fn, void *arg, int argc, const char **argv,
               const size_t *lens) MUST_CHECK;
void rsock_flush(struct rsock *s); // writes what was queued since the last time
// rsock_of gives the socket a reply is for: NULL where it was let go, is dying, or has just been
// given up because more was answered than had been asked.
struct rsock *rsock_of(const redisAsyncContext *ctx, const void *reply);
bool rsock_talks_to_itself(const struct rsock *s); // TCP's simultaneous open with our own port

// --- TLS ------------------------------------------------------------------------------------

// rtls_start begins the handshake on a connected socket; on failure the reason is in ret_why.
int rtls_start(struct rsock *s, char *ret_why, size_t why_room) MUST_CHECK;
void rtls_before_io(struct rsock *s);         // clears OpenSSL's list of errors
bool rtls_wants_write(const struct rsock *s); // a write was cut short and waits for room
bool rtls_is_shaking(const struct rsock *s);  // the handshake is not over
// rtls_explain puts a better reason than hiredis' own into ret_why, where it knows one.
void rtls_explain(const struct rsock *s, char *ret_why, size_t why_room);

#endif
