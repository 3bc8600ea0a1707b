// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "tests/support/linkprobe.h"

#include "common/base/err.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TICK_MS = 5, WORDS_MAX = 16 };

int probe_order;

int probe_slack(void)
{
    const char *slack = getenv("PENSTOCK_TEST_SLACK");
    long times = slack ? strtol(slack, NULL, 10) : 1;
    return times > 0 ? (int)times : 1;
}

static void on_tick(uv_timer_t *t)
{
    (void)t;
}

static void on_closed(void *arg)
{
    struct probe *p = arg;
    p->closes++;
    p->link = NULL;
}

static void on_state(struct rlink *l, enum rlink_state state, const char *why, void *arg)
{
    struct probe *p = arg;
    snprintf(p->why, sizeof p->why, "%s", why);
    assert_true(state == RLINK_UP || state == RLINK_DOWN);
    assert_int_equal(rlink_is_up(l), state == RLINK_UP);
    p->ups += state == RLINK_UP;
    p->downs += state == RLINK_DOWN;
    if (state == RLINK_UP ? p->close_on_up : p->close_on_down)
        rlink_close(l, on_closed, p);
}

void probe_init(struct probe *p, const char *url_format, ...)
{
    char text[512], why[256];
    va_list args;
    memset(p, 0, sizeof *p);
    probe_order = 0;
    va_start(args, url_format);
    vsnprintf(text, sizeof text, url_format, args);
    va_end(args);
    if (rurl_parse(text, &p->url, why, sizeof why))
        fail_msg("%s: %s", text, why);
    p->opt = (struct rlink_options){.url = &p->url, .on_state = on_state, .arg = p};
    p->opt.backoff_cap_ms = 200;
    assert_int_equal(uv_loop_init(&p->loop), 0);
    uv_timer_init(&p->loop, &p->tick);
    uv_timer_start(&p->tick, on_tick, TICK_MS, TICK_MS);
}

void probe_open(struct probe *p)
{
    assert_int_equal(rlink_open(&p->loop, &p->opt, &p->link), 0);
    assert_false(rlink_is_up(p->link));
}

void probe_start(struct probe *p)
{
    probe_open(p);
    probe_wait(p, p->ups > 0, 10000);
}

void probe_close(struct probe *p)
{
    if (!p->link)
        return;
    rlink_close(p->link, on_closed, p);
    assert_int_equal(p->closes, 0); // never from inside
    probe_wait(p, p->closes > 0, 5000);
}

void probe_fini(struct probe *p)
{
    probe_close(p);
    uv_close((uv_handle_t *)&p->tick, NULL);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    assert_true(p->closes <= 1);
    assert_int_equal(uv_loop_close(&p->loop), 0);
}

// --- calls ----------------------------------------------------------------------------------

static void note_reply(struct answer *a, const struct reply *r)
{
    struct span text;
    a->number = reply_int_or(r, (int64_t)reply_count(r));
    if (reply_str(r, &text))
        snprintf(a->text, sizeof a->text, "%.*s", (int)text.len, text.at);
    else
        snprintf(a->text, sizeof a->text, "%s", reply_text(r));
}

static void on_answer(int err, const struct reply *reply, void *arg)
{
    struct answer *a = arg;
    struct probe *p = a->probe;
    a->count++;
    a->early += !a->returned;
    a->err = err;
    a->order = ++probe_order;
    note_reply(a, reply);
    if (a->then)
        probe_try(p, a->then, 0, a->then_words);
    if (a->kick)
        rlink_kick(p->link, "kicked by the test");
    if (a->close)
        rlink_close(p->link, on_closed, p);
}

int probe_try(struct probe *p, struct answer *a, int64_t patience_ms, const char *words)
{
    char copy[256], *rest;
    const char *argv[WORDS_MAX];
    size_t lens[WORDS_MAX];
    int argc = 0;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *at = strtok_r(copy, " ", &rest); at && argc < WORDS_MAX;
         at = strtok_r(NULL, " ", &rest)) {
        argv[argc] = at;
        lens[argc++] = strlen(at);
    }
    a->probe = p;
    int err = rlink_call(p->link, argc, argv, lens, patience_ms, on_answer, a);
    a->returned = true;
    if (err)
        a->err = err;
    return err;
}

void probe_call(struct probe *p, struct answer *a, const char *words)
{
    assert_int_equal(probe_try(p, a, 0, words), 0);
}

// --- a rogue --------------------------------------------------------------------------------

struct rogue_conn {
    uv_tcp_t tcp;
    struct rogue *rogue;
    struct rogue_conn *next;
    char buf[65536];
};

static void on_conn_closed(uv_handle_t *h)
{
    free(CONTAINER_OF((uv_tcp_t *)h, struct rogue_conn, tcp));
}

static void conn_close(struct rogue_conn *c)
{
    struct rogue_conn **at = &c->rogue->conns;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    uv_close((uv_handle_t *)&c->tcp, on_conn_closed);
}

static void say(struct rogue_conn *c, const char *what)
{
    uv_buf_t b = {.base = (char *)what, .len = strlen(what)};
    uv_try_write((uv_stream_t *)&c->tcp, &b, 1);
}

static void on_alloc(uv_handle_t *h, size_t want, uv_buf_t *ret)
{
    (void)want;
    struct rogue_conn *c = CONTAINER_OF((uv_tcp_t *)h, struct rogue_conn, tcp);
    *ret = uv_buf_init(c->buf, sizeof c->buf);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    (void)buf;
    struct rogue_conn *c = CONTAINER_OF((uv_tcp_t *)s, struct rogue_conn, tcp);
    if (n < 0)
        conn_close(c);
    else if (n > 0 && c->rogue->reply)
        say(c, c->rogue->reply);
}

static void on_connection(uv_stream_t *s, int status)
{
    struct rogue *r = s->data;
    struct rogue_conn *c = calloc(1, sizeof *c);
    assert_int_equal(status, 0);
    assert_non_null(c);
    uv_tcp_init(s->loop, &c->tcp);
    assert_int_equal(uv_accept(s, (uv_stream_t *)&c->tcp), 0);
    c->rogue = r;
    c->next = r->conns;
    r->conns = c;
    r->accepted++;
    if (r->hello)
        say(c, r->hello);
    if (r->hang_up)
        conn_close(c);
    else
        uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

void rogue_open(struct probe *p, struct rogue *r)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int len = sizeof at;
    uv_tcp_init(&p->loop, &r->listener);
    r->listener.data = r;
    assert_int_equal(uv_tcp_bind(&r->listener, (struct sockaddr *)&at, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&r->listener, 16, on_connection), 0);
    uv_tcp_getsockname(&r->listener, (struct sockaddr *)&at, &len);
    r->port = ntohs(at.sin_port);
}

void rogue_close(struct rogue *r)
{
    while (r->conns)
        conn_close(r->conns);
    uv_close((uv_handle_t *)&r->listener, NULL);
}
