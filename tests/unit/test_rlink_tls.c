// rlink over TLS against a real redis-server. Where hiredis has no TLS there is nothing to test:
// the exit code 77 tells ctest so.
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "common/base/err.h"
#include "tests/support/certs.h"
#include "tests/support/linkprobe.h"
#include "tests/support/redisd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NOTHING_TO_TEST = 77, LARGE_BYTES = 32 << 20 };

static struct certs *certs;
static struct redisd *server;
static char tls_port[16];

static int start(void **state)
{
    static const char *args[32];
    (void)state;
    certs = certs_new();
    certs_issue(certs, "server", "DNS:localhost,IP:127.0.0.1");
    certs_issue(certs, "client", "DNS:client");
    certs_issue(certs, "stranger", "DNS:elsewhere.example,IP:127.0.0.2");
    snprintf(tls_port, sizeof tls_port, "%d", redisd_free_port());
    const char *const all[] = {"--tls-port",         tls_port,
                               "--tls-cert-file",    certs_path(certs, "server.pem"),
                               "--tls-key-file",     certs_path(certs, "server.key"),
                               "--tls-ca-cert-file", certs_path(certs, "ca.pem"),
                               "--requirepass",      "pw"};
    memcpy(args, all, sizeof all);
    server = redisd_start(args);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    redisd_stop(server);
    certs_free(certs);
    return 0;
}

// init_tls prepares a link to host with the client's certificate of that name (NULL = none).
static void init_tls(struct probe *p, const char *host, const char *port, const char *client)
{
    char file[64], pair[512] = "";
    if (client) {
        snprintf(file, sizeof file, "%s.pem", client);
        const char *pem = certs_path(certs, file);
        snprintf(file, sizeof file, "%s.key", client);
        snprintf(pair, sizeof pair, "&cert=%s&key=%s", pem, certs_path(certs, file));
    }
    probe_init(p, "rediss://:pw@%s:%s/1?ca=%s%s", host, port, certs_path(certs, "ca.pem"), pair);
}

static void refused(struct probe *p, const char *why)
{
    probe_open(p);
    probe_wait(p, p->downs, 10000);
    if (!strstr(p->why, why))
        fail_msg("said: %s\nwant: %s", p->why, why);
    assert_int_equal(p->ups, 0);
    probe_fini(p);
}

static void serves(void **state)
{
    (void)state;
    static const char *const hosts[] = {"localhost", "127.0.0.1"};
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        struct probe p;
        struct answer a = {0}, b = {0};
        init_tls(&p, hosts[i], tls_port, "client");
        probe_start(&p);
        assert_int_equal(p.downs, 0);
        probe_call(&p, &a, "SET k value");
        probe_call(&p, &b, "GET k");
        probe_wait(&p, b.count, 5000);
        assert_string_equal(b.text, "value");
        assert_int_equal(a.early + b.early, 0);
        probe_fini(&p);
    }
}

static void on_large(int err, const struct reply *reply, void *arg)
{
    struct span got;
    assert_int_equal(err, 0);
    if (reply_str(reply, &got) && got.len == LARGE_BYTES)
        assert_int_equal(got.at[LARGE_BYTES - 1], 'y');
    ++*(int *)arg;
}

static void large_payload(void **state)
{
    (void)state;
    struct probe p;
    int answers = 0;
    char *bytes = malloc(LARGE_BYTES);
    const char *set[] = {"SET", "big", bytes}, *get[] = {"GET", "big"};
    const size_t lens[] = {3, 3, LARGE_BYTES};
    memset(bytes, 'y', LARGE_BYTES);
    init_tls(&p, "localhost", tls_port, "client");
    p.opt.patience_ms = 60000;
    probe_start(&p);
    assert_int_equal(rlink_call(p.link, 3, set, lens, 0, on_large, &answers), 0);
    assert_int_equal(rlink_call(p.link, 2, get, lens, 0, on_large, &answers), 0);
    probe_wait(&p, answers == 2, 60000);
    assert_int_equal(p.downs, 0);
    probe_fini(&p);
    free(bytes);
}

static void many_in_order(void **state)
{
    (void)state;
    struct probe p;
    static struct answer a[1000];
    memset(a, 0, sizeof a);
    init_tls(&p, "localhost", tls_port, "client");
    probe_start(&p);
    for (size_t i = 0; i < ARRAY_LEN(a); i++)
        probe_call(&p, &a[i], "INCR n");
    probe_wait(&p, a[ARRAY_LEN(a) - 1].count, 10000);
    for (size_t i = 0; i < ARRAY_LEN(a); i++)
        assert_int_equal(a[i].number, (int64_t)i + 1);
    probe_fini(&p);
}

static void name_is_checked(void **state)
{
    (void)state;
    char port[16];
    struct probe p;
    snprintf(port, sizeof port, "%d", redisd_free_port());
    const char *const args[] = {"--tls-port",
                                port,
                                "--tls-cert-file",
                                certs_path(certs, "stranger.pem"),
                                "--tls-key-file",
                                certs_path(certs, "stranger.key"),
                                "--tls-ca-cert-file",
                                certs_path(certs, "ca.pem"),
                                NULL};
    struct redisd *d = redisd_start(args);
    init_tls(&p, "localhost", port, "client");
    refused(&p, "the server's certificate was refused: hostname mismatch (localhost:");
    init_tls(&p, "127.0.0.1", port, "client");
    refused(&p, "the server's certificate was refused: IP address mismatch (127.0.0.1:");
    redisd_stop(d);
}

static void chain_is_checked(void **state)
{
    (void)state;
    struct probe p;
    struct certs *others = certs_new();
    probe_init(&p, "rediss://:pw@localhost:%s?ca=%s", tls_port, certs_path(others, "ca.pem"));
    refused(&p, "the server's certificate was refused: ");
    probe_init(&p, "rediss://:pw@localhost:%s", tls_port); // the system's authorities
    refused(&p, "the server's certificate was refused: ");
    certs_free(others);
}

static void client_needs_a_certificate(void **state)
{
    (void)state;
    struct probe p;
    init_tls(&p, "localhost", tls_port, NULL);
    // "TLS: tlsv13 alert certificate required", or where a reset has overtaken the alert,
    // "Connection reset by peer; perhaps it wants a client's certificate".
    refused(&p, "certificate");
}

static void bad_files_are_named(void **state)
{
    (void)state;
    struct probe p;
    probe_init(&p, "rediss://localhost:%s?ca=/no/such/ca.pem", tls_port);
    refused(&p, "the CA file cannot be used: /no/such/ca.pem: No such file or directory");
    probe_init(&p, "rediss://localhost:%s?cert=/no/such/cert.pem&key=/no/such/key", tls_port);
    refused(&p, "the certificate cannot be used: /no/such/cert.pem: No such file or directory");
    // A key that belongs to another certificate.
    probe_init(&p, "rediss://localhost:%s?cert=%s&key=%s", tls_port,
               certs_path(certs, "client.pem"), certs_path(certs, "server.key"));
    refused(&p, "the key cannot be used: ");
}

static void plain_server(void **state)
{
    (void)state;
    char port[16];
    struct probe p;
    snprintf(port, sizeof port, "%d", redisd_port(server));
    init_tls(&p, "127.0.0.1", port, "client");
    p.opt.connect_timeout_ms = 200; // Redis waits for the end of what it takes for a command
    refused(&p, "the TLS handshake was not answered within 200 ms (127.0.0.1:");
}

static void silent_server(void **state)
{
    (void)state;
    struct probe p;
    struct rogue r = {0};
    probe_init(&p, "redis://");
    rogue_open(&p, &r);
    p.url.kind = RURL_TLS;
    p.url.port = r.port;
    p.opt.connect_timeout_ms = 100;
    probe_open(&p);
    probe_wait(&p, p.downs, 5000);
    assert_non_null(strstr(p.why, "the TLS handshake was not answered within 100 ms"));
    rogue_close(&r);
    probe_fini(&p);
}

static void comes_back(void **state)
{
    (void)state;
    struct probe p;
    struct answer a = {0};
    init_tls(&p, "localhost", tls_port, "client");
    probe_start(&p);
    probe_call(&p, &a, "BLPOP none 0");
    redisd_restart(server);
    probe_wait(&p, p.ups == 2, 10000);
    assert_int_equal(a.count, 1);
    assert_int_equal(a.err, ERR_LINK_DOWN);
    assert_int_equal(p.downs, 1);
    probe_fini(&p);
}

static void closes_at_any_moment(void **state)
{
    (void)state;
    bool up = false;
    for (int turns = 0; !up; turns++) {
        struct probe p;
        init_tls(&p, "127.0.0.1", tls_port, "client");
        probe_open(&p);
        for (int n = 0; n < turns; n++)
            uv_run(&p.loop, UV_RUN_ONCE);
        up = p.ups > 0;
        probe_fini(&p);
    }
}

#define CASE(words, fn)                                                                            \
    {                                                                                              \
        words, fn, NULL, NULL, NULL                                                                \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE("a certificate for the name or the address serves", serves),
        CASE("32 MiB pass both ways", large_payload),
        CASE("a thousand pipelined calls are answered in order", many_in_order),
        CASE("a certificate for another name or address is refused", name_is_checked),
        CASE("a certificate of another authority is refused", chain_is_checked),
        CASE("a server that wants a client's certificate says so", client_needs_a_certificate),
        CASE("a file that cannot be used is named", bad_files_are_named),
        CASE("a server without TLS is a reason in words", plain_server),
        CASE("a handshake that is not answered runs out of time", silent_server),
        CASE("a link whose server is killed answers its calls and comes back", comes_back),
        CASE("a link may be closed at any moment of its coming up", closes_at_any_moment),
    };
    if (!rlink_has_tls()) {
        puts("skipped: this hiredis has no TLS (scripts/get-hiredis-tls brings one that has)");
        return NOTHING_TO_TEST;
    }
    return cmocka_run_group_tests(tests, start, stop);
}
