// The HTTP client over TLS, against a real nginx: HTTP/2 and its sharing of connections, servers
// without it, certificates. Skipped (77) where nginx or openssl is not installed.
#include "common/base/err.h"
#include "tests/support/httptry.h"
#include "tests/support/nginxd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_MS = 30000, MANY = 500, SKIPPED = 77 };

static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

static struct httpd_reply later(const struct httpd_request *r, void *arg)
{
    (void)r;
    return (struct httpd_reply){.delay_ms = *(int *)arg, .bytes = span_of(ok)};
}

static int delay_ms;

struct front { // client -> nginx -> scripted server
    struct httptry t;
    struct nginxd *nginx;
};

static void front_open(struct front *f, enum nginxd_port port, const char *host)
{
    f->t.opt.ca_file = f->t.opt.ca_file ? f->t.opt.ca_file : nginxd_ca(f->nginx);
    snprintf(f->t.url, sizeof f->t.url, "https://%s:%d/v1/messages", host,
             nginxd_port(f->nginx, port));
    httptry_open_at(&f->t, f->t.url, NULL);
}

static void front_init(struct front *f, int upstream_ms)
{
    *f = (struct front){.nginx = NULL};
    delay_ms = upstream_ms;
    httptry_init(&f->t, later, &delay_ms);
    f->nginx = nginxd_start(httpd_port(f->t.server));
}

static void front_fini(struct front *f)
{
    httptry_fini(&f->t);
    nginxd_stop(f->nginx);
}

static void send_many(struct front *f, struct got *got, int count)
{
    for (int i = 0; i < count; i++)
        httptry_send(&f->t, &got[i], "{}");
}

// all_at_once waits until the server has all requests, and only then lets it answer.
static void all_at_once(struct front *f)
{
    httptry_wait(&f->t, httpd_requests(f->t.server) == f->t.accepted, WAIT_MS);
    assert_int_equal(f->t.answered, 0);
    httpd_release(f->t.server);
}

// finish_many waits for good answers over that protocol and counts the connections they came by.
static int finish_many(struct front *f, struct got *got, int count, const char *proto)
{
    static char seen[65536];
    int connections = 0;
    memset(seen, 0, sizeof seen);
    httptry_wait(&f->t, f->t.answered == f->t.accepted, WAIT_MS);
    for (int i = 0; i < count; i++) {
        if (got[i].error || got[i].status != 200)
            fail_msg("%d: %d %s %s", i, got[i].status, err_name(got[i].error), got[i].error_text);
        assert_string_equal(got_header(&got[i], "x-proto"), proto);
        size_t conn = strtoul(got_header(&got[i], "x-conn"), NULL, 10) % sizeof seen;
        connections += !seen[conn];
        seen[conn] = 1;
        got_free(&got[i]);
    }
    return connections;
}

static void shares_connections(void **state)
{
    (void)state;
    static struct got got[MANY];
    struct front f;
    front_init(&f, HTTPD_HELD);
    front_open(&f, NGINXD_H2, "127.0.0.1");
    send_many(&f, got, MANY);
    all_at_once(&f);
    assert_int_equal(finish_many(&f, got, MANY, "HTTP/2.0"), MANY / 100);
    delay_ms = 0;
    send_many(&f, got, 100);
    assert_int_equal(finish_many(&f, got, 100, "HTTP/2.0"), 1); // a low load uses few
    front_fini(&f);
}

static void first_one_leads(void **state)
{
    (void)state;
    struct got got[60] = {0};
    struct front f;
    front_init(&f, 100);
    front_open(&f, NGINXD_H2, "127.0.0.1");
    for (int round = 0; round < 3; round++) {
        send_many(&f, got, 60);
        assert_int_equal(finish_many(&f, got, 60, "HTTP/2.0"), 1);
    }
    front_fini(&f);
}

static void without_http2_one_each(void **state)
{
    (void)state;
    struct got got[100] = {0};
    struct front f;
    front_init(&f, HTTPD_HELD);
    front_open(&f, NGINXD_H1, "127.0.0.1");
    send_many(&f, got, 100);
    all_at_once(&f);
    assert_int_equal(finish_many(&f, got, 100, "HTTP/1.1"), 100);
    delay_ms = 10;
    send_many(&f, got, 100);
    assert_int_equal(finish_many(&f, got, 100, "HTTP/1.1"), 100);
    front_fini(&f);
}

// Eight streams a connection: 80 calls need ten. Where it is known that the server has HTTP/2, each
// connection is waited for before another is opened; but libcurl hears of the eight a moment after
// that, and what it has sent beyond them meanwhile goes over others: a few more on a busy machine.
static void narrow_server_gets_more_connections(void **state)
{
    (void)state;
    struct got got[80] = {0};
    struct front f;
    front_init(&f, 0);
    front_open(&f, NGINXD_NARROW, "127.0.0.1");
    send_many(&f, got, 1);
    assert_int_equal(finish_many(&f, got, 1, "HTTP/2.0"), 1);
    delay_ms = HTTPD_HELD;
    send_many(&f, got, 80);
    httptry_wait(&f.t, httpd_requests(f.t.server) == 81, WAIT_MS);
    httpd_release(f.t.server);
    int connections = finish_many(&f, got, 80, "HTTP/2.0");
    if (connections < 10 || connections > 20)
        fail_msg("%d connections", connections);
    front_fini(&f);
}

// nginx ends a connection after 20 requests, whatever else runs on it. libcurl sends what was
// refused again; on a slow machine too late, and then such a call fails.
static void closing_server_loses_none(void **state)
{
    (void)state;
    static struct got got[1000];
    int good = 0;
    struct front f;
    front_init(&f, 0);
    f.t.opt.calls_max = 15;
    front_open(&f, NGINXD_BRIEF, "127.0.0.1");
    send_many(&f, got, 1000);
    httptry_wait(&f.t, f.t.answered == f.t.accepted, 2 * WAIT_MS);
    for (int i = 0; i < 1000; i++) {
        assert_true(got[i].error == 0 || got[i].error == ERR_TRANSPORT);
        good += got[i].status == 200;
        got_free(&got[i]);
    }
    assert_true(good >= 900);
    front_fini(&f);
}

static void cancelling_one_leaves_the_others(void **state)
{
    (void)state;
    struct got got[20] = {0};
    struct front f;
    front_init(&f, HTTPD_HELD);
    front_open(&f, NGINXD_H2, "127.0.0.1");
    send_many(&f, got, 20);
    httptry_wait(&f.t, httpd_requests(f.t.server) == 20, WAIT_MS);
    for (int i = 0; i < 20; i += 2)
        http_cancel(got[i].call);
    httptry_wait(&f.t, f.t.answered == 10, WAIT_MS);
    delay_ms = 0;
    httpd_release(f.t.server);
    httptry_wait(&f.t, f.t.answered == f.t.accepted, WAIT_MS);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(got[i].error, i % 2 ? 0 : ERR_CANCELLED);
        got_free(&got[i]);
    }
    send_many(&f, got, 20);
    assert_int_equal(finish_many(&f, got, 20, "HTTP/2.0"), 1);
    front_fini(&f);
}

static void killed_server_fails_each_call_once(void **state)
{
    (void)state;
    struct got got[150] = {0};
    struct front f;
    front_init(&f, HTTPD_HELD);
    front_open(&f, NGINXD_H2, "127.0.0.1");
    send_many(&f, got, 150);
    httptry_wait(&f.t, httpd_requests(f.t.server) == 150, WAIT_MS);
    uint64_t until_ms = uv_now(&f.t.loop) + 1100; // past the time in which libcurl may send again
    httptry_wait(&f.t, uv_now(&f.t.loop) > until_ms, WAIT_MS);
    nginxd_kill(f.nginx);
    httptry_wait(&f.t, f.t.answered == f.t.accepted, WAIT_MS);
    for (int i = 0; i < 150; i++) {
        assert_int_equal(got[i].error, ERR_TRANSPORT);
        got_free(&got[i]);
    }
    nginxd_restart(f.nginx);
    delay_ms = 10;
    send_many(&f, got, 150);
    assert_true(finish_many(&f, got, 150, "HTTP/2.0") <= 2);
    assert_int_equal(httpd_requests(f.t.server), 300);
    front_fini(&f);
}

static void early_refusal_is_an_answer(void **state)
{
    (void)state;
    struct front f;
    char *body = calloc(1, 4 << 20);
    front_init(&f, 0);
    front_open(&f, NGINXD_STRICT, "127.0.0.1");
    for (int i = 0; i < 20; i++) {
        struct got g = {0};
        httptry_send_for(&f.t, &g, (struct span){body, 4 << 20}, 60000);
        httptry_wait(&f.t, g.count, WAIT_MS);
        if (g.error)
            fail_msg("%s: %s", err_name(g.error), g.error_text);
        assert_int_equal(g.status, 413);
        got_free(&g);
    }
    free(body);
    front_fini(&f);
}

static void large_bodies_pass(void **state)
{
    (void)state;
    struct front f;
    struct got g = {0};
    char *body = calloc(1, 8 << 20);
    front_init(&f, 0);
    for (int port = NGINXD_H2; port <= NGINXD_H1; port++) {
        front_open(&f, port, "127.0.0.1");
        httptry_send_for(&f.t, &g, (struct span){body, 8 << 20}, 60000);
        httptry_wait(&f.t, g.count, WAIT_MS);
        assert_int_equal(g.error, 0);
        assert_int_equal(g.status, 200);
        got_free(&g);
        http_target_unref(f.t.target);
        f.t.target = NULL;
        httptry_close(&f.t);
        f.t.closed = 0;
    }
    free(body);
    front_fini(&f);
}

// --- certificates ---------------------------------------------------------------------------

static void fails_to_connect(enum nginxd_port port, const char *host, bool wrong_ca)
{
    struct got got[8] = {0};
    struct front f;
    front_init(&f, 0);
    if (wrong_ca)
        f.t.opt.ca_file = nginxd_other_ca(f.nginx);
    front_open(&f, port, host);
    for (int round = 0; round < 2; round++) {
        send_many(&f, got, 8);
        httptry_wait(&f.t, f.t.answered == f.t.accepted, WAIT_MS);
        for (int i = 0; i < 8; i++) {
            assert_int_equal(got[i].error, ERR_CONNECT);
            assert_non_null(strcasestr(got[i].error_text, "certificate"));
            got_free(&got[i]);
        }
    }
    assert_int_equal(httpd_requests(f.t.server), 0);
    front_fini(&f);
}

static void unknown_ca(void **state)
{
    (void)state;
    fails_to_connect(NGINXD_H2, "127.0.0.1", true);
    fails_to_connect(NGINXD_H1, "127.0.0.1", true);
}

static void wrong_name(void **state)
{
    (void)state;
    fails_to_connect(NGINXD_H2, "localhost", false);
}

static void not_tls(void **state)
{
    (void)state;
    struct httptry t;
    struct got got[3] = {0};
    delay_ms = 0;
    httptry_init(&t, later, &delay_ms);
    t.opt.connect_timeout_ms = 150;
    snprintf(t.url, sizeof t.url, "https://127.0.0.1:%d/", httpd_port(t.server));
    httptry_open_at(&t, t.url, NULL);
    for (int i = 0; i < 3; i++) // the server waits for a request; the others for the first
        httptry_send(&t, &got[i], "{}");
    httptry_wait(&t, t.answered == t.accepted, WAIT_MS);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(got[i].error, ERR_TIMEOUT);
        assert_string_equal(got[i].error_text, "no connection within 150 ms");
        got_free(&got[i]);
    }
    httptry_fini(&t);
}

int main(void)
{
    const char *missing = nginxd_missing();
    if (missing) {
        fprintf(stderr, "skipped: %s is not installed\n", missing);
        return SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        TAP("five hundred calls share five connections by HTTP/2", shares_connections),
        TAP("the first call connects, the others share", first_one_leads),
        TAP("without HTTP/2 a hundred calls have a connection each", without_http2_one_each),
        TAP("a server with few streams gets more connections", narrow_server_gets_more_connections),
        TAP("a server that closes now and then loses none", closing_server_loses_none),
        TAP("cancelling one call leaves the others alone", cancelling_one_leaves_the_others),
        TAP("a killed server fails each call once, and later ones work",
            killed_server_fails_each_call_once),
        TAP("an early refusal is an answer", early_refusal_is_an_answer),
        TAP("bodies of 8 MiB pass", large_bodies_pass),
        TAP("an unknown CA is ERR_CONNECT", unknown_ca),
        TAP("a certificate of another name is ERR_CONNECT", wrong_name),
        TAP("a server that does not speak TLS is given up", not_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
