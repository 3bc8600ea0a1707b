// rlink by way of Sentinel: who is asked, what is believed, and a failover.
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

static const char unknown[] = "*-1\r\n"; // a Sentinel that does not know the master

// name_server is what a Sentinel says that sends clients to that port.
static const char *name_server(char *buf, size_t room, int port)
{
    char text[8];
    int len = snprintf(text, sizeof text, "%d", port);
    snprintf(buf, room, "*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%s\r\n", len, text);
    return buf;
}

static bool replica_is_attached(struct rsync *s)
{
    return strstr(rsync_str(s, "INFO replication"), "master_link_status:up") != NULL;
}

static void follows_a_failover(void **state)
{
    (void)state;
    struct redisd *master = redisd_start(NULL);
    char port[8];
    snprintf(port, sizeof port, "%d", redisd_port(master));
    const char *const args[] = {"--replicaof", "127.0.0.1", port, NULL};
    struct redisd *replica = redisd_start(args);
    struct rsync *look = rsync_open(replica);
    struct probe p;
    struct rogue ignorant = {.reply = unknown};
    struct answer a = {0}, b = {0}, lost = {0};
    probe_init(&p, "redis+sentinel://127.0.0.1:%d,h:2/mine/1", redisd_free_port());
    probe_wait(&p, replica_is_attached(look), 10000);
    struct redisd *sentinel = redisd_sentinel("mine", redisd_port(master), NULL);
    rogue_open(&p, &ignorant);
    // One that is away, one that does not know, one that does.
    snprintf(p.url.host, sizeof p.url.host, "127.0.0.1:%d,127.0.0.1:%d,localhost:%d",
             redisd_free_port(), ignorant.port, redisd_port(sentinel));
    probe_start(&p);
    assert_int_equal(p.downs, 0);
    assert_int_equal(ignorant.accepted, 1);
    probe_call(&p, &a, "SET where master");
    probe_wait(&p, a.count, 5000);
    rsync_do(look, "SELECT 1");
    probe_wait(&p, rsync_int(look, "EXISTS where") == 1, 5000);
    // Not before Sentinel has heard of the replica can it promote it.
    struct rsync *ask = rsync_open(sentinel);
    probe_wait(&p, rsync_do(ask, "SENTINEL REPLICAS mine")->elements == 1, 15000);
    probe_call(&p, &lost, "BLPOP none 0");
    redisd_kill(master);
    probe_wait(&p, p.ups == 2, 20000);
    assert_int_equal(p.downs, 1);
    assert_int_equal(lost.err, ERR_LINK_DOWN);
    probe_call(&p, &b, "GETSET where replica");
    probe_wait(&p, b.count, 5000);
    assert_string_equal(b.text, "master");
    rsync_close(look); // Sentinel has cut off whoever was connected to the replica
    look = rsync_open(replica);
    rsync_do(look, "SELECT 1");
    assert_string_equal(rsync_str(look, "GET where"), "replica");
    assert_int_equal(ignorant.accepted, 1); // the one that knew was asked first
    rogue_close(&ignorant);
    probe_fini(&p);
    rsync_close(ask);
    rsync_close(look);
    redisd_stop(sentinel);
    redisd_stop(replica);
    redisd_stop(master);
}

// ask_only opens a link with a misbehaving Sentinel alone.
static void ask_only(struct probe *p, struct rogue *r, const char *login)
{
    probe_init(p, "redis+sentinel://%s127.0.0.1/mine", login);
    rogue_open(p, r);
    snprintf(p->url.host, sizeof p->url.host, "127.0.0.1:%d", r->port);
    probe_open(p);
}

static void refuses_a_demoted_master(void **state)
{
    (void)state;
    const char *const args[] = {"--replicaof", "127.0.0.1", "1", NULL};
    struct redisd *replica = redisd_start(args);
    struct rsync *s = rsync_open(replica);
    struct probe p;
    char said[64];
    struct rogue stale = {.reply = name_server(said, sizeof said, redisd_port(replica))};
    ask_only(&p, &stale, "");
    probe_wait(&p, p.downs, 5000);
    assert_string_equal(p.why, "the server that Sentinel named is not a master");
    assert_int_equal(p.ups, 0);
    rsync_do(s, "REPLICAOF NO ONE");
    probe_wait(&p, p.ups, 5000);
    assert_int_equal(p.downs, 1);
    rogue_close(&stale);
    probe_fini(&p);
    rsync_close(s);
    redisd_stop(replica);
}

static void says_why_there_is_no_master(void **state)
{
    (void)state;
    static const struct {
        const char *reply, *why;
    } cases[] = {
        {unknown, "the Sentinel knows no master \"mine\""},
        {"-ERR No such master with that name\r\n",
         "SENTINEL was refused: ERR No such master with that name"},
        {"-NOAUTH Authentication required.\r\n",
         "SENTINEL was refused: NOAUTH Authentication required."},
        {"*2\r\n$1\r\nh\r\n$5\r\n99999\r\n", "the Sentinel knows no master \"mine\""},
        {"*1\r\n$1\r\nh\r\n", "the Sentinel knows no master \"mine\""},
        {":1\r\n", "the Sentinel knows no master \"mine\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct probe p;
        struct rogue r = {.reply = cases[i].reply};
        ask_only(&p, &r, "");
        probe_wait(&p, p.downs, 5000);
        assert_string_equal(p.why, cases[i].why);
        rogue_close(&r);
        probe_fini(&p);
    }
}

static void gives_the_password_if_asked(void **state)
{
    (void)state;
    const char *const args[] = {"--requirepass", "pw", NULL};
    struct redisd *master = redisd_start(args);
    struct redisd *sentinel = redisd_sentinel("mine", redisd_port(master), "pw");
    struct probe p;
    probe_init(&p, "redis+sentinel://:pw@127.0.0.1:%d/mine", redisd_port(sentinel));
    probe_start(&p);
    assert_int_equal(p.downs, 0);
    probe_fini(&p);
    probe_init(&p, "redis+sentinel://:hunter2@127.0.0.1:%d/mine", redisd_port(sentinel));
    probe_open(&p);
    probe_wait(&p, p.downs, 5000);
    assert_string_equal(p.why, "AUTH to the Sentinel was refused: WRONGPASS invalid "
                               "username-password pair or user is disabled.");
    probe_fini(&p);
    redisd_stop(sentinel);
    redisd_stop(master);
}

static void silent_sentinels_are_passed_over(void **state)
{
    (void)state;
    struct redisd *master = redisd_start(NULL);
    struct redisd *sentinel = redisd_sentinel("mine", redisd_port(master), NULL);
    struct probe p;
    struct rogue silent = {0};
    probe_init(&p, "redis+sentinel://h/mine");
    rogue_open(&p, &silent);
    snprintf(p.url.host, sizeof p.url.host, "127.0.0.1:%d,127.0.0.1:%d", silent.port,
             redisd_port(sentinel));
    p.opt.connect_timeout_ms = 500 * probe_slack();
    probe_start(&p);
    assert_int_equal(p.downs, 0);
    assert_int_equal(silent.accepted, 1);
    rogue_close(&silent);
    probe_fini(&p);
    redisd_stop(sentinel);
    redisd_stop(master);
}

#define CASE(words, fn)                                                                            \
    {                                                                                              \
        words, fn, NULL, NULL, NULL                                                                \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE("the master is found, and found again after a failover", follows_a_failover),
        CASE("a server that is no master is refused until it is one", refuses_a_demoted_master),
        CASE("no master is a reason in words", says_why_there_is_no_master),
        CASE("a Sentinel that asks for the password gets it", gives_the_password_if_asked),
        CASE("a Sentinel that does not answer is passed over", silent_sentinels_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
