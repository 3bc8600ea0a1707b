// penstock tail: results as they come. While it runs it keeps the queue's key `tail` alive, and so
// long workers write the ids of what ends into the stream `ended`, from which any number may read.
// Reply lists and their readers are left alone.
#include "common/base/clock.h"
#include "worker/cli/fetch.h"

#include <stdlib.h>
#include <string.h>

enum { TAIL_KEPT_MS = 20000, RENEW_MS = 5000, LOOK_MS = 1000, READ_AT_ONCE = FETCH_MAX };

struct tail {
    struct cli *cli;
    const char *run, *status;
    bool text;
    char last[64]; // the stream's entry that was read last
    int64_t left;  // results still wanted; -1 = no bound
    uint64_t until_ms, renew_at_ms;
    char key[CLI_KEY_MAX], stream[CLI_KEY_MAX];
    struct fetch fetch;
};

static void print(struct span result, void *arg)
{
    struct tail *t = arg;
    if (t->left == 0)
        return;
    if (t->text)
        cli_print_text(result);
    else
        fwrite(result.at, 1, result.len, stdout);
    if (!t->text)
        putchar('\n');
    if (t->left > 0)
        t->left--;
}

static struct span field(const struct reply *fields, const char *name)
{
    struct span key, value = {"", 0};
    for (size_t i = 0; i + 1 < reply_count(fields); i += 2)
        if (reply_str(reply_at(fields, i), &key) && span_is(key, name))
            reply_str(reply_at(fields, i + 1), &value);
    return value;
}

static void note_last(struct tail *t, const struct reply *entry)
{
    struct span id;
    if (reply_str(reply_at(entry, 0), &id) && id.len < sizeof t->last) {
        memcpy(t->last, id.at, id.len);
        t->last[id.len] = '\0';
    }
}

static void take_entries(int err, const struct reply *reply, void *arg)
{
    struct tail *t = arg;
    const struct reply *entries = reply_at(reply_at(reply, 0), 1);
    for (size_t i = 0; err == 0 && i < reply_count(entries); i++) {
        const struct reply *entry = reply_at(entries, i), *fields = reply_at(entry, 1);
        note_last(t, entry);
        if ((!t->run || span_is(field(fields, "run"), t->run)) &&
            (!t->status || span_is(field(fields, "status"), t->status)))
            fetch_add(&t->fetch, field(fields, "id"));
    }
}

static void take_newest(int err, const struct reply *reply, void *arg)
{
    if (err == 0)
        note_last(arg, reply_at(reply, 0));
}

static int renew(struct tail *t)
{
    char ttl[24];
    if (clock_mono_ms() < t->renew_at_ms)
        return 0;
    t->renew_at_ms = clock_mono_ms() + RENEW_MS;
    snprintf(ttl, sizeof ttl, "%d", TAIL_KEPT_MS);
    return sync_words(t->cli->redis, NULL, NULL, "SET", t->key, "1", "PX", ttl, NULL)
               ? cli_lost(t->cli)
               : 0;
}

// begin finds where the stream ends now, so that what comes from here on is read, and only that.
static int begin(struct tail *t)
{
    cli_key(t->cli, "tail", t->key);
    cli_key(t->cli, "ended", t->stream);
    snprintf(t->last, sizeof t->last, "0-0");
    int err = sync_words(t->cli->redis, take_newest, t, "XREVRANGE", t->stream, "+", "-", "COUNT",
                         "1", NULL);
    return err ? cli_lost(t->cli) : renew(t);
}

static int look(struct tail *t)
{
    char many[24], wait[24];
    uint64_t now_ms = clock_mono_ms();
    snprintf(many, sizeof many, "%d", READ_AT_ONCE);
    snprintf(wait, sizeof wait, "%llu",
             (unsigned long long)MAX(MIN(t->until_ms - now_ms, (uint64_t)LOOK_MS), 1));
    const char *argv[] = {"XREAD", "COUNT", many, "BLOCK", wait, "STREAMS", t->stream, t->last};
    size_t lens[ARRAY_LEN(argv)];
    for (size_t i = 0; i < ARRAY_LEN(argv); i++)
        lens[i] = strlen(argv[i]);
    int err =
        sync_call(t->cli->redis, (int)ARRAY_LEN(argv), argv, lens, 4 * LOOK_MS, take_entries, t);
    if (err)
        return cli_lost(t->cli);
    int code = fetch_run(t->cli, &t->fetch);
    if (fflush(stdout) && !code)
        code = EXIT_SOME_FAILED; // nobody reads any more
    return code;
}

static int read_options(struct tail *t)
{
    struct cli *c = t->cli;
    const char *count = cli_option(c, "count"), *timeout = cli_option(c, "timeout");
    int64_t ms = timeout ? cli_ms(timeout) : INT64_MAX / 4;
    t->run = cli_option(c, "run");
    t->status = cli_option(c, "status");
    t->text = cli_option(c, "text") != NULL;
    t->left = count ? cli_count(count) : -1;
    if (c->argc)
        return cli_fail(c, EXIT_USAGE, "no argument wanted; --queue NAME says which queue");
    if (count && t->left < 1)
        return cli_fail(c, EXIT_USAGE, "--count %s: write a number of results, 1 or more", count);
    if (ms < 0)
        return cli_fail(c, EXIT_USAGE, "--timeout %s is no time; write 30s, 5m or 2h", timeout);
    if (t->status && !cli_is_status(t->status))
        return cli_fail(c, EXIT_USAGE, "--status is succeeded, failed, expired or cancelled");
    if (t->run && !name_is_valid(t->run, strlen(t->run)))
        return cli_fail(c, EXIT_USAGE, "--run %s is no run's name; penstock runs shows them",
                        t->run);
    t->until_ms = clock_mono_ms() + (uint64_t)ms;
    return 0;
}

int cmd_tail(struct cli *c)
{
    struct tail *t = calloc(1, sizeof *t);
    if (!t)
        return cli_fail(c, EXIT_USAGE, "out of memory");
    t->cli = c;
    t->fetch.take = print;
    t->fetch.arg = t;
    int code = read_options(t);
    if (!code)
        code = cli_connect(c);
    if (!code)
        code = begin(t);
    while (!code && t->left != 0) {
        if (clock_mono_ms() >= t->until_ms)
            code = EXIT_TIMEOUT;
        else
            code = renew(t);
        if (!code)
            code = look(t);
    }
    if (code == EXIT_TIMEOUT && t->left < 0)
        code = 0; // it was told how long, and not how many
    free(t);
    return code;
}
