// test_conf: settings come from the right place, flags are explained when refused, and secrets
// leave memory and the environment.
#include "common/base/attrs.h"
#include "common/conf/conf_int.h"
#include "tests/unit/conf_try.h"

#include <sys/wait.h>

static void defaults_are_the_documented_ones(void **state)
{
    (void)state;
    struct loaded l = load_env(NOTHING);
    accepted(&l);
    assert_int_equal(l.used, 0);
    assert_string_equal(l.c.redis_url, "redis://127.0.0.1:6379");
    assert_string_equal(l.c.prefix, "penstock");
    assert_string_equal(l.c.queues, "default");
    assert_string_equal(l.c.provider, "anthropic");
    assert_string_equal(l.c.base_url, "https://api.anthropic.com");
    assert_string_equal(l.c.api_version, "2023-06-01");
    assert_string_equal(l.c.auth, "x-api-key");
    assert_string_equal(l.c.model, "claude-sonnet-5");
    assert_string_equal(l.c.backoff_jitter, "full");
    assert_string_equal(l.c.http, "127.0.0.1:9470");
    assert_string_equal(l.c.log_level, "info");
    assert_string_equal(l.c.log_format, "json");
    assert_null(l.c.settings_file);
    assert_null(l.c.api_key);
    assert_null(l.c.api_key_file);
    assert_null(l.c.ca_file);
    assert_null(l.c.proxy);
    assert_null(l.c.http_token);
    static const struct {
        size_t at;
        int64_t value;
    } want[] = {
        {offsetof(struct conf, concurrency), 64},
        {offsetof(struct conf, max_tokens), 1024},
        {offsetof(struct conf, max_attempts), 5},
        {offsetof(struct conf, max_throttles), 0},
        {offsetof(struct conf, max_recoveries), 5},
        {offsetof(struct conf, backoff_base_ms), 1000},
        {offsetof(struct conf, backoff_cap_ms), 60000},
        {offsetof(struct conf, lease_ms), 30000},
        {offsetof(struct conf, drain_ms), 25000},
        {offsetof(struct conf, result_ttl_s), 86400},
        {offsetof(struct conf, max_job_bytes), 4194304},
        {offsetof(struct conf, max_answer_bytes), 33554432},
        {offsetof(struct conf, connect_timeout_ms), 10000},
        {offsetof(struct conf, first_byte_timeout_ms), 600000},
        {offsetof(struct conf, idle_timeout_ms), 60000},
        {offsetof(struct conf, timeout_ms), 660000},
    };
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        assert_int_equal(*(int64_t *)((char *)&l.c + want[i].at), want[i].value);
    conf_fini(&l.c);
}

// Every row fills a field of its own: two rows with one offset would hide a mistake in the table.
static void no_two_rows_share_a_field_a_name_or_a_flag(void **state)
{
    (void)state;
    for (size_t i = 0; i < conf_rows_len; i++)
        for (size_t j = 0; j < i; j++) {
            const struct conf_row *a = &conf_rows[i], *b = &conf_rows[j];
            assert_int_not_equal(a->at, b->at);
            assert_string_not_equal(a->name, b->name);
            assert_false(a->flag && b->flag && strcmp(a->flag, b->flag) == 0);
        }
}

static void flags_follow_from_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < conf_rows_len; i++) {
        const struct conf_row *row = &conf_rows[i];
        const char *prefix = strncmp(row->name, "PENSTOCK_", 9) == 0 ? "PENSTOCK_" : "ANTHROPIC_";
        char want[64];
        snprintf(want, sizeof want, "%s", row->name + strlen(prefix));
        for (char *p = want; *p; p++)
            *p = *p == '_' ? '-' : (char)(*p + ('a' - 'A') * (*p >= 'A' && *p <= 'Z'));
        if (row->type == CONF_SECRET)
            assert_null(row->flag);
        else
            assert_string_equal(row->flag, want);
    }
}

static void a_flag_wins_over_the_environment_and_that_over_the_file(void **state)
{
    (void)state;
    char path[32], env[64];
    write_file(path, "# a remark\n\nPENSTOCK_LEASE_MS=1001\r\n  PENSTOCK_DRAIN_MS = \"1002\"\n"
                     "PENSTOCK_CONCURRENCY='7'\nPENSTOCK_MODEL=\nPENSTOCK_MAX_TOKENS=8");
    snprintf(env, sizeof env, "PENSTOCK_SETTINGS_FILE=%s", path);
    struct loaded l = load_as(CONF_WORKER, WORDS("--drain-ms=3003"),
                              WORDS(env, "PENSTOCK_DRAIN_MS=2002", "PENSTOCK_LEASE_MS=2001"));
    accepted(&l);
    assert_int_equal(l.c.drain_ms, 3003);
    assert_int_equal(l.c.lease_ms, 2001);
    assert_int_equal(l.c.concurrency, 7);
    assert_int_equal(l.c.max_tokens, 8);
    assert_string_equal(l.c.model, "claude-sonnet-5");
    conf_fini(&l.c);
    unlink(path);
}

static void a_settings_file_is_refused_with_the_line_that_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"\nPENSTOCK_CONCURENCY=5\n",
         " line 2: PENSTOCK_CONCURENCY is no setting; did you mean PENSTOCK_CONCURRENCY"},
        {"PATH=/bin\n", " line 1: PATH is no setting"},
        {"PENSTOCK_SETTINGS_FILE=/x\n",
         " line 1: PENSTOCK_SETTINGS_FILE is no setting of this file"},
        {"PENSTOCK_LEASE_MS\n", " line 1: write NAME=value"},
        {"#\n#\nPENSTOCK_LEASE_MS=30s",
         " line 3: PENSTOCK_LEASE_MS: \"30s\" is not a whole number"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char path[32], flag[64];
        write_file(path, cases[i].text);
        snprintf(flag, sizeof flag, "--settings-file=%s", path);
        struct loaded l = load_args(WORDS(flag));
        refused(&l, cases[i].why);
        refused(&l, path);
        unlink(path);
    }
    char path[32], flag[64], *big = calloc(1, CONF_TEXT_BYTES_MAX + 2);
    write_file(path, memset(big, '#', CONF_TEXT_BYTES_MAX + 1));
    free(big);
    snprintf(flag, sizeof flag, "--settings-file=%s", path);
    struct loaded l = load_args(WORDS(flag));
    refused(&l, " is longer than 131072 bytes");
    unlink(path);
    l = load_args(WORDS("--settings-file=/nonexistent/penstock.env"));
    refused(&l, "PENSTOCK_SETTINGS_FILE: /nonexistent/penstock.env cannot be read");
}

static void only_the_value_that_wins_is_looked_at(void **state)
{
    (void)state;
    struct loaded l =
        load_as(CONF_WORKER, WORDS("--concurrency=3"), WORDS("PENSTOCK_CONCURRENCY=many"));
    accepted(&l);
    assert_int_equal(l.c.concurrency, 3);
    conf_fini(&l.c);
}

static void an_empty_variable_counts_as_unset_and_the_first_of_two_counts(void **state)
{
    (void)state;
    struct loaded l =
        load_env(WORDS("PENSTOCK_MODEL=", "PENSTOCK_LEASE_MS=1500", "PENSTOCK_LEASE_MS=9999",
                       "PENSTOCK_HTTP", "ANTHROPIC_API_KEY="));
    accepted(&l);
    assert_string_equal(l.c.model, "claude-sonnet-5");
    assert_int_equal(l.c.lease_ms, 1500);
    assert_null(l.c.api_key);
    conf_fini(&l.c);
}

static void flags_come_in_two_spellings_and_end_at_the_first_word(void **state)
{
    (void)state;
    static const char *const cases[][6] = {
        {"--concurrency=9", "--model", "m", "push", "--x", NULL},
        {"--model=m", "--concurrency", "9", "--", "--x", NULL},
        {"--concurrency", "1", "--concurrency=9", "--model=m", NULL},
        {"--concurrency=9", "--model=m", "-", "-x", NULL},
    };
    static const int used[] = {3, 4, 4, 2};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct loaded l = load_args((char **)cases[i]);
        accepted(&l);
        assert_int_equal(l.used, used[i]);
        assert_int_equal(l.c.concurrency, 9);
        assert_string_equal(l.c.model, "m");
        conf_fini(&l.c);
    }
}

static void flags_that_are_none_are_explained(void **state)
{
    (void)state;
    static const struct {
        const char *arg, *next, *why;
    } cases[] = {
        {"--redis", NULL, "unknown flag --redis; did you mean --redis-url?"},
        {"--redis_url=redis://:hunter2@h", NULL,
         "unknown flag --redis_url; did you mean --redis-url?"},
        {"--concurency=5", NULL, "did you mean --concurrency?"},
        {"--timeout", NULL, "did you mean --timeout-ms?"},
        {"--frobnicate", NULL, "unknown flag --frobnicate; --help lists them"},
        {"-c", "5", "unknown flag -c; flags are written --NAME=VALUE"},
        {"--concurrency", NULL, "--concurrency needs a value: --concurrency=N"},
        {"--concurrency=", NULL, "--concurrency needs a value"},
        {"--model", "--queues", "--model needs a value: --model=MODEL"},
        {"--api-key=sk-ant-hunter2", NULL,
         "--api-key is no flag, since others can see a command line; put the secret into the "
         "environment (ANTHROPIC_API_KEY) or a file (ANTHROPIC_API_KEY_FILE)"},
        {"--api-key", "sk-ant-hunter2", "put the secret into the environment (ANTHROPIC_API_KEY)"},
        {"--http-token=hunter2", NULL,
         "environment (PENSTOCK_HTTP_TOKEN) or a file (PENSTOCK_SETTINGS"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct loaded l = load_args(WORDS((char *)cases[i].arg, (char *)cases[i].next));
        refused(&l, cases[i].why);
        assert_null(strstr(l.why, "hunter2"));
    }
    struct loaded l = load_as(CONF_CLI, WORDS("--concurrency=5"), NOTHING);
    refused(&l, "--concurrency is a setting of penstock-worker, not of penstock");
}

static void a_refusal_leaves_the_outputs_alone(void **state)
{
    (void)state;
    struct loaded l = {.c = {.max_tokens = 77}, .used = 5};
    l.err = conf_load(CONF_WORKER, 1, WORDS("--lease-ms=1"), NOTHING, &l.c, &l.used, l.why,
                      sizeof l.why);
    refused(&l, "1 is not 1000-3600000");
    assert_int_equal(l.c.max_tokens, 77);
    assert_int_equal(l.used, 5);
}

static void the_command_line_ignores_what_is_the_workers(void **state)
{
    (void)state;
    struct loaded l = load_as(CONF_CLI, NOTHING,
                              WORDS("PENSTOCK_CONCURRENCY=many",
                                    "ANTHROPIC_API_KEY_FILE=/nonexistent/k", "PENSTOCK_PREFIX=p"));
    accepted(&l);
    assert_string_equal(l.c.prefix, "p");
    assert_null(l.c.api_key);
    assert_int_equal(conf_read_key(&l.c, l.why, sizeof l.why), ERR_BAD_CONF);
    assert_non_null(
        strstr(l.why, "ANTHROPIC_API_KEY_FILE: /nonexistent/k cannot be read: No such"));
    conf_fini(&l.c);
}

static void strangers_in_the_environment_are_named(void **state)
{
    (void)state;
    struct conf_stranger s[4];
    char **envp = WORDS("PENSTOCK_CONCURENCY=5", "PENSTOCK_TEST_SLACK=2", "PENSTOCK_FAULT=x",
                        "PENSTOCK_FAULTY=x", "PENSTOCK_MODEL=m", "ANTHROPIC_MODEL=m",
                        "PENSTOCK_XYZZY=hunter2");
    assert_int_equal(conf_unknown_env(envp, s, ARRAY_LEN(s)), 3);
    assert_string_equal(s[0].name, "PENSTOCK_CONCURENCY");
    assert_string_equal(s[0].near, "PENSTOCK_CONCURRENCY");
    assert_string_equal(s[1].name, "PENSTOCK_FAULTY");
    assert_string_equal(s[2].name, "PENSTOCK_XYZZY");
    assert_null(s[2].near);
    assert_int_equal(conf_unknown_env(envp, s, 1), 1);
}

static void a_reload_takes_what_may_change_and_names_what_may_not(void **state)
{
    (void)state;
    struct loaded old =
        load_env(WORDS("PENSTOCK_LEASE_MS=5000", "PENSTOCK_PREFIX=a", "ANTHROPIC_API_KEY=k1",
                       "PENSTOCK_HTTP_TOKEN=t", "PENSTOCK_REDIS_URL=redis://:pw@h"));
    struct loaded fresh =
        load_env(WORDS("PENSTOCK_LEASE_MS=6000", "PENSTOCK_PREFIX=b", "PENSTOCK_CONCURRENCY=7",
                       "PENSTOCK_HTTP=off", "PENSTOCK_LOG_LEVEL=debug"));
    char kept[256];
    accepted(&old);
    accepted(&fresh);
    assert_int_equal(conf_keep(&old.c, &fresh.c, kept, sizeof kept), 0);
    conf_fini(&old.c);
    assert_string_equal(kept, "PENSTOCK_PREFIX PENSTOCK_LEASE_MS PENSTOCK_HTTP");
    assert_int_equal(fresh.c.lease_ms, 5000);
    assert_int_equal(fresh.c.concurrency, 7);
    assert_string_equal(fresh.c.log_level, "debug");
    assert_string_equal(fresh.c.prefix, "a");
    assert_string_equal(fresh.c.http, "127.0.0.1:9470");
    // What conf_scrub_env had wiped is not lost, and is no change.
    assert_string_equal(fresh.c.api_key, "k1");
    assert_string_equal(fresh.c.http_token, "t");
    assert_string_equal(fresh.c.redis_url, "redis://:pw@h");
    conf_fini(&fresh.c);
}

static void a_reload_takes_a_new_key(void **state)
{
    (void)state;
    struct loaded old = load_env(WORDS("ANTHROPIC_API_KEY=k1"));
    struct loaded fresh = load_env(WORDS("ANTHROPIC_API_KEY=k2"));
    char kept[256];
    assert_int_equal(conf_keep(&old.c, &fresh.c, kept, sizeof kept), 0);
    assert_string_equal(kept, "");
    assert_string_equal(fresh.c.api_key, "k2");
    conf_fini(&old.c);
    conf_fini(&fresh.c);
}

// The countdown of test_conf's own malloc and calloc: at 0 they fail once, below it never.
static int calls_left = -1;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_malloc(size_t size)
{
    return calls_left >= 0 && calls_left-- == 0 ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return calls_left >= 0 && calls_left-- == 0 ? NULL : __real_calloc(n, size);
}

static void a_load_that_runs_out_of_memory_anywhere_fails_cleanly(void **state)
{
    (void)state;
    char path[32], file[64];
    write_file(path, "PENSTOCK_MODEL=m\nANTHROPIC_API_KEY_FILE=/dev/null\n");
    snprintf(file, sizeof file, "PENSTOCK_SETTINGS_FILE=%s", path);
    char **envp = WORDS(file, "PENSTOCK_QUEUES=a,b");
    struct loaded l = {0};
    int steps = 0;
    for (;; steps++) {
        calls_left = steps;
        l = load_env(envp);
        if (l.err != ERR_NOMEM)
            break;
        assert_non_null(strstr(l.why, "out of memory"));
        assert_null(l.c.owned);
    }
    calls_left = -1;
    assert_true(steps > 15);
    refused(&l, "ANTHROPIC_API_KEY_FILE: /dev/null holds only blanks");
    unlink(path);
}

static void fini_of_a_zeroed_struct_is_harmless(void **state)
{
    (void)state;
    struct conf c = {0};
    conf_fini(&c);
    conf_fini(&c);
}

// count_lines counts the lines of a stream and fails on one that is wider than 80 columns.
static int count_lines(FILE *f, const char *want, bool *ret_seen)
{
    char line[4096];
    int lines = 0;
    rewind(f);
    while (fgets(line, sizeof line, f)) {
        lines++;
        if (want && strstr(line, want))
            *ret_seen = true;
        if (strlen(line) > 81)
            fail_msg("wider than 80 columns: %s", line);
    }
    return lines;
}

static void help_names_every_flag_and_variable_in_80_columns(void **state)
{
    (void)state;
    FILE *f = tmpfile();
    conf_help(CONF_WORKER, f);
    for (size_t i = 0; i < conf_rows_len; i++) {
        bool flag = !conf_rows[i].flag, name = false;
        char want[80];
        snprintf(want, sizeof want, "  --%s ", flag ? "" : conf_rows[i].flag);
        assert_true(count_lines(f, want, &flag) > 60);
        count_lines(f, conf_rows[i].name, &name);
        if (!flag || !name)
            fail_msg("%s is not in the help", conf_rows[i].name);
    }
    fclose(f);
}

static void help_of_the_command_line_leaves_the_workers_settings_out(void **state)
{
    (void)state;
    bool prefix = false, lease = false;
    FILE *f = tmpfile();
    conf_help(CONF_CLI, f);
    count_lines(f, "--prefix TEXT", &prefix);
    count_lines(f, "--lease-ms", &lease);
    assert_true(prefix);
    assert_false(lease);
    fclose(f);
}

// scrub_and_look is the child's part: it scrubs its own environment and reads what others can see.
static int scrub_and_look(char **envp)
{
    char text[65536];
    conf_scrub_env(envp);
    FILE *f = fopen("/proc/self/environ", "r");
    if (!f)
        return 10;
    size_t len = fread(text, 1, sizeof text, f);
    fclose(f);
    if (memmem(text, len, "hunter2", 7))
        return 11;
    if (!memmem(text, len, "PENSTOCK_MODEL=still-here", 25))
        return 12;
    return getenv("ANTHROPIC_API_KEY") || getenv("PENSTOCK_REDIS_URL") ? 13 : 0;
}

static void secrets_leave_the_environment_that_others_can_see(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        char **envp = WORDS("CONF_TEST_CHILD=1", "ANTHROPIC_API_KEY=sk-hunter2",
                            "PENSTOCK_HTTP_TOKEN=hunter2", "PENSTOCK_REDIS_URL=redis://:hunter2@h",
                            "PENSTOCK_PROXY=http://u:hunter2@p", "PENSTOCK_MODEL=still-here");
        execve("/proc/self/exe", WORDS("test_conf"), envp);
        _exit(99);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv, char **envp)
{
    (void)argc, (void)argv;
    if (getenv("CONF_TEST_CHILD"))
        return scrub_and_look(envp);
#define TEST(sentence, fn)                                                                         \
    {                                                                                              \
        sentence, fn, NULL, NULL, NULL                                                             \
    }
    static const struct CMUnitTest tests[] = {
        TAP("the defaults are the documented ones", defaults_are_the_documented_ones),
        TAP("no two rows share a field, a name or a flag",
            no_two_rows_share_a_field_a_name_or_a_flag),
        TAP("flags follow from names, and secrets have none", flags_follow_from_names),
        TAP("a flag wins over the environment, that over the file, that over the default",
            a_flag_wins_over_the_environment_and_that_over_the_file),
        TAP("a settings file is refused with the line that is wrong",
            a_settings_file_is_refused_with_the_line_that_is_wrong),
        TAP("only the value that wins is looked at", only_the_value_that_wins_is_looked_at),
        TAP("an empty variable counts as unset, and the first of two counts",
            an_empty_variable_counts_as_unset_and_the_first_of_two_counts),
        TAP("flags come in two spellings and end at the first word",
            flags_come_in_two_spellings_and_end_at_the_first_word),
        TAP("flags that are none are explained, without their values",
            flags_that_are_none_are_explained),
        TAP("a refusal leaves the outputs alone", a_refusal_leaves_the_outputs_alone),
        TAP("the command line ignores what is the worker's",
            the_command_line_ignores_what_is_the_workers),
        TAP("strangers in the environment are named", strangers_in_the_environment_are_named),
        TAP("a reload takes what may change and names what may not",
            a_reload_takes_what_may_change_and_names_what_may_not),
        TAP("a reload takes a new key", a_reload_takes_a_new_key),
        TAP("a load that runs out of memory anywhere fails cleanly",
            a_load_that_runs_out_of_memory_anywhere_fails_cleanly),
        TAP("fini of a zeroed struct is harmless", fini_of_a_zeroed_struct_is_harmless),
        TAP("help names every flag and variable, in 80 columns",
            help_names_every_flag_and_variable_in_80_columns),
        TAP("help of the command line leaves the worker's settings out",
            help_of_the_command_line_leaves_the_workers_settings_out),
        TAP("secrets leave the environment that others can see",
            secrets_leave_the_environment_that_others_can_see),
    };
    return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
