// rlink against a real redis-server: calls and their answers, greeting, and how a link ends.
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
#include <stdlib.h>
#include <string.h>

enum { MANY = 1000, CEILING = 65536, LARGE_BYTES = 32 << 20 };

static struct redisd *server; // one for all tests that do not change it
static struct rsync *look;

static int start_server(void **state)
{
    (void)state;
    server = redisd_start(NULL);
    look = rsync_open(server);
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    rsync_close(look);
    redisd_stop(server);
    return 0;
}

static int flush(void **state)
{
    (void)state;
    rsync_do(look, "FLUSHALL");
    return 0;
}

// --- answers --------------------------------------------------------------------------------

static void answers_arrive(void **state)
{
    (void)state;
    struct probe p;
    struct answer set = {0}, get = {0}, nil = {0}, wrong = {0};
    probe_init(&p, "%s", redisd_url(server));
    probe_start(&p);
    assert_int_equal(rlink_last_answer_ms(p.link), 0);
    probe_call(&p, &set, "SET k value");
    probe_call(&p, &get, "GET k");
    probe_call(&p, &nil, "GET none");
    probe_call(&p, &wrong, "LPUSH k x");
    assert_int_equal(rlink_outstanding(p.link), 4);
    probe_wait(&p, wrong.count, 5000);
    assert_string_equal(set.text, "OK");
    assert_string_equal(get.text, "value");
    assert_int_equal(nil.err, 0);
    assert_int_equal(wrong.err, ERR_REDIS);
    assert_int_equal(strncmp(wrong.text, "WRONGTYPE ", 10), 0);
    assert_int_equal(set.count + get.count + nil.count + wrong.count, 4);
    assert_int_equal(set.early + get.early + nil.early + wrong.early, 0);
    assert_int_equal(rlink_outstanding(p.link), 0);
    assert_int_equal(rlink_calls_made(p.link), 4);
    assert_true(rlink_last_answer_ms(p.link) > 0);
    assert_string_equal(rsync_str(look, "GET k"), "value");
    probe_fini(&p);
}

static void many_in_order(void **state)
{
    (void)state;
    struct probe p;
    static struct answer a[MANY];
    memset(a, 0, sizeof a);
    probe_init(&p, "%s", redisd_url(server));
    probe_start(&p);
    for (int i = 0; i < MANY; i++)
        probe_call(&p, &a[i], "INCR n");
    probe_wait(&p, a[MANY - 1].count, 10000);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(a[i].count, 1);
        assert_int_equal(a[i].order, i + 1);
        assert_int_equal(a[i].number, i + 1);
    }
    probe_fini(&p);
}

static void count_answer(int err, const struct reply *reply, void *arg)
{
    assert_int_equal(err, 0);
    assert_string_equal(reply_text(reply), "PONG");
    ++*(size_t *)arg;
}

static void ceiling_holds(void **state)
{
    (void)state;
    struct probe p;
    const char *ping[] = {"PING"};
    size_t answered = 0;
    probe_init(&p, "%s", redisd_unix_url(server));
    probe_start(&p);
    for (int i = 0; i < CEILING; i++)
        assert_int_equal(rlink_call(p.link, 1, ping, NULL, 0, count_answer, &answered), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(rlink_call(p.link, 1, ping, NULL, 0, count_answer, &answered),
                         ERR_TOO_BIG);
    assert_int_equal(rlink_calls_made(p.link), CEILING);
    probe_wait(&p, answered == CEILING, 30000);
    assert_int_equal(rlink_call(p.link, 1, ping, NULL, 0, count_answer, &answered), 0);
    probe_wait(&p, answered == CEILING + 1, 5000);
    assert_int_equal(p.downs, 0);
    probe_fini(&p);
}

struct large {
    char *bytes;
    int answers;
};

static void on_large(int err, const struct reply *reply, void *arg)
{
    struct large *b = arg;
    struct span got;
    assert_int_equal(err, 0);
    b->answers++;
    if (!reply_str(reply, &got) || got.len != LARGE_BYTES)
        return;
    assert_memory_equal(got.at, b->bytes, LARGE_BYTES);
    b->answers += 10;
}

static void large_payload(void **state)
{
    (void)state;
    struct probe p;
    struct large b = {.bytes = malloc(LARGE_BYTES)};
    const char *set[] = {"SET", "big", b.bytes}, *get[] = {"GET", "big"};
    const size_t lens[] = {3, 3, LARGE_BYTES};
    for (size_t i = 0; i < LARGE_BYTES; i++)
        b.bytes[i] = (char)(i * 2654435761u >> 13);
    probe_init(&p, "%s", redisd_url(server));
    p.opt.patience_ms = 60000;
    probe_start(&p);
    assert_int_equal(rlink_call(p.link, 3, set, lens, 0, on_large, &b), 0);
    assert_int_equal(rlink_call(p.link, 2, get, lens, 0, on_large, &b), 0);
    // Refused by its size alone, for the 32 MiB that wait count too: not a byte of it is read.
    const size_t too_large[] = {3, 3, (512 << 20) - LARGE_BYTES};
    assert_int_equal(rlink_call(p.link, 3, set, too_large, 0, on_large, &b), ERR_TOO_BIG);
    assert_int_equal(rlink_outstanding(p.link), 2);
    probe_wait(&p, b.answers == 12, 60000);
    probe_fini(&p);
    free(b.bytes);
}

static void unix_socket(void **state)
{
    (void)state;
    struct probe p;
    struct answer a = {0};
    probe_init(&p, "%s?db=3", redisd_unix_url(server));
    probe_start(&p);
    probe_call(&p, &a, "SET here 1");
    probe_wait(&p, a.count, 5000);
    probe_fini(&p);
    rsync_do(look, "SELECT 3");
    assert_string_equal(rsync_str(look, "GET here"), "1");
    rsync_do(look, "SELECT 0");
}

static void on_tree(int err, const struct reply *r, void *arg)
{
    struct span text = {0};
    int64_t n = 77;
    assert_int_equal(err, 0);
    assert_int_equal(reply_count(r), 6);
    assert_true(reply_int(reply_at(r, 0), &n) && n == -5);
    assert_true(reply_int(reply_at(r, 1), &n) && n == INT64_MIN);
    assert_false(reply_int(reply_at(r, 2), &n)); // "12x"
    assert_int_equal(n, INT64_MIN);
    assert_true(reply_str(reply_at(r, 2), &text) && span_is(text, "12x"));
    assert_false(reply_str(reply_at(r, 0), &text));
    assert_true(span_is(text, "12x"));
    assert_int_equal(reply_count(reply_at(r, 3)), 1);
    assert_int_equal(reply_count(reply_at(r, 2)), 0);
    assert_true(reply_str(reply_at(reply_at(r, 3), 0), &text) && span_is(text, "in"));
    assert_string_equal(reply_text(reply_at(r, 4)), "FINE");
    assert_true(reply_is_error(reply_at(r, 5), "OOPS"));
    assert_false(reply_is_error(reply_at(r, 5), "OOP"));
    assert_string_equal(reply_text(reply_at(r, 5)), "OOPS it broke");
    assert_string_equal(reply_text(reply_at(r, 2)), "");
    assert_null(reply_at(r, 6));
    assert_null(reply_at(reply_at(r, 0), 0));
    assert_false(reply_is_null(r));
    *(bool *)arg = true;
}

static void getters_are_tolerant(void **state)
{
    (void)state;
    struct probe p;
    bool seen = false;
    static const char script[] = "return {-5, '-9223372036854775808', '12x', {'in'}, "
                                 "{ok='FINE'}, {err='OOPS it broke'}}";
    const char *eval[] = {"EVAL", script, "0"};
    probe_init(&p, "%s", redisd_url(server));
    probe_start(&p);
    assert_int_equal(rlink_call(p.link, 3, eval, NULL, 0, on_tree, &seen), 0);
    probe_wait(&p, seen, 5000);
    probe_fini(&p);
    struct span text;
    int64_t n;
    assert_true(reply_is_null(NULL));
    assert_false(reply_int(NULL, &n) || reply_str(NULL, &text) || reply_is_error(NULL, ""));
    assert_int_equal(reply_int_or(NULL, 4), 4);
    assert_int_equal(reply_count(NULL), 0);
    assert_null(reply_at(NULL, 0));
    assert_string_equal(reply_text(NULL), "");
}

// --- greeting -------------------------------------------------------------------------------

static void greeting_names_and_selects(void **state)
{
    (void)state;
    struct probe p;
    struct answer a = {0};
    probe_init(&p, "%s/5", redisd_url(server));
    p.opt.client_name = "penstock-test";
    probe_start(&p);
    probe_call(&p, &a, "CLIENT INFO");
    probe_wait(&p, a.count, 5000);
    assert_non_null(strstr(a.text, " name=penstock-test "));
    assert_non_null(strstr(a.text, " db=5 "));
    probe_fini(&p);
}

static void refused_database(void **state)
{
    (void)state;
    struct probe p;
    probe_init(&p, "%s/99", redisd_url(server));
    probe_open(&p);
    probe_wait(&p, p.downs, 5000);
    assert_string_equal(p.why, "SELECT was refused: ERR DB index is out of range");
    probe_fini(&p);
}

static void password_opens(void **state)
{
    (void)state;
    const char *const args[] = {"--requirepass", "hunter2@/", NULL};
    struct redisd *d = redisd_start(args);
    const int port = redisd_port(d);
    static const char *const logins[] = {":hunter2%40%2F@", "default:hunter2%40%2F@"};
    for (size_t i = 0; i < ARRAY_LEN(logins); i++) {
        struct probe p;
        probe_init(&p, "redis://%s127.0.0.1:%d", logins[i], port);
        probe_start(&p);
        probe_fini(&p);
    }
    redisd_stop(d);
}

static void refused_login(const char *login, int port, const char *why)
{
    struct probe p;
    probe_init(&p, "redis://%s127.0.0.1:%d", login, port);
    probe_open(&p);
    probe_wait(&p, p.downs, 5000);
    assert_string_equal(p.why, why);
    assert_string_equal(rlink_why(p.link), why);
    assert_null(strstr(p.why, "hunter"));
    assert_int_equal(p.ups, 0);
    probe_fini(&p);
}

static void wrong_password(void **state)
{
    (void)state;
    const char *const args[] = {"--requirepass", "s3cret", NULL};
    struct redisd *d = redisd_start(args);
    int port = redisd_port(d);
    refused_login(":hunter2@", port,
                  "AUTH was refused: WRONGPASS invalid username-password pair or user is "
                  "disabled.");
    refused_login("no-one:hunter2@", port,
                  "AUTH was refused: WRONGPASS invalid username-password pair or user is "
                  "disabled.");
    refused_login("", port, "PING was refused: NOAUTH Authentication required.");
    redisd_stop(d);
}

static void echoed_password(void **state)
{
    (void)state;
    // An old server, or one where AUTH was renamed, repeats the words it does not know.
    const char *const args[] = {"--rename-command", "AUTH", "", NULL};
    struct redisd *d = redisd_start(args);
    refused_login(":hunter2@", redisd_port(d), "AUTH was refused");
    refused_login("me:hunter2@", redisd_port(d), "AUTH was refused");
    redisd_stop(d);
}

static void narrow_acl(void **state)
{
    (void)state;
    struct probe p;
    struct answer a = {0};
    rsync_do(look, "ACL SETUSER narrow on >pw ~* -@all +get");
    probe_init(&p, "redis://narrow:pw@127.0.0.1:%d", redisd_port(server));
    p.opt.client_name = "may-not-be-set";
    probe_start(&p);
    probe_call(&p, &a, "GET k");
    probe_wait(&p, a.count, 5000);
    assert_int_equal(a.err, 0);
    probe_fini(&p);
    rsync_do(look, "ACL DELUSER narrow");
}

static void names_are_looked_up(void **state)
{
    (void)state;
    struct probe p;
    probe_init(&p, "redis://localhost:%d", redisd_port(server));
    probe_start(&p);
    assert_int_equal(p.downs, 0);
    probe_fini(&p);
    // Too long for a label: refused without asking anyone.
    probe_init(&p, "redis://%070d.invalid:1", 0);
    probe_open(&p);
    probe_wait(&p, p.downs, 10000);
    assert_non_null(strstr(p.why, ".invalid:1)"));
    probe_fini(&p);
}

static void ipv6_literal(void **state)
{
    (void)state;
    const char *const args[] = {"--bind", "::1", NULL};
    struct redisd *d = redisd_start(args);
    struct probe p;
    probe_init(&p, "redis://[::1]:%d", redisd_port(d));
    probe_start(&p);
    probe_fini(&p);
    redisd_stop(d);
}

// --- from inside callbacks ------------------------------------------------------------------

static void call_from_callback(void **state)
{
    (void)state;
    struct probe p;
    struct answer a = {0}, b = {0}, c = {0};
    a.then = &b;
    a.then_words = "INCR n";
    b.then = &c;
    b.then_words = "INCR n";
    probe_init(&p, "%s", redisd_url(server));
    probe_start(&p);
    probe_call(&p, &a, "INCR n");
    probe_wait(&p, c.count, 5000);
    assert_int_equal(c.number, 3);
    assert_int_equal(a.early + b.early + c.early, 0);
    probe_fini(&p);
}

static void kick_from_callback(void **state)
{
    (void)state;
    struct probe p;
    struct answer a = {.kick = true}, b = {0}, c = {0};
    b.then = &c;
    b.then_words = "PING";
    probe_init(&p, "%s", redisd_url(server));
    probe_start(&p);
    probe_call(&p, &a, "PING");
    probe_call(&p, &b, "PING");
    probe_wait(&p, p.ups == 2, 5000);
    assert_int_equal(p.downs, 1);
    assert_int_equal(a.count, 1);
    assert_int_equal(b.count, 1);
    assert_int_equal(b.err, ERR_LINK_DOWN);
    assert_int_equal(c.err, ERR_LINK_DOWN); // a call made while down fails at once
    assert_int_equal(c.count, 0);
    assert_string_equal(rlink_why(p.link), "kicked by the test");
    probe_fini(&p);
}

static void close_from_callback(void **state)
{
    (void)state;
    struct probe p;
    struct answer a = {.close = true}, b = {0}, c = {0};
    probe_init(&p, "%s", redisd_url(server));
    probe_start(&p);
    probe_call(&p, &a, "PING");
    probe_call(&p, &b, "PING");
    probe_call(&p, &c, "BLPOP none 0");
    probe_wait(&p, p.closes, 5000);
    assert_int_equal(a.err, 0);
    assert_int_equal(b.err, ERR_LINK_DOWN);
    assert_int_equal(c.err, ERR_LINK_DOWN);
    assert_int_equal(a.count + b.count + c.count, 3);
    probe_fini(&p);
}

static void close_from_failed_call(void **state)
{
    (void)state;
    struct probe p;
    struct answer a = {.close = true}, b = {.close = true};
    probe_init(&p, "%s", redisd_url(server));
    probe_start(&p);
    probe_call(&p, &a, "BLPOP none 0");
    probe_call(&p, &b, "BLPOP none 0");
    rlink_kick(p.link, "kicked by the test");
    assert_int_equal(a.count, 0); // not from inside
    probe_wait(&p, p.closes, 5000);
    assert_int_equal(a.count + b.count, 2);
    probe_fini(&p);
}

static void close_from_report(void **state)
{
    (void)state;
    struct probe p;
    probe_init(&p, "%s", redisd_url(server));
    p.close_on_up = true;
    probe_open(&p);
    probe_wait(&p, p.closes, 5000);
    probe_fini(&p);
    probe_init(&p, "unix:///nowhere/at/all.sock");
    p.close_on_down = true;
    probe_open(&p);
    probe_wait(&p, p.closes, 5000);
    assert_string_equal(p.why, "No such file or directory (/nowhere/at/all.sock)");
    probe_fini(&p);
}

// --- closing --------------------------------------------------------------------------------

static void close_with_outstanding(void **state)
{
    (void)state;
    struct probe p;
    static struct answer a[MANY];
    memset(a, 0, sizeof a);
    probe_init(&p, "%s", redisd_url(server));
    probe_start(&p);
    probe_call(&p, &a[0], "BLPOP none 0");
    for (int i = 1; i < MANY; i++)
        probe_call(&p, &a[i], "PING");
    rlink_close(p.link, NULL, NULL);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(a[i].count, 0);
    rlink_close(p.link, NULL, NULL); // twice is harmless
    probe_wait(&p, a[MANY - 1].count, 5000);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(a[i].count, 1);
        assert_int_equal(a[i].err, ERR_LINK_DOWN);
        assert_int_equal(a[i].order, i + 1);
    }
    p.link = NULL;
    probe_fini(&p);
}

static void close_at_any_moment(void **state)
{
    (void)state;
    // Turn by turn, so that each state on the way up is met, with and without a name lookup.
    static const char *const hosts[] = {"127.0.0.1", "localhost"};
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        bool up = false;
        for (int turns = 0; !up; turns++) {
            struct probe p;
            probe_init(&p, "redis://%s:%d/1", hosts[i], redisd_port(server));
            probe_open(&p);
            for (int n = 0; n < turns; n++)
                uv_run(&p.loop, UV_RUN_ONCE);
            up = p.ups > 0;
            probe_fini(&p);
        }
    }
}

static void idle_is_quiet(void **state)
{
    (void)state;
    struct probe p;
    struct answer a = {0};
    int turns = 0;
    probe_init(&p, "%s", redisd_url(server));
    probe_start(&p);
    probe_call(&p, &a, "PING");
    probe_wait(&p, a.count, 5000);
    uint64_t end = uv_hrtime() + 300000000;
    for (; uv_hrtime() < end; turns++)
        uv_run(&p.loop, UV_RUN_ONCE);
    assert_in_range(turns, 1, 100); // the probe's own timer makes 60
    probe_fini(&p);
}

static void no_tls_is_said_at_once(void **state)
{
    (void)state;
    struct probe p;
    probe_init(&p, "rediss://127.0.0.1:1");
    if (rlink_has_tls())
        probe_open(&p);
    else
        assert_int_equal(rlink_open(&p.loop, &p.opt, &p.link), ERR_BAD_CONF);
    probe_fini(&p);
}

#define CASE(words, fn)                                                                            \
    {                                                                                              \
        words, fn, flush, NULL, NULL                                                               \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE("answers arrive once, after the call has returned", answers_arrive),
        CASE("a thousand pipelined calls are answered in order", many_in_order),
        CASE("past 65,536 outstanding a call is refused, and the rest still answered",
             ceiling_holds),
        CASE("32 MiB pass both ways; more than Redis takes is refused", large_payload),
        CASE("a unix socket serves, in the database asked for", unix_socket),
        CASE("reply getters tolerate every wrong type", getters_are_tolerant),
        CASE("the greeting selects the database and sets the name", greeting_names_and_selects),
        CASE("a refused database is a reason in words", refused_database),
        CASE("a password opens, with and without a user", password_opens),
        CASE("a wrong or missing password is a reason in words, without it", wrong_password),
        CASE("a password that the server repeats is not passed on", echoed_password),
        CASE("an ACL that forbids PING and CLIENT does not keep the link down", narrow_acl),
        CASE("a name is looked up; one that is none is a reason", names_are_looked_up),
        CASE("an IPv6 literal works", ipv6_literal),
        CASE("a callback may call", call_from_callback),
        CASE("a callback may kick; the others are answered ERR_LINK_DOWN", kick_from_callback),
        CASE("a callback may close", close_from_callback),
        CASE("the callback of a failed call may close", close_from_failed_call),
        CASE("a report may close", close_from_report),
        CASE("closing answers what is outstanding, once, in order, later", close_with_outstanding),
        CASE("a link may be closed at any moment of its coming up", close_at_any_moment),
        CASE("an idle link does not spin", idle_is_quiet),
        CASE("rediss:// is refused by a build without TLS", no_tls_is_said_at_once),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
