// rlink when things go wrong: servers that are away, killed, stopped, demoted, or no Redis at all.
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "common/base/err.h"
#include "tests/support/linkprobe.h"
#include "tests/support/rsync.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum { BLOCKED = 3 };

static long cpu_ms(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_utime.tv_sec * 1000 + u.ru_utime.tv_usec / 1000 + u.ru_stime.tv_sec * 1000 +
           u.ru_stime.tv_usec / 1000;
}

static void run_for(struct probe *p, int ms)
{
    uint64_t end = uv_hrtime() + (uint64_t)ms * 1000000;
    while (uv_hrtime() < end)
        uv_run(&p->loop, UV_RUN_ONCE);
}

// --- away -----------------------------------------------------------------------------------

static void server_comes_later(void **state)
{
    (void)state;
    struct redisd *d = redisd_start(NULL);
    const char *const urls[] = {redisd_url(d), redisd_unix_url(d)};
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct probe p;
        struct answer a = {0};
        redisd_kill(d);
        probe_init(&p, "%s", urls[i]);
        probe_open(&p);
        probe_wait(&p, p.downs, 5000);
        assert_int_equal(strncmp(p.why, "Connection refused (", 20), 0);
        assert_int_equal(probe_try(&p, &a, 0, "PING"), ERR_LINK_DOWN);
        redisd_restart(d);
        probe_wait(&p, p.ups, 5000);
        assert_int_equal(p.downs, 1);
        assert_int_equal(a.count, 0); // what was refused never runs
        probe_call(&p, &a, "PING");
        probe_wait(&p, a.count, 5000);
        probe_fini(&p);
    }
    redisd_stop(d);
}

static void tries_are_few(void **state)
{
    (void)state;
    struct probe p;
    struct rogue r = {.hang_up = true};
    probe_init(&p, "redis://");
    rogue_open(&p, &r);
    p.url.port = r.port;
    p.opt.backoff_cap_ms = 500;
    long before_ms = cpu_ms();
    probe_open(&p);
    run_for(&p, 2000);
    // 50, 100, 200, 400, 500, 500, ... each up to half shorter: 5 to 11 tries.
    assert_in_range(r.accepted, 3, 12);
    assert_true(cpu_ms() - before_ms < 200 * probe_slack());
    assert_int_equal(p.downs, 1);
    rogue_close(&r);
    probe_fini(&p);
}

static void flapping_is_slowed(void **state)
{
    (void)state;
    struct redisd *d = redisd_start(NULL);
    struct rsync *s = rsync_open(d);
    struct probe p;
    struct answer a = {0};
    probe_init(&p, "%s", redisd_url(d));
    p.opt.backoff_cap_ms = 500;
    probe_open(&p);
    uint64_t end = uv_hrtime() + 2000000000; // each time it is up, someone ends its connection
    while (uv_hrtime() < end) {
        if (rlink_is_up(p.link) && rlink_outstanding(p.link) == 0) {
            probe_call(&p, &a, "BLPOP none 0");
            rsync_do(s, "CLIENT KILL TYPE normal SKIPME yes");
        }
        uv_run(&p.loop, UV_RUN_ONCE);
    }
    assert_in_range(p.ups, 3, 12);
    assert_in_range(a.count, p.ups - 1, p.ups);
    probe_fini(&p);
    rsync_close(s);
    redisd_stop(d);
}

// --- broken and silent connections ----------------------------------------------------------

static void killed_server(void **state)
{
    (void)state;
    struct redisd *d = redisd_start(NULL);
    struct probe p;
    struct answer a[BLOCKED] = {0}, after = {0};
    probe_init(&p, "%s", redisd_url(d));
    probe_start(&p);
    for (int i = 0; i < BLOCKED; i++)
        probe_call(&p, &a[i], "BLPOP none 0");
    run_for(&p, 20);
    redisd_kill(d);
    probe_wait(&p, a[BLOCKED - 1].count, 5000);
    for (int i = 0; i < BLOCKED; i++) {
        assert_int_equal(a[i].count, 1);
        assert_int_equal(a[i].err, ERR_LINK_DOWN);
        assert_int_equal(a[i].order, i + 1);
    }
    assert_int_equal(p.downs, 1); // reported before the calls fail
    redisd_restart(d);
    probe_wait(&p, p.ups == 2, 5000);
    probe_call(&p, &after, "PING");
    probe_wait(&p, after.count, 5000);
    assert_int_equal(p.downs, 1);
    assert_int_equal(a[0].count, 1);
    probe_fini(&p);
    redisd_stop(d);
}

static void killed_client(void **state)
{
    (void)state;
    struct redisd *d = redisd_start(NULL);
    struct rsync *s = rsync_open(d);
    struct probe p;
    struct answer a = {0};
    probe_init(&p, "%s", redisd_url(d));
    probe_start(&p);
    probe_call(&p, &a, "BLPOP none 0");
    run_for(&p, 20);
    assert_int_equal(rsync_int(s, "CLIENT KILL TYPE normal SKIPME yes"), 1);
    probe_wait(&p, p.ups == 2, 5000);
    assert_int_equal(a.count, 1);
    assert_int_equal(a.err, ERR_LINK_DOWN);
    assert_int_equal(strncmp(rlink_why(p.link), "Server closed the connection (127.", 34), 0);
    // An idle link notices too.
    assert_int_equal(rsync_int(s, "CLIENT KILL TYPE normal SKIPME yes"), 1);
    probe_wait(&p, p.ups == 3, 5000);
    probe_fini(&p);
    rsync_close(s);
    redisd_stop(d);
}

static void stopped_server(void **state)
{
    (void)state;
    struct redisd *d = redisd_start(NULL);
    struct probe p;
    struct answer a = {0}, b = {0};
    probe_init(&p, "%s", redisd_url(d));
    p.opt.patience_ms = 500;
    p.opt.connect_timeout_ms = 500;
    probe_start(&p);
    probe_call(&p, &a, "PING");
    probe_wait(&p, a.count, 5000);
    redisd_pause(d);
    uint64_t start = uv_hrtime();
    probe_call(&p, &b, "PING");
    probe_wait(&p, b.count, 5000);
    int64_t took_ms = (int64_t)(uv_hrtime() - start) / 1000000;
    assert_int_equal(b.err, ERR_LINK_DOWN);
    assert_in_range(took_ms, 490, 1500 * probe_slack());
    assert_string_equal(p.why, "Redis has been silent for 500 ms");
    // The kernel of a stopped process still accepts: the greeting has its own limit.
    probe_wait(&p, strstr(rlink_why(p.link), "the greeting was not answered within 500 ms"), 5000);
    redisd_continue(d);
    probe_wait(&p, p.ups == 2, 5000);
    assert_int_equal(p.downs, 1);
    probe_fini(&p);
    redisd_stop(d);
}

static void blocking_calls_have_their_own_patience(void **state)
{
    (void)state;
    struct redisd *d = redisd_start(NULL);
    struct rsync *s = rsync_open(d);
    struct probe p;
    struct answer a = {0}, b = {0}, c = {0};
    probe_init(&p, "%s", redisd_url(d));
    p.opt.patience_ms = 300;
    probe_start(&p);
    assert_int_equal(probe_try(&p, &a, 5000, "BLPOP list 0"), 0);
    probe_call(&p, &b, "PING"); // its patience counts from when it is the oldest
    run_for(&p, 700);
    assert_int_equal(p.downs, 0);
    rsync_do(s, "LPUSH list x");
    probe_wait(&p, b.count, 5000);
    assert_int_equal(a.err, 0);
    assert_int_equal(b.err, 0);
    // Patience for a long call does not linger: the next one has its own.
    redisd_pause(d);
    probe_call(&p, &c, "PING");
    probe_wait(&p, c.count, 2000);
    assert_int_equal(c.err, ERR_LINK_DOWN);
    redisd_continue(d);
    probe_fini(&p);
    rsync_close(s);
    redisd_stop(d);
}

static void patience_passes_on(void **state)
{
    (void)state;
    struct probe p;
    struct rogue r = {.reply = "+PONG\r\n"}; // one answer to each read, whatever that held
    struct answer a = {0}, b = {0};
    probe_init(&p, "redis://");
    rogue_open(&p, &r);
    p.url.port = r.port;
    p.opt.patience_ms = 100;
    probe_start(&p);
    assert_int_equal(probe_try(&p, &a, 60000, "PING"), 0);
    probe_call(&p, &b, "PING");
    probe_wait(&p, b.count, 5000);
    assert_int_equal(a.err, 0);
    assert_int_equal(b.err, ERR_LINK_DOWN);
    assert_string_equal(p.why, "Redis has been silent for 100 ms");
    rogue_close(&r);
    probe_fini(&p);
}

static void a_late_loop_reads_before_it_judges(void **state)
{
    (void)state;
    struct redisd *d = redisd_start(NULL);
    struct probe p;
    struct answer a = {0};
    probe_init(&p, "%s", redisd_url(d));
    p.opt.patience_ms = 300;
    probe_start(&p);
    probe_call(&p, &a, "PING");
    uv_run(&p.loop, UV_RUN_NOWAIT); // sends
    uv_sleep(1000);                 // this process is held up, not Redis
    probe_wait(&p, a.count, 5000);
    assert_int_equal(a.err, 0);
    assert_int_equal(p.downs, 0);
    probe_fini(&p);
    redisd_stop(d);
}

// --- demoted --------------------------------------------------------------------------------

static void demoted_master(void **state)
{
    (void)state;
    static const char *const writes[] = {"SET k v", "EVAL return(redis.call('set',KEYS[1],1)) 1 k"};
    for (size_t i = 0; i < ARRAY_LEN(writes); i++) {
        struct redisd *d = redisd_start(NULL);
        struct rsync *s = rsync_open(d);
        struct probe p;
        struct answer a = {0}, b = {0};
        probe_init(&p, "%s", redisd_url(d));
        probe_start(&p);
        rsync_do(s, "REPLICAOF 127.0.0.1 1");
        probe_call(&p, &a, writes[i]);
        probe_call(&p, &b, writes[i]);
        probe_wait(&p, p.downs, 5000);
        assert_int_equal(a.err, ERR_REDIS); // in Redis' own words
        assert_non_null(strstr(a.text, "READONLY You can't write against a read only replica"));
        assert_string_equal(p.why, a.text);
        // It stays down while that is a replica, without a word more, and returns with the master.
        probe_wait(&p, strcmp(rlink_why(p.link), "it is a replica, no master") == 0, 5000);
        assert_int_equal(p.downs, 1);
        rsync_do(s, "REPLICAOF NO ONE");
        probe_wait(&p, p.ups == 2, 5000);
        assert_int_equal(b.err, ERR_LINK_DOWN);
        assert_int_equal(a.count + b.count, 2);
        probe_fini(&p);
        rsync_close(s);
        redisd_stop(d);
    }
}

// --- not Redis ------------------------------------------------------------------------------

static void strangers(void **state)
{
    (void)state;
    static const struct {
        struct rogue rogue;
        const char *why;
    } cases[] = {
        {{.reply = "HTTP/1.1 400 Bad Request\r\n\r\n"}, "Protocol error"},
        {{.hello = "220 smtp.example ready\r\n"}, "an answer"},
        {{.hello = "-ERR max number of clients reached\r\n", .hang_up = true}, "ERR max number"},
        {{.reply = "+OK\r\n"}, "what answers there is not Redis"},
        {{.reply = "-LOADING Redis is loading the dataset in memory\r\n"},
         "PING was refused: LOADING Redis is loading"},
        {{.reply = "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"}, ""},
        {{.reply = "+PONG\r\n+MORE\r\n"}, "an answer came that nobody asked for"},
        {{.reply = NULL}, "the greeting was not answered within 300 ms"},
        {{.hang_up = true}, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct probe p;
        struct rogue r = cases[i].rogue;
        probe_init(&p, "redis://");
        rogue_open(&p, &r);
        p.url.port = r.port;
        p.opt.connect_timeout_ms = 300;
        probe_open(&p);
        probe_wait(&p, p.downs, 5000);
        // What comes unasked meets either the greeting or an answer that is due.
        if (!strstr(p.why, cases[i].why) && !strstr(p.why, "Protocol error"))
            fail_msg("case %zu: %s", i, p.why);
        assert_int_equal(p.ups, 0);
        rogue_close(&r);
        probe_fini(&p);
    }
}

static void unasked_while_idle(void **state)
{
    (void)state;
    struct probe p;
    struct rogue r = {.reply = "+PONG\r\n"};
    uv_buf_t junk = uv_buf_init((char *)"+MORE\r\n", 7);
    probe_init(&p, "redis://");
    rogue_open(&p, &r);
    p.url.port = r.port;
    probe_start(&p);
    uv_try_write((uv_stream_t *)r.conns, &junk, 1); // a connection begins with its stream
    probe_wait(&p, p.downs, 5000);
    assert_string_equal(p.why, "an answer came that nobody asked for");
    rogue_close(&r);
    probe_fini(&p);
}

#define CASE(words, fn)                                                                            \
    {                                                                                              \
        words, fn, NULL, NULL, NULL                                                                \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE("a server that is away is found when it comes; DOWN is said once", server_comes_later),
        CASE("tries are spaced out, and cost next to nothing", tries_are_few),
        CASE("a link that comes up only to break is slowed down too", flapping_is_slowed),
        CASE("a killed server's calls are answered once each; the link returns", killed_server),
        CASE("CLIENT KILL ends calls, and the link returns", killed_client),
        CASE("a stopped server is noticed within the patience", stopped_server),
        CASE("a blocking call has its own patience", blocking_calls_have_their_own_patience),
        CASE("when a long call is answered, the next one's patience counts", patience_passes_on),
        CASE("a loop that was held up reads before it judges", a_late_loop_reads_before_it_judges),
        CASE("READONLY goes to the caller and makes the link look anew", demoted_master),
        CASE("what is no Redis is a reason in words, and harmless", strangers),
        CASE("an answer that nobody asked for ends the connection", unasked_while_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
