#include "worker/http/lookup.h"

#include "common/base/err.h"
#include "common/base/strbuf.h"
#include "worker/http/curl_uv.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { ADDRESSES_MAX = 16, ADDRESSES_BYTES_MAX = 1024 };

// Owned by two: the loop (until its async handle is closed) and the thread (until it ends).
struct lookup {
    uv_async_t async;
    struct curl_hub *hub;
    lookup_cb cb;
    void *arg;
    char *host;

    pthread_mutex_t mutex; // guards what follows
    int owners;
    bool abandoned;          // nobody listens, and the async handle may be gone
    int failure;             // of getaddrinfo
    struct strbuf addresses; // written by the thread before it tells
};

static void lookup_unref(struct lookup *l)
{
    pthread_mutex_lock(&l->mutex);
    int left = --l->owners;
    pthread_mutex_unlock(&l->mutex);
    if (left > 0)
        return;
    pthread_mutex_destroy(&l->mutex);
    strbuf_fini(&l->addresses);
    free(l->host);
    free(l);
}

static void add_address(struct strbuf *to, const struct addrinfo *ai)
{
    char text[INET6_ADDRSTRLEN];
    bool v6 = ai->ai_family == AF_INET6;
    if (!v6 && ai->ai_family != AF_INET)
        return;
    const void *bytes = v6 ? (const void *)&((const struct sockaddr_in6 *)ai->ai_addr)->sin6_addr
                           : (const void *)&((const struct sockaddr_in *)ai->ai_addr)->sin_addr;
    if (!inet_ntop(ai->ai_family, bytes, text, sizeof text))
        return;
    if (to->len)
        strbuf_add_char(to, ',');
    strbuf_add_fmt(to, v6 ? "[%s]" : "%s", text);
}

static void *lookup_run(void *arg)
{
    struct lookup *l = arg;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
    int failure = getaddrinfo(l->host, NULL, &hints, &list);
    pthread_mutex_lock(&l->mutex);
    int count = 0;
    for (struct addrinfo *ai = list; ai && count < ADDRESSES_MAX; ai = ai->ai_next, count++)
        add_address(&l->addresses, ai);
    l->failure = failure ? failure : l->addresses.len ? 0 : EAI_NONAME;
    if (!l->abandoned)
        uv_async_send(&l->async);
    pthread_mutex_unlock(&l->mutex);
    if (list)
        freeaddrinfo(list);
    lookup_unref(l);
    return NULL;
}

static void on_async_closed(uv_handle_t *handle)
{
    struct lookup *l = handle->data;
    struct curl_hub *hub = l->hub;
    lookup_unref(l);
    curl_hub_handle_closed(hub);
}

static void on_found(uv_async_t *async)
{
    struct lookup *l = async->data;
    pthread_mutex_lock(&l->mutex);
    bool told = !l->abandoned;
    l->abandoned = true; // a second wake-up finds nothing to tell
    pthread_mutex_unlock(&l->mutex);
    if (!told)
        return;
    struct curl_hub *hub = l->hub;
    l->cb(l->addresses.at, l->failure ? gai_strerror(l->failure) : NULL, l->arg);
    uv_close((uv_handle_t *)async, on_async_closed);
    hub->on_turn(hub);
}

// start_thread: detached, and deaf to the signals that the loop's thread handles.
static int start_thread(struct lookup *l)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    if (pthread_attr_init(&attr))
        return ERR_NOMEM;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&thread, &attr, lookup_run, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return err ? ERR_NOMEM : 0;
}

int lookup_start(struct curl_hub *hub, const char *host, lookup_cb cb, void *arg,
                 struct lookup **ret)
{
    struct lookup *l = calloc(1, sizeof *l);
    if (!l)
        return ERR_NOMEM;
    l->hub = hub;
    l->cb = cb;
    l->arg = arg;
    l->owners = 2;
    strbuf_init(&l->addresses, ADDRESSES_BYTES_MAX);
    l->host = strdup(host);
    if (!l->host || uv_async_init(hub->loop, &l->async, on_found)) {
        free(l->host);
        free(l);
        return ERR_NOMEM;
    }
    l->async.data = l;
    hub->handles++;
    pthread_mutex_init(&l->mutex, NULL);
    int err = start_thread(l);
    if (err) {
        lookup_unref(l); // the thread's share
        lookup_abandon(l);
        return err;
    }
    *ret = l;
    return 0;
}

void lookup_abandon(struct lookup *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->mutex);
    l->abandoned = true;
    pthread_mutex_unlock(&l->mutex);
    uv_close((uv_handle_t *)&l->async, on_async_closed);
}
