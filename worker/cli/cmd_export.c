// penstock export: the results that a queue keeps, or its dead letters, a JSON object a line.
// Results are found by a walk through the keys (SCAN), so they come in no order; each once.
#include "common/base/err.h"
#include "worker/cli/fetch.h"
#include "worker/cli/idset.h"
#include "worker/cli/out.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DEAD_AT_ONCE = 100, SEEN_OF_A_WALK = 4096 };

struct exporter {
    struct cli *cli;
    const char *run, *status;
    FILE *to;
    char before[CLI_KEY_MAX]; // what stands before the id in a result's key
    char cursor[32];
    struct idset seen; // SCAN may show a key twice
    struct fetch fetch;
    uint64_t count;
    int code;
    char ids[DEAD_AT_ONCE][ID_BYTES_MAX + 1]; // dead ones
    size_t id_count;
};

static void write_result(struct span result, void *arg)
{
    struct exporter *e = arg;
    if ((e->run && !fetch_field_is(result, "run", e->run)) ||
        (e->status && !fetch_field_is(result, "status", e->status)))
        return;
    fwrite(result.at, 1, result.len, e->to);
    fputc('\n', e->to);
    e->count++;
}

// --- results ---------------------------------------------------------------------------------

// page: the ids of one answer of SCAN, which may be more than it was asked for.
struct page {
    struct exporter *of;
    char (*ids)[ID_BYTES_MAX + 1];
    size_t count, room;
};

static void take_keys(int err, const struct reply *reply, void *arg)
{
    struct page *p = arg;
    struct span cursor = {"0", 1}, key;
    const struct reply *keys = reply_at(reply, 1);
    size_t head = strlen(p->of->before);
    if (err || !reply_str(reply_at(reply, 0), &cursor) || cursor.len >= sizeof p->of->cursor)
        cursor = span_of("0");
    memcpy(p->of->cursor, cursor.at, cursor.len);
    p->of->cursor[cursor.len] = '\0';
    for (size_t i = 0; i < reply_count(keys) && p->count < p->room; i++) {
        if (!reply_str(reply_at(keys, i), &key) || key.len <= head || key.len - head > ID_BYTES_MAX)
            continue;
        struct span id = {key.at + head, key.len - head};
        int fresh = idset_add(&p->of->seen, hash_of(id));
        if (fresh < 0)
            p->of->code = cli_fail(p->of->cli, EXIT_USAGE, "out of memory");
        if (fresh != 1)
            continue;
        memcpy(p->ids[p->count], id.at, id.len);
        p->ids[p->count++][id.len] = '\0';
    }
}

static void fetch_page(struct exporter *e, struct page *p)
{
    for (size_t i = 0; i < p->count && !e->code; i++)
        if (fetch_add(&e->fetch, span_of(p->ids[i])))
            e->code = fetch_run(e->cli, &e->fetch);
    if (!e->code)
        e->code = fetch_run(e->cli, &e->fetch);
    p->count = 0;
}

static int export_results(struct exporter *e)
{
    char pattern[CLI_KEY_MAX + 4];
    struct page p = {.of = e, .room = SEEN_OF_A_WALK};
    p.ids = calloc(p.room, sizeof *p.ids);
    if (!p.ids)
        return cli_fail(e->cli, EXIT_USAGE, "out of memory");
    cli_key(e->cli, "result:", e->before);
    snprintf(pattern, sizeof pattern, "%s*", e->before);
    snprintf(e->cursor, sizeof e->cursor, "0");
    do {
        if (sync_words(e->cli->redis, take_keys, &p, "SCAN", e->cursor, "MATCH", pattern, "COUNT",
                       "1000", "TYPE", "string", NULL))
            e->code = cli_lost(e->cli);
        if (!e->code)
            fetch_page(e, &p);
    } while (!e->code && strcmp(e->cursor, "0") != 0 && !ferror(e->to));
    free(p.ids);
    idset_fini(&e->seen);
    return e->code;
}

// --- dead letters ----------------------------------------------------------------------------

static void take_ids(int err, const struct reply *reply, void *arg)
{
    struct exporter *e = arg;
    struct span id;
    for (size_t i = 0; err == 0 && i < reply_count(reply) && i < DEAD_AT_ONCE; i++)
        if (reply_str(reply_at(reply, i), &id) && id.len <= ID_BYTES_MAX) {
            memcpy(e->ids[e->id_count], id.at, id.len);
            e->ids[e->id_count++][id.len] = '\0';
        }
}

static void write_dead(int err, const struct reply *reply, void *arg)
{
    struct exporter *e = arg;
    struct strbuf line;
    strbuf_init(&line, 256u << 20);
    strbuf_add_str(&line, "{\"id\":");
    strbuf_add_json_str(&line, e->ids[e->id_count]);
    for (size_t i = 0; err == 0 && i + 1 < reply_count(reply); i += 2) {
        struct span name, value;
        if (!reply_str(reply_at(reply, i), &name) || !reply_str(reply_at(reply, i + 1), &value))
            continue;
        strbuf_add_char(&line, ',');
        strbuf_add_json(&line, name.at, name.len);
        strbuf_add_char(&line, ':');
        if (out_is_number(value) && !span_is(name, "payload"))
            strbuf_add_span(&line, value);
        else
            strbuf_add_json(&line, value.at, value.len);
    }
    strbuf_add_str(&line, "}\n");
    if (strbuf_failed(&line))
        e->code = cli_fail(e->cli, EXIT_USAGE, "%s: %s", e->ids[e->id_count], err_text(line.err));
    else if (reply_count(reply)) // else it has been retried or dropped meanwhile
        e->count += fwrite(line.at, 1, line.len, e->to) == line.len;
    strbuf_fini(&line);
}

static int export_dead(struct exporter *e)
{
    char key[CLI_KEY_MAX], from[24], to[24];
    for (size_t at = 0; !e->code; at += DEAD_AT_ONCE) {
        snprintf(from, sizeof from, "%zu", at);
        snprintf(to, sizeof to, "%zu", at + DEAD_AT_ONCE - 1);
        cli_key(e->cli, "dead", key);
        if (sync_words(e->cli->redis, take_ids, e, "ZRANGE", key, from, to, NULL))
            return cli_lost(e->cli);
        size_t count = e->id_count;
        for (size_t i = 0; i < count && !e->code; i++) {
            cli_id_key(e->cli, "job", e->ids[i], key);
            e->id_count = i; // whose turn it is
            if (sync_words(e->cli->redis, write_dead, e, "HGETALL", key, NULL))
                return cli_lost(e->cli);
        }
        e->id_count = 0;
        if (count < DEAD_AT_ONCE)
            break;
    }
    return e->code;
}

// ---------------------------------------------------------------------------------------------

static int open_output(struct exporter *e)
{
    const char *path = cli_option(e->cli, "output");
    e->to = path && strcmp(path, "-") != 0 ? fopen(path, "we") : stdout;
    return e->to ? 0 : cli_fail(e->cli, EXIT_USAGE, "%s: %s", path, strerror(errno));
}

static int finish(struct exporter *e, int code)
{
    bool bad = ferror(e->to) || fflush(e->to);
    if (e->to != stdout)
        bad = fclose(e->to) || bad;
    if (!code && bad)
        code = cli_fail(e->cli, EXIT_USAGE, "not all of it could be written: %s", strerror(errno));
    if (!code && e->to != stdout)
        fprintf(stderr, "penstock export: %llu written\n", (unsigned long long)e->count);
    return code;
}

int cmd_export(struct cli *c)
{
    struct exporter *e = calloc(1, sizeof *e);
    if (!e)
        return cli_fail(c, EXIT_USAGE, "out of memory");
    e->cli = c;
    e->run = cli_option(c, "run");
    e->status = cli_option(c, "status");
    e->fetch.take = write_result;
    e->fetch.arg = e;
    bool dead = cli_option(c, "dead") != NULL;
    int code = 0;
    if (c->argc)
        code = cli_fail(c, EXIT_USAGE, "no argument wanted; -o FILE says where to");
    else if (dead && (e->run || e->status))
        code = cli_fail(c, EXIT_USAGE, "--dead takes all dead letters: no --run, no --status");
    else if (e->status && !cli_is_status(e->status))
        code = cli_fail(c, EXIT_USAGE, "--status is succeeded, failed, expired or cancelled");
    if (!code)
        code = cli_connect(c);
    if (!code)
        code = open_output(e);
    if (!code)
        code = finish(e, dead ? export_dead(e) : export_results(e));
    free(e);
    return code;
}
