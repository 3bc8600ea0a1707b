// shard: one multi handle with at most SHARD_CALLS calls, and its slots.
//
// A slot's easy handle is set up once, with all that its target's requests have in common; a call
// adds its body and nothing else.
#include "common/base/err.h"
#include "worker/http/client_int.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    // Answers are a few kB; larger buffers are memory that each call in flight would hold.
    RECV_BUFFER_BYTES = 8 * 1024,
    SEND_BUFFER_BYTES = 16 * 1024, // the least libcurl takes; used by TLS and by large bodies
    KEEPALIVE_S = 60,              // long calls are silent, and middleboxes forget
};

#define SET(option, value) (bad |= curl_easy_setopt(easy, option, value) != CURLE_OK)

static bool setup_request(CURL *easy, const struct http_target *t)
{
    bool bad = false;
    SET(CURLOPT_CURLU, t->url);
    SET(CURLOPT_HTTPHEADER, t->headers);
    SET(CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE); // secrets are not for a proxy
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)t->client->opt.body_bytes_max);
    return !bad;
}

static bool setup_connection(CURL *easy, const struct http_target *t)
{
    const struct http_options *opt = &t->client->opt;
    bool bad = false;
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROXY, opt->proxy ? opt->proxy : ""); // "" = none, whatever the environment says
    SET(CURLOPT_NOPROXY, "");
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_S);
    SET(CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_S);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)opt->connect_timeout_ms);
    SET(CURLOPT_BUFFERSIZE, (long)RECV_BUFFER_BYTES);
    SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)SEND_BUFFER_BYTES);
    SET(CURLOPT_SHARE, t->client->dns);
    SET(CURLOPT_DNS_CACHE_TIMEOUT, -1L); // addresses are renewed by target.c
    SET(CURLOPT_QUICK_EXIT, 1L);         // never wait for a resolver thread
    return !bad;
}

// CAPATH must be unset: with it libcurl reads all certificates again for each connection (30 ms).
static bool setup_tls(CURL *easy, const struct http_target *t)
{
    const char *ca = t->client->opt.ca_file;
    bool bad = false;
    SET(CURLOPT_HTTP_VERSION, t->tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_CAPATH, NULL);
    SET(CURLOPT_PROXY_CAPATH, NULL);
    if (ca) {
        SET(CURLOPT_CAINFO, ca);
        SET(CURLOPT_PROXY_CAINFO, ca);
    }
    return !bad;
}

static struct slot *slot_new(struct shard *s)
{
    struct slot *slot = calloc(1, sizeof *slot);
    if (!slot)
        return NULL;
    slot->shard = s;
    slot->next = s->slots;
    s->slots = slot;
    return slot;
}

static bool slot_setup(struct slot *slot)
{
    const struct http_target *t = slot->shard->target;
    curl_easy_cleanup(slot->easy);
    slot->easy = curl_easy_init();
    slot->pipewait = false;
    return slot->easy && setup_request(slot->easy, t) && setup_connection(slot->easy, t) &&
           setup_tls(slot->easy, t) && transfer_setup(slot);
}

static void slot_put(struct slot *slot)
{
    slot->next_free = slot->shard->free;
    slot->shard->free = slot;
}

static struct slot *slot_take(struct shard *s)
{
    struct slot *slot = s->free;
    if (slot)
        s->free = slot->next_free;
    else
        slot = slot_new(s);
    if (!slot || slot->ready)
        return slot;
    slot->ready = slot_setup(slot);
    if (slot->ready)
        return slot;
    slot_put(slot);
    return NULL;
}

// setup_call sets what differs from call to call.
static bool setup_call(struct slot *slot, const struct http_call *call)
{
    struct http_target *t = call->target;
    CURL *easy = slot->easy;
    bool bad = false;
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
    SET(CURLOPT_POSTFIELDS, call->body.len ? call->body.at : "");
    // Where a connection breaks under many calls, those that libcurl sends again shall share the
    // next one too. With HTTP/1.1 the same would make them wait for each other.
    bool pipewait = t->wire == WIRE_H2;
    if (slot->pipewait != pipewait)
        SET(CURLOPT_PIPEWAIT, pipewait ? 1L : 0L);
    slot->pipewait = pipewait;
    if (t->resolve)
        SET(CURLOPT_RESOLVE, t->resolve);
    return !bad;
}

// addresses_told: libcurl has read them when it began the transfer, into the cache that all share.
static void addresses_told(struct slot *slot, bool read)
{
    struct http_target *t = slot->shard->target;
    curl_easy_setopt(slot->easy, CURLOPT_RESOLVE, NULL);
    if (!read)
        return;
    curl_slist_free_all(t->resolve);
    t->resolve = NULL;
}

void shard_start(struct shard *s, struct http_call *call)
{
    struct http_target *t = s->target;
    struct slot *slot = slot_take(s);
    if (!slot) {
        call_finish(call, ERR_NOMEM, NULL);
        return;
    }
    slot->call = call;
    slot->error[0] = '\0';
    call->slot = slot;
    s->active++;
    bool tells = t->resolve;
    bool started = setup_call(slot, call) && !curl_multi_add_handle(s->m.multi, slot->easy);
    if (started) {
        deadline_call(t->client, call);
        curl_uv_kick(&s->m);
    } else {
        call_end(call, ERR_NOMEM, NULL);
    }
    if (tells)
        addresses_told(slot, started);
}

static void not_connecting(struct slot *slot)
{
    if (!slot->connecting)
        return;
    slot->connecting = false;
    slot->shard->connecting--;
    client_stir(slot->shard->target->client);
}

void shard_connected(struct slot *slot)
{
    slot->shard->up = true;
    not_connecting(slot);
}

// An easy handle is made anew after a call that was not smooth: libcurl allows each handle five
// repeated sendings in its whole life and fails a call that needs the sixth, and curl_easy_reset
// does not put everything right.
void shard_release(struct slot *slot, bool smooth)
{
    struct shard *s = slot->shard;
    curl_multi_remove_handle(s->m.multi, slot->easy);
    not_connecting(slot);
    slot->call->slot = NULL;
    slot->call = NULL;
    slot->ready = smooth;
    slot_put(slot);
    s->active--;
    if (s->target->client->waiting)
        client_stir(s->target->client);
}

static void on_emptied(struct curl_uv *m)
{
    CONTAINER_OF(m, struct shard, m)->up = false;
}

static void on_freed(struct curl_uv *m)
{
    free(CONTAINER_OF(m, struct shard, m));
}

struct shard *shard_new(struct http_target *t)
{
    struct shard *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->target = t;
    s->m.on_emptied = on_emptied;
    s->m.on_freed = on_freed;
    s->m.on_done = on_transfer_done;
    if (curl_uv_init(&s->m, &t->client->hub)) {
        free(s);
        return NULL;
    }
    curl_multi_setopt(s->m.multi, CURLMOPT_MAXCONNECTS, (long)SHARD_CALLS);
    curl_multi_setopt(s->m.multi, CURLMOPT_MAX_CONCURRENT_STREAMS, (long)SHARD_CALLS);
    return s;
}

void shard_free(struct shard *s)
{
    assert(s->active == 0);
    while (s->slots) {
        struct slot *slot = s->slots;
        s->slots = slot->next;
        curl_easy_cleanup(slot->easy);
        free(slot);
    }
    s->free = NULL;
    curl_uv_close(&s->m);
}
