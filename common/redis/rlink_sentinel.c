// rlink_sentinel: asks the Sentinels of the URL in turn where the master is. The one that knew goes
// first next time. What it names is checked by ROLE in the greeting, since a Sentinel may name a
// master that has just been demoted.
#include "common/redis/rlink_int.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// take_one reads "host:port" or "[::1]:port" as rurl_parse has written it.
static void take_one(struct rsentinel *n, const char *at, size_t len)
{
    const char *colon = memrchr(at, ':', len);
    bool bracket = at[0] == '[';
    if (!colon || n->count == RSENTINEL_MAX)
        return;
    int host_len = (int)(colon - at) - (bracket ? 2 : 0);
    snprintf(n->list[n->count].host, RLINK_HOST_MAX, "%.*s", host_len, at + bracket);
    n->list[n->count++].port = (int)strtol(colon + 1, NULL, 10);
}

void rsentinel_init(struct rlink *l)
{
    const char *at = l->url->host;
    while (*at) {
        size_t len = strcspn(at, ",");
        take_one(&l->sentinel, at, len);
        at += len + (at[len] == ',');
    }
    assert(l->sentinel.count > 0);
}

bool rsentinel_has_more(const struct rlink *l)
{
    return l->sentinel.asked < l->sentinel.count;
}

void rsentinel_next(struct rlink *l)
{
    struct rsentinel *n = &l->sentinel;
    n->asking = true;
    n->authed = false;
    int i = n->asked++;
    rdial_start(l, n->list[i].host, n->list[i].port);
}

void rsentinel_begin(struct rlink *l)
{
    l->sentinel.asked = 0;
    rsentinel_next(l);
}

static void put_first(struct rsentinel *n, int i)
{
    struct rsentinel_addr knew = n->list[i];
    memmove(&n->list[1], &n->list[0], (size_t)i * sizeof n->list[0]);
    n->list[0] = knew;
}

void rsentinel_prefer(struct rlink *l, const char *host, int port)
{
    struct rsentinel *n = &l->sentinel;
    for (int i = 0; i < n->count; i++)
        if (n->list[i].port == port && strcmp(n->list[i].host, host) == 0) {
            put_first(n, i);
            return;
        }
}

static void dial_master(struct rlink *l)
{
    rdial_start(l, l->sentinel.master.host, l->sentinel.master.port);
}

// take_master: the two strings of get-master-addr-by-name.
static bool take_master(struct rsentinel *n, const struct reply *r)
{
    struct span host;
    int64_t port;
    if (reply_count(r) != 2 || !reply_str(reply_at(r, 0), &host) ||
        !reply_int(reply_at(r, 1), &port))
        return false;
    if (host.len == 0 || host.len >= sizeof n->master.host || port < 1 || port > 65535)
        return false;
    snprintf(n->master.host, sizeof n->master.host, "%.*s", (int)host.len, host.at);
    n->master.port = (int)port;
    return true;
}

static void take_answer(struct rlink *l, const struct reply *r)
{
    struct rsentinel *n = &l->sentinel;
    char why[RLINK_WHY_MAX];
    if (take_master(n, r)) {
        put_first(n, n->asked - 1);
        n->asking = false;
        rsock_drop(l->sock);
        l->sock = NULL;
        l->next_step = dial_master;
        rlink_soon(l);
    } else if (reply_is_error(r, "NOAUTH") && l->url->password[0] && !n->authed) {
        n->authed = true;
        rsentinel_ask(l);
    } else if (reply_is_error(r, "")) {
        rgreet_refusal(l, "SENTINEL", r, why, sizeof why);
        rlink_try_failed(l, "%s", why);
    } else {
        rlink_try_failed(l, "the Sentinel knows no master \"%s\"", l->url->master);
    }
}

static void on_auth(redisAsyncContext *ctx, void *reply, void *arg)
{
    (void)arg;
    struct rsock *s = rsock_of(ctx, reply);
    char why[RLINK_WHY_MAX];
    if (!s || !reply_is_error(reply, ""))
        return;
    rgreet_refusal(s->link, "AUTH to the Sentinel", reply, why, sizeof why);
    rlink_try_failed(s->link, "%s", why);
}

static void on_master(redisAsyncContext *ctx, void *reply, void *arg)
{
    (void)arg;
    struct rsock *s = rsock_of(ctx, reply);
    if (s)
        take_answer(s->link, reply);
}

void rsentinel_ask(struct rlink *l)
{
    const char *argv[] = {"SENTINEL", "get-master-addr-by-name", l->url->master};
    int err = l->sentinel.authed ? rgreet_auth(l, on_auth, NULL) : 0;
    if (!err)
        err = rsock_send(l->sock, on_master, NULL, 3, argv, NULL);
    if (err)
        rlink_try_failed(l, "the Sentinel could not be asked");
}
