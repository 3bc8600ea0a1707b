// api: what may be read as JSON (docs/admin-api.md). Most of it comes from the sample; what must be
// asked of Redis is asked at a capped rate.
#include "common/base/clock.h"
#include "common/base/err.h"
#include "worker/admin/admin_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool api_may_ask(struct admin *a)
{
    uint64_t now_ms = clock_mono_ms();
    double since = (double)(now_ms - a->questions_at_ms) / 1000;
    a->questions = MIN(a->questions + since * (REDIS_PER_S - 1), (double)REDIS_BURST);
    a->questions_at_ms = now_ms;
    if (a->questions < 1)
        return false;
    a->questions -= 1;
    return true;
}

struct ask *api_ask_new(struct request *q,
                        void (*heard)(struct request *q, int err, const struct reply *reply))
{
    struct ask *ask = calloc(1, sizeof *ask);
    if (!ask)
        return NULL;
    ask->admin = q->admin;
    ask->request = q;
    ask->heard = heard;
    q->ask = ask;
    q->admin->asks++;
    return ask;
}

void api_ask_failed(struct request *q, struct ask *ask)
{
    q->ask = NULL;
    q->admin->asks--;
    free(ask);
    server_refuse(q, 503, "no connection to Redis");
}

int api_ask(struct request *q, const char *const items[][4], size_t count,
            void (*heard)(struct request *q, int err, const struct reply *reply))
{
    if (!api_may_ask(q->admin)) {
        server_refuse(q, 429, "too many questions at once; ask again in a second");
        return ERR_TOO_BIG;
    }
    struct ask *ask = api_ask_new(q, heard);
    if (!ask) {
        server_refuse(q, 503, "out of memory");
        return ERR_NOMEM;
    }
    int err = run_look(q->admin->run, items, count, api_heard, ask);
    if (err)
        api_ask_failed(q, ask);
    return err;
}

const char *api_queue(const struct admin *a, const char *name)
{
    struct queue_view q;
    for (size_t i = 0; run_see_queue(a->run, i, &q); i++)
        if (strcmp(q.name, name) == 0)
            return q.stem;
    return NULL;
}

bool api_pool(const struct admin *a, const char *name, struct pool_view *ret)
{
    for (size_t i = 0; run_see_pool(a->run, i, ret); i++)
        if (strcmp(ret->name, name) == 0)
            return true;
    return false;
}

static const char *query(struct request *q, const char *name)
{
    const char *value = MHD_lookup_connection_value(q->connection, MHD_GET_ARGUMENT_KIND, name);
    return value ? value : "";
}

static size_t query_num(struct request *q, const char *name, size_t otherwise, size_t most)
{
    const char *text = query(q, name);
    unsigned long n = text[0] ? strtoul(text, NULL, 10) : otherwise;
    return n < most ? n : most;
}

static bool failed(struct request *q, int err)
{
    if (err)
        server_refuse(q, 503, err == ERR_LINK_DOWN ? "no connection to Redis" : "Redis refused");
    return err != 0;
}

static void add_text(struct strbuf *b, const char *name, const struct reply *r)
{
    struct span s = {"", 0};
    reply_str(r, &s);
    strbuf_add_fmt(b, "\"%s\":", name);
    strbuf_add_json(b, s.at ? s.at : "", s.len);
}

// ------------------------------------------------------------------------------------ dead

static void heard_dead(struct request *q, int err, const struct reply *reply)
{
    static const char *const fields[] = {"id", "died", "cause", "error", "status", "attempts"};
    struct strbuf *b = &q->answer;
    const struct reply *item = reply_at(reply, 1);
    if (failed(q, err))
        return;
    strbuf_add_str(b, "{\"count\":");
    strbuf_add_int(b, reply_int_or(reply_at(item, 0), 0));
    strbuf_add_str(b, ",\"jobs\":[");
    for (size_t i = 1; i < reply_count(item); i++) {
        strbuf_add_str(b, i > 1 ? ",{" : "{");
        for (size_t f = 0; f < ARRAY_LEN(fields); f++) {
            strbuf_add_str(b, f ? "," : "");
            add_text(b, fields[f], reply_at(reply_at(item, i), f));
        }
        strbuf_add_char(b, '}');
    }
    strbuf_add_str(b, "]}\n");
}

static void get_dead(struct request *q)
{
    char first[24], most[24];
    const char *stem = api_queue(q->admin, query(q, "queue"));
    if (!stem) {
        server_refuse(q, 404, "queue= is none of this worker's");
        return;
    }
    snprintf(first, sizeof first, "%zu", query_num(q, "first", 0, 1000000000));
    snprintf(most, sizeof most, "%zu", query_num(q, "limit", 50, 100));
    const char *const items[][4] = {{"dead", stem, first, most}};
    if (api_ask(q, items, 1, heard_dead))
        return; // refused already
}

// ------------------------------------------------------------------------------------ one job

static void heard_job(struct request *q, int err, const struct reply *reply)
{
    struct strbuf *b = &q->answer;
    const struct reply *item = reply_at(reply, 1), *fields = reply_at(item, 0);
    bool payload = strcmp(query(q, "payload"), "1") == 0;
    if (failed(q, err))
        return;
    int64_t bytes = reply_int_or(reply_at(item, 4), 0);
    if (reply_count(fields) == 0 && bytes == 0) {
        server_refuse(q, 404, "no such job: it still waits in jobs, or its result has expired");
        return;
    }
    strbuf_add_str(b, "{\"job\":{");
    for (size_t i = 0; i + 1 < reply_count(fields); i += 2) {
        struct span name = {"", 0};
        reply_str(reply_at(fields, i), &name);
        strbuf_add_str(b, i ? "," : "");
        strbuf_add_json(b, name.at, name.len);
        strbuf_add_char(b, ':');
        struct span value = {"", 0};
        reply_str(reply_at(fields, i + 1), &value);
        strbuf_add_json(b, value.at ? value.at : "", value.len);
    }
    strbuf_add_fmt(b, "},\"payload_bytes\":%lld,\"result_bytes\":%lld,\"result_ttl_ms\":%lld",
                   (long long)reply_int_or(reply_at(item, 2), 0), (long long)bytes,
                   (long long)reply_int_or(reply_at(item, 5), -1));
    if (payload) {
        strbuf_add_char(b, ',');
        add_text(b, "payload", reply_at(item, 1));
    }
    strbuf_add_char(b, ',');
    add_text(b, "result", reply_at(item, 3));
    strbuf_add_char(b, ',');
    add_text(b, "due", reply_at(item, 6));
    strbuf_add_char(b, ',');
    add_text(b, "lease_until", reply_at(item, 7));
    strbuf_add_str(b, ",\"calls\":");
    view_calls(q->admin, query(q, "queue"), query(q, "id"), b);
    strbuf_add_str(b, "}\n");
}

static bool is_id(const char *id)
{
    size_t len = strlen(id);
    return len >= 1 && len <= 128 &&
           strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-") == len;
}

static void get_job(struct request *q)
{
    char cap[16];
    const char *stem = api_queue(q->admin, query(q, "queue")), *id = query(q, "id");
    snprintf(cap, sizeof cap, "%d", PAYLOAD_SHOWN);
    if (!stem || !is_id(id)) {
        server_refuse(q, 404, stem ? "id= is no job's id" : "queue= is none of this worker's");
        return;
    }
    const char *const items[][4] = {{"job", stem, id, cap}};
    if (api_ask(q, items, 1, heard_job))
        return; // refused already
}

// ------------------------------------------------------------------------------------ the rest

static void get_queues(struct request *q)
{
    strbuf_add_str(&q->answer, "{\"queues\":");
    view_queues(q->admin, query(q, "filter"), query_num(q, "first", 0, 100000),
                query_num(q, "limit", 100, 1000), &q->answer);
    strbuf_add_str(&q->answer, "}\n");
}

static void wrap(struct request *q, const char *name,
                 void (*view)(const struct admin *a, struct strbuf *b))
{
    strbuf_add_fmt(&q->answer, "{\"%s\":", name);
    view(q->admin, &q->answer);
    strbuf_add_str(&q->answer, "}\n");
}

bool api_get(struct request *q, const char *path)
{
    struct admin *a = q->admin;
    q->done = true; // unless Redis is asked
    if (strcmp(path, "overview") == 0) {
        view_overview(a, &q->answer);
    } else if (strcmp(path, "queues") == 0) {
        get_queues(q);
    } else if (strcmp(path, "pools") == 0) {
        wrap(q, "pools", view_pools);
    } else if (strcmp(path, "workers") == 0) {
        wrap(q, "workers", view_workers);
    } else if (strcmp(path, "runs") == 0) {
        wrap(q, "runs", view_runs);
    } else if (strcmp(path, "history") == 0) {
        wrap(q, "history", view_history);
    } else if (strcmp(path, "calls") == 0) {
        strbuf_add_str(&q->answer, "{\"calls\":");
        view_calls(a, query(q, "queue"), query(q, "job"), &q->answer);
        strbuf_add_str(&q->answer, "}\n");
    } else if (strcmp(path, "dead") == 0) {
        q->done = false;
        get_dead(q);
    } else if (strcmp(path, "job") == 0) {
        q->done = false;
        get_job(q);
    } else {
        return false;
    }
    return true;
}
