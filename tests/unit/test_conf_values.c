// test_conf_values: what each setting may be. Good values are taken, bad ones explained, and
// secrets stay out of every message.
#include "common/base/attrs.h"
#include "common/conf/conf_int.h"
#include "tests/unit/conf_try.h"

// One table for every type: a setting, what is written, and what the message holds (NULL = taken).
static const struct {
    const char *setting, *value, *why;
} values[] = {
    {"PENSTOCK_CONCURRENCY", "1", NULL},
    {"PENSTOCK_CONCURRENCY", "20000", NULL},
    {"PENSTOCK_CONCURRENCY", "0064", NULL},
    {"PENSTOCK_CONCURRENCY", "0",
     "PENSTOCK_CONCURRENCY: 0 is not 1-20000; write the number of calls in flight at once, such as "
     "64"},
    {"PENSTOCK_CONCURRENCY", "20001", "20001 is not 1-20000"},
    {"PENSTOCK_CONCURRENCY", "18446744073709551617", "18446744073709551617 is not 1-20000"},
    {"PENSTOCK_CONCURRENCY", "99999999999999999999999999999999", "999... is not 1-20000"},
    {"PENSTOCK_CONCURRENCY", "many\n",
     "\"many?\" is not a whole number; write the number of calls"},
    {"PENSTOCK_CONCURRENCY", "-1", "\"-1\" is not a whole number"},
    {"PENSTOCK_CONCURRENCY", "+1", "\"+1\" is not a whole number"},
    {"PENSTOCK_CONCURRENCY", " 1", "\" 1\" is not a whole number"},
    {"PENSTOCK_CONCURRENCY", "1 ", "\"1 \" is not a whole number"},
    {"PENSTOCK_CONCURRENCY", "1e3", "\"1e3\" is not a whole number"},
    {"PENSTOCK_CONCURRENCY", "0x10", "\"0x10\" is not a whole number"},
    {"PENSTOCK_CONCURRENCY", "1.0", "\"1.0\" is not a whole number"},
    {"PENSTOCK_LEASE_MS", "10s",
     "\"10s\" is not a whole number; write milliseconds in plain digits, such as 30000"},
    {"PENSTOCK_LEASE_MS", "999", "999 is not 1000-3600000; write milliseconds, such as 30000"},
    {"PENSTOCK_LEASE_MS", "1000", NULL},
    {"PENSTOCK_LEASE_MS", "3600000", NULL},
    {"PENSTOCK_LEASE_MS", "3600001", "is not 1000-3600000"},
    {"PENSTOCK_RESULT_TTL", "24h", "write seconds in plain digits, such as 86400"},
    {"PENSTOCK_MAX_JOB_BYTES", "4MB", "write bytes in plain digits, such as 4194304"},
    {"PENSTOCK_MAX_JOB_BYTES", "33554432", NULL},
    {"PENSTOCK_MAX_JOB_BYTES", "33554433", "33554433 is not 1024-33554432"},
    {"PENSTOCK_MAX_THROTTLES", "0", NULL},
    {"PENSTOCK_MAX_ATTEMPTS", "0", "0 is not 1-1000"},
    {"PENSTOCK_FIRST_BYTE_TIMEOUT_MS", "0", NULL},
    {"PENSTOCK_BACKOFF_CAP_MS", "999", "999 is less than PENSTOCK_BACKOFF_BASE_MS, 1000"},
    {"PENSTOCK_BACKOFF_CAP_MS", "1000", NULL},

    {"PENSTOCK_BACKOFF_JITTER", "equal", NULL},
    {"PENSTOCK_BACKOFF_JITTER", "Full",
     "\"Full\" is not a word it knows; write one of: full equal additive"},
    {"PENSTOCK_BACKOFF_JITTER", "full equal", "is not a word it knows"},
    {"PENSTOCK_BACKOFF_JITTER", "ful", "is not a word it knows"},
    {"PENSTOCK_LOG_LEVEL", "warn", NULL},
    {"PENSTOCK_LOG_LEVEL", "warning", "write one of: debug info warn error"},
    {"PENSTOCK_LOG_FORMAT", "text", NULL},
    {"PENSTOCK_AUTH", "bearer", NULL},
    {"PENSTOCK_PROVIDER", "openai", "write one of: anthropic"},

    {"PENSTOCK_PREFIX", "team-a:penstock", NULL},
    {"PENSTOCK_PREFIX", "pen{stock}", "1-64 of A-Z a-z 0-9 . _ - : and has no braces"},
    {"PENSTOCK_PREFIX", "pen stock", "a prefix is"},
    {"PENSTOCK_PREFIX", "12345678901234567890123456789012345678901234567890123456789012345",
     "a prefix is 1-64"},
    {"PENSTOCK_MODEL", "us.anthropic/claude@2:x", NULL},
    {"PENSTOCK_MODEL", "claude sonnet", "a model is 1-128 of"},
    {"PENSTOCK_ANTHROPIC_VERSION", "2026-10-21", NULL},
    {"PENSTOCK_ANTHROPIC_VERSION", "latest?", "write a date, such as 2023-06-01"},
    {"PENSTOCK_ANTHROPIC_VERSION", "2023\r\nx-evil: 1", "control character"},

    {"PENSTOCK_REDIS_URL", "unix:///run/redis.sock", NULL},
    {"PENSTOCK_REDIS_URL", "redis+sentinel://a:1,b:2/mymaster", NULL},
    {"PENSTOCK_REDIS_URL", "127.0.0.1:6379", "write redis://HOST:PORT"},

    {"ANTHROPIC_BASE_URL", "http://127.0.0.1:8080", NULL},
    {"ANTHROPIC_BASE_URL", "http://[::1]:8080/gateway", NULL},
    {"ANTHROPIC_BASE_URL", "HTTPS://api.example.com", NULL},
    {"ANTHROPIC_BASE_URL", "api.anthropic.com", "does not begin with https:// or http://"},
    {"ANTHROPIC_BASE_URL", "https://api.anthropic.com/v1", "leave /v1 and what follows it out"},
    {"ANTHROPIC_BASE_URL", "https://api.anthropic.com/v1/", "leave /v1"},
    {"ANTHROPIC_BASE_URL", "https://api.anthropic.com/v1/messages", "leave /v1"},
    {"ANTHROPIC_BASE_URL", "https://u:hunter2@h", "holds a user or a password"},
    {"ANTHROPIC_BASE_URL", "https://h?hunter2=x", "holds a query, a fragment or a blank"},
    {"ANTHROPIC_BASE_URL", "https://h/#x", "holds a query, a fragment or a blank"},
    {"ANTHROPIC_BASE_URL", "https://h/a b", "holds a query, a fragment or a blank"},
    {"ANTHROPIC_BASE_URL", "https://", "no valid host and port"},
    {"ANTHROPIC_BASE_URL", "https:///x", "no valid host and port"},
    {"ANTHROPIC_BASE_URL", "https://h:", "no valid host and port"},
    {"ANTHROPIC_BASE_URL", "https://h:0", "no valid host and port"},
    {"ANTHROPIC_BASE_URL", "https://h:65536", "no valid host and port"},
    {"ANTHROPIC_BASE_URL", "https://[::1", "no valid host and port"},
    {"ANTHROPIC_BASE_URL", "https://[zz]", "no valid host and port"},

    {"PENSTOCK_PROXY", "http://proxy.corp:3128", NULL},
    {"PENSTOCK_PROXY", "socks5h://u:hunter2@127.0.0.1:1080/", NULL},
    {"PENSTOCK_PROXY", "proxy:3128", NULL},
    {"PENSTOCK_PROXY", "ftp://u:hunter2@proxy", "is not a proxy's address"},
    {"PENSTOCK_PROXY", "http://u:hunter2@", "is not a proxy's address"},
    {"PENSTOCK_PROXY", "http://proxy/path", "is not a proxy's address"},

    {"PENSTOCK_HTTP", "0.0.0.0:9470", NULL},
    {"PENSTOCK_HTTP", "127.0.0.1:0", NULL},
    {"PENSTOCK_HTTP", "[::]:1", NULL},
    {"PENSTOCK_HTTP", "off", NULL},
    {"PENSTOCK_HTTP", ":9470", "is not ADDRESS:PORT"},
    {"PENSTOCK_HTTP", "9470", "is not ADDRESS:PORT"},
    {"PENSTOCK_HTTP", "localhost:9470", "is not ADDRESS:PORT"},
    {"PENSTOCK_HTTP", "127.0.0.1:99999", "is not ADDRESS:PORT"},
    {"PENSTOCK_HTTP", "::1:9470", "is not ADDRESS:PORT"},
    {"PENSTOCK_HTTP", "[::1]x:9470", "is not ADDRESS:PORT"},

    {"PENSTOCK_QUEUES", "interactive:10,bulk:1", NULL},
    {"PENSTOCK_QUEUES", "a, b:1000", NULL},
    {"PENSTOCK_QUEUES", "a,,b", "a name is missing"},
    {"PENSTOCK_QUEUES", "a,", "a name is missing"},
    {"PENSTOCK_QUEUES", "a b", "\"a b\" is no queue; a name is 1-64 of"},
    {"PENSTOCK_QUEUES", "{a}", "\"{a}\" is no queue"},
    {"PENSTOCK_QUEUES", ":5", "\":5\" is no queue"},
    {"PENSTOCK_MODEL_GROUPS", "claude-opus-4*=opus-4, claude-sonnet-5=s", NULL},
    {"PENSTOCK_MODEL_GROUPS", "claude-opus-4", "\"claude-opus-4\" is no group; write MODEL=GROUP"},
    {"PENSTOCK_MODEL_GROUPS", "a=b,", "\"\" is no group"},
    {"PENSTOCK_MODEL_GROUPS", "a=", "\"a=\" is no group"},
    {"PENSTOCK_MODEL_GROUPS", "=b", "\"=b\" is no group"},
    {"PENSTOCK_MODEL_GROUPS", "*=b", "\"*=b\" is no group"},
    {"PENSTOCK_MODEL_GROUPS", "a*b=c", "\"a*b=c\" is no group"},
    {"PENSTOCK_MODEL_GROUPS", "a={c}", "\"a={c}\" is no group"},
    {"PENSTOCK_QUEUES", "a:0", "\"a:0\": a weight is a whole number, 1-1000"},
    {"PENSTOCK_QUEUES", "a:1001", "a weight is a whole number"},
    {"PENSTOCK_QUEUES", "a:1:2", "a weight is a whole number"},
    {"PENSTOCK_QUEUES", "a:", "a weight is a whole number"},
    {"PENSTOCK_QUEUES", "a,b:2,a:3", "names the queue a twice"},
    {"PENSTOCK_QUEUES", "12345678901234567890123456789012345678901234567890123456789012345",
     "is no queue"},

    {"ANTHROPIC_API_KEY", "sk-ant-api03-hunter2", NULL},
    {"ANTHROPIC_API_KEY", "  sk-hunter2\r\n", NULL},
    {"ANTHROPIC_API_KEY", " \n", "ANTHROPIC_API_KEY: holds only blanks"},
    {"ANTHROPIC_API_KEY", "hunter2\nhunter2", "ANTHROPIC_API_KEY: holds more than one line"},
    {"ANTHROPIC_API_KEY", "hunter2 hunter2", "holds a blank in its middle"},
    {"ANTHROPIC_API_KEY", "hunter2\xc3\xa9", "other than printable ASCII"},
    {"PENSTOCK_HTTP_TOKEN", "hunter2", NULL},
    {"PENSTOCK_HTTP_TOKEN", "hunter2\t2", "other than printable ASCII"},
    {"ANTHROPIC_API_KEYS_FILE", "/nonexistent/keys",
     "ANTHROPIC_API_KEYS_FILE: /nonexistent/keys cannot be read"},
    {"ANTHROPIC_API_KEYS_FILE", "/dev/null", "holds no key; write NAME KEY"},
    {"PENSTOCK_BUDGET_USD", "12.50", NULL},
    {"PENSTOCK_BUDGET_USD", "0.000000001", NULL},
    {"PENSTOCK_BUDGET_USD", "1000000", NULL},
    {"PENSTOCK_BUDGET_USD", "1000001", "PENSTOCK_BUDGET_USD: is no amount; write dollars"},
    {"PENSTOCK_BUDGET_USD", "99999999999999999999", "is no amount"},
    {"PENSTOCK_BUDGET_USD", "$5", "is no amount"},
    {"PENSTOCK_BUDGET_USD", "5e3", "is no amount"},
    {"PENSTOCK_BUDGET_USD", ".", "is no amount"},
    {"PENSTOCK_BUDGET_USD", "-1", "is no amount"},
    {"PENSTOCK_BUDGET_TOKENS", "1000000", NULL},
    {"PENSTOCK_BUDGET_TOKENS", "many", "the tokens of a pool and day"},
    {"PENSTOCK_CA_FILE", "/nonexistent/ca.pem",
     "PENSTOCK_CA_FILE: /nonexistent/ca.pem cannot be read"},
    {"PENSTOCK_CA_FILE", "/dev/null", NULL},
};

static void values_are_taken_or_explained(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        char env[512];
        snprintf(env, sizeof env, "%s=%s", values[i].setting, values[i].value);
        struct loaded l = load_env(WORDS(env));
        if (values[i].why)
            refused(&l, values[i].why);
        else
            accepted(&l);
        assert_null(strstr(l.why, "hunter2"));
        if (!l.err)
            conf_fini(&l.c);
    }
}

static void a_message_names_the_place_that_is_wrong(void **state)
{
    (void)state;
    struct loaded l = load_args(WORDS("--concurrency=0"));
    refused(
        &l,
        "--concurrency: 0 is not 1-20000; write the number of calls in flight at once, such as 64");
    l = load_env(WORDS("PENSTOCK_CONCURRENCY=0"));
    refused(&l, "PENSTOCK_CONCURRENCY: 0 is not 1-20000");
}

static void a_base_url_loses_its_trailing_slashes(void **state)
{
    (void)state;
    struct loaded l = load_env(WORDS("ANTHROPIC_BASE_URL=http://127.0.0.1:1/gw//"));
    accepted(&l);
    assert_string_equal(l.c.base_url, "http://127.0.0.1:1/gw");
    conf_fini(&l.c);
}

static void http_off_means_no_address(void **state)
{
    (void)state;
    struct loaded l = load_env(WORDS("PENSTOCK_HTTP=off"));
    accepted(&l);
    assert_null(l.c.http);
    conf_fini(&l.c);
}

static void a_key_file_is_read_trimmed_and_checked(void **state)
{
    (void)state;
    char big[CONF_SECRET_BYTES_MAX + 2];
    memset(big, 'k', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    const struct {
        const char *text, *why;
    } cases[] = {
        {"sk-hunter2", NULL},
        {"\n  sk-hunter2 \r\n\n", NULL},
        {"", "holds only blanks"},
        {" \n\n", "holds only blanks"},
        {"hunter2\nhunter2", "more than one line"},
        {"hunter2 hunter2\n", "a blank in its middle"},
        {"hunter2\x01", "other than printable ASCII"},
        {big, "is longer than 4096 bytes"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char path[32], env[64];
        write_file(path, cases[i].text);
        snprintf(env, sizeof env, "ANTHROPIC_API_KEY_FILE=%s", path);
        struct loaded l = load_env(WORDS(env));
        assert_null(strstr(l.why, "hunter2"));
        if (cases[i].why) {
            refused(&l, cases[i].why);
            refused(&l, path);
        } else {
            accepted(&l);
            assert_string_equal(l.c.api_key, "sk-hunter2");
            conf_fini(&l.c);
        }
        unlink(path);
    }
}

static void a_key_and_a_key_file_are_one_too_many(void **state)
{
    (void)state;
    struct loaded l =
        load_env(WORDS("ANTHROPIC_API_KEY=sk-hunter2", "ANTHROPIC_API_KEY_FILE=/dev/null"));
    refused(&l, "ANTHROPIC_API_KEY and ANTHROPIC_API_KEY_FILE are both set; choose one");
    assert_null(strstr(l.why, "hunter2"));
}

static void
a_key_of_the_environment_outdoes_that_of_the_settings_file_however_it_is_named(void **state)
{
    (void)state;
    char settings[32], key[32], env[64], other[64];
    write_file(settings, "ANTHROPIC_API_KEY=sk-hunter2\n");
    write_file(key, "sk-hunter3\n");
    snprintf(env, sizeof env, "PENSTOCK_SETTINGS_FILE=%s", settings);
    snprintf(other, sizeof other, "ANTHROPIC_API_KEY_FILE=%s", key);
    struct loaded l = load_env(WORDS(env, other));
    accepted(&l);
    assert_string_equal(l.c.api_key, "sk-hunter3");
    conf_fini(&l.c);
    l = load_env(WORDS(env));
    accepted(&l);
    assert_string_equal(l.c.api_key, "sk-hunter2");
    conf_fini(&l.c);
    unlink(settings);
    unlink(key);
}

static void a_file_of_keys_is_read_line_by_line(void **state)
{
    (void)state;
    const struct {
        const char *text, *why;
    } cases[] = {
        {"a hunter2\n", NULL},
        {"# mine\n\n  a\thunter2\r\nb = hunter3 org=acme\n", NULL},
        {"", "holds no key"},
        {"a\n", "line 1: write NAME KEY"},
        {"a hunter2 b\n", "line 1: write NAME KEY"},
        {"a hunter2 org=\n", "line 1: write NAME KEY"},
        {"a hunter2 org=x y\n", "line 1: write NAME KEY"},
        {"a hunter2 org=a:b\n", "line 1: an ORG is 1-64 of"},
        {"a:b hunter2\n", "line 1: a name is 1-64 of"},
        {"a hunter2\n#\na hunter3\n", "line 3: names a key that a line above has named"},
        {"a hunter2\nb hunter2\n", "line 2: holds the key of a line above"},
        {"a hunter2\xc3\xa9\n", "line 1: write NAME KEY"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char path[32], env[64];
        write_file(path, cases[i].text);
        snprintf(env, sizeof env, "ANTHROPIC_API_KEYS_FILE=%s", path);
        struct loaded l = load_env(WORDS(env));
        assert_null(strstr(l.why, "hunter"));
        if (cases[i].why) {
            refused(&l, cases[i].why);
            refused(&l, path);
        } else {
            accepted(&l);
            assert_string_equal(l.c.api_key, "hunter2");
            conf_fini(&l.c);
        }
        unlink(path);
    }
}

static void keys_have_an_account_each_or_share_one(void **state)
{
    (void)state;
    struct conf c = {.api_keys = "a k1\nb k2 org=acme\nc=k3 org=acme\n"};
    struct conf_key keys[CONF_KEYS_MAX];
    assert_int_equal(conf_keys(&c, keys), 3);
    assert_string_equal(keys[0].account, "a");
    assert_string_equal(keys[1].account, "acme");
    assert_string_equal(keys[2].account, "acme");
    assert_string_equal(keys[2].name, "c");
    assert_memory_equal(keys[2].key, "k3", keys[2].len);
    c = (struct conf){.api_key = "k"};
    assert_int_equal(conf_keys(&c, keys), 1);
    assert_string_equal(keys[0].account, "main");
}

static void a_file_of_keys_beside_another_key_is_one_too_many(void **state)
{
    (void)state;
    struct loaded l =
        load_env(WORDS("ANTHROPIC_API_KEY=sk-hunter2", "ANTHROPIC_API_KEYS_FILE=/dev/null"));
    refused(&l, "ANTHROPIC_API_KEYS_FILE and ANTHROPIC_API_KEY are both set; choose one");
    l = load_env(WORDS("ANTHROPIC_API_KEY_FILE=/dev/null", "ANTHROPIC_API_KEYS_FILE=/dev/null"));
    refused(&l, "ANTHROPIC_API_KEYS_FILE and ANTHROPIC_API_KEY_FILE are both set; choose one");
}

static void queues_are_split_with_their_weights(void **state)
{
    (void)state;
    struct conf c = {.queues = "interactive:10, bulk ,x.y_z-9:1000"};
    struct conf_queue q[3];
    char why[CONF_WHY_MAX] = "";
    assert_int_equal(conf_queues(&c, q, 3, why, sizeof why), 3);
    assert_string_equal(q[0].name, "interactive");
    assert_int_equal(q[0].weight, 10);
    assert_string_equal(q[1].name, "bulk");
    assert_int_equal(q[1].weight, 1);
    assert_string_equal(q[2].name, "x.y_z-9");
    assert_int_equal(q[2].weight, 1000);
    assert_int_equal(conf_queues(&c, q, 2, why, sizeof why), ERR_BAD_CONF);
    assert_string_equal(why, "PENSTOCK_QUEUES: names more than 2 queues");
}

static void a_thousand_queues_are_the_most(void **state)
{
    (void)state;
    char env[16 * 1024] = "PENSTOCK_QUEUES=q0";
    size_t len = strlen(env);
    for (int i = 1; i < 1000; i++)
        len += (size_t)snprintf(env + len, sizeof env - len, ",q%d", i);
    struct loaded l = load_env(WORDS(env));
    accepted(&l);
    conf_fini(&l.c);
    snprintf(env + len, sizeof env - len, ",q1000");
    l = load_env(WORDS(env));
    refused(&l, "names more than 1000 queues");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TAP("values of every type are taken or explained", values_are_taken_or_explained),
        TAP("a message names the place that is wrong", a_message_names_the_place_that_is_wrong),
        TAP("a base URL loses its trailing slashes", a_base_url_loses_its_trailing_slashes),
        TAP("http off means no address", http_off_means_no_address),
        TAP("a key file is read, trimmed and checked", a_key_file_is_read_trimmed_and_checked),
        TAP("a key and a key file are one too many", a_key_and_a_key_file_are_one_too_many),
        TAP("a key of the environment outdoes that of the settings file, however it is named",
            a_key_of_the_environment_outdoes_that_of_the_settings_file_however_it_is_named),
        TAP("a file of keys is read line by line", a_file_of_keys_is_read_line_by_line),
        TAP("keys have an account each, or share one", keys_have_an_account_each_or_share_one),
        TAP("a file of keys beside another key is one too many",
            a_file_of_keys_beside_another_key_is_one_too_many),
        TAP("queues are split with their weights", queues_are_split_with_their_weights),
        TAP("a thousand queues are the most", a_thousand_queues_are_the_most),
    };
    return cmocka_run_group_tests_name("conf_values", tests, NULL, NULL);
}
