// penstock get, penstock wait: results by id.
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/scan.h"
#include "worker/cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RESULT_BYTES_MAX = 512 << 20, LOOK_FIRST_MS = 20, LOOK_MOST_MS = 500 };

static bool is_good(struct strbuf *result)
{
    struct scan_value status;
    struct span word = {0};
    bool read =
        scan_get(scan_root(result->at, result->len), "status", &status) && scan_str(status, &word);
    return read && span_is(word, "succeeded");
}

void cli_print_text(struct span result)
{
    struct scan_value text;
    struct strbuf plain;
    strbuf_init(&plain, RESULT_BYTES_MAX);
    if (scan_get(scan_root(result.at, result.len), "text", &text) && text.type == SCAN_STRING)
        scan_unescape(text, &plain);
    fwrite(plain.at ? plain.at : "", 1, plain.len, stdout);
    putchar('\n');
    strbuf_fini(&plain);
}

bool cli_is_status(const char *word)
{
    static const char *const all[] = {"succeeded", "failed", "expired", "cancelled"};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (strcmp(all[i], word) == 0)
            return true;
    return false;
}

// say_failed tells why there is no answer, on standard error.
static void say_failed(struct cli *c, struct strbuf *result)
{
    struct scan_value root = scan_root(result->at, result->len), value = {0};
    struct span id = {"?", 1}, status = {"failed", 6};
    struct strbuf why;
    strbuf_init(&why, RESULT_BYTES_MAX);
    if (scan_get(root, "id", &value))
        scan_str(value, &id);
    if (scan_get(root, "status", &value))
        scan_str(value, &status);
    if (scan_get(root, "error", &value) && scan_get(value, "message", &value) &&
        value.type == SCAN_STRING)
        scan_unescape(value, &why);
    cli_fail(c, 0, "%.*s %.*s: %.*s", (int)id.len, id.at, (int)status.len, status.at,
             (int)MIN(why.len, 1000u), why.at ? why.at : "");
    strbuf_fini(&why);
}

// print_result prints one result; false where the job did not succeed.
static bool print_result(struct cli *c, struct strbuf *result)
{
    bool good = is_good(result);
    if (cli_option(c, "text") && good) {
        cli_print_text(strbuf_span(result));
    } else if (cli_option(c, "text")) {
        say_failed(c, result);
    } else {
        fwrite(result->at, 1, result->len, stdout);
        putchar('\n');
    }
    return good;
}

static void take_result(int err, const struct reply *reply, void *arg)
{
    struct span text;
    if (err == 0 && reply_str(reply, &text))
        strbuf_add_span(arg, text);
}

// fetch brings a job's result; it stays empty where there is none. 0, or an error as sync_words
// has.
static int fetch(struct cli *c, const char *id, struct strbuf *ret)
{
    char key[CLI_KEY_MAX];
    cli_id_key(c, "result", id, key);
    strbuf_clear(ret);
    int err = sync_words(c->redis, take_result, ret, "GET", key, NULL);
    return err ? err : strbuf_failed(ret) ? ERR_TOO_BIG : 0;
}

static int check_ids(struct cli *c)
{
    if (c->argc == 0)
        return cli_fail(c, EXIT_USAGE, "which job? penstock %s ID...", c->verb->name);
    for (int i = 0; i < c->argc; i++)
        if (!id_is_valid(c->argv[i], strlen(c->argv[i])))
            return cli_fail(c, EXIT_USAGE, "%s is no job's id", c->argv[i]);
    return 0;
}

static void take_state(int err, const struct reply *reply, void *arg)
{
    struct strbuf *ret = arg;
    static const char *const names[] = {"state", "attempts", "throttles",
                                        "due",   "worker",   "last_error"};
    for (size_t i = 0; err == 0 && i < ARRAY_LEN(names); i++) {
        struct span value;
        if (!reply_str(reply_at(reply, i), &value) || value.len == 0)
            continue;
        strbuf_add_fmt(ret, "%s\"%s\":", ret->len ? "," : "", names[i]);
        strbuf_add_json(ret, value.at, value.len);
    }
}

// print_state tells where an unfinished job stands.
static void print_state(struct cli *c, const char *id)
{
    char key[CLI_KEY_MAX];
    struct strbuf fields;
    strbuf_init(&fields, 1 << 20);
    cli_id_key(c, "job", id, key);
    int err = sync_words(c->redis, take_state, &fields, "HMGET", key, "state", "attempts",
                         "throttles", "due", "worker", "last_error", NULL);
    if (err || fields.len == 0)
        printf(
            "{\"id\":\"%s\",\"status\":\"unknown\",\"hint\":\"not admitted yet, or its result has "
            "expired\"}\n",
            id);
    else
        printf("{\"id\":\"%s\",\"status\":\"unfinished\",%s}\n", id, fields.at);
    strbuf_fini(&fields);
}

int cmd_get(struct cli *c)
{
    struct strbuf result;
    int code = check_ids(c);
    if (!code)
        code = cli_connect(c);
    if (code)
        return code;
    strbuf_init(&result, RESULT_BYTES_MAX);
    for (int i = 0; i < c->argc; i++) {
        if (fetch(c, c->argv[i], &result)) {
            code = cli_lost(c);
            break;
        }
        if (result.len) {
            if (!print_result(c, &result))
                code = EXIT_SOME_FAILED;
        } else {
            if (!cli_option(c, "text"))
                print_state(c, c->argv[i]);
            else
                cli_fail(c, 0, "%s has no result yet; without --text this says where it stands",
                         c->argv[i]);
            code = EXIT_SOME_FAILED;
        }
    }
    strbuf_fini(&result);
    return code;
}

// wait_one looks again and again, more seldom as time goes by; *result is empty where the time is
// up. A connection that breaks comes back; what Redis refuses it refuses again.
static int wait_one(struct cli *c, const char *id, uint64_t until_ms, struct strbuf *result)
{
    for (uint64_t pause = LOOK_FIRST_MS;; pause = MIN(pause * 3 / 2, (uint64_t)LOOK_MOST_MS)) {
        int err = fetch(c, id, result);
        uint64_t now_ms = clock_mono_ms();
        if (err == ERR_REDIS || result->len || now_ms >= until_ms)
            return err;
        uint64_t nap = MIN(pause, until_ms - now_ms);
        struct timespec t = {(time_t)(nap / 1000), (long)(nap % 1000) * 1000000};
        nanosleep(&t, NULL);
    }
}

int cmd_wait(struct cli *c)
{
    const char *text = cli_option(c, "timeout");
    int64_t ms = text ? cli_ms(text) : INT64_MAX / 2;
    struct strbuf result;
    int code = check_ids(c);
    if (!code && ms < 0)
        code = cli_fail(c, EXIT_USAGE, "--timeout %s is no time; write 30s, 5m or 2h", text);
    if (!code && !c->redis)
        code = cli_connect(c);
    if (code)
        return code;
    uint64_t until_ms = clock_mono_ms() + (uint64_t)ms;
    strbuf_init(&result, RESULT_BYTES_MAX);
    for (int i = 0; i < c->argc && code != EXIT_TIMEOUT; i++) {
        if (wait_one(c, c->argv[i], until_ms, &result) == ERR_REDIS) {
            code = cli_lost(c);
            break;
        }
        if (!result.len)
            code = cli_fail(c, EXIT_TIMEOUT,
                            "%s has no result yet; penstock get %s says where it stands",
                            c->argv[i], c->argv[i]);
        else if (!print_result(c, &result))
            code = EXIT_SOME_FAILED;
        fflush(stdout);
    }
    strbuf_fini(&result);
    return code;
}
