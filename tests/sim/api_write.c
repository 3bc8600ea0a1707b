// The bytes of an answer: heads, bodies, and the ways in which they are broken.
#include "tests/sim/api_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { REST_MAX_BYTES = 64 << 20, PIECES = 20, RESET_AFTER_US = 20000, BODY_MAX_BYTES = 48 << 20 };

static const char json_type[] = "application/json", html_type[] = "text/html; charset=UTF-8";
static const char sse_type[] = "text/event-stream; charset=utf-8";

static const char garbage[] = "<!-- upstream --> \x01\x02 {\"id\": \"msg_01\", \"content\": [";

static struct next done(const struct call *call)
{
    return (struct next){call->keep_alive ? NEXT_DONE : NEXT_CLOSE, 0};
}

// add_common adds the lines that every answer has. The date is made once a second.
static void add_common(struct sim *s, struct call *call, struct strbuf *out)
{
    static char date[64];
    static int64_t date_s = -1;
    int64_t wall_ms = sim_wall_ms(s, sim_now_us(s));
    if (wall_ms / 1000 != date_s) {
        struct strbuf text;
        strbuf_init(&text, sizeof date);
        strbuf_add_str(&text, "date: ");
        headers_add_http_date(&text, wall_ms);
        snprintf(date, sizeof date, "%s\r\n", text.at);
        strbuf_fini(&text);
        date_s = wall_ms / 1000;
    }
    char id[ID_BYTES];
    answer_id(id, "req_01", call->n ? call->n : (uint64_t)wall_ms, 3);
    strbuf_add_str(out, date);
    strbuf_add_str(out, "request-id: ");
    strbuf_add_str(out, id);
    strbuf_add_str(out,
                   "\r\nserver: cloudflare\r\nvia: 1.1 google\r\ncf-cache-status: DYNAMIC\r\n");
    if (call->gate)
        strbuf_add_str(out, call->gate->org_line);
    if (!call->keep_alive)
        strbuf_add_str(out, "connection: close\r\n");
}

static void add_status(struct strbuf *out, int status)
{
    if (status == 200)
        strbuf_add_str(out, "HTTP/1.1 200 OK\r\n");
    else
        strbuf_add_fmt(out, "HTTP/1.1 %d %s\r\n", status, status_reason(status));
}

static void add_quota(struct sim *s, struct call *call, struct strbuf *out)
{
    if (!call->has_shot)
        return;
    if (s->set.headers_at_answer) {
        uint64_t now_us = sim_now_us(s);
        limiter_refresh(&call->gate->limiter, now_us);
        snapshot_take(&call->shot, &call->gate->limiter, sim_wall_ms(s, now_us));
    }
    headers_add_quota(out, s->set.headers, &call->shot);
}

static void add_length(struct strbuf *out, const char *type, size_t bytes)
{
    strbuf_add_str(out, "content-type: ");
    strbuf_add_str(out, type);
    strbuf_add_str(out, "\r\ncontent-length: ");
    strbuf_add_int(out, (int64_t)bytes);
    strbuf_add_str(out, "\r\n\r\n");
}

// name_time adds retry-after and remembers what was named, for `early`.
static void name_time(struct sim *s, struct call *call, struct strbuf *out)
{
    uint64_t now_us = sim_now_us(s);
    uint64_t passed_us = MIN(now_us - call->start_us, call->wait_us);
    uint64_t left_us = call->wait_us - passed_us;
    if (call->wait_us == BUCKET_NEVER)
        left_us = 60000000; // it never fits; the API names a time all the same
    int64_t wait_ms = (int64_t)((left_us + 999) / 1000);
    int64_t named_ms = headers_add_retry(out, s->set.retry_form, wait_ms, sim_wall_ms(s, now_us));
    if (named_ms == 0)
        return;
    call->gate->told_us = MAX(call->gate->told_us, now_us + (uint64_t)named_ms * 1000);
    call->gate->told_at_us = now_us;
    struct record *r = stats_record(&s->stats, call->n);
    if (r)
        r->retry_ms = (uint32_t)named_ms;
}

static struct next write_error(struct sim *s, struct call *call, struct strbuf *out,
                               struct strbuf *body)
{
    char id[ID_BYTES];
    answer_id(id, "req_01", call->n, 3);
    trouble_add_body(body, &call->trouble, call->why[0] ? call->why : NULL, call->n ? id : NULL);
    add_status(out, call->status);
    add_common(s, call, out);
    if (call->wait_us) {
        if (!call->trouble.headers[0])
            strbuf_add_str(out, "x-should-retry: true\r\n");
        name_time(s, call, out);
    }
    strbuf_add_str(out, call->trouble.headers);
    add_quota(s, call, out);
    add_length(out, json_type, body->len);
    strbuf_add_span(out, strbuf_span(body));
    return done(call);
}

static struct next write_html(struct sim *s, struct call *call, struct strbuf *out,
                              struct strbuf *body)
{
    strbuf_add_fmt(body,
                   "<html>\r\n<head><title>%d %s</title></head>\r\n<body>\r\n<center><h1>%d %s"
                   "</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n",
                   call->status, status_reason(call->status), call->status,
                   status_reason(call->status));
    add_status(out, call->status);
    add_common(s, call, out);
    add_length(out, html_type, body->len);
    strbuf_add_span(out, strbuf_span(body));
    return done(call);
}

// break_off leaves half of the body out and says what happens then.
static struct next break_off(struct call *call, struct strbuf *out, size_t body_bytes)
{
    strbuf_cut(out, out->len - body_bytes / 2);
    switch (call->fault) {
    case FAULT_TRUNCATE:
        return (struct next){NEXT_CLOSE, 0};
    case FAULT_RESET_MID: // a little later, so that what was sent arrives first
        return (struct next){NEXT_RESET, RESET_AFTER_US};
    default:
        return (struct next){NEXT_HANG, 0};
    }
}

// dribble keeps the answer and gives it out in pieces, so that the head takes slow_ms.
static struct next dribble(struct sim *s, struct call *call, struct strbuf *out)
{
    struct next last = done(call);
    strbuf_fini(&call->rest);
    strbuf_init(&call->rest, REST_MAX_BYTES);
    strbuf_add_span(&call->rest, strbuf_span(out));
    strbuf_clear(out);
    call->stage = CALL_PIECES;
    call->last = last;
    return (struct next){NEXT_WRITE, (uint64_t)(s->set.slow_ms * 1000 / PIECES)};
}

static struct next write_piece(struct sim *s, struct call *call, struct strbuf *out)
{
    char *head_end = memmem(call->rest.at, call->rest.len, "\r\n\r\n", 4);
    size_t head = head_end ? (size_t)(head_end - call->rest.at) + 4 : 0;
    size_t left = call->rest.len, piece = head > PIECES ? head / PIECES + 8 : left;
    strbuf_add(out, call->rest.at, piece);
    memmove(call->rest.at, call->rest.at + piece, left - piece);
    strbuf_cut(&call->rest, left - piece);
    if (call->rest.len == 0)
        return call->last;
    return (struct next){NEXT_WRITE, (uint64_t)(s->set.slow_ms * 1000 / PIECES)};
}

static struct next write_message(struct sim *s, struct call *call, struct strbuf *out,
                                 struct strbuf *body)
{
    if (call->fault == FAULT_GARBAGE)
        strbuf_add_str(body, garbage);
    else if (call->fault != FAULT_EMPTY)
        answer_add_message(body, &call->question, &s->set,
                           names_text(&s->ledger.models, call->model));
    add_status(out, call->status);
    add_common(s, call, out);
    add_quota(s, call, out);
    add_length(out, json_type, body->len);
    strbuf_add_span(out, strbuf_span(body));
    switch (call->fault) {
    case FAULT_TRUNCATE:
    case FAULT_RESET_MID:
    case FAULT_HANG_MID:
        return break_off(call, out, body->len);
    case FAULT_SLOW_HEADERS:
        return dribble(s, call, out);
    default:
        return done(call);
    }
}

static void add_chunk(struct strbuf *out, const struct strbuf *body)
{
    strbuf_add_fmt(out, "%zx\r\n", body->len);
    strbuf_add_span(out, strbuf_span(body));
    strbuf_add_str(out, "\r\n");
}

static struct next write_stream_start(struct sim *s, struct call *call, struct strbuf *out,
                                      struct strbuf *body)
{
    add_status(out, call->status);
    add_common(s, call, out);
    add_quota(s, call, out);
    strbuf_add_fmt(out,
                   "content-type: %s\r\ncache-control: no-cache\r\n"
                   "transfer-encoding: chunked\r\n\r\n",
                   sse_type);
    answer_add_stream_start(body, &call->question, names_text(&s->ledger.models, call->model));
    add_chunk(out, body);
    call->stage = CALL_STREAM_REST;
    uint64_t first_us = MIN((uint64_t)(s->set.first_byte_ms * 1000), call->total_us);
    return (struct next){NEXT_WRITE, call->total_us - first_us};
}

static struct next write_stream_rest(struct sim *s, struct call *call, struct strbuf *out,
                                     struct strbuf *body)
{
    if (call->fault == FAULT_STREAM_ERROR)
        answer_add_stream_error(body);
    else
        answer_add_stream_rest(body, &call->question, &s->set);
    add_chunk(out, body);
    if (call->fault == FAULT_TRUNCATE || call->fault == FAULT_RESET_MID ||
        call->fault == FAULT_HANG_MID)
        return break_off(call, out, body->len);
    strbuf_add_str(out, "0\r\n\r\n");
    return done(call);
}

// named_by gives the seconds of a retry-after among header lines, or 0.
static uint64_t named_by(const char *lines)
{
    const char *at = strcasestr(lines, "retry-after:");
    return at ? strtoull(at + strlen("retry-after:"), NULL, 10) : 0;
}

static void add_step_head(struct sim *s, struct call *call, const struct step *step,
                          struct strbuf *out)
{
    const char *lines = step->headers ? step->headers : "";
    add_status(out, step->status);
    add_common(s, call, out);
    strbuf_add_str(out, lines);
    if (!strcasestr(lines, "content-type:"))
        strbuf_add_str(out, "content-type: application/json\r\n");
    if (step->chunked)
        strbuf_add_str(out, "transfer-encoding: chunked\r\n\r\n");
    else if (strcasestr(lines, "content-length:"))
        strbuf_add_str(out, "\r\n");
    else
        strbuf_add_fmt(out, "content-length: %zu\r\n\r\n", step->body_len);
}

static struct next after_step(const struct call *call, const struct step *step)
{
    switch (step->then) {
    case THEN_CLOSE:
        return (struct next){NEXT_CLOSE, 0};
    case THEN_RESET:
        return (struct next){NEXT_RESET, RESET_AFTER_US};
    case THEN_HANG:
        return (struct next){NEXT_HANG, 0};
    case THEN_KEEP:
        break;
    }
    return done(call);
}

void call_make_scripted(struct sim *s, struct call *call, const struct step *step)
{
    struct strbuf *out = &call->rest;
    size_t body_len =
        step->cut_bytes >= 0 ? MIN((size_t)step->cut_bytes, step->body_len) : step->body_len;
    strbuf_init(out, REST_MAX_BYTES);
    call->status = step->status;
    call->stage = CALL_PIECES;
    call->last = after_step(call, step);
    if (step->raw) {
        strbuf_add(out, step->raw, step->raw_len);
    } else if (step->status) {
        add_step_head(s, call, step, out);
        if (step->chunked)
            strbuf_add_fmt(out, "%zx\r\n", step->body_len);
        strbuf_add(out, step->body, body_len);
        if (step->chunked && body_len == step->body_len)
            strbuf_add_str(out, "\r\n0\r\n\r\n");
    }
    uint64_t named_s = step->status == 429 && step->headers ? named_by(step->headers) : 0;
    if (named_s) {
        uint64_t sent_us = call->start_us + step->delay_ms * 1000;
        call->gate->told_us = MAX(call->gate->told_us, sent_us + named_s * 1000000);
        call->gate->told_at_us = sent_us;
    }
}

// write_whole_rest sends what was made beforehand, unless it is to dribble.
static struct next write_rest(struct sim *s, struct call *call, struct strbuf *out)
{
    if (call->fault == FAULT_SLOW_HEADERS)
        return write_piece(s, call, out);
    strbuf_add_span(out, strbuf_span(&call->rest));
    return call->last;
}

static struct next write_plain(struct sim *s, struct call *call, struct strbuf *out)
{
    add_status(out, call->status);
    add_common(s, call, out);
    add_length(out, json_type, call->rest.len);
    strbuf_add_span(out, strbuf_span(&call->rest));
    return done(call);
}

// produced ends the production of an answer: what it cost is charged to the last token.
static void produced(struct sim *s, struct call *call)
{
    limiter_settle(&call->gate->limiter, &call->held, true, sim_now_us(s));
}

static struct next write_answer(struct sim *s, struct call *call, struct strbuf *out,
                                struct strbuf *body)
{
    bool whole = call->fault == FAULT_GARBAGE || call->fault == FAULT_EMPTY ||
                 call->fault == FAULT_SLOW_HEADERS || call->fault == FAULT_TIMEOUT;
    if (call->is_stream && !whole && call->stage == CALL_WHOLE)
        return write_stream_start(s, call, out, body);
    produced(s, call);
    if (call->fault == FAULT_TIMEOUT)
        return (struct next){NEXT_HANG, 0};
    if (call->stage == CALL_STREAM_REST)
        return write_stream_rest(s, call, out, body);
    return write_message(s, call, out, body);
}

struct next api_write(struct sim *s, struct call *call, struct strbuf *out)
{
    static struct strbuf body; // one thread; its memory is kept for the next
    if (body.ceiling == 0)
        strbuf_init(&body, BODY_MAX_BYTES);
    strbuf_clear(&body);
    if (call->stage == CALL_PIECES)
        return write_rest(s, call, out);
    if (call->is_message)
        return write_answer(s, call, out, &body);
    if (call->fault == FAULT_HTML)
        return write_html(s, call, out, &body);
    if (call->rest.ceiling)
        return write_plain(s, call, out);
    return write_error(s, call, out, &body);
}
