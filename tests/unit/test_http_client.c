// The HTTP client against a scripted server: what is sent, what comes back, and how connections are
// used. How calls fail is in test_http_faults.c, how they end before their time in
// test_http_ends.c.
#include "common/base/err.h"
#include "tests/support/httptry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_MS = 20000, MANY = 250 };

static const char hello[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                            "request-id:  req_1 \r\nContent-Length: 13\r\n\r\n{\"text\":\"hi\"}";

struct seen { // what the server saw
    struct strbuf head, body;
    struct httpd_reply reply;
};

static void seen_init(struct seen *s, const char *reply)
{
    *s = (struct seen){.reply.bytes = span_of(reply)};
    strbuf_init(&s->head, 1 << 20);
    strbuf_init(&s->body, 64 << 20);
}

static void seen_fini(struct seen *s)
{
    strbuf_fini(&s->head);
    strbuf_fini(&s->body);
}

static struct httpd_reply say(const struct httpd_request *r, void *arg)
{
    struct seen *s = arg;
    strbuf_clear(&s->head);
    strbuf_clear(&s->body);
    strbuf_add_span(&s->head, r->head);
    strbuf_add_span(&s->body, r->body);
    return s->reply;
}

// echo answers with the request's own body, after a while.
static struct httpd_reply echo(const struct httpd_request *r, void *arg)
{
    static char answers[1024][96];
    char *at = answers[r->nth % 1024];
    snprintf(at, sizeof answers[0], "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%.*s",
             r->body.len, (int)r->body.len, r->body.at);
    return (struct httpd_reply){.delay_ms = arg ? *(int *)arg : 0, .bytes = span_of(at)};
}

// --- one call -------------------------------------------------------------------------------

static void answer_arrives(void **state)
{
    (void)state;
    struct httptry t;
    struct seen s;
    struct got g = {0};
    seen_init(&s, hello);
    httptry_init(&t, say, &s);
    httptry_open(&t);
    httptry_do(&t, &g, "{\"q\":1}");
    assert_int_equal(g.error, 0);
    assert_int_equal(g.status, 200);
    assert_string_equal(g.body, "{\"text\":\"hi\"}");
    assert_string_equal(got_header(&g, "Request-ID"), "req_1");
    assert_string_equal(got_header(&g, "content-length"), "13");
    assert_null(got_header(&g, "request"));
    assert_true(g.first_byte_us > 0 && g.first_byte_us <= g.total_us);
    got_free(&g);
    httptry_fini(&t);
    seen_fini(&s);
}

static void request_is_as_told(void **state)
{
    (void)state;
    struct httptry t;
    struct seen s;
    struct got g = {0};
    seen_init(&s, hello);
    httptry_init(&t, say, &s);
    httptry_open(&t);
    httptry_do(&t, &g, "{\"q\":1}");
    strbuf_add_str(&s.head, "\r\n");
    assert_memory_equal(s.head.at, "POST /v1/messages HTTP/1.1\r\n", 28);
    assert_non_null(strstr(s.head.at, "\r\nUser-Agent: penstock/" PENSTOCK_VERSION "\r\n"));
    assert_non_null(strstr(s.head.at, "\r\nx-api-key: secret\r\n"));
    assert_non_null(strstr(s.head.at, "\r\ncontent-type: application/json\r\n"));
    assert_non_null(strstr(s.head.at, "\r\naccept: application/json\r\n"));
    assert_non_null(strstr(s.head.at, "\r\nContent-Length: 7\r\n"));
    assert_null(strcasestr(s.head.at, "expect"));
    assert_null(strcasestr(s.head.at, "encoding"));
    assert_null(strcasestr(s.head.at, "form-urlencoded"));
    assert_string_equal(s.body.at, "{\"q\":1}");
    got_free(&g);
    httptry_fini(&t);
    seen_fini(&s);
}

static void large_bodies_pass(void **state)
{
    (void)state;
    enum { BYTES = 8 << 20 };
    struct httptry t;
    struct seen s;
    struct got g = {0};
    char *body = malloc(BYTES), *answer = malloc(BYTES + 128);
    memset(body, 'q', BYTES);
    int head = snprintf(answer, 128, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BYTES);
    memset(answer + head, 'a', BYTES);
    seen_init(&s, "");
    s.reply.bytes = (struct span){answer, (size_t)head + BYTES};
    httptry_init(&t, say, &s);
    t.opt.body_bytes_max = BYTES;
    httptry_open(&t);
    httptry_send_for(&t, &g, (struct span){body, BYTES}, 60000);
    httptry_wait(&t, g.count, WAIT_MS);
    assert_int_equal(g.error, 0);
    assert_int_equal(s.body.len, BYTES);
    assert_memory_equal(s.body.at, body, BYTES);
    assert_int_equal(g.body_len, BYTES);
    assert_memory_equal(g.body, answer + head, BYTES);
    strbuf_add_char(&s.head, '\n');
    assert_null(strcasestr(s.head.at, "expect"));
    got_free(&g);
    httptry_fini(&t);
    seen_fini(&s);
    free(body);
    free(answer);
}

// passes sends one call and expects the reply's status and body.
static void passes(const char *reply, int status, const char *body, const char *headers)
{
    struct httptry t;
    struct seen s;
    struct got g = {0};
    seen_init(&s, reply);
    httptry_init(&t, say, &s);
    httptry_open(&t);
    httptry_do(&t, &g, "{}");
    assert_int_equal(g.error, 0);
    assert_int_equal(g.status, status);
    assert_string_equal(g.body, body);
    if (headers)
        assert_string_equal(g.headers, headers);
    assert_int_equal(httpd_requests(t.server), 1);
    got_free(&g);
    httptry_fini(&t);
    seen_fini(&s);
}

static void redirects_are_answers(void **state)
{
    (void)state;
    passes("HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
           307, "", "Location: /elsewhere\nContent-Length: 0\n");
}

static void html_passes(void **state)
{
    (void)state;
    passes("HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 16\r\n\r\n"
           "<html>oh</html>\n",
           502, "<html>oh</html>\n", NULL);
}

static void interim_answers_leave_no_trace(void **state)
{
    (void)state;
    passes("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n"
           "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
           200, "{}", "Content-Length: 2\n");
}

static void trailers_are_dropped(void **state)
{
    (void)state;
    passes("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx-late: 1\r\n\r\n",
           200, "{}", "transfer-encoding: chunked\n");
}

static void compressed_is_raw(void **state)
{
    (void)state;
    passes("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08z",
           200, "\x1f\x8b\x08z", NULL);
}

static void body_until_close(void **state)
{
    (void)state;
    struct httptry t;
    struct seen s;
    struct got g = {0};
    seen_init(&s, "HTTP/1.0 200 OK\r\n\r\n{\"text\":\"hi\"}");
    s.reply.then = HTTPD_CLOSE;
    httptry_init(&t, say, &s);
    httptry_open(&t);
    httptry_do(&t, &g, "{}");
    assert_int_equal(g.error, 0);
    assert_string_equal(g.body, "{\"text\":\"hi\"}");
    got_free(&g);
    httptry_fini(&t);
    seen_fini(&s);
}

// --- many calls -----------------------------------------------------------------------------

static void send_many(struct httptry *t, struct got *got, int count)
{
    static char bodies[1024][16];
    for (int i = 0; i < count; i++) {
        snprintf(bodies[i], sizeof bodies[i], "<%d>", i);
        httptry_send(t, &got[i], bodies[i]);
    }
}

static void check_many(struct httptry *t, struct got *got, int count)
{
    char want[16];
    httptry_wait(t, t->answered == t->accepted, WAIT_MS);
    for (int i = 0; i < count; i++) {
        snprintf(want, sizeof want, "<%d>", i);
        assert_int_equal(got[i].error, 0);
        assert_string_equal(got[i].body, want);
        got_free(&got[i]);
    }
}

static void one_connection_serves_a_row(void **state)
{
    (void)state;
    struct httptry t;
    httptry_init(&t, echo, NULL);
    httptry_open(&t);
    for (int i = 0; i < 20; i++) {
        struct got g = {0};
        httptry_do(&t, &g, "{}");
        assert_int_equal(g.status, 200);
        got_free(&g);
    }
    assert_int_equal(httpd_connections(t.server), 1);
    httptry_fini(&t);
}

static void each_gets_its_own(void **state)
{
    (void)state;
    struct httptry t;
    struct got got[50] = {0};
    int delay_ms = HTTPD_HELD;
    httptry_init(&t, echo, &delay_ms);
    httptry_open(&t);
    send_many(&t, got, 50);
    assert_int_equal(http_calls_active(t.client), 50);
    httptry_wait(&t, httpd_requests(t.server) == 50, WAIT_MS);
    httpd_release(t.server);
    check_many(&t, got, 50);
    assert_int_equal(http_calls_active(t.client), 0);
    assert_int_equal(httpd_open_max(t.server), 50);
    httptry_fini(&t);
}

static void beyond_calls_max_they_wait(void **state)
{
    (void)state;
    struct httptry t;
    struct got got[MANY] = {0};
    httptry_init(&t, echo, NULL);
    t.opt.calls_max = 10;
    httptry_open(&t);
    send_many(&t, got, MANY);
    check_many(&t, got, MANY);
    assert_int_equal(httpd_connections(t.server), 10);
    httptry_fini(&t);
}

static void beyond_a_shard_and_back(void **state)
{
    (void)state;
    struct httptry t;
    struct got got[MANY] = {0};
    int delay_ms = HTTPD_HELD;
    httptry_init(&t, echo, &delay_ms);
    httptry_open(&t);
    send_many(&t, got, MANY);
    httptry_wait(&t, httpd_requests(t.server) == MANY, WAIT_MS); // all at once
    httpd_release(t.server);
    check_many(&t, got, MANY);
    delay_ms = 0;
    send_many(&t, got, MANY);
    check_many(&t, got, MANY);
    assert_int_equal(httpd_connections(t.server), MANY); // the second round opened none
    httptry_fini(&t);
}

// The first hundred connections end with their answers, so that the first shard has none left.
static struct httpd_reply early_ones_end(const struct httpd_request *r, void *arg)
{
    bool ends = r->connection < 100;
    return (struct httpd_reply){
        .delay_ms = *(int *)arg,
        .bytes = span_of(ends ? "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                              : "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        .then = ends ? HTTPD_CLOSE : HTTPD_KEEP,
    };
}

static void warm_ones_go_first(void **state)
{
    (void)state;
    struct httptry t;
    struct got got[150] = {0}, last = {0};
    int delay_ms = HTTPD_HELD;
    httptry_init(&t, early_ones_end, &delay_ms);
    httptry_open(&t);
    send_many(&t, got, 150);
    httptry_wait(&t, httpd_requests(t.server) == 150, WAIT_MS);
    httpd_release(t.server);
    httptry_wait(&t, t.answered == 150 && httpd_open(t.server) == 50, WAIT_MS);
    delay_ms = 0;
    httptry_do(&t, &last, "{}");
    assert_int_equal(last.error, 0);
    assert_int_equal(httpd_connections(t.server), 150);
    got_free(&last);
    for (int i = 0; i < 150; i++)
        got_free(&got[i]);
    httptry_fini(&t);
}

static void send_again(struct got *g)
{
    struct httptry *t = g->try;
    if (t->accepted >= 300)
        return;
    got_free(g);
    *g = (struct got){.then = send_again};
    httptry_send(t, g, "{}");
}

static void callbacks_may_submit(void **state)
{
    (void)state;
    struct httptry t;
    struct got got[3] = {0};
    httptry_init(&t, echo, NULL);
    t.opt.calls_max = 2; // so that callbacks and the queue meet
    httptry_open(&t);
    for (int i = 0; i < 3; i++) {
        got[i].then = send_again;
        httptry_send(&t, &got[i], "{}");
    }
    httptry_wait(&t, t.answered >= 300 && t.answered == t.accepted, WAIT_MS);
    for (int i = 0; i < 3; i++)
        got_free(&got[i]);
    httptry_fini(&t);
}

// --- targets and names ----------------------------------------------------------------------

static void odd_targets_are_refused(void **state)
{
    (void)state;
    struct httptry t;
    struct http_target *odd = NULL;
    httptry_init(&t, echo, NULL);
    httptry_open(&t);
    const char *const urls[] = {"ftp://127.0.0.1/", "file:///etc/passwd", "http://", "nonsense",
                                "http://127.0.0.1:99999/"};
    for (size_t i = 0; i < ARRAY_LEN(urls); i++)
        assert_int_equal(http_target_new(t.client, urls[i], NULL, &odd), ERR_BAD_CONF);
    const char *const lines[] = {"x-api-key: a\r\nx-evil: 1", "a\nb: c", "no colon", ": no name"};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        const char *const headers[] = {"a: b", lines[i], NULL};
        assert_int_equal(http_target_new(t.client, t.url, headers, &odd), ERR_BAD_CONF);
    }
    assert_null(odd);
    httptry_fini(&t);
}

static void options_are_checked(void **state)
{
    (void)state;
    struct httptry t;
    struct http_client *c = NULL;
    httptry_init(&t, NULL, NULL);
    struct http_options opt = t.opt;
    opt.calls_max = 0;
    assert_int_equal(http_client_new(&t.loop, &opt, &c), ERR_BAD_CONF);
    opt = t.opt;
    opt.ca_file = "/nonexistent/ca.pem";
    assert_int_equal(http_client_new(&t.loop, &opt, &c), ERR_IO);
    assert_null(c);
    httptry_fini(&t);
}

static void target_lives_while_needed(void **state)
{
    (void)state;
    struct httptry t;
    struct got got[20] = {0};
    int delay_ms = 50;
    httptry_init(&t, echo, &delay_ms);
    t.opt.calls_max = 5;
    httptry_open(&t);
    send_many(&t, got, 20);
    http_target_unref(t.target);
    t.target = NULL;
    check_many(&t, got, 20);
    httptry_wait(&t, httpd_open(t.server) == 0, WAIT_MS); // its connections went with it
    httptry_fini(&t);
}

static void only_our_proxy_counts(void **state)
{
    (void)state;
    struct httptry t;
    struct seen s;
    struct got g = {0};
    char proxy[64];
    seen_init(&s, hello);
    setenv("http_proxy", "http://127.0.0.1:1", 1); // where nobody listens
    setenv("no_proxy", "*", 1);
    httptry_init(&t, say, &s);
    httptry_open(&t);
    httptry_do(&t, &g, "{}");
    assert_int_equal(g.error, 0);
    got_free(&g);
    httptry_fini(&t);

    httptry_init(&t, say, &s);
    snprintf(proxy, sizeof proxy, "http://localhost:%d", httpd_port(t.server));
    t.opt.proxy = proxy;
    httptry_open_at(&t, "http://api.example/v1/messages", NULL);
    httptry_do(&t, &g, "{}");
    assert_int_equal(g.error, 0);
    strbuf_add_char(&s.head, '\n');
    assert_memory_equal(s.head.at, "POST http://api.example/v1/messages ", 36);
    got_free(&g);
    httptry_fini(&t);
    unsetenv("http_proxy");
    unsetenv("no_proxy");
    seen_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TAP("an answer's status, headers, body and times arrive", answer_arrives),
        TAP("a request is a POST with the target's headers and no others that matter",
            request_is_as_told),
        TAP("bodies of 8 MiB pass both ways, without asking for leave", large_bodies_pass),
        TAP("a redirect is an answer and is not followed", redirects_are_answers),
        TAP("an HTML body passes through", html_passes),
        TAP("interim answers leave no trace", interim_answers_leave_no_trace),
        TAP("trailers are dropped", trailers_are_dropped),
        TAP("a compressed body passes through as it came", compressed_is_raw),
        TAP("a body without a length ends with the connection", body_until_close),
        TAP("calls one after another share a connection", one_connection_serves_a_row),
        TAP("fifty calls at once each get their own answer", each_gets_its_own),
        TAP("beyond calls_max calls wait for a connection", beyond_calls_max_they_wait),
        TAP("hundreds run at once, and later ones use warm connections", beyond_a_shard_and_back),
        TAP("a warm connection is used before one is opened", warm_ones_go_first),
        TAP("callbacks may submit", callbacks_may_submit),
        TAP("URLs and headers that make no sense are refused", odd_targets_are_refused),
        TAP("options that make no sense are refused", options_are_checked),
        TAP("a target lives until its last call has ended", target_lives_while_needed),
        TAP("the environment's proxy is ignored, the option's is used", only_our_proxy_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
