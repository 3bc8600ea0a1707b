#include "worker/cli/find.h"

#include "common/base/err.h"

#include <stdlib.h>
#include <string.h>

enum { SCAN_ROUNDS_MAX = 200 }; // of a thousand keys each

bool names_have(const struct names *n, struct span name)
{
    for (size_t i = 0; i < n->count; i++)
        if (span_is(name, n->at[i]))
            return true;
    return false;
}

void names_add(struct names *n, struct span name)
{
    if (name.len == 0 || name.len >= FIND_NAME_MAX || names_have(n, name))
        return;
    if (!n->at)
        n->at = calloc(FIND_MAX, sizeof *n->at);
    if (!n->at || n->count == FIND_MAX) {
        n->cut = true;
        return;
    }
    memcpy(n->at[n->count], name.at, name.len);
    n->at[n->count++][name.len] = '\0';
}

bool names_next(struct span *rest, struct span *ret)
{
    size_t len = 0;
    while (rest->len && (*rest->at == ' ' || *rest->at == ','))
        *rest = (struct span){rest->at + 1, rest->len - 1};
    while (len < rest->len && rest->at[len] != ' ' && rest->at[len] != ',')
        len++;
    *ret = (struct span){rest->at, len};
    *rest = (struct span){rest->at + len, rest->len - len};
    return len > 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

void names_sort(struct names *n)
{
    if (n->count)
        qsort(n->at, n->count, sizeof *n->at, compare);
}

void names_fini(struct names *n)
{
    free(n->at);
    *n = (struct names){0};
}

static void take_names(int err, const struct reply *reply, void *arg)
{
    struct span name;
    for (size_t i = 0; err == 0 && i < reply_count(reply); i++)
        if (reply_str(reply_at(reply, i), &name))
            names_add(arg, name);
}

int find_workers(struct cli *c, struct names *ret)
{
    char key[CLI_KEY_MAX];
    key_workers(c->conf.prefix, key, sizeof key);
    return sync_words(c->redis, take_names, ret, "ZRANGE", key, "0", "999", NULL) ? cli_lost(c) : 0;
}

// take_words adds the words of a list: "interactive:10,bulk:1" or "anthropic:main:a anthropic:..."
struct words {
    struct names *to;
    bool queues;
};

static void take_words(int err, const struct reply *reply, void *arg)
{
    struct words *w = arg;
    struct span text, word;
    if (err || !reply_str(reply, &text))
        return;
    while (names_next(&text, &word)) {
        const char *colon = w->queues ? memchr(word.at, ':', word.len) : NULL;
        if (colon)
            word.len = (size_t)(colon - word.at);
        names_add(w->to, word);
    }
}

// ask_workers reads one field of each worker's hash.
static int ask_workers(struct cli *c, const char *field, struct names *ret)
{
    struct names workers = {0};
    struct words w = {ret, strcmp(field, "queues") == 0};
    int code = find_workers(c, &workers);
    for (size_t i = 0; !code && i < workers.count; i++) {
        char key[CLI_KEY_MAX];
        key_worker(c->conf.prefix, workers.at[i], key, sizeof key);
        if (sync_words(c->redis, take_words, &w, "HGET", key, field, NULL))
            code = cli_lost(c);
    }
    names_fini(&workers);
    return code;
}

struct walk {
    struct names *to;
    const char *before, *behind; // what stands around the name in the key
    char cursor[32];
};

static void take_keys(int err, const struct reply *reply, void *arg)
{
    struct walk *w = arg;
    struct span cursor = {0}, key;
    const struct reply *keys = reply_at(reply, 1);
    if (err || !reply_str(reply_at(reply, 0), &cursor) || cursor.len >= sizeof w->cursor)
        cursor = span_of("0");
    memcpy(w->cursor, cursor.at, cursor.len);
    w->cursor[cursor.len] = '\0';
    size_t head = strlen(w->before), tail = strlen(w->behind);
    for (size_t i = 0; i < reply_count(keys); i++)
        if (reply_str(reply_at(keys, i), &key) && key.len > head + tail)
            names_add(w->to, (struct span){key.at + head, key.len - head - tail});
}

// walk_node looks at up to 200,000 keys of a node for those of a form.
static int walk_node(struct cli *c, size_t nth, struct walk *w, const char *pattern)
{
    snprintf(w->cursor, sizeof w->cursor, "0");
    for (int round = 0; round < SCAN_ROUNDS_MAX; round++) {
        if (sync_node_words(c->redis, nth, take_keys, w, "SCAN", w->cursor, "MATCH", pattern,
                            "COUNT", "1000", "TYPE", "hash", NULL))
            return cli_lost(c);
        if (strcmp(w->cursor, "0") == 0)
            return 0;
    }
    w->to->cut = true;
    return 0;
}

static int walk_keys(struct cli *c, struct walk *w, const char *pattern)
{
    size_t nodes = sync_nodes(c->redis);
    int code = 0;
    for (size_t i = 0; !code && i < nodes; i++)
        code = walk_node(c, i, w, pattern);
    return code;
}

int find_queues(struct cli *c, struct names *ret)
{
    static struct conf_queue all[1000];
    char why[CONF_WHY_MAX];
    if (cli_option(c, "queue")) {
        names_add(ret, span_of(c->queue));
        return 0;
    }
    int count = conf_queues(&c->conf, all, ARRAY_LEN(all), why, sizeof why);
    for (int i = 0; i < count; i++)
        names_add(ret, span_of(all[i].name));
    return ask_workers(c, "queues", ret);
}

int find_pools(struct cli *c, struct names *ret)
{
    char before[CLI_KEY_MAX], pattern[CLI_KEY_MAX + 4];
    int code = ask_workers(c, "pools", ret);
    if (code || ret->count)
        return code;
    snprintf(before, sizeof before, "%s:pool:{", c->conf.prefix);
    snprintf(pattern, sizeof pattern, "%s*}", before);
    struct walk w = {.to = ret, .before = before, .behind = "}"};
    return walk_keys(c, &w, pattern);
}

int find_runs(struct cli *c, const char *queue, struct names *ret)
{
    char before[CLI_KEY_MAX], pattern[CLI_KEY_MAX + 4];
    key_queue(c->conf.prefix, queue, "run:", before, sizeof before);
    snprintf(pattern, sizeof pattern, "%s*", before);
    struct walk w = {.to = ret, .before = before, .behind = ""};
    return walk_keys(c, &w, pattern);
}

int find_latest_runs(struct cli *c, const struct names *queues, struct names *ret)
{
    struct names workers = {0};
    int code = find_workers(c, &workers);
    if (!code && workers.count)
        code = ask_workers(c, "runs", ret);
    for (size_t i = 0; !code && workers.count == 0 && i < queues->count; i++) {
        struct names runs = {0};
        char name[2 * NAME_BYTES_MAX + 2];
        code = find_runs(c, queues->at[i], &runs);
        for (size_t k = 0; k < runs.count; k++) {
            snprintf(name, sizeof name, "%.64s/%.64s", queues->at[i], runs.at[k]);
            names_add(ret, span_of(name));
        }
        names_fini(&runs);
    }
    names_fini(&workers);
    return code;
}
