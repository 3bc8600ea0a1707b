// rlink and a resolver that takes its time: this file's getaddrinfo() stands before libc's, and
// keeps whoever asks for "slow" waiting until the test lets go.
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "common/base/err.h"
#include "tests/support/linkprobe.h"
#include "tests/support/redisd.h"

#include <dlfcn.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static uv_sem_t gate;
static atomic_bool open_gate; // from now on "slow" is quick
static atomic_int asked;
static struct redisd *server;

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret)
{
    int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&next = dlsym(RTLD_NEXT, "getaddrinfo");
    if (strcmp(host, "two") == 0) {
        int status = next("127.0.0.2", service, hints, ret);
        return status ? status : next("127.0.0.1", service, hints, &(*ret)->ai_next);
    }
    if (strcmp(host, "slow") != 0)
        return next(host, service, hints, ret);
    asked++;
    if (!open_gate)
        uv_sem_wait(&gate);
    return next("127.0.0.1", service, hints, ret);
}

static int start(void **state)
{
    (void)state;
    server = redisd_start(NULL);
    return uv_sem_init(&gate, 0);
}

static int stop(void **state)
{
    (void)state;
    redisd_stop(server);
    uv_sem_destroy(&gate);
    return 0;
}

static int forget(void **state)
{
    (void)state;
    asked = 0;
    open_gate = false;
    return 0;
}

// let_go answers those who wait (no more than four: libuv's threads) and whoever asks later.
static void let_go(void)
{
    open_gate = true;
    for (int i = 0; i < asked; i++)
        uv_sem_post(&gate);
}

static int drain(void **state)
{
    (void)state;
    while (uv_sem_trywait(&gate) == 0)
        continue;
    return 0;
}

static void addresses_are_tried_in_turn(void **state)
{
    (void)state;
    struct probe p;
    probe_init(&p, "redis://two:%d", redisd_port(server));
    probe_start(&p);
    assert_int_equal(p.downs, 0);
    probe_fini(&p);
    probe_init(&p, "redis://two:%d", redisd_free_port());
    probe_open(&p);
    probe_wait(&p, p.downs, 5000);
    assert_int_equal(strncmp(p.why, "Connection refused (two:", 24), 0);
    probe_fini(&p);
}

static void the_loop_goes_on(void **state)
{
    (void)state;
    struct probe p;
    probe_init(&p, "redis://slow:%d", redisd_port(server));
    p.opt.connect_timeout_ms = 200;
    p.opt.backoff_cap_ms = 20;
    probe_open(&p);
    probe_wait(&p, p.downs, 5000);
    assert_non_null(strstr(p.why, "the name was not resolved within 200 ms (slow:"));
    // Further tries wait for the same lookup: libuv has four threads, and they are not ours alone.
    uint64_t end = uv_hrtime() + 700000000;
    while (uv_hrtime() < end)
        uv_run(&p.loop, UV_RUN_ONCE);
    assert_int_equal(asked, 1);
    assert_int_equal(p.downs, 1);
    let_go();
    probe_wait(&p, p.ups, 10000);
    probe_fini(&p);
}

static void closing_does_not_wait(void **state)
{
    (void)state;
    struct probe p;
    probe_init(&p, "redis://slow:%d", redisd_port(server));
    probe_open(&p);
    probe_wait(&p, asked == 1, 5000);
    probe_close(&p);
    assert_int_equal(p.closes, 1);
    let_go(); // only the loop has to wait for it
    probe_fini(&p);
}

static void a_late_answer_is_for_nobody(void **state)
{
    (void)state;
    struct redisd *sentinel = redisd_sentinel("mine", redisd_port(server), NULL);
    struct probe p;
    struct answer a = {0};
    probe_init(&p, "redis+sentinel://slow:1,127.0.0.1:%d/mine", redisd_port(sentinel));
    p.opt.connect_timeout_ms = 500 * probe_slack();
    probe_start(&p); // by the second Sentinel
    let_go();
    uint64_t end = uv_hrtime() + 100000000;
    while (uv_hrtime() < end)
        uv_run(&p.loop, UV_RUN_ONCE);
    probe_call(&p, &a, "PING");
    probe_wait(&p, a.count, 5000);
    rlink_kick(p.link, "kicked by the test");
    probe_wait(&p, p.ups == 2, 5000);
    assert_int_equal(p.downs, 1);
    assert_int_equal(asked, 1); // the Sentinel that knew is first now
    probe_fini(&p);
    redisd_stop(sentinel);
}

#define CASE(words, fn)                                                                            \
    {                                                                                              \
        words, fn, forget, drain, NULL                                                             \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE("a name's addresses are tried in turn", addresses_are_tried_in_turn),
        CASE("a slow resolver does not hold the loop, nor is it asked twice", the_loop_goes_on),
        CASE("closing does not wait for the resolver", closing_does_not_wait),
        CASE("an answer that comes too late disturbs no other try", a_late_answer_is_for_nobody),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
