// penstock push: prompts from arguments, a file or standard input, onto a queue; prints the jobs'
// ids.
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/utf8.h"
#include "common/job/job.h"
#include "common/job/ulid.h"
#include "worker/cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PUSH_BATCH = 256, PUSH_BATCH_BYTES = 1 << 20 };

struct pusher {
    struct cli *cli;
    char key[CLI_KEY_MAX];
    struct strbuf jobs[PUSH_BATCH];
    char ids[PUSH_BATCH][ID_BYTES_MAX + 1];
    size_t count, bytes, pushed;
    int64_t now_ms;
    bool wait;
    char **waited; // ids to wait for
    size_t waited_room;
};

static void add_text(struct strbuf *b, const char *name, const char *value)
{
    if (!value)
        return;
    strbuf_add_fmt(b, ",\"%s\":", name);
    strbuf_add_json_str(b, value);
}

static int add_time(struct strbuf *b, struct cli *c, const char *option, const char *field)
{
    const char *text = cli_option(c, option);
    if (!text)
        return 0;
    int64_t ms = cli_ms(text);
    if (ms < 0)
        return cli_fail(c, EXIT_USAGE, "--%s %s is no time; write 30s, 5m or 2h", option, text);
    strbuf_add_fmt(b, ",\"%s\":%lld", field, (long long)ms);
    return 0;
}

// build_job makes a job's JSON of a prompt and the options.
static int build_job(struct pusher *p, struct span prompt, struct strbuf *b, char *id)
{
    struct cli *c = p->cli;
    if (cli_option(c, "id"))
        snprintf(id, ID_BYTES_MAX + 1, "%s", cli_option(c, "id"));
    else
        ulid_make(p->now_ms, id);
    size_t good = utf8_good(prompt.at, prompt.len);
    if (good < prompt.len)
        return cli_fail(c, EXIT_USAGE,
                        "job %zu: byte %zu of the prompt is no UTF-8; convert it, "
                        "as with iconv",
                        p->pushed + p->count + 1, good);
    strbuf_add_fmt(b, "{\"id\":\"%s\",\"prompt\":", id);
    strbuf_add_json(b, prompt.at, prompt.len);
    add_text(b, "model", cli_option(c, "model"));
    add_text(b, "system", cli_option(c, "system"));
    add_text(b, "run", cli_option(c, "run"));
    add_text(b, "reply_to", cli_option(c, "reply-to"));
    const char *most = cli_option(c, "max-output");
    if (most && (!most[0] || most[strspn(most, "0123456789")]))
        return cli_fail(c, EXIT_USAGE, "--max-output %s is no whole number of tokens, such as 500",
                        most);
    if (most)
        strbuf_add_fmt(b, ",\"max_tokens\":%s", most);
    int code = add_time(b, c, "delay", "delay_ms");
    if (!code)
        code = add_time(b, c, "ttl", "ttl_ms");
    strbuf_add_fmt(b, ",\"pushed_at\":%lld}", (long long)p->now_ms);
    return code;
}

// take_job copies a job that the user wrote, and gives it an id where it has none.
static void take_job(struct pusher *p, struct span line, const struct job *j, struct strbuf *b,
                     char *id)
{
    if (j->id.len) {
        snprintf(id, ID_BYTES_MAX + 1, "%.*s", (int)j->id.len, j->id.at);
        strbuf_add_span(b, line);
        return;
    }
    ulid_make(p->now_ms, id);
    const char *brace = memchr(line.at, '{', line.len);
    size_t head = (size_t)(brace - line.at) + 1;
    strbuf_add_fmt(b, "{\"id\":\"%s\",", id);
    strbuf_add(b, line.at + head, line.len - head);
}

static int note_id(struct pusher *p, const char *id, size_t at)
{
    if (!p->wait) {
        printf(p->cli->json ? "{\"id\":\"%s\"}\n" : "%s\n", id);
        return 0;
    }
    if (at + 1 >= p->waited_room) {
        size_t room = MAX(2 * p->waited_room, (size_t)PUSH_BATCH);
        char **more = realloc(p->waited, room * sizeof *more);
        if (!more)
            return cli_fail(p->cli, EXIT_USAGE, "out of memory");
        p->waited = more;
        p->waited_room = room;
    }
    p->waited[at] = strdup(id);
    return p->waited[at] ? 0 : cli_fail(p->cli, EXIT_USAGE, "out of memory");
}

static int flush(struct pusher *p)
{
    int code = 0;
    const char *argv[PUSH_BATCH + 2] = {"LPUSH", p->key};
    size_t lens[PUSH_BATCH + 2] = {5, strlen(p->key)};
    for (size_t i = 0; i < p->count; i++) {
        argv[2 + i] = p->jobs[i].at;
        lens[2 + i] = p->jobs[i].len;
    }
    if (p->count == 0)
        return 0;
    if (sync_call(p->cli->redis, (int)p->count + 2, argv, lens, 0, NULL, NULL))
        return cli_lost(p->cli);
    for (size_t i = 0; i < p->count; i++) {
        if (!code)
            code = note_id(p, p->ids[i], p->pushed);
        p->pushed += !code;
        strbuf_fini(&p->jobs[i]);
    }
    p->count = p->bytes = 0;
    return code;
}

// add parses what is about to be pushed, so that a mistake is told here and not found in dead.
static int add(struct pusher *p, struct span text)
{
    struct cli *c = p->cli;
    struct strbuf *b = &p->jobs[p->count];
    struct job job;
    struct job_fault fault;
    bool whole = cli_option(c, "jobs") != NULL;
    strbuf_init(b, (size_t)c->conf.max_job_bytes + 4096);
    int code = whole ? 0 : build_job(p, text, b, p->ids[p->count]);
    struct span bytes = whole ? text : strbuf_span(b);
    if (!code && job_parse(bytes.at, bytes.len, (size_t)c->conf.max_job_bytes, &job, &fault))
        code = cli_fail(c, EXIT_USAGE, "job %zu: %s", p->pushed + p->count + 1, fault.why);
    if (!code && whole)
        take_job(p, text, &job, b, p->ids[p->count]);
    if (code) {
        strbuf_fini(b);
        return code;
    }
    p->bytes += b->len;
    p->count++;
    return p->count == PUSH_BATCH || p->bytes >= PUSH_BATCH_BYTES ? flush(p) : 0;
}

static int push_lines(struct pusher *p, FILE *from)
{
    char *line = NULL;
    size_t room = 0;
    int code = 0;
    for (ssize_t len; !code && (len = getline(&line, &room, from)) >= 0;) {
        while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
            len--;
        if (len > 0)
            code = add(p, (struct span){line, (size_t)len});
    }
    free(line);
    return code;
}

static int push_file(struct pusher *p, const char *path)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (!f)
        return cli_fail(p->cli, EXIT_USAGE, "%s: %s", path, strerror(errno));
    int code = push_lines(p, f);
    if (!code && ferror(f))
        code = cli_fail(p->cli, EXIT_USAGE, "%s: %s", path, strerror(errno));
    if (f != stdin)
        fclose(f);
    return code;
}

static int wait_for_all(struct pusher *p)
{
    struct cli *c = p->cli;
    c->argc = (int)p->pushed;
    c->argv = p->waited;
    return cmd_wait(c);
}

static int check_words(struct pusher *p)
{
    struct cli *c = p->cli;
    if (cli_option(c, "id") && c->argc != 1)
        return cli_fail(c, EXIT_USAGE, "--id goes with exactly one prompt");
    if (cli_option(c, "file") && c->argc)
        return cli_fail(c, EXIT_USAGE, "prompts or --file FILE, not both");
    if (cli_option(c, "text") && !p->wait)
        return cli_fail(c, EXIT_USAGE, "--text goes with --wait: it prints the answers' text");
    return 0;
}

static int push_all(struct pusher *p)
{
    struct cli *c = p->cli;
    int code = 0;
    for (int i = 0; !code && i < c->argc; i++)
        code = add(p, span_of(c->argv[i]));
    if (!code && c->argc == 0)
        code = push_file(p, cli_option(c, "file") ? cli_option(c, "file") : "-");
    int rest = flush(p); // what was good before a bad line is pushed, and its ids are told
    return code ? code : rest;
}

int cmd_push(struct cli *c)
{
    struct pusher *p = calloc(1, sizeof *p);
    if (!p)
        return cli_fail(c, EXIT_USAGE, "out of memory");
    p->cli = c;
    p->wait = cli_option(c, "wait") != NULL;
    cli_key(c, "jobs", p->key);
    int code = check_words(p);
    if (!code)
        code = cli_connect(c);
    if (!code)
        code = cli_now(c, &p->now_ms);
    if (!code)
        code = push_all(p);
    if (!code && p->pushed && p->wait) {
        char **own = c->argv;
        code = wait_for_all(p);
        c->argv = own;
    }
    for (size_t i = 0; p->waited && i < p->pushed; i++)
        free(p->waited[i]);
    free(p->waited);
    free(p);
    return code;
}
