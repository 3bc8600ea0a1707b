#include "common/queue/script.h"

#include "common/base/err.h"
#include "common/queue/keys.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// clang-format off
#define LIBRARY_MAP(XX) XX(, lib) XX(, end_lib) XX(, hold_lib) XX(, pool_lib) XX(, budget_lib)
// clang-format on

#define XX(name, file)                                                                             \
    extern const char embed_##file##_lua[];                                                        \
    extern const unsigned embed_##file##_lua_len;
SCRIPT_MAP(XX)
LIBRARY_MAP(XX)
#undef XX

enum { SCRIPT_BYTES_MAX = 64 * 1024 };

static struct {
    struct strbuf source;
    char sha[41];
} scripts[SCRIPT_COUNT];

const char *script_name(enum script s)
{
    static const char *const names[] = {
#define XX(name, file) #file,
        SCRIPT_MAP(XX)
#undef XX
    };
    return names[s];
}

static struct span own_text(enum script s)
{
    switch (s) {
#define XX(name, file)                                                                             \
    case SCRIPT_##name:                                                                            \
        return (struct span){embed_##file##_lua, embed_##file##_lua_len};
        SCRIPT_MAP(XX)
#undef XX
    case SCRIPT_COUNT:
        break;
    }
    abort();
}

static struct span library(struct span name)
{
#define XX(none, file)                                                                             \
    if (span_is(name, #file))                                                                      \
        return (struct span){embed_##file##_lua, embed_##file##_lua_len};
    LIBRARY_MAP(XX)
#undef XX
    abort();
}

// line takes a line, its end included, off the front of a text.
static struct span line(struct span *text)
{
    const char *end = memchr(text->at, '\n', text->len);
    size_t len = end ? (size_t)(end - text->at) + 1 : text->len;
    struct span l = {text->at, len};
    *text = (struct span){text->at + len, text->len - len};
    return l;
}

// build puts the libraries that a script names in its second line (`-- with: lib, end_lib`) before
// it, but after its `#!lua flags=...` line, which Redis accepts as the very first only.
static void build(enum script s)
{
    struct span own = own_text(s);
    struct strbuf *b = &scripts[s].source;
    strbuf_init(b, SCRIPT_BYTES_MAX);
    strbuf_add_span(b, line(&own));
    const char *at = line(&own).at + strlen("-- with: ");
    for (size_t len; (len = strcspn(at, ",\n")) > 0; at += len + strspn(at + len, ", "))
        strbuf_add_span(b, library((struct span){at, len}));
    strbuf_add_span(b, own);
    assert(!strbuf_failed(b));
}

struct span script_source(enum script s)
{
    if (!scripts[s].source.len)
        build(s);
    return strbuf_span(&scripts[s].source);
}

void args_clear(struct args *a)
{
    a->count = a->digits_used = 0;
}

void args_add(struct args *a, struct span s)
{
    assert(a->count < SCRIPT_ARGS_MAX);
    a->at[a->count++] = s.at ? s : (struct span){"", 0};
}

void args_add_str(struct args *a, const char *s)
{
    args_add(a, span_of(s));
}

void args_add_int(struct args *a, int64_t n)
{
    char text[24], *end = text + sizeof text, *at = end; // by hand: a job takes some twenty numbers
    uint64_t left = n < 0 ? (uint64_t)0 - (uint64_t)n : (uint64_t)n;
    do
        *--at = (char)('0' + left % 10);
    while (left /= 10);
    if (n < 0)
        *--at = '-';
    size_t len = (size_t)(end - at);
    char *to = a->digits + a->digits_used;
    assert(len <= sizeof a->digits - a->digits_used);
    memcpy(to, at, len);
    a->digits_used += len;
    args_add(a, (struct span){to, len});
}

// wrap: stands between a call and its caller, to see a NOSCRIPT go by. One a call.
struct wrap {
    struct rlink *link;
    rlink_cb cb;
    void *arg;
};

static int load(struct rlink *link, enum script s, rlink_cb cb, void *arg)
{
    struct span source = script_source(s);
    const char *argv[] = {"SCRIPT", "LOAD", source.at};
    size_t lens[] = {6, 4, source.len};
    return rlink_call_each(link, 3, argv, lens, cb, arg);
}

static void on_loaded(int err, const struct reply *reply, void *arg)
{
    size_t s = (size_t)(uintptr_t)arg;
    struct span sha;
    if (err == 0 && reply_str(reply, &sha) && sha.len == 40)
        memcpy(scripts[s].sha, sha.at, 40);
}

// reload: who has lost one script has lost them all. Commands of one link run in order, so what is
// sent next finds them.
static void reload(struct rlink *link)
{
    for (size_t s = 0; s < SCRIPT_COUNT; s++) {
        int unsent = load(link, (enum script)s, on_loaded, (void *)(uintptr_t)s);
        (void)unsent; // the link has gone: it will load all when it is back
    }
}

static void on_answer(int err, const struct reply *reply, void *arg)
{
    struct wrap w = *(struct wrap *)arg;
    free(arg);
    if (err == ERR_REDIS && reply_is_error(reply, "NOSCRIPT"))
        reload(w.link);
    w.cb(err, reply, w.arg);
}

// add_keys: a script that moves a queue's keys names two of them, its stem, which never exists, and
// `jobs`. While a cluster moves the queue's slot to another node, and some keys are here and some
// there, Redis then refuses to run it on either (TRYAGAIN), though most of its keys are not named.
static size_t add_keys(enum script s, const char *key, char *jobs, size_t room, const char **argv,
                       size_t *lens)
{
    bool one = s == SCRIPT_LOOK || strncmp(script_name(s), "pool_", 5) == 0;
    size_t len = strlen(key);
    argv[0] = one ? "1" : "2", lens[0] = 1;
    argv[1] = key, lens[1] = len;
    if (one)
        return 2;
    snprintf(jobs, room, "%sjobs", key);
    argv[2] = jobs, lens[2] = strlen(jobs);
    return 3;
}

int script_call(struct rlink *link, enum script s, const char *key, const struct args *a,
                rlink_cb cb, void *arg)
{
    static const char unknown[] = "0000000000000000000000000000000000000000";
    const char *argv[SCRIPT_ARGS_MAX + 5];
    size_t lens[SCRIPT_ARGS_MAX + 5];
    char jobs[KEY_BYTES_MAX];
    argv[0] = "EVALSHA", lens[0] = 7;
    argv[1] = scripts[s].sha[0] ? scripts[s].sha : unknown, lens[1] = 40;
    size_t argc = 2 + add_keys(s, key, jobs, sizeof jobs, argv + 2, lens + 2);
    for (size_t i = 0; i < a->count; i++, argc++) {
        argv[argc] = a->at[i].at;
        lens[argc] = a->at[i].len;
    }
    struct wrap *w = malloc(sizeof *w);
    if (!w)
        return ERR_NOMEM;
    *w = (struct wrap){link, cb, arg};
    int err = rlink_call(link, (int)argc, argv, lens, 0, on_answer, w);
    if (err)
        free(w);
    return err;
}

// loading: one script_load_all under way.
struct loading {
    struct rlink *link;
    size_t left;
    int err;
    char why[160];
    void (*done)(int err, const char *why, void *arg);
    void *arg;
};

struct load_one {
    struct loading *of;
    enum script script;
};

static void note_end(struct loading *g, int err, const char *why)
{
    if (err && !g->err) {
        g->err = err;
        snprintf(g->why, sizeof g->why, "%s", why);
    }
    if (--g->left > 0)
        return;
    g->done(g->err, g->why, g->arg);
    free(g);
}

static void on_one_loaded(int err, const struct reply *reply, void *arg)
{
    struct load_one one = *(struct load_one *)arg;
    free(arg);
    on_loaded(err, reply, (void *)(uintptr_t)one.script);
    note_end(one.of, err, err == ERR_REDIS ? reply_text(reply) : err_text(err));
}

int script_load_all(struct rlink *link, void (*done)(int err, const char *why, void *arg),
                    void *arg)
{
    struct loading *g = calloc(1, sizeof *g);
    if (!g)
        return ERR_NOMEM;
    *g = (struct loading){.link = link, .left = 1, .done = done, .arg = arg};
    for (int s = 0; s < SCRIPT_COUNT; s++) {
        struct load_one *one = malloc(sizeof *one);
        int err = ERR_NOMEM;
        if (one) {
            *one = (struct load_one){g, (enum script)s};
            err = load(link, (enum script)s, on_one_loaded, one);
        }
        if (err == 0) {
            g->left++;
            continue;
        }
        free(one);
        if (s == 0) { // nothing is under way, so the caller hears it now
            free(g);
            return err;
        }
        g->err = err;
        break;
    }
    g->left--; // our own hold; answers never come before we return
    return 0;
}
