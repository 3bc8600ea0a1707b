#include "worker/cli/sync.h"

#include "common/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { CONNECT_MS = 5000, WORDS_MAX = 32 };

struct sync {
    uv_loop_t loop;
    uv_timer_t timer;
    struct rurl url;
    struct rlink *link;
    bool loaded, late, closed;
    char why[SYNC_WHY_MAX];
};

// waiting: one answer that the loop is run for.
struct waiting {
    struct sync *sync;
    bool done;
    int err;
    sync_fn fn;
    void *arg;
};

static void on_late(uv_timer_t *t)
{
    struct sync *s = t->data;
    s->late = true;
}

// on_state: the first failure is enough for a command line; whoever waits for Redis can try again.
static void on_state(struct rlink *l, enum rlink_state state, const char *why, void *arg)
{
    struct sync *s = arg;
    (void)l, (void)why;
    if (state == RLINK_DOWN)
        s->late = true;
}

static void on_closed(void *arg)
{
    struct sync *s = arg;
    s->closed = true;
}

static int explain(struct sync *s, char *ret_why, size_t room)
{
    char shown[400];
    rurl_show(&s->url, shown, sizeof shown);
    snprintf(ret_why, room,
             "cannot reach Redis at %s: %s; start it, or name another with --redis-url", shown,
             rlink_why(s->link)[0] ? rlink_why(s->link) : "no answer");
    return ERR_LINK_DOWN;
}

static int dial(struct sync *s, char *ret_why, size_t room)
{
    struct rlink_options opt = {
        .url = &s->url, .client_name = "penstock-cli", .on_state = on_state, .arg = s};
    int err = rlink_open(&s->loop, &opt, &s->link);
    if (err) {
        snprintf(ret_why, room, "%s",
                 err == ERR_BAD_CONF ? "this build cannot speak TLS to Redis: it "
                                       "was built without hiredis_ssl"
                                     : err_text(err));
        return err;
    }
    uv_timer_start(&s->timer, on_late, CONNECT_MS, 0);
    while (!rlink_is_up(s->link) && !s->late)
        uv_run(&s->loop, UV_RUN_ONCE);
    uv_timer_stop(&s->timer);
    return rlink_is_up(s->link) ? 0 : explain(s, ret_why, room);
}

int sync_open(const struct conf *conf, struct sync **ret, char *ret_why, size_t why_room)
{
    struct sync *s = calloc(1, sizeof *s);
    if (!s || uv_loop_init(&s->loop)) {
        free(s);
        snprintf(ret_why, why_room, "out of memory");
        return ERR_NOMEM;
    }
    uv_timer_init(&s->loop, &s->timer);
    s->timer.data = s;
    int err = rurl_parse(conf->redis_url, &s->url, ret_why, why_room);
    if (!err)
        err = dial(s, ret_why, why_room);
    if (err) {
        sync_close(s);
        return err;
    }
    *ret = s;
    return 0;
}

void sync_close(struct sync *s)
{
    if (!s)
        return;
    if (s->link)
        rlink_close(s->link, on_closed, s);
    uv_close((uv_handle_t *)&s->timer, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    uv_loop_close(&s->loop);
    free(s);
}

static void on_answer(int err, const struct reply *reply, void *arg)
{
    struct waiting *w = arg;
    w->done = true;
    w->err = err;
    if (err == ERR_LINK_DOWN)
        snprintf(w->sync->why, sizeof w->sync->why, "the connection to Redis broke: %s",
                 rlink_why(w->sync->link));
    else if (err)
        snprintf(w->sync->why, sizeof w->sync->why, "Redis: %s", reply_text(reply));
    if (err != ERR_LINK_DOWN && w->fn)
        w->fn(err, reply, w->arg);
}

static int run_to_end(struct sync *s, struct waiting *w, int err)
{
    if (err) {
        snprintf(s->why, sizeof s->why, "%s", err_text(err));
        return err;
    }
    while (!w->done)
        uv_run(&s->loop, UV_RUN_ONCE);
    return w->err;
}

int sync_call(struct sync *s, int argc, const char **argv, const size_t *lens, int64_t patience_ms,
              sync_fn fn, void *arg)
{
    struct waiting w = {.sync = s, .fn = fn, .arg = arg};
    return run_to_end(s, &w, rlink_call(s->link, argc, argv, lens, patience_ms, on_answer, &w));
}

static void on_loaded(int err, const char *why, void *arg)
{
    struct waiting *w = arg;
    w->done = true;
    w->err = err;
    if (err)
        snprintf(w->sync->why, sizeof w->sync->why, "Redis refused the scripts: %s", why);
}

int sync_script(struct sync *s, enum script script, const char *key, const struct args *args,
                sync_fn fn, void *arg)
{
    if (!s->loaded) {
        struct waiting w = {.sync = s};
        int err = run_to_end(s, &w, script_load_all(s->link, on_loaded, &w));
        if (err)
            return err;
        s->loaded = true;
    }
    struct waiting w = {.sync = s, .fn = fn, .arg = arg};
    return run_to_end(s, &w, script_call(s->link, script, key, args, on_answer, &w));
}

static int collect(va_list words, const char **argv, size_t *lens)
{
    int argc = 0;
    for (const char *w; argc < WORDS_MAX && (w = va_arg(words, const char *)) != NULL; argc++) {
        argv[argc] = w;
        lens[argc] = strlen(w);
    }
    return argc;
}

int sync_words(struct sync *s, sync_fn fn, void *arg, ...)
{
    const char *argv[WORDS_MAX];
    size_t lens[WORDS_MAX];
    va_list words;
    va_start(words, arg);
    int argc = collect(words, argv, lens);
    va_end(words);
    return sync_call(s, argc, argv, lens, 0, fn, arg);
}

int sync_node_words(struct sync *s, size_t nth, sync_fn fn, void *arg, ...)
{
    const char *argv[WORDS_MAX];
    size_t lens[WORDS_MAX];
    struct waiting w = {.sync = s, .fn = fn, .arg = arg};
    va_list words;
    va_start(words, arg);
    int argc = collect(words, argv, lens);
    va_end(words);
    return run_to_end(s, &w, rlink_call_node(s->link, nth, argc, argv, lens, 0, on_answer, &w));
}

static void keep_text(int err, const struct reply *reply, void *arg)
{
    struct span text;
    struct strbuf *ret = arg;
    if (err == 0 && reply_str(reply, &text))
        strbuf_add_span(ret, text);
    else
        ret->err = ERR_BAD_REPLY;
}

bool sync_text(struct sync *s, struct strbuf *ret, const char *verb, const char *key)
{
    strbuf_clear(ret);
    return sync_words(s, keep_text, ret, verb, key, NULL) == 0 && !strbuf_failed(ret);
}

bool sync_field(struct sync *s, struct strbuf *ret, const char *key, const char *field)
{
    strbuf_clear(ret);
    return sync_words(s, keep_text, ret, "HGET", key, field, NULL) == 0 && !strbuf_failed(ret);
}

static void keep_int(int err, const struct reply *reply, void *arg)
{
    int64_t *ret = arg;
    if (err == 0)
        *ret = reply_int_or(reply, *ret);
}

int64_t sync_int(struct sync *s, const char *verb, const char *key, int64_t otherwise)
{
    int64_t n = otherwise;
    int err = sync_words(s, keep_int, &n, verb, key, NULL);
    return err ? otherwise : n;
}

size_t sync_nodes(const struct sync *s)
{
    size_t nodes = rlink_nodes(s->link);
    return nodes ? nodes : 1;
}

struct rlink *sync_link(struct sync *s)
{
    return s->link;
}

struct uv_loop_s *sync_loop(struct sync *s)
{
    return &s->loop;
}

const char *sync_why(const struct sync *s)
{
    return s->why;
}
