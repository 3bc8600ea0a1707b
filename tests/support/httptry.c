#include "tests/support/httptry.h"

#include "common/base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TICK_MS = 5, WAIT_MS = 20000 };

int httptry_slack(void)
{
    const char *slack = getenv("PENSTOCK_TEST_SLACK");
    long times = slack ? strtol(slack, NULL, 10) : 1;
    return times > 1 ? (int)times : 1;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

void httptry_init(struct httptry *t, httpd_script script, void *arg)
{
    *t = (struct httptry){
        .opt =
            {
                .connect_timeout_ms = 10000,
                .first_byte_timeout_ms = 0,
                .idle_timeout_ms = 10000,
                .body_bytes_max = 1 << 20,
                .calls_max = 1000,
            },
    };
    assert_int_equal(uv_loop_init(&t->loop), 0);
    uv_timer_init(&t->loop, &t->tick);
    uv_timer_start(&t->tick, on_tick, TICK_MS, TICK_MS);
    if (script)
        t->server = httpd_start(&t->loop, script, arg);
}

void httptry_open_at(struct httptry *t, const char *url, const char *const *headers)
{
    assert_int_equal(http_client_new(&t->loop, &t->opt, &t->client), 0);
    assert_int_equal(http_target_new(t->client, url, headers, &t->target), 0);
}

void httptry_open(struct httptry *t)
{
    static const char *const headers[] = {"content-type: application/json",
                                          "accept: application/json", "x-api-key: secret", NULL};
    snprintf(t->url, sizeof t->url, "http://127.0.0.1:%d/v1/messages", httpd_port(t->server));
    httptry_open_at(t, t->url, headers);
}

static void on_closed(void *arg)
{
    ((struct httptry *)arg)->closed++;
}

void httptry_close(struct httptry *t)
{
    if (!t->client)
        return;
    http_client_close(t->client, on_closed, t);
    t->client = NULL;
    httptry_wait(t, t->closed == 1, WAIT_MS);
}

void httptry_fini(struct httptry *t)
{
    if (t->client && t->target)
        http_target_unref(t->target);
    else if (t->target) // the client has gone before: both orders are allowed
        http_target_unref(t->target);
    t->target = NULL;
    httptry_close(t);
    assert_int_equal(t->answered, t->accepted);
    httpd_stop(t->server);
    uv_close((uv_handle_t *)&t->tick, NULL);
    uv_run(&t->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&t->loop), 0);
}

static void on_answer(struct http_answer *a, void *arg)
{
    struct got *g = arg;
    g->try->answered++;
    g->count++;
    g->early += !g->returned;
    g->call = NULL;
    g->error = a->error;
    g->status = a->status;
    memcpy(g->error_text, a->error_text, sizeof g->error_text);
    g->first_byte_us = a->first_byte_us;
    g->total_us = a->total_us;
    g->body_len = a->body.len;
    g->body = malloc(a->body.len + 1);
    memcpy(g->body, strbuf_span(&a->body).at, a->body.len);
    g->body[a->body.len] = '\0';
    g->headers = strndup(strbuf_span(&a->headers).at, a->headers.len);
    assert_int_equal(g->count, 1);
    assert_int_equal(g->early, 0);
    assert_int_equal(a->error == 0, a->error_text[0] == '\0');
    if (g->then)
        g->then(g);
}

void httptry_send_for(struct httptry *t, struct got *g, struct span body, int64_t timeout_ms)
{
    g->try = t;
    assert_int_equal(http_submit(t->target, body, timeout_ms, on_answer, g, &g->call), 0);
    g->returned = true;
    t->accepted++;
}

void httptry_send(struct httptry *t, struct got *g, const char *body)
{
    httptry_send_for(t, g, span_of(body), 60000);
}

void httptry_do(struct httptry *t, struct got *g, const char *body)
{
    httptry_send(t, g, body);
    httptry_wait(t, g->count, WAIT_MS);
}

void got_free(struct got *g)
{
    free(g->headers);
    free(g->body);
    *g = (struct got){0};
}

const char *got_header(const struct got *g, const char *name)
{
    static char value[256];
    struct span v;
    struct http_answer a = {.headers = {.at = g->headers, .len = strlen(g->headers)}};
    if (!http_header(&a, name, &v))
        return NULL;
    snprintf(value, sizeof value, "%.*s", (int)v.len, v.at);
    return value;
}
