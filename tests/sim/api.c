#include "tests/sim/api.h"

#include "common/base/rnd.h"
#include "tests/sim/api_int.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { EARLY_TOLERANCE_US = 1000, EARLY_GRACE_US = 500000, REST_MAX_BYTES = 64 << 20 };

static struct next write_after_ms(double ms)
{
    return (struct next){NEXT_WRITE, (uint64_t)(ms * 1000)};
}

void call_fail(struct call *call, int status, const char *message)
{
    call->status = status;
    call->trouble = trouble_of_status(status);
    snprintf(call->why, sizeof call->why, "%s", message ? message : "");
}

static struct record *record_of(struct sim *s, const struct call *call)
{
    return call->n ? stats_record(&s->stats, call->n) : NULL;
}

struct next api_refuse(struct sim *s, int status, struct call *call)
{
    *call = (struct call){.keep_alive = false};
    call->start_us = sim_now_us(s);
    call->fault = status == 413 && s->set.cloudflare_413 ? FAULT_HTML : FAULT_NONE;
    call_fail(call, status, NULL);
    s->stats.by_status[status]++; // it has no record
    return (struct next){NEXT_WRITE, 0};
}

struct next api_plain(int status, const struct strbuf *json, bool keep_alive, struct call *call)
{
    *call = (struct call){.keep_alive = keep_alive};
    call->status = status;
    strbuf_init(&call->rest, REST_MAX_BYTES);
    strbuf_add_span(&call->rest, strbuf_span(json));
    return (struct next){NEXT_WRITE, 0};
}

// key_of gives the key that came along; x-api-key wins over a bearer token.
static struct span key_of(const struct http_head *h)
{
    static const char bearer[] = "Bearer ";
    size_t len = sizeof bearer - 1;
    if (h->api_key.len)
        return h->api_key;
    if (h->authorization.len > len && strncasecmp(h->authorization.at, bearer, len) == 0)
        return (struct span){h->authorization.at + len, h->authorization.len - len};
    return (struct span){"", 0};
}

static bool begins_with(struct span s, const char *word)
{
    size_t len = strlen(word);
    return s.len >= len && strncasecmp(s.at, word, len) == 0;
}

// check_head verifies what every request must carry. It finds the account, too.
static bool check_head(struct sim *s, const struct http_head *h, struct call *call)
{
    struct span key = key_of(h);
    if (key.len == 0) {
        call_fail(call, 401, "x-api-key header is required");
        return false;
    }
    call->account = ledger_account(&s->ledger, &s->set, key);
    if (s->set.require_key && !s->ledger.accounts[call->account].known) {
        call_fail(call, 401, h->api_key.len ? "invalid x-api-key" : "Invalid bearer token");
        return false;
    }
    if (!h->version.len) {
        call_fail(call, 400, "anthropic-version: header is required");
        return false;
    }
    if (!span_is(h->version, "2023-06-01") && !span_is(h->version, "2026-10-21") &&
        !span_is(h->version, "2023-01-01")) {
        call_fail(call, 400, NULL);
        snprintf(call->why, sizeof call->why, "anthropic-version: \"%.*s\" is not a valid version",
                 (int)MIN(h->version.len, (size_t)40), h->version.at);
        return false;
    }
    return true;
}

static bool check_body(struct sim *s, const struct http_head *h, struct span body,
                       enum ask_kind kind, struct ask *ask, struct call *call)
{
    char why[ASK_WHY_BYTES];
    if (!begins_with(h->content_type, "application/json")) {
        call_fail(call, 400, "Content-Type: must be application/json");
        return false;
    }
    if (ask_parse(body.at, body.len, kind, ask, why)) {
        call_fail(call, 400, why);
        return false;
    }
    if (ask->sampling && span_is(h->version, "2026-10-21")) {
        call_fail(call, 400, NULL);
        snprintf(call->why, sizeof call->why, "%s: Extra inputs are not permitted", ask->sampling);
        return false;
    }
    call->model = ledger_model(&s->ledger, &s->set, ask->model);
    if (s->set.strict_models && !answer_knows_model(ask->model)) {
        call_fail(call, 404, NULL);
        snprintf(call->why, sizeof call->why, "model: %.*s", (int)MIN(ask->model.len, (size_t)128),
                 ask->model.at);
        return false;
    }
    return true;
}

// note_early counts a request that came before the time that its account had been told.
static void note_early(struct sim *s, struct gate *g, uint64_t now_us)
{
    if (now_us + EARLY_TOLERANCE_US >= g->told_us)
        return;
    g->early++;
    s->stats.early++;
    s->stats.early_max_ms = MAX(s->stats.early_max_ms, (g->told_us - now_us) / 1000);
    if (now_us > g->told_at_us + EARLY_GRACE_US)
        s->stats.early_after_500ms++;
}

static void note_request(struct sim *s, struct call *call, const struct ask *ask, struct record *r)
{
    r->hash = ask->hash;
    r->model = call->model;
    r->in_tokens = answer_input_tokens(ask, &s->set);
    r->head_len = (uint8_t)MIN(ask->prompt.len, (size_t)HEAD_BYTES);
    while (r->head_len && r->head_len < ask->prompt.len &&
           (ask->prompt.at[r->head_len] & 0xC0) == 0x80)
        r->head_len--; // never within a character
    memcpy(r->head, ask->prompt.at, r->head_len);
    s->ledger.accounts[call->account].requests++;
    s->ledger.counts[call->model].requests++;
    call->gate = ledger_gate(&s->ledger, &s->set, call->account, call->model, call->start_us);
    call->gate->requests++;
    if (++call->gate->in_flight > call->gate->in_flight_max)
        call->gate->in_flight_max = call->gate->in_flight;
    note_early(s, call->gate, call->start_us);
}

static void show_quota(struct sim *s, struct call *call, uint64_t now_us)
{
    limiter_refresh(&call->gate->limiter, now_us);
    snapshot_take(&call->shot, &call->gate->limiter, sim_wall_ms(s, now_us));
    call->has_shot = true;
}

static bool scripted(struct sim *s, const struct http_head *h, struct span body,
                     const struct ask *ask, struct call *call, struct next *ret)
{
    if (s->script.count == 0)
        return false;
    const char *account = s->ledger.accounts[call->account].name;
    int64_t at = script_match(&s->script, body, ask->model, account, h->path);
    if (at < 0)
        return false;
    const struct step *step = &s->script.steps[at];
    s->stats.scripted++;
    if (step->status == 0 && !step->raw && step->then == THEN_KEEP) {
        ret->delay_us = step->delay_ms * 1000; // answered as usual, only later
        return false;
    }
    call_make_scripted(s, call, step);
    *ret = (struct next){NEXT_WRITE, step->delay_ms * 1000};
    return true;
}

// in_trouble makes the call the account's error where --trouble says so.
static bool in_trouble(struct sim *s, struct call *call)
{
    if (strcmp(s->set.trouble, "none") == 0)
        return false;
    if (s->set.trouble_account[0] &&
        strcmp(s->set.trouble_account, s->ledger.accounts[call->account].name) != 0)
        return false;
    const struct trouble *t = trouble_find(s->set.trouble);
    assert(t);
    call->status = t->status;
    call->trouble = *t;
    return true;
}

static struct next strike_before(struct sim *s, struct call *call)
{
    switch (call->fault) {
    case FAULT_RESET:
        return (struct next){NEXT_RESET, 0};
    case FAULT_CLOSE:
        return (struct next){NEXT_CLOSE, 0};
    default:
        return write_after_ms(s->set.error_latency_ms);
    }
}

// unlucky draws whether something goes wrong with this request.
static void unlucky(struct sim *s, struct call *call)
{
    if (s->set.fail.count == 0)
        return;
    const struct fault_rate *f = fault_rates_pick(&s->set.fail, rnd_unit());
    if (!f)
        return;
    call->fault = f->fault;
    if (f->fault == FAULT_STATUS)
        call_fail(call, f->status, NULL);
    else if (f->fault == FAULT_HTML)
        call->status = 502;
}

static void refuse_quota(struct sim *s, struct call *call, const struct verdict *v)
{
    call->status = 429;
    call->wait_us = v->wait_us;
    call->trouble = trouble_of_status(429);
    if (v->ramp) {
        call->trouble = *trouble_find("ramp");
        call->trouble.headers = "x-should-retry: true\r\n"; // retry-after comes from wait_us
        call->gate->refused_ramp++;
    } else {
        static const char *const units[] = {"requests", "input tokens", "output tokens"};
        snprintf(call->why, sizeof call->why,
                 "This request would exceed your organization's rate limit of %.0f %s per minute "
                 "(org: %s, model: %.60s).",
                 call->gate->limiter.shown[v->dim].per_min, units[v->dim],
                 names_text(&s->ledger.orgs, call->gate->org),
                 names_text(&s->ledger.models, call->model));
        call->gate->refused[v->dim]++;
    }
    s->stats.refused++;
    s->ledger.accounts[call->account].refused++;
    s->ledger.counts[call->model].refused++;
    stats_story(&s->stats, call->start_us)->refused++;
    show_quota(s, call, call->start_us);
}

static void note_accepted(struct sim *s, struct call *call)
{
    struct stats *t = &s->stats;
    if (t->accepted++ == 0)
        t->first_accepted_us = call->start_us;
    t->last_accepted_us = call->start_us;
    peak_note(&t->accepts, call->start_us / 1000);
    stats_story(t, call->start_us)->accepted++;
    call->gate->accepted++;
    s->ledger.accounts[call->account].accepted++;
    s->ledger.counts[call->model].accepted++;
    struct record *r = record_of(s, call);
    if (r) {
        r->in_tokens = call->question.in_tokens;
        r->out_tokens = call->question.out_tokens;
    }
}

static struct cost cost_of(const struct settings *set, const struct call *call, int64_t max_tokens)
{
    const struct question *q = &call->question;
    double input = q->in_tokens - q->cached_tokens, estimate = input;
    if (set->estimate_sigma > 0)
        estimate = spread_lognormal(input, set->estimate_sigma, rnd_unit(), rnd_unit());
    return (struct cost){.input = estimate,
                         .input_real = input,
                         .output = q->out_tokens,
                         .max_tokens = (double)max_tokens,
                         .takes_ms = call->total_us / 1000};
}

// ask_quota is the heart: accepted and charged, or refused with a time.
static struct next ask_quota(struct sim *s, const struct ask *ask, struct call *call)
{
    answer_plan(ask, &s->set, &call->question);
    call->question.n = call->n;
    double ms = spread_draw(&s->set.latency, rnd_unit(), rnd_unit(), call->question.out_tokens);
    call->total_us = (uint64_t)(ms * 1000);
    struct cost cost = cost_of(&s->set, call, ask->max_tokens);
    struct verdict v = limiter_ask(&call->gate->limiter, &cost, call->start_us, &call->held);
    if (!v.accepted) {
        call->fault = FAULT_NONE;
        refuse_quota(s, call, &v);
        return write_after_ms(s->set.error_latency_ms);
    }
    note_accepted(s, call);
    show_quota(s, call, call->start_us);
    call->is_message = true;
    call->is_stream = ask->stream;
    call->status = 200;
    uint64_t first_us = (uint64_t)(s->set.first_byte_ms * 1000);
    return (struct next){NEXT_WRITE,
                         call->is_stream ? MIN(first_us, call->total_us) : call->total_us};
}

static struct next begin_message(struct sim *s, const struct http_head *h, struct span body,
                                 struct call *call)
{
    static struct ask ask; // one thread; large
    struct record *r = stats_arrive(&s->stats, call->start_us);
    struct next next = {NEXT_WRITE, 0};
    call->n = r->n;
    r->bytes = (uint32_t)body.len;
    if (!check_head(s, h, call) || !check_body(s, h, body, ASK_MESSAGES, &ask, call))
        return write_after_ms(s->set.error_latency_ms);
    r->account = call->account;
    note_request(s, call, &ask, r);
    if (scripted(s, h, body, &ask, call, &next))
        return next;
    if (in_trouble(s, call))
        return write_after_ms(s->set.error_latency_ms);
    unlucky(s, call);
    r->fault = (uint8_t)call->fault;
    uint64_t extra_us = next.delay_us;
    next = call->fault && fault_is_before(call->fault) ? strike_before(s, call)
                                                       : ask_quota(s, &ask, call);
    next.delay_us += extra_us;
    return next;
}

static struct next begin_count(struct sim *s, const struct http_head *h, struct span body,
                               struct call *call)
{
    static struct ask ask;
    struct strbuf json;
    if (!check_head(s, h, call) || !check_body(s, h, body, ASK_COUNT_TOKENS, &ask, call))
        return write_after_ms(s->set.error_latency_ms);
    strbuf_init(&json, 64);
    strbuf_add_fmt(&json, "{\"input_tokens\":%u}", answer_input_tokens(&ask, &s->set));
    struct next next = api_plain(200, &json, h->keep_alive, call);
    strbuf_fini(&json);
    return next;
}

static struct next begin_models(struct sim *s, const struct http_head *h, struct call *call)
{
    struct strbuf json;
    if (!check_head(s, h, call))
        return write_after_ms(s->set.error_latency_ms);
    strbuf_init(&json, 16384);
    answer_add_models(&json);
    struct next next = api_plain(200, &json, h->keep_alive, call);
    strbuf_fini(&json);
    return next;
}

struct next api_begin(struct sim *s, const struct http_head *h, struct span body, struct call *call)
{
    memset(call, 0, offsetof(struct call, question)); // the rest is filled before it is used
    memset(&call->rest, 0, sizeof *call - offsetof(struct call, rest));
    call->keep_alive = h->keep_alive && h->method != HTTP_HEAD; // it gets a body all the same
    call->start_us = sim_now_us(s);
    bool is_messages = span_is(h->path, "/v1/messages");
    bool is_count = span_is(h->path, "/v1/messages/count_tokens");
    if (h->method == HTTP_POST && is_messages)
        return begin_message(s, h, body, call);
    if (h->method == HTTP_POST && is_count)
        return begin_count(s, h, body, call);
    if (h->method == HTTP_GET && span_is(h->path, "/v1/models"))
        return begin_models(s, h, call);
    bool known = is_messages || is_count || span_is(h->path, "/v1/models");
    call_fail(call, known ? 405 : 404, known ? "Method Not Allowed" : NULL);
    return (struct next){NEXT_WRITE, 0};
}

// note_answered counts a whole answer; one that is given twice is a repeat.
static void note_answered(struct sim *s, const struct call *call)
{
    if (call->status == 0) // a script's closing without an answer
        return;
    s->stats.by_status[MIN(call->status, STATUS_MAX - 1)]++;
    if (call->status >= 400 && call->status != 429)
        stats_story(&s->stats, sim_now_us(s))->failed++;
    if (!call->is_message || call->fault)
        return;
    s->stats.in_tokens += call->question.in_tokens;
    s->stats.out_tokens += call->question.out_tokens;
    if (stats_answered_before(&s->stats, call->question.hash + call->account))
        s->stats.repeats++;
}

void api_end(struct sim *s, struct call *call, enum ending how)
{
    uint64_t now_us = sim_now_us(s);
    strbuf_fini(&call->rest);
    if (call->n == 0)
        return;
    if (call->gate) {
        limiter_settle(&call->gate->limiter, &call->held, how != END_CLIENT_GONE, now_us);
        call->gate->in_flight--;
    }
    s->stats.in_flight--;
    s->stats.by_fault[call->fault]++;
    if (how == END_ANSWERED)
        note_answered(s, call);
    if (how == END_CLIENT_GONE)
        s->stats.client_gone++;
    struct record *r = record_of(s, call);
    if (r) {
        r->end_us = now_us;
        r->status = (uint16_t)call->status;
        r->ending = (uint8_t)how;
        r->fault = (uint8_t)call->fault;
    }
    call->n = 0;
}
