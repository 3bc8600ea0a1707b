// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "common/base/attrs.h"
#include "common/base/err.h"
#include "common/redis/rurl.h"

#include <stdio.h>
#include <string.h>

struct good {
    const char *text, *shown;
    struct rurl want;
};

// clang-format off
static const struct good goods[] = {
    {"redis://", "redis://127.0.0.1:6379", {.host = "127.0.0.1", .port = 6379}},
    {"redis://h", "redis://h:6379", {.host = "h", .port = 6379}},
    {"redis://h/", "redis://h:6379", {.host = "h", .port = 6379}},
    {"redis://h:1/15", "redis://h:1/15", {.host = "h", .port = 1, .db = 15}},
    {"redis://h:65535?db=3", "redis://h:65535/3", {.host = "h", .port = 65535, .db = 3}},
    {"redis://[::1]", "redis://[::1]:6379", {.host = "::1", .port = 6379}},
    {"redis://[fe80::1%eth0]:7000/2", "redis://[fe80::1%eth0]:7000/2",
     {.host = "fe80::1%eth0", .port = 7000, .db = 2}},
    {"redis://:pw@h", "redis://h:6379", {.host = "h", .port = 6379, .password = "pw"}},
    {"redis://me:pw@h:7/1", "redis://h:7/1",
     {.host = "h", .port = 7, .db = 1, .user = "me", .password = "pw"}},
    {"redis://me:p%40%2f%3A%25@h", "redis://h:6379",
     {.host = "h", .port = 6379, .user = "me", .password = "p@/:%"}},
    {"redis://me:p@w:x@h", "redis://h:6379",
     {.host = "h", .port = 6379, .user = "me", .password = "p@w:x"}},
    {"redis://me:pw@", "redis://127.0.0.1:6379",
     {.host = "127.0.0.1", .port = 6379, .user = "me", .password = "pw"}},
    {"rediss://h", "rediss://h:6379", {.kind = RURL_TLS, .host = "h", .port = 6379}},
    {"rediss://h/1?ca=/e/a%20b.pem&cert=c&key=k@y", "rediss://h:6379/1",
     {.kind = RURL_TLS, .host = "h", .port = 6379, .db = 1, .ca = "/e/a b.pem", .cert = "c",
      .key = "k@y"}},
    {"unix:///run/redis.sock", "unix:///run/redis.sock",
     {.kind = RURL_UNIX, .host = "/run/redis.sock"}},
    {"unix:///run/a@b/r.sock?db=2", "unix:///run/a@b/r.sock?db=2",
     {.kind = RURL_UNIX, .host = "/run/a@b/r.sock", .db = 2}},
    {"unix://me:pw@/run/a@b", "unix:///run/a@b",
     {.kind = RURL_UNIX, .host = "/run/a@b", .user = "me", .password = "pw"}},
    {"redis+sentinel://a/m", "redis+sentinel://a:26379/m",
     {.kind = RURL_SENTINEL, .host = "a:26379", .master = "m"}},
    {"redis+sentinel://me:pw@a:1,[::1],b.c:3/my-master/4",
     "redis+sentinel://a:1,[::1]:26379,b.c:3/my-master/4",
     {.kind = RURL_SENTINEL, .host = "a:1,[::1]:26379,b.c:3", .master = "my-master", .db = 4,
      .user = "me", .password = "pw"}},
};

static const struct {
    const char *text, *why;
} bads[] = {
    {NULL, "redis-url: it is empty; write redis://host:6379/0"},
    {"", "redis-url: it is empty; write redis://host:6379/0"},
    {"localhost:6379", "redis-url: it begins with none of redis://"},
    {"http://h", "redis-url: it begins with none of redis://"},
    {"redis://h:99999", "redis-url: port 99999 is not 1-65535; write redis://host:6379/0"},
    {"redis://h:0", "redis-url: port 0 is not 1-65535; write redis://host:6379/0"},
    {"redis://h:", "redis-url: the port is not a number; write redis://host:6379/0"},
    {"redis://h:6379x", "redis-url: the port is not a number"},
    {"redis://:pw@:6379", "redis-url: the host is missing"},
    {"redis://a b", "redis-url: the host is missing or has a character that no host has"},
    {"redis://::1", "redis-url: there is more than one colon after the host; write redis://host"},
    {"redis://[::1", "redis-url: an IPv6 address lacks its ]; write redis://[::1]:6379/0"},
    {"redis://[::1]6379", "redis-url: something stands between the ] and the port"},
    {"redis://h/one", "redis-url: the database is not a number from 0 to 65535"},
    {"redis://h/-1", "redis-url: the database is not a number"},
    {"redis://h/65536", "redis-url: the database is not a number"},
    {"redis://h?db=x", "redis-url: the database is not a number"},
    {"redis://h?dbb=1", "redis-url: there is an unknown parameter after the ?; known are db,"},
    {"redis://h?ca=x",
     "redis-url: ca, cert and key are for TLS; write rediss://host:6379/0?ca=FILE"},
    {"rediss://h?cert=x", "redis-url: cert and key go together; give both, or neither"},
    {"redis://:a%4@h", "redis-url: a % in the password lacks its two hex digits"},
    {"redis://a%00b:x@h", "redis-url: a % in the user lacks its two hex digits, or they are 00"},
    {"unix://run/redis.sock", "redis-url: a socket's path begins with /; write unix:///path"},
    {"unix://", "redis-url: the socket's path is missing; write unix:///path/to/redis.sock"},
    {"unix:///0123456789012345678901234567890123456789012345678901234567890123456789012345678901234"
     "567890123456789012345", "redis-url: the socket's path is longer than 106 bytes"},
    {"redis+sentinel:///m", "redis-url: no Sentinel is named; write redis+sentinel://host:26379,"},
    {"redis+sentinel://a", "redis-url: the master's name is missing; write redis+sentinel://"},
    {"redis+sentinel://a,,b/m", "redis-url: the host is missing"},
    {"redis+sentinel://a,b:x/m", "redis-url: the port is not a number"},
    {"redis+sentinel://a/m/x", "redis-url: the database is not a number"},
};

// Ways to write a URL wrongly in which the secret ends up where something else belongs.
static const char *const leaks[] = {
    "redis://:hunter2",       "redis://:31337",          "redis://me:hunter2",
    "redis://:hun/ter2@h",    "redis://:hunter2@h:bad",  "redis://:hunter2?@h",
    "redis://me:hunter2@h/x", "redis://hunter2@h:1:2",   "hunter2@h",
    "redis://h/hunter2@h",    "redis://h?hunter2=1",     "rediss://h?key=hunter2",
    "redis://:hunter2%@h",    "unix://hunter2/x",        "redis://:313373@",
    "redis://me:3133731337",  "redis+sentinel://:hunter2@a",
};
// clang-format on

static void reads_every_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(goods); i++) {
        struct rurl got;
        char why[256] = "", shown[512];
        memset(&got, 0, sizeof got);
        if (rurl_parse(goods[i].text, &got, why, sizeof why))
            fail_msg("%s: %s", goods[i].text, why);
        const struct rurl *want = &goods[i].want;
        assert_int_equal(got.kind, want->kind);
        assert_string_equal(got.host, want->host);
        assert_int_equal(got.port, want->port);
        assert_int_equal(got.db, want->db);
        assert_string_equal(got.user, want->user);
        assert_string_equal(got.password, want->password);
        assert_string_equal(got.master, want->master);
        assert_string_equal(got.ca, want->ca);
        assert_string_equal(got.cert, want->cert);
        assert_string_equal(got.key, want->key);
        rurl_show(&got, shown, sizeof shown);
        assert_string_equal(shown, goods[i].shown);
    }
}

static void refuses_in_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bads); i++) {
        struct rurl got, before;
        char why[256] = "";
        memset(&got, 0x5A, sizeof got);
        before = got;
        assert_int_equal(rurl_parse(bads[i].text, &got, why, sizeof why), ERR_BAD_CONF);
        if (strncmp(why, bads[i].why, strlen(bads[i].why)) != 0)
            fail_msg("%s\n  said: %s\n  want: %s", bads[i].text, why, bads[i].why);
        assert_null(strchr(why, '\n'));
        assert_memory_equal(&got, &before, sizeof got);
    }
}

static void never_repeats_the_password(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(leaks); i++) {
        struct rurl got;
        char text[512] = "";
        if (rurl_parse(leaks[i], &got, text, sizeof text) == 0)
            rurl_show(&got, text, sizeof text);
        // A host that is called like the secret cannot be told from one.
        if (strstr(text, "hunter2") || strstr(text, "31337"))
            fail_msg("%s: %s", leaks[i], text);
    }
}

static void each_part_has_its_ceiling(void **state)
{
    static const char *const forms[] = {
        "redis://%s",       "redis://%s:x@h",        "redis://:%s@h",
        "rediss://h?ca=%s", "redis+sentinel://%s/m", "redis+sentinel://h/%s"};
    static const size_t most[] = {255, 127, 511, 255, 249, 127}; // a Sentinel's port is added
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        const char *hole = strstr(forms[i], "%s");
        for (size_t more = 0; more <= 1; more++) {
            char text[1024], why[256];
            struct rurl got;
            size_t len = most[i] + more, at = (size_t)(hole - forms[i]);
            memcpy(text, forms[i], at);
            memset(text + at, 'a', len);
            snprintf(text + at + len, sizeof text - at - len, "%s", hole + 2);
            assert_int_equal(rurl_parse(text, &got, why, sizeof why), more ? ERR_BAD_CONF : 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"every documented form is read, with its defaults", reads_every_form, NULL, NULL, NULL},
        {"a refusal says what to write and leaves the output alone", refuses_in_words, NULL, NULL,
         NULL},
        {"neither a refusal nor the shown form has the password", never_repeats_the_password, NULL,
         NULL, NULL},
        {"a part that is too long is refused, not cut", each_part_has_its_ceiling, NULL, NULL,
         NULL},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
