#include "tests/support/httpd.h"

#include "common/base/list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uv.h>

enum { REQUEST_BYTES_MAX = 64 * 1024 * 1024, BACKLOG = 1024 };

struct httpd {
    uv_tcp_t listener;
    httpd_script script;
    void *arg;
    bool early;
    int port, connections, open_max, requests;
    struct list open; // conn.link
    size_t handles;   // memory goes with the last
    bool stopped;
};

struct conn {
    uv_tcp_t tcp;
    uv_timer_t timer;
    struct list_link link;
    struct httpd *h;
    struct strbuf in;
    struct httpd_reply reply;
    size_t request_len; // of the request that is being answered; 0 = none is
    int id, requests, closing;
    bool held;
};

static void die(const char *what, int err)
{
    fprintf(stderr, "httpd: %s (%s)\n", what, err ? uv_strerror(err) : "");
    abort();
}

static void must(int err, const char *what)
{
    if (err)
        die(what, err);
}

static void drop(struct httpd *h)
{
    if (--h->handles == 0)
        free(h);
}

static void on_conn_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    if (--c->closing > 0)
        return;
    struct httpd *h = c->h;
    strbuf_fini(&c->in);
    free(c);
    drop(h);
}

static void conn_close(struct conn *c, bool reset)
{
    if (c->closing)
        return;
    c->closing = 2;
    list_remove(&c->h->open, &c->link);
    uv_close((uv_handle_t *)&c->timer, on_conn_closed);
    if (!reset || uv_tcp_close_reset(&c->tcp, on_conn_closed))
        uv_close((uv_handle_t *)&c->tcp, on_conn_closed);
}

// ---- answering

static void read_request(struct conn *c);

static void conn_end_request(struct conn *c)
{
    if (c->reply.then != HTTPD_KEEP) {
        conn_close(c, c->reply.then == HTTPD_RESET);
        return;
    }
    size_t left = c->in.len - c->request_len;
    memmove(c->in.at, c->in.at + c->request_len, left);
    strbuf_cut(&c->in, left);
    c->request_len = 0;
    read_request(c);
}

static void conn_say(struct conn *c, struct span bytes, uv_write_cb cb)
{
    uv_write_t *w = calloc(1, sizeof *w);
    if (!w)
        die("no memory", 0);
    w->data = c;
    uv_buf_t buf = uv_buf_init((char *)bytes.at, (unsigned)bytes.len);
    must(uv_write(w, (uv_stream_t *)&c->tcp, &buf, 1, cb), "write");
}

static void on_said_all(uv_write_t *w, int status)
{
    struct conn *c = w->data;
    free(w);
    if (status == UV_ECANCELED || c->closing)
        return;
    if (status < 0)
        conn_close(c, false); // the client has gone
    else
        conn_end_request(c);
}

static void on_pause_over(uv_timer_t *timer)
{
    struct conn *c = timer->data;
    if (c->reply.rest.len)
        conn_say(c, c->reply.rest, on_said_all);
    else
        conn_end_request(c);
}

static void on_said_first(uv_write_t *w, int status)
{
    struct conn *c = w->data;
    free(w);
    if (status == UV_ECANCELED || c->closing)
        return;
    if (status < 0)
        conn_close(c, false);
    else if (c->reply.rest.len || c->reply.pause_ms)
        uv_timer_start(&c->timer, on_pause_over, (uint64_t)c->reply.pause_ms, 0);
    else
        conn_end_request(c);
}

static void on_delay_over(uv_timer_t *timer)
{
    struct conn *c = timer->data;
    if (c->reply.bytes.len)
        conn_say(c, c->reply.bytes, on_said_first);
    else
        conn_end_request(c);
}

// ---- reading

static size_t content_length(const char *head, size_t len)
{
    static const char name[] = "\ncontent-length:";
    for (const char *at = head; (at = memchr(at, '\n', (size_t)(head + len - at))); at++)
        if ((size_t)(head + len - at) > sizeof name && !strncasecmp(at, name, sizeof name - 1))
            return strtoul(at + sizeof name - 1, NULL, 10);
    return 0;
}

static void read_request(struct conn *c)
{
    const char *end = c->in.len ? memmem(c->in.at, c->in.len, "\r\n\r\n", 4) : NULL;
    if (!end || c->request_len)
        return;
    size_t head = (size_t)(end - c->in.at), all = head + 4 + content_length(c->in.at, head);
    if (c->in.len < all && !c->h->early)
        return;
    c->request_len = MIN(all, c->in.len);
    if (c->h->early)
        uv_read_stop((uv_stream_t *)&c->tcp);
    struct httpd_request r = {
        .nth = c->h->requests++,
        .connection = c->id,
        .nth_on_connection = c->requests++,
        .head = {c->in.at, head},
        .body = {c->in.at + head + 4, c->request_len - head - 4},
    };
    c->reply = c->h->script(&r, c->h->arg);
    c->held = c->reply.delay_ms == HTTPD_HELD;
    if (c->held)
        return;
    if (c->reply.delay_ms)
        uv_timer_start(&c->timer, on_delay_over, (uint64_t)c->reply.delay_ms, 0);
    else
        on_delay_over(&c->timer);
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct conn *c = handle->data;
    if (strbuf_reserve(&c->in, suggested))
        die("request too large", 0);
    *buf = uv_buf_init(c->in.at + c->in.len, (unsigned)suggested);
}

static void on_bytes(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    (void)buf;
    struct conn *c = stream->data;
    if (len < 0) {
        conn_close(c, false);
        return;
    }
    c->in.len += (size_t)len;
    read_request(c);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct httpd *h = listener->data;
    must(status, "listen");
    struct conn *c = calloc(1, sizeof *c);
    if (!c)
        die("no memory", 0);
    c->h = h;
    c->id = h->connections++;
    strbuf_init(&c->in, REQUEST_BYTES_MAX);
    uv_tcp_init(listener->loop, &c->tcp);
    uv_timer_init(listener->loop, &c->timer);
    c->tcp.data = c->timer.data = c;
    list_append(&h->open, &c->link);
    h->open_max = MAX(h->open_max, (int)h->open.count);
    h->handles++;
    must(uv_accept(listener, (uv_stream_t *)&c->tcp), "accept");
    uv_tcp_nodelay(&c->tcp, 1);
    must(uv_read_start((uv_stream_t *)&c->tcp, on_room, on_bytes), "read");
}

// ---- life

struct httpd *httpd_start(struct uv_loop_s *loop, httpd_script script, void *arg)
{
    struct httpd *h = calloc(1, sizeof *h);
    if (!h)
        die("no memory", 0);
    struct sockaddr_in at;
    int len = sizeof at;
    h->script = script;
    h->arg = arg;
    h->handles = 1;
    list_init(&h->open);
    uv_tcp_init(loop, &h->listener);
    h->listener.data = h;
    must(uv_ip4_addr("127.0.0.1", 0, &at), "address");
    must(uv_tcp_bind(&h->listener, (struct sockaddr *)&at, 0), "bind");
    must(uv_listen((uv_stream_t *)&h->listener, BACKLOG, on_connection), "listen");
    must(uv_tcp_getsockname(&h->listener, (struct sockaddr *)&at, &len), "port");
    h->port = ntohs(at.sin_port);
    return h;
}

static void on_listener_closed(uv_handle_t *handle)
{
    drop(handle->data);
}

void httpd_stop(struct httpd *h)
{
    if (!h || h->stopped)
        return;
    h->stopped = true;
    list_each(&h->open, k)
    {
        conn_close(CONTAINER_OF(k, struct conn, link), false);
    }
    uv_close((uv_handle_t *)&h->listener, on_listener_closed);
}

void httpd_answer_early(struct httpd *h)
{
    h->early = true;
}

void httpd_release(struct httpd *h)
{
    list_each(&h->open, k)
    {
        struct conn *c = CONTAINER_OF(k, struct conn, link);
        if (c->held)
            on_delay_over(&c->timer);
        c->held = false;
    }
}

int httpd_port(const struct httpd *h)
{
    return h->port;
}

int httpd_connections(const struct httpd *h)
{
    return h->connections;
}

int httpd_open(const struct httpd *h)
{
    return (int)h->open.count;
}

int httpd_open_max(const struct httpd *h)
{
    return h->open_max;
}

int httpd_requests(const struct httpd *h)
{
    return h->requests;
}
