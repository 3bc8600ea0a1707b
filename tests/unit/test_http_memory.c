// The HTTP client with each of its allocations failing in turn. The allocator is replaced at link
// time for our own code; only the thread that runs the client counts and fails.
#include "common/base/err.h"
#include "tests/support/httpd.h"
#include "tests/support/tap.h"
#include "worker/http/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { CALLS = 3, LADDER_MAX = 2000 };

static _Thread_local long countdown; // the allocation that fails; 0 = none

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *at, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *at, size_t size);
char *__wrap_strdup(const char *text);

static bool fails_now(void)
{
    return countdown > 0 && --countdown == 0;
}

void *__wrap_malloc(size_t size)
{
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *at, size_t size)
{
    return fails_now() ? NULL : __real_realloc(at, size);
}

char *__wrap_strdup(const char *text)
{
    return fails_now() ? NULL : __real_strdup(text);
}

// ---- a server on a thread of its own

static struct server {
    uv_loop_t loop;
    uv_async_t end;
    struct httpd *httpd;
    uv_thread_t thread;
} server;

static struct httpd_reply ok(const struct httpd_request *r, void *arg)
{
    (void)arg;
    static const char yes[] = "HTTP/1.1 200 OK\r\nrequest-id: req_1\r\nContent-Length: 2\r\n\r\n{}";
    static const char no[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{";
    if (r->nth % 4 == 3)
        return (struct httpd_reply){.bytes = span_of(no), .then = HTTPD_CLOSE};
    return (struct httpd_reply){.bytes = span_of(yes)};
}

static void on_end(uv_async_t *end)
{
    httpd_stop(server.httpd);
    uv_close((uv_handle_t *)end, NULL);
}

static void serve(void *arg)
{
    (void)arg;
    uv_run(&server.loop, UV_RUN_DEFAULT);
}

static int start_server(void **state)
{
    (void)state;
    uv_loop_init(&server.loop);
    uv_async_init(&server.loop, &server.end, on_end);
    server.httpd = httpd_start(&server.loop, ok, NULL);
    return uv_thread_create(&server.thread, serve, NULL);
}

static int stop_server(void **state)
{
    (void)state;
    uv_async_send(&server.end);
    uv_thread_join(&server.thread);
    return uv_loop_close(&server.loop);
}

// ---- the ladder

static int answers, good_calls;

static void on_answer(struct http_answer *a, void *arg)
{
    bool *good = arg;
    answers++;
    *good = a->error == 0;
    struct span id;
    if (*good) // then it is whole
        assert_true(a->status == 200 && a->body.len == 2 && http_header(a, "request-id", &id));
}

static void on_closed(void *arg)
{
    ++*(int *)arg;
}

// submit_all gives the number of accepted calls.
static int submit_all(struct http_client *c, const char *url, bool *good)
{
    static const char *const headers[] = {"x-api-key: secret", "accept: */*", NULL};
    struct http_target *t = NULL;
    int accepted = 0, err = http_target_new(c, url, headers, &t);
    assert_true(err == 0 || err == ERR_NOMEM || err == ERR_BAD_CONF);
    for (int i = 0; !err && i < CALLS; i++) {
        int refused = http_submit(t, span_of("{}"), 20000, on_answer, &good[i], NULL);
        assert_true(refused == 0 || refused == ERR_NOMEM);
        accepted += refused == 0;
    }
    if (t)
        http_target_unref(t);
    return accepted;
}

// climb runs a small session in which the nth allocation fails; true = it had fewer than that.
static bool climb(long nth, const char *url)
{
    uv_loop_t loop;
    struct http_client *c = NULL;
    struct http_options opt = {.connect_timeout_ms = 20000, .body_bytes_max = 1000, .calls_max = 2};
    bool good[CALLS] = {false};
    int accepted = 0, closed = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    answers = 0;
    countdown = nth;
    int err = http_client_new(&loop, &opt, &c);
    assert_true(err == 0 || err == ERR_NOMEM);
    if (!err) {
        accepted = submit_all(c, url, good);
        while (answers < accepted)
            uv_run(&loop, UV_RUN_ONCE);
        http_client_close(c, on_closed, &closed);
        uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(closed, 1);
    }
    bool reached = countdown == 0;
    countdown = 0;
    for (int i = 0; i < CALLS; i++)
        good_calls += good[i];
    assert_int_equal(answers, accepted);
    assert_int_equal(uv_loop_close(&loop), 0);
    return !reached;
}

static void each_allocation_fails_in_turn(void **state)
{
    (void)state;
    char url[64];
    long nth = 1;
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", httpd_port(server.httpd));
    while (!climb(nth, url) && nth < LADDER_MAX)
        nth++;
    assert_true(nth > 10 && nth < LADDER_MAX);
    snprintf(url, sizeof url, "http://localhost:%d/", httpd_port(server.httpd));
    for (nth = 1; !climb(nth, url) && nth < LADDER_MAX;)
        nth++;
    assert_true(nth > 10 && nth < LADDER_MAX);
    assert_true(good_calls > 10); // most rungs leave other calls alone
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TAP("each allocation may fail: every accepted call is answered, nothing leaks",
            each_allocation_fails_in_turn),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
