#include "tests/sim/server.h"

#include "common/base/err.h"
#include "tests/sim/conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BACKLOG = 4096, OUT_MAX_BYTES = 128 << 20 };

static void on_connection(uv_stream_t *listening, int status)
{
    struct server *v = listening->loop->data;
    if (status == 0)
        conn_accept(v, listening, listening == (uv_stream_t *)v->control.tcp);
}

static void on_listener_closed(uv_handle_t *h)
{
    free(h);
}

static void listener_close(struct listener *l)
{
    if (l->tcp)
        uv_close((uv_handle_t *)l->tcp, on_listener_closed);
    l->tcp = NULL;
}

// listener_open binds to l->address and writes the address that came of it back.
static int listener_open(struct server *v, struct listener *l)
{
    int len = sizeof l->address;
    l->tcp = malloc(sizeof *l->tcp);
    if (!l->tcp)
        return UV_ENOMEM;
    int err = uv_tcp_init(v->loop, l->tcp);
    if (err) {
        free(l->tcp);
        l->tcp = NULL;
        return err;
    }
    err = uv_tcp_bind(l->tcp, (struct sockaddr *)&l->address, 0);
    if (!err)
        err = uv_listen((uv_stream_t *)l->tcp, BACKLOG, on_connection);
    if (!err)
        err = uv_tcp_getsockname(l->tcp, (struct sockaddr *)&l->address, &len);
    if (err)
        listener_close(l);
    return err;
}

static void name_url(struct listener *l)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&l->address;
    char host[48];
    uv_ip4_name(in, host, sizeof host);
    snprintf(l->url, sizeof l->url, "http://%s:%d", host, ntohs(in->sin_port));
}

// parse_address reads "127.0.0.1:4010".
static int parse_address(const char *text, struct listener *l)
{
    char host[48] = "";
    int port = -1, end = 0;
    if (sscanf(text, "%47[0-9.]:%d%n", host, &port, &end) != 2 || text[end] || port < 0 ||
        port > 65535)
        return UV_EINVAL;
    return uv_ip4_addr(host, port, (struct sockaddr_in *)&l->address);
}

static int open_at(struct server *v, struct listener *l, const char *text, char *why)
{
    int err = parse_address(text, l);
    if (!err)
        err = listener_open(v, l);
    if (err)
        snprintf(why, WHY_MAX_BYTES, "cannot listen on %.60s: %s", text, uv_strerror(err));
    else
        name_url(l);
    return err;
}

static void on_phase_due(uv_timer_t *t)
{
    struct server *v = t->data;
    struct sim *s = v->sim;
    uint64_t now_us = sim_now_us(s);
    if (phases_run(&s->phases, &s->set, now_us))
        ledger_tune(&s->ledger, &s->set, now_us);
    server_rearm(v);
}

void server_rearm(struct server *v)
{
    uint64_t due_us = phases_next(&v->sim->phases), now_us = sim_now_us(v->sim);
    if (due_us == UINT64_MAX)
        return;
    uint64_t left_ms = due_us > now_us ? (due_us - now_us + 999) / 1000 : 0;
    uv_update_time(v->loop);
    uv_timer_start(&v->phase_timer, on_phase_due, left_ms, 0);
}

int server_open(struct server *v, struct sim *s, uv_loop_t *loop, char why[WHY_MAX_BYTES])
{
    *v = (struct server){.sim = s, .loop = loop};
    s->server = v;
    loop->data = v;
    list_init(&v->connections);
    strbuf_init(&v->out, OUT_MAX_BYTES);
    uv_timer_init(loop, &v->phase_timer);
    uv_timer_init(loop, &v->refuse_timer);
    v->phase_timer.data = v->refuse_timer.data = v;
    v->control.control = true;
    int err = s->set.control[0] ? open_at(v, &v->control, s->set.control, why) : 0;
    return err ? err : open_at(v, &v->api, s->set.listen, why);
}

size_t server_cut(struct server *v)
{
    size_t cut = 0;
    list_each(&v->connections, link)
    {
        if (conn_is_spared(link))
            continue;
        conn_reset(link);
        cut++;
    }
    return cut;
}

static void on_refused_enough(uv_timer_t *t)
{
    server_accept_again(t->data);
}

int server_refuse(struct server *v, uint64_t for_ms)
{
    if (for_ms == 0 && !v->control.tcp)
        return ERR_BAD_CONF;
    listener_close(&v->api);
    server_cut(v);
    v->refusing = true;
    uv_timer_stop(&v->refuse_timer);
    if (for_ms) {
        uv_update_time(v->loop);
        uv_timer_start(&v->refuse_timer, on_refused_enough, for_ms, 0);
    }
    return 0;
}

int server_accept_again(struct server *v)
{
    enum { TRY_AGAIN_MS = 50 };
    uv_timer_stop(&v->refuse_timer);
    if (!v->refusing || v->stopping)
        return 0;
    int err = listener_open(v, &v->api);
    if (err) // the port is taken for the moment
        uv_timer_start(&v->refuse_timer, on_refused_enough, TRY_AGAIN_MS, 0);
    else
        v->refusing = false;
    return err;
}

void server_stop(struct server *v)
{
    if (v->stopping)
        return;
    v->stopping = true;
    listener_close(&v->api);
    listener_close(&v->control);
    uv_close((uv_handle_t *)&v->phase_timer, NULL);
    uv_close((uv_handle_t *)&v->refuse_timer, NULL);
    list_each(&v->connections, link)
    {
        conn_reset(link);
    }
}

void server_fini(struct server *v)
{
    strbuf_fini(&v->out);
}
