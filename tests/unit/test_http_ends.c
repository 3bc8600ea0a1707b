// How calls end before their time: cancelled, or with the client. Each is answered exactly once,
// from the loop, wherever it stood.
#include "common/base/err.h"
#include "tests/support/httptry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_MS = 20000, MANY = 150 };

static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

static struct httpd_reply fixed(const struct httpd_request *r, void *arg)
{
    (void)r;
    return *(struct httpd_reply *)arg;
}

static struct httpd_reply never, at_once = {.bytes = {ok, sizeof ok - 1}},
                                 soon = {.delay_ms = 40, .bytes = {ok, sizeof ok - 1}},
                                 half = {.bytes = {ok, sizeof ok - 2}};

static void expect_cancelled(struct got *g)
{
    assert_int_equal(g->count, 1);
    assert_int_equal(g->error, ERR_CANCELLED);
    assert_string_equal(g->error_text, "cancelled by us");
    got_free(g);
}

static void cancel_and_expect(struct httptry *t, struct got *g)
{
    assert_int_equal(g->count, 0);
    http_cancel(g->call);
    assert_int_equal(g->count, 0); // not from within
    httptry_wait(t, g->count, WAIT_MS);
    expect_cancelled(g);
}

static void cancel_at_once(void **state)
{
    (void)state;
    struct httptry t;
    struct got g = {0};
    httptry_init(&t, fixed, &never);
    httptry_open(&t);
    httptry_send(&t, &g, "{}");
    cancel_and_expect(&t, &g);
    assert_int_equal(http_calls_active(t.client), 0);
    httptry_fini(&t);
}

static void cancel_waiting(void **state)
{
    (void)state;
    struct httptry t;
    struct got got[3] = {0};
    httptry_init(&t, fixed, &soon);
    t.opt.calls_max = 1;
    httptry_open(&t);
    for (int i = 0; i < 3; i++)
        httptry_send(&t, &got[i], "{}");
    cancel_and_expect(&t, &got[1]);
    httptry_wait(&t, t.answered == 3, WAIT_MS);
    assert_int_equal(got[0].error, 0);
    assert_int_equal(got[2].error, 0);
    assert_int_equal(httpd_requests(t.server), 2);
    got_free(&got[0]);
    got_free(&got[2]);
    httptry_fini(&t);
}

static void cancel_sent(void **state)
{
    (void)state;
    struct httptry t;
    struct got g = {0};
    httptry_init(&t, fixed, &never);
    httptry_open(&t);
    httptry_send(&t, &g, "{}");
    httptry_wait(&t, httpd_requests(t.server) == 1, WAIT_MS);
    cancel_and_expect(&t, &g);
    httptry_wait(&t, httpd_open(t.server) == 0, WAIT_MS);
    httptry_fini(&t);
}

static void cancel_half_answered(void **state)
{
    (void)state;
    struct httptry t;
    struct got g = {0}, after = {0};
    httptry_init(&t, fixed, &half);
    httptry_open(&t);
    httptry_send(&t, &g, "{}");
    httptry_wait(&t, httpd_requests(t.server) == 1, WAIT_MS);
    for (int i = 0; i < 10; i++)
        uv_run(&t.loop, UV_RUN_ONCE); // the half has come by then, or will not be missed
    cancel_and_expect(&t, &g);
    half.bytes.len++; // the next call is not served on the half-read connection
    httptry_do(&t, &after, "{}");
    half.bytes.len--;
    assert_int_equal(after.error, 0);
    assert_string_equal(after.body, "{}");
    assert_int_equal(httpd_connections(t.server), 2);
    got_free(&after);
    httptry_fini(&t);
}

static struct got *to_cancel;

static void cancel_other(struct got *g)
{
    (void)g;
    if (to_cancel->call)
        http_cancel(to_cancel->call);
}

// Both calls' answers are there in the same turn; the first callback cancels the second call.
static void cancel_from_callback(void **state)
{
    (void)state;
    struct httptry t;
    struct got got[20] = {0};
    httptry_init(&t, fixed, &soon);
    httptry_open(&t);
    to_cancel = &got[19];
    got[0].then = cancel_other;
    for (int i = 0; i < 20; i++)
        httptry_send(&t, &got[i], "{}");
    httptry_wait(&t, t.answered == 20, WAIT_MS);
    for (int i = 0; i < 20; i++) {
        assert_true(got[i].error == 0 || (i == 19 && got[i].error == ERR_CANCELLED));
        got_free(&got[i]);
    }
    httptry_fini(&t);
}

static void cancel_twice(void **state)
{
    (void)state;
    struct httptry t;
    struct got g = {0};
    httptry_init(&t, fixed, &never);
    httptry_open(&t);
    httptry_send(&t, &g, "{}");
    http_cancel(g.call);
    http_cancel(g.call);
    httptry_wait(&t, g.count, WAIT_MS);
    expect_cancelled(&g);
    httptry_fini(&t);
}

// A call that was refused inside http_submit is done, but nobody knows yet.
static void cancel_done(void **state)
{
    (void)state;
    struct httptry t;
    struct got g = {0};
    httptry_init(&t, NULL, NULL);
    httptry_open_at(&t, "http://127.0.0.1:1/", NULL);
    httptry_send(&t, &g, "{}");
    cancel_and_expect(&t, &g);
    httptry_fini(&t);
}

static void cancelled_slots_serve_again(void **state)
{
    (void)state;
    struct httptry t;
    struct got g = {0};
    httptry_init(&t, fixed, &at_once);
    t.opt.calls_max = 3;
    httptry_open(&t);
    for (int i = 0; i < 100; i++) {
        httptry_send(&t, &g, "{}");
        for (int turn = 0; turn < i % 5; turn++)
            uv_run(&t.loop, UV_RUN_NOWAIT);
        if (g.call)
            http_cancel(g.call);
        httptry_wait(&t, g.count, WAIT_MS);
        got_free(&g);
    }
    httptry_do(&t, &g, "{}");
    assert_int_equal(g.error, 0);
    got_free(&g);
    httptry_fini(&t);
}

// --- the client's end -----------------------------------------------------------------------

// close_with sends many calls, runs the loop for some turns, closes, and expects one answer each.
static void close_with(struct httpd_reply *reply, int calls_max, int turns)
{
    struct httptry t;
    struct got got[MANY] = {0};
    httptry_init(&t, fixed, reply);
    t.opt.calls_max = calls_max;
    httptry_open(&t);
    for (int i = 0; i < MANY; i++)
        httptry_send(&t, &got[i], "{}");
    for (int i = 0; i < turns; i++)
        uv_run(&t.loop, UV_RUN_NOWAIT);
    struct http_client *c = t.client;
    int before = t.answered;
    http_client_close(c, NULL, NULL);
    assert_int_equal(t.answered, before);
    httptry_wait(&t, t.answered == t.accepted, WAIT_MS);
    t.client = NULL;
    for (int i = 0; i < MANY; i++) {
        assert_true(got[i].error == 0 || got[i].error == ERR_CANCELLED);
        got_free(&got[i]);
    }
    httptry_fini(&t); // the target's reference is given back after the client has gone
}

static void close_at_any_moment(void **state)
{
    (void)state;
    for (int turns = 0; turns < 12; turns++) {
        close_with(&never, 1000, turns);
        close_with(&at_once, 20, turns);
        close_with(&half, 1000, turns);
    }
}

static void closed_is_told_last(void **state)
{
    (void)state;
    struct httptry t;
    struct got got[5] = {0};
    httptry_init(&t, fixed, &never);
    t.opt.calls_max = 2; // three wait
    httptry_open(&t);
    for (int i = 0; i < 5; i++)
        httptry_send(&t, &got[i], "{}");
    httptry_wait(&t, httpd_requests(t.server) == 2, WAIT_MS);
    httptry_close(&t); // waits for `closed`
    assert_int_equal(t.answered, 5);
    for (int i = 0; i < 5; i++)
        expect_cancelled(&got[i]);
    httptry_fini(&t);
    assert_int_equal(t.closed, 1);
}

static void on_closed_count(void *arg)
{
    ++*(int *)arg;
}

static void close_twice(void **state)
{
    (void)state;
    struct httptry t;
    struct got g = {0};
    int closed = 0;
    httptry_init(&t, fixed, &never);
    httptry_open(&t);
    httptry_send(&t, &g, "{}");
    struct http_target *none = NULL;
    http_client_close(t.client, on_closed_count, &closed);
    http_client_close(t.client, on_closed_count, &closed);
    assert_int_equal(http_submit(t.target, span_of(""), 0, NULL, NULL, NULL), ERR_CANCELLED);
    assert_int_equal(http_target_new(t.client, "http://127.0.0.1/", NULL, &none), ERR_CANCELLED);
    t.client = NULL;
    httptry_wait(&t, closed, WAIT_MS);
    assert_int_equal(http_submit(t.target, span_of(""), 0, NULL, NULL, NULL), ERR_CANCELLED);
    assert_int_equal(closed, 1);
    expect_cancelled(&g);
    httptry_fini(&t);
}

static void close_from_here(struct got *g)
{
    struct httptry *t = g->try;
    if (t->client)
        http_client_close(t->client, on_closed_count, &t->closed);
    t->client = NULL;
}

static void close_from_callback(void **state)
{
    (void)state;
    struct httptry t;
    struct got got[40] = {0};
    httptry_init(&t, fixed, &soon);
    t.opt.calls_max = 10;
    httptry_open(&t);
    for (int i = 0; i < 40; i++) {
        got[i].then = close_from_here;
        httptry_send(&t, &got[i], "{}");
    }
    httptry_wait(&t, t.closed, WAIT_MS);
    assert_int_equal(t.answered, 40);
    assert_int_equal(got[0].error, 0);
    for (int i = 0; i < 40; i++)
        got_free(&got[i]);
    httptry_fini(&t);
}

static void close_while_looking_up(void **state)
{
    (void)state;
    for (int turns = 0; turns < 4; turns++) {
        struct httptry t;
        struct got g = {0};
        httptry_init(&t, fixed, &at_once);
        snprintf(t.url, sizeof t.url, "http://localhost:%d/", httpd_port(t.server));
        httptry_open_at(&t, t.url, NULL);
        httptry_send(&t, &g, "{}");
        for (int i = 0; i < turns; i++)
            uv_run(&t.loop, UV_RUN_NOWAIT);
        httptry_close(&t);
        assert_int_equal(g.count, 1);
        got_free(&g);
        httptry_fini(&t);
    }
}

static void close_unused(void **state)
{
    (void)state;
    struct httptry t;
    httptry_init(&t, fixed, &never);
    httptry_open(&t);
    http_target_unref(t.target);
    assert_int_equal(http_target_new(t.client, t.url, NULL, &t.target), 0);
    httptry_fini(&t);
}

static void drop_target(struct got *g)
{
    struct httptry *t = g->try;
    if (t->target)
        http_target_unref(t->target);
    t->target = NULL;
}

static void target_dropped_from_callback(void **state)
{
    (void)state;
    struct httptry t;
    struct got got[5] = {0};
    httptry_init(&t, fixed, &at_once);
    t.opt.calls_max = 2;
    httptry_open(&t);
    for (int i = 0; i < 5; i++) {
        got[i].then = drop_target;
        httptry_send(&t, &got[i], "{}");
    }
    httptry_wait(&t, t.answered == 5, WAIT_MS);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(got[i].error, 0);
        got_free(&got[i]);
    }
    httptry_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TAP("a call may be cancelled at once", cancel_at_once),
        TAP("a waiting call may be cancelled and is never sent", cancel_waiting),
        TAP("a sent call may be cancelled; its connection goes", cancel_sent),
        TAP("a half-answered call may be cancelled", cancel_half_answered),
        TAP("a callback may cancel another call", cancel_from_callback),
        TAP("cancelling twice is harmless", cancel_twice),
        TAP("a call that has ended but was not told may be cancelled", cancel_done),
        TAP("after many cancelled calls the next is answered", cancelled_slots_serve_again),
        TAP("a client may be closed at any moment of its calls", close_at_any_moment),
        TAP("closed is told once all calls have been answered", closed_is_told_last),
        TAP("closing twice is harmless, and nothing is accepted after", close_twice),
        TAP("a callback may close the client", close_from_callback),
        TAP("a client may be closed while a name is looked up", close_while_looking_up),
        TAP("a client without calls closes", close_unused),
        TAP("a callback may drop the target", target_dropped_from_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
