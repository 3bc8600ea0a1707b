// target: a URL, what all requests to it carry, the addresses of its host and the shards that hold
// its connections.
#include "common/base/err.h"
#include "worker/http/client_int.h"
#include "worker/http/lookup.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ADDRESS_FRESH_MS = 60 * 1000,    // older ones are used while new ones are asked for
    ADDRESS_OLD_MS = 10 * 60 * 1000, // older ones are not used before the name server was asked
    LOOKUP_GAP_MS = 1000,
};

// ---- addresses

static void fail_waiting(struct http_target *t, int error, const char *text)
{
    struct list_link *k;
    while ((k = list_first(&t->waiting)))
        call_end(CONTAINER_OF(k, struct http_call, link), error, text);
}

// Old addresses stay in use where a lookup fails: a name server that is down must not stop calls
// to a server that is up.
static void on_looked_up(const char *addresses, const char *why, void *arg)
{
    struct http_target *t = arg;
    struct http_client *c = t->client;
    t->lookup = NULL;
    t->looked_up_ms = uv_now(c->hub.loop);
    t->lookup_due_ms = t->looked_up_ms + (why ? LOOKUP_GAP_MS : ADDRESS_FRESH_MS);
    client_stir(c);
    if (why) {
        char text[160];
        snprintf(text, sizeof text, "could not resolve host %s: %s", t->host, why);
        if (!t->has_addresses)
            fail_waiting(t, ERR_CONNECT, text);
        return;
    }
    struct strbuf entry;
    strbuf_init(&entry, 2048);
    strbuf_add_fmt(&entry, "%s:%s:%s", t->host, t->port, addresses);
    struct curl_slist *list = strbuf_failed(&entry) ? NULL : curl_slist_append(NULL, entry.at);
    strbuf_fini(&entry);
    t->has_addresses = true;
    if (!list)
        return; // libcurl asks for itself then
    curl_slist_free_all(t->resolve);
    t->resolve = list;
}

// addressed: the host's addresses are known, so that libcurl will not look for them.
static bool addressed(struct http_target *t)
{
    if (!t->host)
        return true;
    struct http_client *c = t->client;
    uint64_t now = uv_now(c->hub.loop);
    bool due = !t->has_addresses || now >= t->lookup_due_ms;
    if (due && !t->lookup && lookup_start(&c->hub, t->host, on_looked_up, t, &t->lookup)) {
        t->lookup_due_ms = now + LOOKUP_GAP_MS;
        return true; // no thread to be had: libcurl may try
    }
    return !t->lookup || (t->has_addresses && now - t->looked_up_ms < ADDRESS_OLD_MS);
}

void target_connect_failed(struct http_target *t)
{
    t->lookup_due_ms = MIN(t->lookup_due_ms, t->looked_up_ms + LOOKUP_GAP_MS);
}

// ---- shards

static struct shard *grow(struct http_target *t)
{
    int most = (t->client->opt.calls_max + SHARD_CALLS - 1) / SHARD_CALLS + 1;
    if (t->shard_count >= most)
        return NULL;
    struct shard **more = realloc(t->shards, (size_t)(t->shard_count + 1) * sizeof(struct shard *));
    if (!more)
        return NULL;
    t->shards = more;
    struct shard *s = shard_new(t);
    if (s)
        t->shards[t->shard_count++] = s;
    return s;
}

// One call a connection: the first shard that has a free one, else the first that may open one.
static struct shard *pick_single(struct http_target *t)
{
    struct shard *roomy = NULL;
    for (int i = 0; i < t->shard_count; i++) {
        struct shard *s = t->shards[i];
        if (s->active >= SHARD_CALLS)
            continue;
        if (s->m.sockets > s->active)
            return s;
        if (!roomy)
            roomy = s;
    }
    return roomy ? roomy : grow(t);
}

// Many calls a connection: the first shard whose connection is open, or that has none and no call
// either. While a connection is being made the others wait for it, as many as it will have room
// for.
static struct shard *pick_shared(struct http_target *t, bool *ret_gated)
{
    size_t coming = 0;
    for (int i = 0; i < t->shard_count; i++) {
        struct shard *s = t->shards[i];
        if (s->active >= SHARD_CALLS)
            continue;
        if (!s->connecting && (s->up || s->active == 0))
            return s;
        coming += (size_t)(SHARD_CALLS - s->active);
    }
    struct shard *s = t->waiting.count > coming ? grow(t) : NULL;
    *ret_gated = !s && coming > 0;
    return s;
}

struct shard *target_pick(struct http_target *t)
{
    bool gated = !addressed(t);
    struct shard *s = NULL;
    if (!gated)
        s = t->wire == WIRE_H1 ? pick_single(t) : pick_shared(t, &gated);
    if (!gated) {
        t->gated_ms = 0;
    } else if (!t->gated_ms) {
        t->gated_ms = uv_now(t->client->hub.loop);
        deadline_at(t->client, t->gated_ms + (uint64_t)t->client->opt.connect_timeout_ms);
    }
    return s;
}

void target_learn(struct http_target *t, bool h2)
{
    enum wire wire = h2 ? WIRE_H2 : WIRE_H1;
    if (!t->tls || t->wire == wire)
        return;
    t->wire = wire;
    client_stir(t->client);
}

// ---- what all requests carry

static bool is_header(const char *line)
{
    const char *colon = strchr(line, ':');
    return colon && colon > line && !strpbrk(line, "\r\n");
}

static int copy_headers(struct http_target *t, const char *const *headers)
{
    // libcurl writes heads char by char, so each one that says nothing costs: its Accept is left
    // out, and the User-Agent is here since CURLOPT_USERAGENT's is written twice. Without Expect it
    // asks for leave before it sends a body over 1 MiB, and waits for a second.
    static const char agent[] = "User-Agent: penstock/" PENSTOCK_VERSION;
    static const char *const always[] = {"Expect:", "Accept:", agent};
    for (size_t i = 0; i < ARRAY_LEN(always); i++) {
        struct curl_slist *more = curl_slist_append(t->headers, always[i]);
        if (!more)
            return ERR_NOMEM; // target_fini frees what there is
        t->headers = more;
    }
    for (; headers && *headers; headers++) {
        if (!is_header(*headers))
            return ERR_BAD_CONF;
        if (!curl_slist_append(t->headers, *headers))
            return ERR_NOMEM;
    }
    return 0;
}

static void wipe_headers(struct http_target *t)
{
    for (struct curl_slist *h = t->headers; h; h = h->next)
        explicit_bzero(h->data, strlen(h->data));
    curl_slist_free_all(t->headers);
    t->headers = NULL;
}

static bool is_literal(const char *host)
{
    struct in_addr v4;
    return host[0] == '[' || inet_pton(AF_INET, host, &v4) == 1;
}

// part reads one part of a URL in the form that libcurl keeps its addresses under.
static char *part(CURLU *url, CURLUPart what, unsigned flags)
{
    char *text = NULL;
#ifdef CURLU_PUNYCODE
    if (what == CURLUPART_HOST)
        flags |= CURLU_PUNYCODE;
#endif
    return curl_url_get(url, what, &text, flags) ? NULL : text;
}

// find_host notes whose address is needed to connect: the proxy's where there is one.
static int find_host(struct http_target *t)
{
    const char *proxy = t->client->opt.proxy;
    CURLU *url = proxy ? curl_url() : t->url;
    unsigned guess = CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME;
    int err = 0;
    if (!url || (proxy && curl_url_set(url, CURLUPART_URL, proxy, guess)))
        err = ERR_BAD_CONF;
    char *host = err ? NULL : part(url, CURLUPART_HOST, 0);
    char *port = err ? NULL : part(url, CURLUPART_PORT, proxy ? 0 : CURLU_DEFAULT_PORT);
    if (!host)
        err = ERR_BAD_CONF;
    if (host && !is_literal(host)) {
        t->host = strdup(host);
        snprintf(t->port, sizeof t->port, "%s", port ? port : "1080"); // libcurl's for proxies
        err = t->host ? 0 : ERR_NOMEM;
    }
    curl_free(host);
    curl_free(port);
    if (proxy)
        curl_url_cleanup(url);
    return err;
}

static int parse_url(struct http_target *t, const char *text)
{
    t->url = curl_url();
    if (!t->url)
        return ERR_NOMEM;
    char *scheme = NULL;
    if (curl_url_set(t->url, CURLUPART_URL, text, 0) ||
        !(scheme = part(t->url, CURLUPART_SCHEME, 0)))
        return ERR_BAD_CONF;
    t->tls = strcmp(scheme, "https") == 0;
    int err = t->tls || strcmp(scheme, "http") == 0 ? 0 : ERR_BAD_CONF;
    t->wire = t->tls ? WIRE_UNKNOWN : WIRE_H1;
    curl_free(scheme);
    return err ? err : find_host(t);
}

// ---- life

static void target_fini(struct http_target *t)
{
    lookup_abandon(t->lookup);
    t->lookup = NULL;
    for (int i = 0; i < t->shard_count; i++)
        shard_free(t->shards[i]);
    free(t->shards);
    t->shards = NULL;
    t->shard_count = 0;
    curl_url_cleanup(t->url);
    wipe_headers(t);
    curl_slist_free_all(t->resolve);
    free(t->host);
}

int http_target_new(struct http_client *c, const char *url, const char *const *headers,
                    struct http_target **ret)
{
    if (c->closing)
        return ERR_CANCELLED;
    struct http_target *t = calloc(1, sizeof *t);
    if (!t)
        return ERR_NOMEM;
    t->client = c;
    t->held = true;
    list_init(&t->waiting);
    int err = parse_url(t, url);
    if (!err)
        err = copy_headers(t, headers);
    if (err) {
        target_fini(t);
        free(t);
        return err;
    }
    list_append(&c->targets, &t->link);
    *ret = t;
    return 0;
}

void target_close(struct http_target *t)
{
    assert(t->calls == 0);
    list_remove(&t->client->targets, &t->link);
    target_fini(t);
    t->client = NULL;
    if (!t->held)
        free(t);
}

void target_call_gone(struct http_target *t)
{
    if (--t->calls == 0 && !t->held)
        target_close(t);
}

void http_target_unref(struct http_target *t)
{
    assert(t->held);
    t->held = false;
    if (!t->client)
        free(t);
    else if (t->calls == 0)
        target_close(t);
}
