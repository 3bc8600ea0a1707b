// rlink_watch: while the link is up, a Sentinel is asked every second whether it still names the
// same master. A switch is so followed at once, though the old master stands still with its sockets
// open, or goes on taking writes until the Sentinels come to demote it, which loses them.
#include "common/base/err.h"
#include "common/redis/rlink_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WATCH_EVERY_MS = 1000 };

struct rwatch {
    struct rlink *of;
    struct rlink *conn; // to the Sentinel; NULL while there is none
    struct rurl url;
    int turn;           // whom of the list, when one is not there
    bool asking, stale; // stale: the connection is of no use; the next round takes another
    uv_timer_t timer;
};

static void on_master(int err, const struct reply *reply, void *arg)
{
    struct rwatch *w = arg;
    struct rlink *l = w->of;
    struct span host;
    int64_t port;
    w->asking = false;
    if (err || l->state != RLINK_UP || !reply_str(reply_at(reply, 0), &host) ||
        !reply_int(reply_at(reply, 1), &port)) {
        w->stale = true;
        return;
    }
    const struct rsentinel_addr *now = &l->sentinel.master;
    if (span_is(host, now->host) && port == now->port)
        return;
    rsentinel_prefer(l, w->url.host, w->url.port); // so that the same one is asked
    rlink_lost(l, "Sentinel names another master, %.*s:%lld", (int)MIN(host.len, (size_t)100),
               host.at, (long long)port);
}

static void on_conn_state(struct rlink *conn, enum rlink_state state, const char *why, void *arg)
{
    struct rwatch *w = arg;
    (void)conn, (void)why;
    w->stale = w->stale || state == RLINK_DOWN;
}

static void on_conn_closed(void *arg)
{
    rlink_handle_closed(arg);
}

static void drop(struct rwatch *w)
{
    struct rlink *conn = w->conn;
    w->conn = NULL;
    w->asking = w->stale = false;
    if (conn)
        rlink_close(conn, on_conn_closed, w->of);
}

// dial takes the Sentinel that knew the last time, then the others in turn.
static void dial(struct rwatch *w)
{
    struct rlink *l = w->of;
    const struct rsentinel_addr *at = &l->sentinel.list[w->turn++ % l->sentinel.count];
    w->url = (struct rurl){.kind = RURL_TCP, .port = at->port};
    snprintf(w->url.host, sizeof w->url.host, "%s", at->host);
    if (l->sentinel.authed) {
        memcpy(w->url.user, l->url->user, sizeof w->url.user);
        memcpy(w->url.password, l->url->password, sizeof w->url.password);
    }
    struct rlink_options opt = {
        .url = &w->url,
        .connect_timeout_ms = WATCH_EVERY_MS,
        .patience_ms = WATCH_EVERY_MS,
        .client_name = l->client_name[0] ? l->client_name : NULL,
        .on_state = on_conn_state,
        .arg = w,
        .alone = true,
    };
    if (rlink_open(l->loop, &opt, &w->conn) == 0)
        l->handles++;
}

static void on_timer(uv_timer_t *t)
{
    struct rwatch *w = t->data;
    struct rlink *l = w->of;
    const char *argv[] = {"SENTINEL", "get-master-addr-by-name", l->url->master};
    size_t lens[] = {8, 23, strlen(l->url->master)};
    if (l->state != RLINK_UP)
        return; // it asks by itself
    if (w->stale)
        drop(w);
    if (!w->conn)
        dial(w);
    else if (rlink_is_up(w->conn) && !w->asking)
        w->asking = rlink_call(w->conn, 3, argv, lens, 0, on_master, w) == 0;
}

void rwatch_start(struct rlink *l)
{
    struct rwatch *w = calloc(1, sizeof *w);
    if (!w)
        return; // then a switch is noticed by the broken connection
    w->of = l;
    uv_timer_init(l->loop, &w->timer);
    w->timer.data = w;
    uv_timer_start(&w->timer, on_timer, WATCH_EVERY_MS, WATCH_EVERY_MS);
    l->handles++;
    l->watch = w;
}

static void on_timer_closed(uv_handle_t *h)
{
    struct rwatch *w = h->data;
    struct rlink *l = w->of;
    rlink_handle_closed(l);
}

void rwatch_close(struct rwatch *w)
{
    drop(w);
    uv_close((uv_handle_t *)&w->timer, on_timer_closed);
}

void rwatch_free(struct rwatch *w)
{
    if (w)
        explicit_bzero(&w->url, sizeof w->url);
    free(w);
}
