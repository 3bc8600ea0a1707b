// How the HTTP client finds a host's addresses. getaddrinfo is replaced at link time: no name
// server is asked, and a test says what comes and when.
#include "common/base/err.h"
#include "tests/support/httptry.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WAIT_MS = 20000, MANY = 250 };

static const char name[] = "api.example";

// ---- the replaced name service, used from the client's lookup threads

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    const char *addresses[3]; // NULL ends them; none = unknown
    bool held;
    int asked, ended;
    char last[64]; // the last name that was asked for
} names = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

int __real_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **ret);
int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **ret);

int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **ret)
{
    pthread_mutex_lock(&names.mutex);
    names.asked++;
    snprintf(names.last, sizeof names.last, "%s", node);
    while (names.held)
        pthread_cond_wait(&names.changed, &names.mutex);
    struct addrinfo literal = *hints, *list = NULL, **end = &list;
    literal.ai_flags |= AI_NUMERICHOST;
    for (int i = 0; names.addresses[i]; i++) {
        if (__real_getaddrinfo(names.addresses[i], service, &literal, end))
            abort();
        end = &(*end)->ai_next;
    }
    names.ended++;
    pthread_cond_broadcast(&names.changed);
    pthread_mutex_unlock(&names.mutex);
    *ret = list;
    return list ? 0 : EAI_NONAME;
}

static void names_are(const char *first, const char *second)
{
    pthread_mutex_lock(&names.mutex);
    names.addresses[0] = first;
    names.addresses[1] = second;
    names.asked = names.ended = 0;
    pthread_mutex_unlock(&names.mutex);
}

static void names_hold(bool held)
{
    pthread_mutex_lock(&names.mutex);
    names.held = held;
    pthread_cond_broadcast(&names.changed);
    pthread_mutex_unlock(&names.mutex);
}

static int names_asked(void)
{
    pthread_mutex_lock(&names.mutex);
    int asked = names.asked;
    pthread_mutex_unlock(&names.mutex);
    return asked;
}

// ---- calls

static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
static const char ok_bye[] = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";

static struct httpd_reply fixed(const struct httpd_request *r, void *arg)
{
    (void)r;
    return *(struct httpd_reply *)arg;
}

static struct httpd_reply keep = {.bytes = {ok, sizeof ok - 1}},
                          bye = {.bytes = {ok_bye, sizeof ok_bye - 1}, .then = HTTPD_CLOSE};

static void open_by_name(struct httptry *t, struct httpd_reply *reply)
{
    httptry_init(t, fixed, reply);
    snprintf(t->url, sizeof t->url, "http://%s:%d/", name, httpd_port(t->server));
    httptry_open_at(t, t->url, NULL);
}

static void send_all(struct httptry *t, struct got *got, int count)
{
    for (int i = 0; i < count; i++)
        httptry_send(t, &got[i], "{}");
}

static void expect_all(struct httptry *t, struct got *got, int count, int error)
{
    httptry_wait(t, t->answered == t->accepted, WAIT_MS);
    for (int i = 0; i < count; i++) {
        if (got[i].error != error)
            fail_msg("%s: %s", err_name(got[i].error), got[i].error_text);
        got_free(&got[i]);
    }
}

static void looked_up_once(void **state)
{
    (void)state;
    struct httptry t;
    struct got got[MANY] = {0};
    names_are("127.0.0.1", NULL);
    names_hold(true);
    open_by_name(&t, &keep);
    send_all(&t, got, MANY);
    httptry_wait(&t, names_asked() == 1, WAIT_MS);
    assert_int_equal(httpd_connections(t.server), 0);
    names_hold(false);
    expect_all(&t, got, MANY, 0);
    assert_string_equal(names.last, name);
    assert_int_equal(names_asked(), 1);
    httptry_fini(&t);
}

static void literals_are_not_looked_up(void **state)
{
    (void)state;
    struct httptry t;
    struct got g = {0};
    names_are(NULL, NULL);
    httptry_init(&t, fixed, &keep);
    httptry_open(&t);
    httptry_do(&t, &g, "{}");
    assert_int_equal(g.error, 0);
    assert_int_equal(names_asked(), 0);
    got_free(&g);
    httptry_fini(&t);
}

static void unknown_name_fails_those_who_wait(void **state)
{
    (void)state;
    struct httptry t;
    struct got got[5] = {0};
    names_are(NULL, NULL);
    names_hold(true);
    open_by_name(&t, &keep);
    send_all(&t, got, 5);
    names_hold(false);
    httptry_wait(&t, t.answered == 5, WAIT_MS);
    assert_memory_equal(got[4].error_text, "could not resolve host api.example: ", 36);
    expect_all(&t, got, 5, ERR_CONNECT);
    assert_int_equal(names_asked(), 1);
    names_are("127.0.0.1", NULL); // by the next call it may be known
    send_all(&t, got, 5);
    expect_all(&t, got, 5, 0);
    httptry_fini(&t);
}

static void silent_name_server(void **state)
{
    (void)state;
    struct httptry t;
    struct got got[5] = {0};
    names_are("127.0.0.1", NULL);
    names_hold(true);
    httptry_init(&t, fixed, &keep);
    t.opt.connect_timeout_ms = 150;
    snprintf(t.url, sizeof t.url, "http://%s:%d/", name, httpd_port(t.server));
    httptry_open_at(&t, t.url, NULL);
    send_all(&t, got, 5);
    httptry_wait(&t, t.answered == 5, WAIT_MS);
    assert_string_equal(got[0].error_text, "no connection within 150 ms");
    expect_all(&t, got, 5, ERR_TIMEOUT);
    send_all(&t, got, 5); // wait for the same lookup
    names_hold(false);
    expect_all(&t, got, 5, 0);
    assert_int_equal(names_asked(), 1);
    httptry_fini(&t);
}

static void closing_does_not_wait(void **state)
{
    (void)state;
    struct httptry t;
    struct got got[5] = {0};
    names_are("127.0.0.1", NULL);
    names_hold(true);
    open_by_name(&t, &keep);
    send_all(&t, got, 5);
    httptry_wait(&t, names_asked() == 1, WAIT_MS);
    httptry_close(&t); // returns although the name server has not answered
    expect_all(&t, got, 5, ERR_CANCELLED);
    httptry_fini(&t);
    names_hold(false);
    pthread_mutex_lock(&names.mutex); // the thread ends alone
    while (names.ended == 0)
        pthread_cond_wait(&names.changed, &names.mutex);
    pthread_mutex_unlock(&names.mutex);
}

// A host that has moved: calls fail to connect, the name is asked for again, calls succeed.
static void moved_host_is_found(void **state)
{
    (void)state;
    struct httptry t;
    struct got g = {0};
    names_are("127.0.0.2", NULL); // the server listens on 127.0.0.1 alone
    open_by_name(&t, &keep);
    httptry_do(&t, &g, "{}");
    assert_int_equal(g.error, ERR_CONNECT);
    got_free(&g);
    names_are("127.0.0.1", NULL);
    uint64_t until_ms = uv_now(&t.loop) + (uint64_t)(WAIT_MS * httptry_slack());
    for (bool found = false; !found;) {
        httptry_do(&t, &g, "{}");
        found = g.error == 0;
        got_free(&g);
        assert_true(uv_now(&t.loop) < until_ms);
    }
    assert_int_equal(names_asked(), 1); // not once a failed call
    httptry_fini(&t);
}

// full_listener gives a socket on ::1 that leaves further connections without an answer; -1 = no
// IPv6.
static int full_listener(int port, int fill[3])
{
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    at.sin6_port = htons((uint16_t)port);
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 0)) {
        close(fd);
        return -1;
    }
    for (int i = 0; i < 3; i++) {
        fill[i] = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(fill[i], (struct sockaddr *)&at, sizeof at);
    }
    return fd;
}

// The slower of two attempts is closed by libcurl without a word, and its descriptor used again.
static void second_address_serves(void **state)
{
    (void)state;
    struct httptry t;
    struct got got[30] = {0};
    int fill[3];
    names_are("::1", "127.0.0.1");
    open_by_name(&t, &bye);
    int listener = full_listener(httpd_port(t.server), fill);
    for (int round = 0; round < 3; round++) {
        send_all(&t, got, 30);
        expect_all(&t, got, 30, 0);
    }
    httptry_fini(&t);
    for (int i = 0; i < 3 && listener >= 0; i++)
        close(fill[i]);
    if (listener >= 0)
        close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TAP("a name is looked up once, whatever waits for it", looked_up_once),
        TAP("an address is not looked up", literals_are_not_looked_up),
        TAP("an unknown name fails those who wait for it, not later ones",
            unknown_name_fails_those_who_wait),
        TAP("a silent name server is no connection in time", silent_name_server),
        TAP("closing does not wait for the name server", closing_does_not_wait),
        TAP("a host that has moved is found again", moved_host_is_found),
        TAP("where one address does not answer the next one serves", second_address_serves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
