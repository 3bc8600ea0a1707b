// rlink_dial: from a host name to a socket. Names are looked up by libuv's threads, so that a slow
// resolver does not hold the loop; hiredis is only ever given literal addresses, one after another.
#include "common/base/err.h"
#include "common/redis/rlink_int.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A lookup outlives the try, and even the link, that began it: libuv cannot stop one that runs.
struct rlookup {
    uv_getaddrinfo_t req;
    struct rlink *link; // NULL once let go
    char host[RLINK_HOST_MAX];
};

void rdial_where(const struct rlink *l, char *ret, size_t room)
{
    const struct rdial *d = &l->dial;
    if (d->port == 0)
        snprintf(ret, room, "%s", d->host);
    else
        snprintf(ret, room, strchr(d->host, ':') ? "[%s]:%d" : "%s:%d", d->host, d->port);
}

static void fail(struct rlink *l, const char *what)
{
    char where[RLINK_WHY_MAX];
    rdial_where(l, where, sizeof where);
    rlink_try_failed(l, "%s (%s)", what, where);
}

bool rdial_has_more(const struct rlink *l)
{
    return l->dial.next < l->dial.count;
}

void rdial_next(struct rlink *l)
{
    struct rdial *d = &l->dial;
    const char *where = d->port ? d->addrs[d->next] : d->host;
    char why[RLINK_WHY_MAX];
    d->next++;
    rlink_arm(l, l->connect_timeout_ms);
    if (rsock_open(l, where, d->port, &l->sock, why, sizeof why))
        fail(l, why);
}

static void take_addresses(struct rdial *d, const struct addrinfo *found)
{
    d->count = d->next = 0;
    for (const struct addrinfo *a = found; a && d->count < RDIAL_ADDRS_MAX; a = a->ai_next)
        // Numeric: no second lookup. It keeps the scope of a link-local address.
        if (getnameinfo(a->ai_addr, a->ai_addrlen, d->addrs[d->count], RDIAL_ADDR_BYTES, NULL, 0,
                        NI_NUMERICHOST) == 0)
            d->count++;
}

static void on_lookup(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct rlookup *k = req->data;
    struct rlink *l = k->link;
    if (l) {
        l->dial.lookup = NULL;
        take_addresses(&l->dial, found);
    }
    uv_freeaddrinfo(found);
    free(k);
    if (!l || l->state != RLINK_CONNECTING || l->sock)
        return; // the try that asked is over
    if (rdial_has_more(l))
        rdial_next(l);
    else
        fail(l, status ? uv_strerror(status) : "the name has no address");
}

void rdial_stop(struct rlink *l)
{
    struct rlookup *k = l->dial.lookup;
    l->dial.lookup = NULL;
    if (!k)
        return;
    k->link = NULL;
    uv_cancel((uv_req_t *)&k->req); // helps only where it has not begun
}

static void look_up(struct rlink *l)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    if (l->dial.lookup && strcmp(l->dial.lookup->host, l->dial.host) == 0)
        return; // begun by an earlier try: its answer will do
    rdial_stop(l);
    struct rlookup *k = calloc(1, sizeof *k);
    if (!k) {
        fail(l, err_text(ERR_NOMEM));
        return;
    }
    k->link = l;
    k->req.data = k;
    memcpy(k->host, l->dial.host, sizeof k->host);
    int status = uv_getaddrinfo(l->loop, &k->req, on_lookup, k->host, NULL, &hints);
    if (status) {
        free(k);
        fail(l, uv_strerror(status));
        return;
    }
    l->dial.lookup = k;
}

static bool is_literal(const char *host)
{
    unsigned char unused[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, unused) == 1 || inet_pton(AF_INET6, host, unused) == 1;
}

void rdial_start(struct rlink *l, const char *host, int port)
{
    struct rdial *d = &l->dial;
    snprintf(d->host, sizeof d->host, "%s", host);
    d->port = port;
    d->count = d->next = 0;
    rlink_arm(l, l->connect_timeout_ms);
    if (port != 0 && !is_literal(d->host)) {
        look_up(l);
        return;
    }
    rdial_stop(l); // an earlier try's, of another name: what it finds must not mix in
    d->count = 1;
    if (port != 0)
        snprintf(d->addrs[0], RDIAL_ADDR_BYTES, "%.*s", RDIAL_ADDR_BYTES - 1, d->host);
    rdial_next(l);
}
