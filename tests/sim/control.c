#include "tests/sim/control.h"

#include "common/base/err.h"
#include "tests/sim/report.h"
#include "tests/sim/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPORT_MAX_BYTES = 48 << 20, WORD_MAX_BYTES = 256, LOG_LINES = 1000, DEPTH_MAX = 16 };

// What a control path does: it fills `out` and gives the status. why is for 400.
struct command {
    enum http_method method;
    const char *path;
    int (*run)(struct sim *s, const struct http_head *h, struct span body, struct strbuf *out);
};

static int bad(struct strbuf *out, const char *why)
{
    strbuf_clear(out);
    strbuf_add_str(out, "{\"error\":");
    strbuf_add_json_str(out, why);
    strbuf_add_str(out, "}\n");
    return 400;
}

static int hex(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;
    return at ? (int)(at - digits) : -1;
}

// query_word finds a parameter of the query, percent-decoded. false: it is not there.
static bool query_word(struct span query, const char *name, char ret[WORD_MAX_BYTES])
{
    size_t len = strlen(name), n = 0;
    const char *at = query.at, *end = at + query.len;
    while (at < end &&
           !((size_t)(end - at) > len && memcmp(at, name, len) == 0 && at[len] == '=')) {
        const char *amp = memchr(at, '&', (size_t)(end - at));
        at = amp ? amp + 1 : end;
    }
    if (at >= end)
        return false;
    for (at += len + 1; at < end && *at != '&' && n + 1 < WORD_MAX_BYTES; at++) {
        ret[n++] = *at == '+' ? ' ' : *at;
        if (*at == '%' && end - at > 2 && hex(at[1]) >= 0 && hex(at[2]) >= 0) {
            ret[n - 1] = (char)(hex(at[1]) * 16 + hex(at[2]));
            at += 2;
        }
    }
    ret[n] = '\0';
    return true;
}

static uint64_t query_number(struct span query, const char *name, uint64_t usual)
{
    char word[WORD_MAX_BYTES];
    return query_word(query, name, word) ? strtoull(word, NULL, 10) : usual;
}

// body_object checks the body; an empty one is {}.
static bool body_object(struct span body, struct scan_value *ret)
{
    const char *why;
    size_t at;
    if (body.len == 0)
        body = span_of("{}");
    if (scan_check(body.at, body.len, DEPTH_MAX, &why, &at))
        return false;
    *ret = scan_root(body.at, body.len);
    return ret->type == SCAN_OBJECT;
}

static bool is_true(struct scan_value object, const char *name)
{
    struct scan_value v;
    return scan_get(object, name, &v) && v.type == SCAN_TRUE;
}

static uint64_t get_ms(struct scan_value object, const char *name)
{
    struct scan_value v;
    int64_t ms;
    return scan_get(object, name, &v) && scan_int(v, &ms) && ms > 0 ? (uint64_t)ms : 0;
}

static int run_stats(struct sim *s, const struct http_head *h, struct span body, struct strbuf *out)
{
    (void)h, (void)body;
    report_stats(s, out);
    return 200;
}

static int run_log(struct sim *s, const struct http_head *h, struct span body, struct strbuf *out)
{
    (void)body;
    report_log(s, query_number(h->query, "since", 0), query_number(h->query, "limit", LOG_LINES),
               out);
    return 200;
}

static int run_seen(struct sim *s, const struct http_head *h, struct span body, struct strbuf *out)
{
    char word[WORD_MAX_BYTES] = "";
    (void)body;
    query_word(h->query, "contains", word);
    report_seen(s, span_of(word), out);
    return 200;
}

static int run_series(struct sim *s, const struct http_head *h, struct span body,
                      struct strbuf *out)
{
    (void)h, (void)body;
    report_series(s, out);
    return 200;
}

static int run_show(struct sim *s, const struct http_head *h, struct span body, struct strbuf *out)
{
    (void)h, (void)body;
    settings_show(&s->set, out);
    strbuf_add_char(out, '\n');
    return 200;
}

static int ok(struct strbuf *out)
{
    strbuf_add_str(out, "{\"ok\":true}\n");
    return 200;
}

// run_config: {"rpm":600,...,"for_ms":N,"after_ms":N} and {"refuse":true|false,"for_ms":N}.
static int run_config(struct sim *s, const struct http_head *h, struct span body,
                      struct strbuf *out)
{
    struct scan_value object, refuse;
    char why[WHY_MAX_BYTES] = "out of memory";
    uint64_t now_us = sim_now_us(s);
    int err;
    (void)h;
    if (!body_object(body, &object))
        return bad(out, "the body is not a JSON object");
    uint64_t for_ms = get_ms(object, "for_ms"), after_ms = get_ms(object, "after_ms");
    if (after_ms)
        err =
            phase_later(&s->phases, &s->set, object, now_us + after_ms * 1000, for_ms * 1000, why);
    else
        err = phase_apply(&s->phases, &s->set, object, for_ms * 1000, now_us, why);
    if (err)
        return bad(out, why);
    if (!after_ms)
        ledger_tune(&s->ledger, &s->set, now_us);
    server_rearm(s->server);
    if (!scan_get(object, "refuse", &refuse))
        return ok(out);
    err = refuse.type == SCAN_TRUE ? server_refuse(s->server, for_ms)
                                   : server_accept_again(s->server);
    if (err)
        return bad(out, refuse.type == SCAN_TRUE
                            ? "refuse needs for_ms, or a --control address to end it by"
                            : "the port is taken; trying again");
    return ok(out);
}

static int run_cut(struct sim *s, const struct http_head *h, struct span body, struct strbuf *out)
{
    (void)h, (void)body;
    strbuf_add_fmt(out, "{\"cut\":%zu}\n", server_cut(s->server));
    return 200;
}

static int run_script(struct sim *s, const struct http_head *h, struct span body,
                      struct strbuf *out)
{
    struct scan_value object;
    char why[SCRIPT_WHY_BYTES];
    (void)h;
    if (!body_object(body, &object))
        return bad(out, "the body is not a JSON object");
    if (script_add(&s->script, object, why))
        return bad(out, why);
    script_show(&s->script, out);
    return 200;
}

static int run_script_show(struct sim *s, const struct http_head *h, struct span body,
                           struct strbuf *out)
{
    (void)h, (void)body;
    script_show(&s->script, out);
    return 200;
}

static int run_script_clear(struct sim *s, const struct http_head *h, struct span body,
                            struct strbuf *out)
{
    (void)h, (void)body;
    script_clear(&s->script);
    return ok(out);
}

// run_reset: {} zeroes the counts; {"buckets":true} makes the buckets new as well;
// {"peaks":true} zeroes the peaks only.
static int run_reset(struct sim *s, const struct http_head *h, struct span body, struct strbuf *out)
{
    struct scan_value object;
    (void)h;
    if (!body_object(body, &object))
        return bad(out, "the body is not a JSON object");
    if (is_true(object, "peaks")) {
        stats_reset_peaks(&s->stats);
        return ok(out);
    }
    stats_reset(&s->stats, sim_now_us(s));
    ledger_reset(&s->ledger, &s->set, is_true(object, "buckets"), sim_now_us(s));
    return ok(out);
}

static const struct command commands[] = {
    {HTTP_GET, "/sim/stats", run_stats},    {HTTP_GET, "/sim/log", run_log},
    {HTTP_GET, "/sim/seen", run_seen},      {HTTP_GET, "/sim/series", run_series},
    {HTTP_GET, "/sim/config", run_show},    {HTTP_POST, "/sim/config", run_config},
    {HTTP_POST, "/sim/cut", run_cut},       {HTTP_GET, "/sim/script", run_script_show},
    {HTTP_POST, "/sim/script", run_script}, {HTTP_DELETE, "/sim/script", run_script_clear},
    {HTTP_POST, "/sim/reset", run_reset},
};

struct next control_begin(struct sim *s, const struct http_head *h, struct span body,
                          struct call *call)
{
    struct strbuf out;
    int status = 404;
    strbuf_init(&out, REPORT_MAX_BYTES);
    for (size_t i = 0; i < ARRAY_LEN(commands) && status == 404; i++)
        if (commands[i].method == h->method && span_is(h->path, commands[i].path))
            status = commands[i].run(s, h, body, &out);
    if (status == 404)
        strbuf_add_str(&out, "{\"error\":\"no such control path; see docs/simulator.md\"}\n");
    struct next next = api_plain(status, &out, h->keep_alive, call);
    strbuf_fini(&out);
    return next;
}
