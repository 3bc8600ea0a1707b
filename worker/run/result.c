// result: the JSON a consumer reads (docs/protocol.md, A result). The answer's body and the
// producer's meta go in as the bytes they came as.
#include "common/base/scan.h"
#include "worker/run/money.h"
#include "worker/run/run_int.h"

#include <string.h>

static void add_or_null(struct strbuf *b, const char *s)
{
    strbuf_add_json_str(b, s && s[0] ? s : NULL);
}

static void add_usage(struct strbuf *b, const struct usage *u)
{
    strbuf_add_str(b, ",\"usage\":{\"input_tokens\":");
    strbuf_add_int(b, MAX(u->input, 0));
    strbuf_add_str(b, ",\"output_tokens\":");
    strbuf_add_int(b, MAX(u->output, 0));
    strbuf_add_str(b, ",\"cache_creation_input_tokens\":");
    strbuf_add_int(b, MAX(u->cache_creation, 0));
    strbuf_add_str(b, ",\"cache_read_input_tokens\":");
    strbuf_add_int(b, MAX(u->cache_read, 0));
    strbuf_add_char(b, '}');
}

void cost_text(int64_t nano, char ret[COST_BYTES])
{
    char text[COST_BYTES], *end = text + sizeof text,
                           *at = end; // by hand: each job has two of them
    int64_t whole = nano / 1000000000, part = nano % 1000000000;
    for (int i = 0; i < 9; i++, part /= 10)
        if (part % 10 || at < end)
            *--at = (char)('0' + part % 10);
    if (at < end)
        *--at = '.';
    do
        *--at = (char)('0' + whole % 10);
    while (whole /= 10);
    memcpy(ret, at, (size_t)(end - at));
    ret[end - at] = '\0';
}

static void add_cost(struct strbuf *b, int64_t nano)
{
    char text[COST_BYTES] = "null";
    if (nano >= 0)
        cost_text(nano, text);
    strbuf_add_str(b, ",\"cost_usd\":");
    strbuf_add_str(b, text);
}

static void add_error(struct strbuf *b, enum failure f, const char *message, int status,
                      const char *request_id)
{
    strbuf_add_fmt(b, ",\"error\":{\"type\":\"%s\",\"message\":", failure_word(f));
    strbuf_add_json_str(b, message);
    strbuf_add_str(b, ",\"http_status\":");
    if (status)
        strbuf_add_int(b, status);
    else
        strbuf_add_str(b, "null");
    strbuf_add_str(b, ",\"request_id\":");
    add_or_null(b, request_id);
    strbuf_add_char(b, '}');
}

static void add_tail(struct strbuf *b, int64_t attempts, int64_t throttles, int64_t created,
                     int64_t started, int64_t finished, const char *worker)
{
    strbuf_add_str(b, ",\"attempts\":");
    strbuf_add_int(b, attempts);
    strbuf_add_str(b, ",\"throttles\":");
    strbuf_add_int(b, throttles);
    strbuf_add_str(b, ",\"created\":");
    strbuf_add_int(b, created);
    strbuf_add_str(b, ",\"started\":");
    if (started)
        strbuf_add_int(b, started);
    else
        strbuf_add_str(b, "null");
    strbuf_add_str(b, ",\"finished\":");
    strbuf_add_int(b, finished);
    strbuf_add_str(b, ",\"worker\":");
    strbuf_add_json_str(b, worker);
}

static const char *why_failed(const struct attempt *a, enum failure f, const struct outcome *o)
{
    if (o && o->message[0])
        return o->message;
    if (a->fault)
        return a->fault->why;
    switch (f) {
    case FAILURE_EXPIRED:
        return "its time ran out before a call could start";
    case FAILURE_CANCELLED:
        return "cancelled by request";
    case FAILURE_CRASH:
        return "its workers died again and again while it ran";
    default:
        return failure_word(f);
    }
}

static void add_answer(struct strbuf *b, const struct outcome *o)
{
    strbuf_add_str(b, ",\"text\":");
    if (o->text && o->text->len)
        strbuf_add(b, o->text->at, o->text->len);
    else
        strbuf_add_str(b, "\"\"");
    strbuf_add_str(b, ",\"stop_reason\":");
    strbuf_add_span(b, o->stop_reason.len ? o->stop_reason : span_of("null"));
    strbuf_add_str(b, ",\"model\":\"");
    strbuf_add_span(b, o->model);
    strbuf_add_char(b, '"');
    add_usage(b, &o->usage);
}

// add_producers ends a result with what the producer said.
static void add_producers(struct strbuf *b, struct span run, struct span meta)
{
    if (run.len) {
        strbuf_add_str(b, ",\"run\":");
        strbuf_add_json(b, run.at, run.len);
    }
    if (meta.len) {
        strbuf_add_str(b, ",\"meta\":");
        strbuf_add_span(b, meta);
    }
    strbuf_add_char(b, '}');
}

void result_write(const struct attempt *a, const char *status, enum failure f,
                  const struct outcome *o, int64_t cost_nano_usd, struct strbuf *b)
{
    int64_t finished = f && !o ? run_now(a->run) : a->finished;
    enum { FRAME_BYTES = 640 }; // all that is neither the answer nor the producer's
    size_t text = o && o->text ? o->text->len : 0;
    size_t need = FRAME_BYTES + text + (o && !f ? o->response.len : 0) + a->job.meta.len;
    (void)!strbuf_reserve(b, MIN(need, b->ceiling));
    strbuf_add_str(b, "{\"id\":\"");
    strbuf_add_str(b, a->id);
    strbuf_add_str(b, "\",\"status\":\"");
    strbuf_add_str(b, status);
    strbuf_add_char(b, '"');
    if (f) {
        strbuf_add_str(b, ",\"text\":null,\"stop_reason\":null,\"model\":");
        if (a->job.model.len)
            strbuf_add_json(b, a->job.model.at, a->job.model.len);
        else
            strbuf_add_json_str(b, a->run->conf->model);
        strbuf_add_str(b, ",\"usage\":null");
        add_error(b, f, why_failed(a, f, o), o ? o->http_status : 0, o ? o->request_id : NULL);
    } else {
        add_answer(b, o);
    }
    add_cost(b, cost_nano_usd);
    add_tail(b, a->attempts, a->throttles, a->created, a->started, finished, a->run->worker);
    strbuf_add_str(b, ",\"request_id\":");
    add_or_null(b, o ? o->request_id : NULL);
    strbuf_add_str(b, ",\"response\":");
    strbuf_add_span(b, f ? span_of("null") : o->response);
    add_producers(b, a->fault ? a->fault->run : a->job.run,
                  a->fault ? a->fault->meta : a->job.meta);
}

void result_rest(const char *status, enum failure f, const char *message, const struct run *r,
                 const struct job_fault *of, struct strbuf *b)
{
    int64_t now = run_now(r);
    strbuf_add_fmt(b, ",\"status\":\"%s\",\"text\":null,\"stop_reason\":null,\"model\":null",
                   status);
    strbuf_add_str(b, ",\"usage\":null");
    add_error(b, f, message, 0, NULL);
    add_cost(b, -1);
    add_tail(b, 0, 0, now, 0, now, r->worker);
    strbuf_add_str(b, ",\"request_id\":null,\"response\":null");
    add_producers(b, of ? of->run : (struct span){0}, of ? of->meta : (struct span){0});
}
