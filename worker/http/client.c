// client: a call's way from http_submit to its callback. Each call is in exactly one list: its
// target's `waiting`, the client's `running` or its `done`. What ends a call puts it into `done`;
// only client_turn, which the loop runs, takes it out and calls back.
#include "worker/http/client.h"

#include "common/base/clock.h"
#include "common/base/err.h"
#include "worker/http/client_int.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char system_bundle[] = "/etc/ssl/certs/ca-certificates.crt";

// ---- the end of a call

static void on_idle(uv_idle_t *idle);

void client_stir(struct http_client *c)
{
    if (!c->torn)
        uv_idle_start(&c->idle, on_idle);
}

void call_finish(struct http_call *call, int error, const char *text)
{
    struct http_target *t = call->target;
    struct http_client *c = t->client;
    assert(call->state != CALL_DONE && !call->slot);
    if (call->state == CALL_WAITING) {
        list_remove(&t->waiting, &call->link);
        c->waiting--;
    } else {
        list_remove(&c->running, &call->link);
    }
    call->state = CALL_DONE;
    call->error = error;
    call->error_text = error && text ? strdup(text) : NULL;
    call->total_us = clock_mono_us() - call->born_us;
    list_append(&c->done, &call->link);
    client_stir(c);
}

void call_end(struct http_call *call, int error, const char *text)
{
    if (call->slot)
        shard_release(call->slot, error == 0 && call->sendings == 1);
    call_finish(call, error, text);
}

// call_back hands the answer out; the call is no more after it.
static void call_back(struct http_call *call)
{
    struct http_target *t = call->target;
    struct http_answer a = {
        .error = call->error,
        .status = call->status >= 200 ? call->status : 0, // not that of an interim answer
        .headers = call->headers,
        .body = call->body_in,
        .first_byte_us = call->first_byte_us,
        .total_us = call->total_us,
    };
    if (call->error) {
        const char *text = call->error_text ? call->error_text : err_text(call->error);
        size_t len = MIN(strlen(text), sizeof a.error_text - 1);
        memcpy(a.error_text, text, len);
    }
    call->cb(&a, call->arg);
    strbuf_fini(&a.headers);
    strbuf_fini(&a.body);
    free(call->error_text);
    free(call);
    t->client->calls--;
    target_call_gone(t);
}

// deliver answers those that are done now; what their callbacks bring about waits for the next
// turn, so that a caller who tries again at once cannot hold the loop.
static void deliver(struct http_client *c)
{
    for (size_t left = c->done.count; left > 0; left--)
        call_back(CONTAINER_OF(list_pop(&c->done), struct http_call, link));
}

// ---- turns

// start_next starts the first waiting call of a target; false where it must go on waiting.
static bool start_next(struct http_target *t)
{
    struct http_client *c = t->client;
    if (list_is_empty(&t->waiting) || c->running.count >= (size_t)c->opt.calls_max)
        return false;
    struct shard *s = target_pick(t);
    if (!s)
        return false;
    struct http_call *call = CONTAINER_OF(list_pop(&t->waiting), struct http_call, link);
    c->waiting--;
    call->state = CALL_RUNNING;
    call->start_ms = uv_now(c->hub.loop);
    list_append(&c->running, &call->link);
    shard_start(s, call);
    return true;
}

// pump_round starts at most one waiting call of each target.
static bool pump_round(struct http_client *c)
{
    bool any = false;
    list_each(&c->targets, k)
    {
        any |= start_next(CONTAINER_OF(k, struct http_target, link));
    }
    return any;
}

static void pump(struct http_client *c)
{
    while (c->waiting && pump_round(c))
        list_append(&c->targets, list_pop(&c->targets)); // another one is first next time
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct http_client *c = handle->data;
    curl_hub_handle_closed(&c->hub);
}

// wind_up: all calls have been answered, so everything else may go.
static void wind_up(struct http_client *c)
{
    c->torn = true;
    struct list_link *k;
    while ((k = list_first(&c->targets)))
        target_close(CONTAINER_OF(k, struct http_target, link));
    uv_close((uv_handle_t *)&c->deadline, on_handle_closed);
    uv_close((uv_handle_t *)&c->idle, on_handle_closed);
}

static void client_turn(struct http_client *c)
{
    assert(!c->in_turn);
    if (c->torn)
        return;
    c->in_turn = true;
    uv_idle_stop(&c->idle);
    pump(c);
    deliver(c);
    c->in_turn = false;
    if (c->closing && c->calls == 0)
        wind_up(c);
}

static void on_idle(uv_idle_t *idle)
{
    client_turn(idle->data);
}

static void on_hub_turn(struct curl_hub *hub)
{
    client_turn(CONTAINER_OF(hub, struct http_client, hub));
}

// ---- the client's life

static void client_free(struct http_client *c)
{
    if (c->dns)
        curl_share_cleanup(c->dns);
    curl_hub_fini(&c->hub);
    free((char *)c->opt.ca_file);
    free((char *)c->opt.proxy);
    free(c);
    curl_global_cleanup();
}

static void on_hub_closed(struct curl_hub *hub)
{
    struct http_client *c = CONTAINER_OF(hub, struct http_client, hub);
    if (!c->torn || hub->handles > 0)
        return;
    void (*closed)(void *) = c->closed;
    void *arg = c->closed_arg;
    client_free(c);
    if (closed)
        closed(arg);
}

static int copy_options(struct http_client *c, const struct http_options *opt)
{
    const char *ca = opt->ca_file;
    if (!ca && access(system_bundle, R_OK) == 0)
        ca = system_bundle; // else libcurl's own default
    c->opt = *opt;
    c->opt.ca_file = ca ? strdup(ca) : NULL;
    c->opt.proxy = opt->proxy ? strdup(opt->proxy) : NULL;
    return (ca && !c->opt.ca_file) || (opt->proxy && !c->opt.proxy) ? ERR_NOMEM : 0;
}

int http_client_new(struct uv_loop_s *loop, const struct http_options *opt,
                    struct http_client **ret)
{
    if (opt->calls_max < 1 || opt->body_bytes_max < 1 || opt->connect_timeout_ms < 1)
        return ERR_BAD_CONF;
    if (opt->ca_file && access(opt->ca_file, R_OK) != 0)
        return ERR_IO;
    if (curl_global_init(CURL_GLOBAL_DEFAULT))
        return ERR_NOMEM;
    struct http_client *c = calloc(1, sizeof *c);
    if (!c) {
        curl_global_cleanup();
        return ERR_NOMEM;
    }
    c->dns = curl_share_init();
    if (copy_options(c, opt) || !c->dns ||
        curl_share_setopt(c->dns, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS)) {
        client_free(c);
        return ERR_NOMEM;
    }
    c->hub = (struct curl_hub){
        .loop = loop, .handles = 2, .on_closed = on_hub_closed, .on_turn = on_hub_turn};
    list_init(&c->targets);
    list_init(&c->running);
    list_init(&c->done);
    uv_idle_init(loop, &c->idle);
    c->idle.data = c;
    deadline_init(c);
    *ret = c;
    return 0;
}

void http_client_close(struct http_client *c, void (*closed)(void *arg), void *arg)
{
    if (c->closing)
        return;
    c->closing = true;
    c->closed = closed;
    c->closed_arg = arg;
    struct list_link *k;
    while ((k = list_first(&c->running)))
        call_end(CONTAINER_OF(k, struct http_call, link), ERR_CANCELLED, NULL);
    list_each(&c->targets, at)
    {
        struct http_target *t = CONTAINER_OF(at, struct http_target, link);
        while ((k = list_first(&t->waiting)))
            call_end(CONTAINER_OF(k, struct http_call, link), ERR_CANCELLED, NULL);
    }
    client_stir(c); // even where there was no call: the end comes from the loop
}

size_t http_calls_active(const struct http_client *c)
{
    return c->calls;
}

// ---- calls

static struct http_call *call_new(struct http_target *t, struct span body, int64_t timeout_ms)
{
    struct http_call *call = calloc(1, sizeof *call);
    if (!call)
        return NULL;
    struct http_client *c = t->client;
    call->target = t;
    call->body = body;
    call->born_us = clock_mono_us();
    call->start_ms = uv_now(c->hub.loop);
    call->timeout_ms = timeout_ms;
    call->due_ms = timeout_ms > 0 ? call->start_ms + (uint64_t)timeout_ms : UINT64_MAX;
    strbuf_init(&call->headers, HTTP_HEADER_BYTES_MAX);
    strbuf_init(&call->body_in, c->opt.body_bytes_max);
    return call;
}

int http_submit(struct http_target *t, struct span body, int64_t timeout_ms, http_cb cb, void *arg,
                struct http_call **ret)
{
    struct http_client *c = t->client;
    if (!c || c->closing)
        return ERR_CANCELLED;
    struct http_call *call = call_new(t, body, timeout_ms);
    if (!call)
        return ERR_NOMEM;
    call->cb = cb;
    call->arg = arg;
    c->calls++;
    t->calls++;
    call->state = CALL_WAITING;
    list_append(&t->waiting, &call->link);
    c->waiting++;
    if (t->waiting.count > 1 || !start_next(t)) {
        deadline_call(c, call);
        client_stir(c); // a further connection may be called for
    }
    if (ret)
        *ret = call;
    return 0;
}

void http_cancel(struct http_call *call)
{
    if (call->state != CALL_DONE) {
        call_end(call, ERR_CANCELLED, NULL);
        return;
    }
    free(call->error_text); // its end is known but not told yet
    call->error_text = NULL;
    call->error = ERR_CANCELLED;
}
