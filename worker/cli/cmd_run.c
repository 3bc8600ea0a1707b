// penstock run: a file of prompts in, a file of results out. batch.h says how its parts go
// together.
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/job/model.h"
#include "common/job/prices.h"
#include "worker/cli/batch.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TICK_MS = 500, RUN_LINE_MAX = 512 << 20 };
static const int64_t ASK_ABOVE_USD = 20 * INT64_C(1000000000); // without --ask-above

void batch_fail(struct batch *b, int code, const char *fmt, ...)
{
    char text[600];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (!b->code)
        b->code = cli_fail(b->cli, code, "%s", text);
}

// --- options ---------------------------------------------------------------------------------

static int usage(struct batch *b, const char *why)
{
    return cli_fail(b->cli, EXIT_USAGE, "%s", why);
}

// read_usd reads an amount of dollars as billionths.
static bool read_usd(const char *text, int64_t *ret)
{
    char *end;
    double usd = strtod(text, &end);
    if (end == text || *end || !(usd >= 0) || usd > 1e9)
        return false;
    *ret = (int64_t)llround(usd * 1e9);
    return true;
}

static bool is_json_number(const char *text)
{
    char *end;
    double n = strtod(text, &end);
    return end != text && !*end && isfinite(n) && strspn(text, "0123456789.") == strlen(text);
}

// name_run makes a run's name of the file's: "data/My prompts.jsonl" becomes "My-prompts.jsonl".
static int name_run(struct batch *b)
{
    static char name[NAME_BYTES_MAX + 1];
    const char *given = cli_option(b->cli, "run"), *slash = strrchr(b->input, '/');
    snprintf(name, sizeof name, "%s", given ? given : slash ? slash + 1 : b->input);
    if (!given && strcmp(b->input, "-") == 0)
        snprintf(name, sizeof name, "stdin");
    for (char *c = name; !given && *c; c++)
        if (!name_is_valid(c, 1))
            *c = '-';
    if (!name_is_valid(name, strlen(name)) || (given && strlen(given) > NAME_BYTES_MAX))
        return usage(b, "--run: 1-64 characters of A-Z a-z 0-9 . _ -");
    b->run = name;
    snprintf(b->reply, sizeof b->reply, "run-%.60s", name);
    if (strlen(name) > 60) // cut: two runs must not share a list
        snprintf(b->reply, sizeof b->reply, "run-%016llx",
                 (unsigned long long)hash_of(span_of(name)));
    return 0;
}

static int read_form(struct batch *b)
{
    struct cli *c = b->cli;
    const char *csv = cli_option(c, "csv");
    b->compose.form = csv ? COMPOSE_CSV : cli_option(c, "text") ? COMPOSE_TEXT : COMPOSE_JSON;
    b->compose.template = cli_option(c, "template");
    if (!csv != !b->compose.template)
        return usage(b, "--csv FILE and --template TEXT go together");
    if (csv && (c->argc || cli_option(c, "text")))
        return usage(b, "--csv names the input; there is no other beside it");
    if (!csv && c->argc != 1)
        return usage(b, "which file? penstock run FILE --output RESULTS (- = standard input)");
    b->input = csv ? csv : c->argv[0];
    return 0;
}

static int read_numbers(struct batch *b)
{
    struct cli *c = b->cli;
    const char *cost = cli_option(c, "max-cost"), *ahead = cli_option(c, "ahead");
    const char *ask = cli_option(c, "ask-above");
    const char *tokens = b->compose.max_tokens, *heat = b->compose.temperature;
    b->max_cost = -1;
    b->ask_above = ASK_ABOVE_USD;
    if (cost && !read_usd(cost, &b->max_cost))
        return usage(b, "--max-cost takes dollars, as in 12.50");
    if (ask && !read_usd(ask, &b->ask_above))
        return usage(b, "--ask-above takes dollars, as in 20");
    if (tokens && (!is_json_number(tokens) || strtol(tokens, NULL, 10) < 1 || strchr(tokens, '.')))
        return usage(b, "--max-output takes a whole number of tokens");
    if (heat && !is_json_number(heat))
        return usage(b, "--temperature takes a number");
    int64_t n = ahead ? cli_count(ahead) : 0;
    if (ahead && (n < 1 || n > 10000000))
        return usage(b, "--ahead takes a number of jobs, 1 to 10000000");
    b->ahead_min = ahead ? (size_t)n : AHEAD_MIN;
    b->ahead_max = ahead ? (size_t)n : AHEAD_MAX;
    b->ahead = b->ahead_min;
    b->ahead_bytes = ahead ? UINT64_MAX : 256u << 20;
    return 0;
}

static int read_options(struct batch *b)
{
    struct cli *c = b->cli;
    char why[CONF_WHY_MAX];
    b->compose.model = cli_option(c, "model");
    b->compose.system = cli_option(c, "system");
    b->compose.max_tokens = cli_option(c, "max-output");
    b->compose.temperature = cli_option(c, "temperature");
    b->compose.conf_model = c->conf.model;
    b->compose.conf_max_tokens = c->conf.max_tokens;
    b->compose.job_max = (size_t)c->conf.max_job_bytes;
    b->retry_failed = cli_option(c, "retry-failed") != NULL;
    b->ordered = !cli_option(c, "as-finished");
    b->skip_bad = cli_option(c, "skip-bad") != NULL;
    int code = prices_use(c->conf.prices_file, why, sizeof why) ? usage(b, why) : 0;
    if (!code && b->compose.model && !model_is_valid(b->compose.model, strlen(b->compose.model)))
        code = usage(b, "--model: 1-128 characters of A-Z a-z 0-9 . _ : / @ -");
    if (!code)
        code = read_form(b);
    if (!code)
        code = read_numbers(b);
    if (!code)
        code = name_run(b);
    b->compose.run = b->run;
    b->compose.reply = b->reply;
    return code;
}

// --- before the first job --------------------------------------------------------------------

static int open_input(struct batch *b)
{
    struct stat st;
    bool standard = strcmp(b->input, "-") == 0;
    b->fd = standard ? STDIN_FILENO : open(b->input, O_RDONLY | O_CLOEXEC);
    if (b->fd < 0 || fstat(b->fd, &st))
        return cli_fail(b->cli, EXIT_USAGE, "%s: %s", b->input, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return cli_fail(b->cli, EXIT_USAGE, "%s is a folder", b->input);
    b->seekable = S_ISREG(st.st_mode) && lseek(b->fd, 0, SEEK_SET) == 0;
    return 0;
}

static int open_output(struct batch *b)
{
    char why[OUTPUT_WHY_MAX] = "";
    const char *path = cli_option(b->cli, "output");
    bool dry = cli_option(b->cli, "dry-run") != NULL;
    if (!path && !dry)
        return usage(b, "where to? --output RESULTS.jsonl (- = standard output)");
    int err = dry ? output_peek(&b->out, path ? path : "-", b->retry_failed, RUN_LINE_MAX, why)
                  : output_open(&b->out, path, b->retry_failed, RUN_LINE_MAX, why);
    return err ? cli_fail(b->cli, EXIT_USAGE, "%s", why[0] ? why : err_text(err)) : 0;
}

// connect_or_start: where no Redis is named and none answers at the usual place, one of our own.
static int connect_or_start(struct batch *b)
{
    struct cli *c = b->cli;
    char why[SYNC_WHY_MAX];
    bool simulate = cli_option(c, "simulate") != NULL;
    if (!simulate && c->redis_named)
        return cli_connect(c);
    if (!simulate && sync_open(&c->conf, &c->redis, why, sizeof why) == 0)
        return 0;
    return private_start(c, simulate, &b->own);
}

static int prepare(struct batch *b)
{
    int code = open_input(b);
    if (!code)
        code = open_output(b);
    bool dry = cli_option(b->cli, "dry-run") != NULL;
    if (!code && !dry)
        code = connect_or_start(b);
    if (!code && !dry)
        code = cli_now(b->cli, &b->began_ms);
    if (!code)
        code = plan_survey(b);
    if (code || dry)
        return code;
    b->redis = b->cli->redis;
    code = cli_release(b->cli, b->run, NULL); // it may have been paused
    if (code)
        return code;
    cli_key(b->cli, "", b->stem);
    cli_key(b->cli, "jobs", b->jobs_key);
    cli_id_key(b->cli, "reply", b->reply, b->reply_key);
    cli_id_key(b->cli, "run", b->run, b->run_key);
    if (window_init(&b->window, (uint32_t)b->ahead_max, b->ordered))
        return usage(b, "out of memory");
    return 0;
}

// --- the run ---------------------------------------------------------------------------------

static void on_signal(uv_signal_t *s, int signum)
{
    struct batch *b = s->data;
    (void)signum;
    if (b->stopping) // a second time: all that matters is in Redis and in the file already
        _exit(EXIT_STOPPED);
    b->stopping = true;
}

static void start_handles(struct batch *b)
{
    uv_loop_t *loop = sync_loop(b->redis);
    uv_timer_init(loop, &b->tick);
    uv_timer_init(loop, &b->nap);
    uv_signal_init(loop, &b->intr);
    uv_signal_init(loop, &b->term);
    b->tick.data = b->nap.data = b->intr.data = b->term.data = b;
    uv_timer_start(&b->tick, on_tick, 0, TICK_MS);
    uv_signal_start(&b->intr, on_signal, SIGINT);
    uv_signal_start(&b->term, on_signal, SIGTERM);
}

static void close_handles(struct batch *b)
{
    uv_close((uv_handle_t *)&b->tick, NULL);
    uv_close((uv_handle_t *)&b->nap, NULL);
    uv_close((uv_handle_t *)&b->intr, NULL);
    uv_close((uv_handle_t *)&b->term, NULL);
}

static bool is_over(const struct batch *b)
{
    if (b->code)
        return true;
    if (b->stopping) // wait until Redis has confirmed what was sent, but for no outage
        return list_is_empty(&b->packs) || b->hold || !rlink_is_up(sync_link(b->redis));
    return b->input_over && !b->has_job && b->window.count == 0 && list_is_empty(&b->packs);
}

static void go(struct batch *b)
{
    uv_loop_t *loop = sync_loop(b->redis);
    b->started_ms = b->shown_ms = clock_mono_ms();
    start_handles(b);
    collect_more(b);
    while (!is_over(b)) {
        bool more = feed_more(b);
        uv_run(loop, more ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    }
    close_handles(b);
}

// end_redis lets what was asked come back to a batch that still stands.
static void end_redis(struct batch *b)
{
    if (b->cli->redis)
        sync_close(b->cli->redis);
    b->cli->redis = b->redis = NULL;
}

// pause puts aside what has been handed over and has no result, so that no call is started for it
// until the run goes on. A worker of our own stops with us, and needs no such thing.
static void pause_run(struct batch *b)
{
    char key[CLI_KEY_MAX];
    cli_key(b->cli, "held", key);
    b->held = b->window.pushed && !b->own && rlink_is_up(sync_link(b->redis)) &&
              sync_words(b->redis, NULL, NULL, "SADD", key, b->run, NULL) == 0;
    if (b->held && cli_hold_delayed(b->cli, b->run))
        fprintf(stderr,
                "penstock run: those of them that wait for their time were not reached: the "
                "calls of some may still start\n");
}

static int end(struct batch *b, bool went)
{
    int code = b->code;
    if (went) {
        if (b->stopping && !b->over_budget && !code)
            pause_run(b);
        watch_last(b);
        show_progress(b, true);
        show_summary(b);
        if (!code && b->stopping)
            code = EXIT_STOPPED;
        if (!code && (b->failed || b->out.failed || b->faulty))
            code = EXIT_SOME_FAILED;
        b->code = EXIT_STOPPED; // callbacks: the end has come
        end_redis(b);
    }
    if (b->own)
        end_redis(b);
    private_stop(b->own);
    if (output_close(&b->out) && !code)
        code = cli_fail(b->cli, EXIT_USAGE, "the output could not be written to the end");
    feed_free(b);
    window_fini(&b->window);
    reader_fini(&b->reader);
    compose_fini(&b->compose);
    strbuf_fini(&b->job);
    idset_fini(&b->ordinals);
    idset_fini(&b->own_ids);
    if (b->fd > STDIN_FILENO)
        close(b->fd);
    return code;
}

int cmd_run(struct cli *c)
{
    struct batch *b = calloc(1, sizeof *b);
    if (!b)
        return cli_fail(c, EXIT_USAGE, "out of memory");
    b->cli = c;
    b->out.fd = -1;
    list_init(&b->packs);
    strbuf_init(&b->job, 80u << 20);
    strbuf_init(&b->compose.prompt, 64u << 20);
    int code = read_options(b);
    if (!code)
        code = prepare(b);
    bool went = !code && b->redis;
    if (went)
        go(b);
    int last = end(b, went);
    free(b);
    return code ? code : last;
}
