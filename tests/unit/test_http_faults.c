// How calls fail: refused, too slow, cut short, too big, and what libcurl must not do about it.
#include "common/base/err.h"
#include "tests/support/httptry.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WAIT_MS = 20000 };

static struct httpd_reply fixed(const struct httpd_request *r, void *arg)
{
    (void)r;
    return *(struct httpd_reply *)arg;
}

// One call against one reply.
struct trial {
    struct httptry t;
    struct got g;
    int64_t timeout_ms;
};

static void trial_init(struct trial *x, struct httpd_reply *reply)
{
    *x = (struct trial){.timeout_ms = 60000};
    httptry_init(&x->t, fixed, reply);
}

static void trial_run(struct trial *x)
{
    httptry_open(&x->t);
    httptry_send_for(&x->t, &x->g, span_of("{}"), x->timeout_ms);
    httptry_wait(&x->t, x->g.count, WAIT_MS);
}

static void trial_fini(struct trial *x)
{
    got_free(&x->g);
    httptry_fini(&x->t);
}

// fails runs one call against one reply and expects the error, and words of its text.
static void fails(struct httpd_reply reply, int error, const char *words)
{
    struct trial x;
    trial_init(&x, &reply);
    trial_run(&x);
    if (x.g.error != error || !strstr(x.g.error_text, words))
        fail_msg("%s: %s", err_name(x.g.error), x.g.error_text);
    assert_int_equal(httpd_requests(x.t.server), 1);
    trial_fini(&x);
}

static struct httpd_reply says(const char *bytes, enum httpd_end then)
{
    return (struct httpd_reply){.bytes = span_of(bytes), .then = then};
}

// --- connecting -----------------------------------------------------------------------------

// A port of ours where nobody listens; the descriptor keeps others from it.
static int dead_port(int *ret_fd)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    *ret_fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(*ret_fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(getsockname(*ret_fd, (struct sockaddr *)&at, &len), 0);
    return ntohs(at.sin_port);
}

static void refused(void **state)
{
    (void)state;
    struct httptry t;
    struct got got[120] = {0};
    int fd;
    httptry_init(&t, NULL, NULL);
    snprintf(t.url, sizeof t.url, "http://127.0.0.1:%d/", dead_port(&fd));
    httptry_open_at(&t, t.url, NULL);
    for (size_t i = 0; i < ARRAY_LEN(got); i++)
        httptry_send(&t, &got[i], "{}");
    assert_int_equal(t.answered, 0); // the kernel has refused by now, but nobody was called
    httptry_wait(&t, t.answered == t.accepted, WAIT_MS);
    for (size_t i = 0; i < ARRAY_LEN(got); i++) {
        assert_int_equal(got[i].error, ERR_CONNECT);
        assert_int_equal(got[i].status, 0);
        assert_int_equal(got[i].first_byte_us, 0);
        got_free(&got[i]);
    }
    httptry_fini(&t);
    close(fd);
}

// A listener with a full queue leaves further connections without an answer.
static void no_connection_in_time(void **state)
{
    (void)state;
    struct httptry t;
    struct got g = {0};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener, fill[3];
    at.sin_port = htons((uint16_t)dead_port(&listener));
    assert_int_equal(listen(listener, 0), 0);
    for (int i = 0; i < 3; i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(fill[i], (struct sockaddr *)&at, sizeof at);
    }
    httptry_init(&t, NULL, NULL);
    t.opt.connect_timeout_ms = 150;
    snprintf(t.url, sizeof t.url, "http://127.0.0.1:%d/", ntohs(at.sin_port));
    httptry_open_at(&t, t.url, NULL);
    httptry_do(&t, &g, "{}");
    assert_int_equal(g.error, ERR_TIMEOUT);
    assert_string_equal(g.error_text, "no connection within 150 ms");
    got_free(&g);
    httptry_fini(&t);
    for (int i = 0; i < 3; i++)
        close(fill[i]);
    close(listener);
}

// --- time limits ----------------------------------------------------------------------------

static void no_first_byte(void **state)
{
    (void)state;
    struct trial x;
    struct httpd_reply never = {0};
    trial_init(&x, &never);
    x.t.opt.first_byte_timeout_ms = 120;
    trial_run(&x);
    assert_int_equal(x.g.error, ERR_TIMEOUT);
    assert_string_equal(x.g.error_text, "no first byte within 120 ms");
    assert_true(x.g.total_us >= 100 * 1000);
    assert_int_equal(x.g.first_byte_us, 0);
    httptry_wait(&x.t, httpd_open(x.t.server) == 0, WAIT_MS); // a broken exchange is not kept
    trial_fini(&x);
}

static void no_further_byte(void **state)
{
    (void)state;
    struct trial x;
    struct httpd_reply half = says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a", HTTPD_KEEP);
    trial_init(&x, &half);
    x.t.opt.first_byte_timeout_ms = 10000;
    x.t.opt.idle_timeout_ms = 120;
    trial_run(&x);
    assert_int_equal(x.g.error, ERR_TIMEOUT);
    assert_string_equal(x.g.error_text, "no further byte of the answer within 120 ms");
    assert_int_equal(x.g.status, 200);
    assert_true(x.g.first_byte_us > 0);
    trial_fini(&x);
}

static void slow_but_moving(void **state)
{
    (void)state;
    struct trial x;
    struct httpd_reply halves = {
        .delay_ms = 200,
        .bytes = span_of("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"),
        .pause_ms = 200,
        .rest = span_of("cd"),
    };
    trial_init(&x, &halves);
    x.t.opt.first_byte_timeout_ms = 390; // each limit is longer than its pause, shorter than all
    x.t.opt.idle_timeout_ms = 390;
    trial_run(&x);
    assert_int_equal(x.g.error, 0);
    assert_string_equal(x.g.body, "abcd");
    trial_fini(&x);
}

static void not_done_in_time(void **state)
{
    (void)state;
    struct trial x;
    struct httpd_reply never = {0};
    trial_init(&x, &never);
    x.timeout_ms = 120;
    trial_run(&x);
    assert_int_equal(x.g.error, ERR_TIMEOUT);
    assert_string_equal(x.g.error_text, "not answered within 120 ms");
    trial_fini(&x);
}

static void not_started_in_time(void **state)
{
    (void)state;
    struct httptry t;
    struct got first = {0}, second = {0};
    struct httpd_reply late = says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", HTTPD_KEEP);
    late.delay_ms = HTTPD_HELD;
    httptry_init(&t, fixed, &late);
    t.opt.calls_max = 1;
    httptry_open(&t);
    httptry_send(&t, &first, "{}");
    httptry_send_for(&t, &second, span_of("{}"), 120);
    httptry_wait(&t, second.count, WAIT_MS);
    assert_int_equal(first.count, 0);
    assert_int_equal(second.error, ERR_TIMEOUT);
    assert_true(second.total_us < 5000 * 1000); // by its own limit, not when another one's is near
    httpd_release(t.server);
    httptry_wait(&t, first.count, WAIT_MS);
    assert_int_equal(first.error, 0);
    assert_int_equal(httpd_requests(t.server), 1);
    got_free(&first);
    got_free(&second);
    httptry_fini(&t);
}

// --- broken answers -------------------------------------------------------------------------

static void cut_short(void **state)
{
    (void)state;
    fails(says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a", HTTPD_CLOSE), ERR_TRUNCATED, "");
    fails(says("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab", HTTPD_CLOSE),
          ERR_TRUNCATED, "");
    fails(says("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n", HTTPD_CLOSE),
          ERR_TRUNCATED, "");
    fails(says("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nab\r\n", HTTPD_KEEP),
          ERR_TRUNCATED, "");
}

static void reset_on_the_way(void **state)
{
    (void)state;
    struct httpd_reply half = says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a", HTTPD_RESET);
    half.pause_ms = 30; // so that the half has been read before the reset
    fails(half, ERR_TRUNCATED, "");
    fails((struct httpd_reply){.then = HTTPD_RESET}, ERR_TRANSPORT, "");
}

static void closed_without_a_byte(void **state)
{
    (void)state;
    fails((struct httpd_reply){.then = HTTPD_CLOSE}, ERR_TRANSPORT, "");
}

static void not_http(void **state)
{
    (void)state;
    fails(says("SSH-2.0-OpenSSH_9.2\r\n", HTTPD_CLOSE), ERR_TRANSPORT, "");
}

static void head_cut_short(void **state)
{
    (void)state;
    fails(says("HTTP/1.1 200 OK\r\nContent-Len", HTTPD_CLOSE), ERR_TRUNCATED, "");
    fails(says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", HTTPD_CLOSE), ERR_TRUNCATED, "");
    fails(says("HTTP/1.1 100 Continue\r\n\r\n", HTTPD_CLOSE), ERR_TRANSPORT, "");
    fails(says("HTTP/1.", HTTPD_CLOSE), ERR_TRANSPORT, "");
}

static void answer_before_a_reset_counts(void **state)
{
    (void)state;
    struct trial x;
    struct httpd_reply bye = says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", HTTPD_RESET);
    trial_init(&x, &bye);
    trial_run(&x);
    assert_int_equal(x.g.error, 0);
    assert_string_equal(x.g.body, "{}");
    trial_fini(&x);
}

// --- too much -------------------------------------------------------------------------------

static void too_big(void **state)
{
    (void)state;
    struct trial x;
    struct httpd_reply told =
        says("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\nabc", HTTPD_KEEP);
    trial_init(&x, &told);
    x.t.opt.body_bytes_max = 1000;
    trial_run(&x);
    assert_int_equal(x.g.error, ERR_TOO_BIG);
    trial_fini(&x);

    char untold[1200] = "HTTP/1.1 200 OK\r\n\r\n";
    memset(untold + 19, 'x', 1100);
    struct httpd_reply until_close = says(untold, HTTPD_CLOSE);
    trial_init(&x, &until_close);
    x.t.opt.body_bytes_max = 1000;
    trial_run(&x);
    assert_int_equal(x.g.error, ERR_TOO_BIG);
    assert_string_equal(x.g.error_text, "the answer is larger than its ceiling");
    trial_fini(&x);

    untold[19 + 1000] = '\0';
    until_close = says(untold, HTTPD_CLOSE);
    trial_init(&x, &until_close);
    x.t.opt.body_bytes_max = 1000;
    trial_run(&x);
    assert_int_equal(x.g.error, 0);
    assert_int_equal(x.g.body_len, 1000);
    trial_fini(&x);
}

static char *many_headers(int count, int width)
{
    struct strbuf all;
    strbuf_init(&all, 1 << 20);
    strbuf_add_str(&all, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < count; i++)
        strbuf_add_fmt(&all, "x-%05d: %0*d\r\n", i, width, i);
    strbuf_add_str(&all, "Content-Length: 2\r\n\r\n{}");
    assert_false(strbuf_failed(&all));
    return strbuf_take(&all);
}

static void surplus_headers_are_dropped(void **state)
{
    (void)state;
    struct trial x;
    char *head = many_headers(1000, 10);
    struct httpd_reply reply = says(head, HTTPD_KEEP);
    trial_init(&x, &reply);
    trial_run(&x);
    assert_int_equal(x.g.error, 0);
    assert_string_equal(x.g.body, "{}");
    assert_string_equal(got_header(&x.g, "x-00127"), "0000000127");
    assert_null(got_header(&x.g, "x-00128"));
    trial_fini(&x);
    free(head);

    head = many_headers(10, 10000);
    reply = says(head, HTTPD_KEEP);
    trial_init(&x, &reply);
    trial_run(&x);
    assert_int_equal(x.g.error, 0);
    assert_true(strlen(x.g.headers) <= HTTP_HEADER_BYTES_MAX);
    assert_non_null(got_header(&x.g, "x-00002"));
    assert_null(got_header(&x.g, "x-00003"));
    assert_string_equal(got_header(&x.g, "content-length"), "2"); // it still fits
    trial_fini(&x);
    free(head);
}

static void hostile_heads_are_refused(void **state)
{
    (void)state;
    char *head = many_headers(10000, 20);
    fails(says(head, HTTPD_KEEP), ERR_TOO_BIG, "");
    free(head);
    char *interim = malloc(30 * 20000 + 1);
    interim[0] = '\0';
    for (int i = 0; i < 20000; i++)
        memcpy(interim + i * 25, "HTTP/1.1 100 Continue\r\n\r\n", 26);
    fails(says(interim, HTTPD_KEEP), ERR_TOO_BIG, "");
    free(interim);
}

// --- kept connections -----------------------------------------------------------------------

// The server closes each connection after its answer, without a word about it.
static void server_closes_between_calls(void **state)
{
    (void)state;
    struct httptry t;
    struct got got[400] = {0};
    struct httpd_reply bye = says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", HTTPD_CLOSE);
    httptry_init(&t, fixed, &bye);
    t.opt.calls_max = 7;
    httptry_open(&t);
    for (int i = 0; i < 400; i++) {
        httptry_send(&t, &got[i], "{}");
        if (i % 20 == 0) // some find the connection closed, some meet its closing
            httptry_wait(&t, t.answered == t.accepted, WAIT_MS);
    }
    httptry_wait(&t, t.answered == t.accepted, WAIT_MS);
    for (int i = 0; i < 400; i++) {
        assert_int_equal(got[i].error, 0);
        got_free(&got[i]);
    }
    httptry_fini(&t);
}

// The first call on a connection is answered; the second, on the kept connection, is not: the
// server works on it for a while and then closes.
struct worker {
    int work_ms;
};

static struct httpd_reply works_and_dies(const struct httpd_request *r, void *arg)
{
    struct worker *w = arg;
    if (r->nth != 1)
        return says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", HTTPD_KEEP);
    return (struct httpd_reply){.delay_ms = w->work_ms, .then = HTTPD_CLOSE};
}

static void second_sending(int work_ms, int error, int requests)
{
    struct httptry t;
    struct got first = {0}, second = {0};
    struct worker w = {work_ms};
    httptry_init(&t, works_and_dies, &w);
    httptry_open(&t);
    httptry_do(&t, &first, "{}");
    httptry_do(&t, &second, "{}");
    assert_int_equal(second.error, error);
    if (error)
        assert_string_equal(second.error_text, "the connection closed before any answer came");
    assert_int_equal(httpd_requests(t.server), requests);
    got_free(&first);
    got_free(&second);
    httptry_fini(&t);
}

static void lost_race_is_sent_again(void **state)
{
    (void)state;
    second_sending(0, 0, 3);
}

// Every second call is lost on the kept connection, and sent again.
static struct httpd_reply odd_ones_die(const struct httpd_request *r, void *arg)
{
    (void)arg;
    if (r->nth_on_connection == 0)
        return says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", HTTPD_KEEP);
    return (struct httpd_reply){.then = HTTPD_CLOSE};
}

static void many_lost_races(void **state)
{
    (void)state;
    struct httptry t;
    struct got g = {0};
    httptry_init(&t, odd_ones_die, NULL);
    httptry_open(&t);
    for (int i = 0; i < 20; i++) {
        httptry_do(&t, &g, "{}");
        assert_int_equal(g.error, 0);
        got_free(&g);
    }
    assert_int_equal(httpd_requests(t.server), 39); // the first needed no second sending
    httptry_fini(&t);
}

static void worked_on_is_not_sent_again(void **state)
{
    (void)state;
    second_sending(1200, ERR_TRANSPORT, 2);
}

// --- answers before the request is through --------------------------------------------------

static void early_answer(struct httpd_reply reply, int status)
{
    enum { BYTES = 16 << 20 };
    struct httptry t;
    struct got g = {0};
    char *body = calloc(1, BYTES);
    httptry_init(&t, fixed, &reply);
    httpd_answer_early(t.server);
    httptry_open(&t);
    httptry_send_for(&t, &g, (struct span){body, BYTES}, 60000);
    httptry_wait(&t, g.count, WAIT_MS);
    if (g.error)
        fail_msg("%s: %s", err_name(g.error), g.error_text);
    assert_int_equal(g.status, status);
    assert_string_equal(g.body, "no\n");
    got_free(&g);
    httptry_fini(&t);
    free(body);
}

static void early_refusals_are_answers(void **state)
{
    (void)state;
    early_answer(says("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno\n", HTTPD_CLOSE), 413);
    early_answer(says("HTTP/1.1 429 Slow\r\nContent-Length: 3\r\n\r\nno\n", HTTPD_KEEP), 429);
    early_answer(says("HTTP/1.1 429 Slow\r\nConnection: close\r\n\r\nno\n", HTTPD_CLOSE), 429);
    early_answer(says("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno\n", HTTPD_RESET), 413);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TAP("a refused connection is ERR_CONNECT, and told from the loop", refused),
        TAP("a connection that does not come is ERR_TIMEOUT", no_connection_in_time),
        TAP("an answer that does not begin is ERR_TIMEOUT", no_first_byte),
        TAP("an answer that stops is ERR_TIMEOUT", no_further_byte),
        TAP("a slow answer that moves is an answer", slow_but_moving),
        TAP("a call that takes too long in all is ERR_TIMEOUT", not_done_in_time),
        TAP("the time a call waits for its turn counts", not_started_in_time),
        TAP("an answer cut short is ERR_TRUNCATED", cut_short),
        TAP("a reset is ERR_TRUNCATED within an answer, else ERR_TRANSPORT", reset_on_the_way),
        TAP("a connection closed without a byte is ERR_TRANSPORT", closed_without_a_byte),
        TAP("what is not HTTP is ERR_TRANSPORT", not_http),
        TAP("a head cut short is no answer", head_cut_short),
        TAP("an answer right before a reset is an answer", answer_before_a_reset_counts),
        TAP("a body over the ceiling is ERR_TOO_BIG, one at the ceiling is not", too_big),
        TAP("headers beyond the limits are dropped", surplus_headers_are_dropped),
        TAP("a head without end is ERR_TOO_BIG", hostile_heads_are_refused),
        TAP("a server that closes between calls loses none", server_closes_between_calls),
        TAP("a request lost to a closing connection is sent again", lost_race_is_sent_again),
        TAP("the sixth such request on a handle is sent again too", many_lost_races),
        TAP("a request that was worked on is not sent again", worked_on_is_not_sent_again),
        TAP("an early refusal is an answer", early_refusals_are_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
