// anthropic: the Messages API. Nothing is parsed into trees and nothing is written anew: a job's
// raw JSON goes into the body as it stands, and an answer is checked once and then borrowed from.
#include "common/base/err.h"
#include "common/base/scan.h"
#include "worker/provider/apierror.h"
#include "worker/provider/excerpt.h"
#include "worker/provider/provider_int.h"
#include "worker/provider/ratehdr.h"
#include "worker/provider/when.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { ANSWER_DEPTH_MAX = 512 }; // deep only where a model made a tool's input deep

// ---- headers

// add_line writes one header line. What could start another line, as in a key read from a file with
// its line end, is left out.
static void add_line(struct strbuf *ret, const char *name, const char *value)
{
    strbuf_add_str(ret, name);
    for (; *value; value++)
        if ((unsigned char)*value >= ' ' && *value != 0x7F)
            strbuf_add_char(ret, *value);
    strbuf_add_char(ret, '\n');
}

static void write_headers(const char *key, const char *version, const char *auth,
                          struct strbuf *ret)
{
    if (key && *key)
        add_line(ret, strcmp(auth, "bearer") == 0 ? "authorization: Bearer " : "x-api-key: ", key);
    add_line(ret, "anthropic-version: ", version);
    add_line(ret, "content-type: ", "application/json");
}

// ---- build

static struct span model_of(const struct job *j, const struct model_defaults *d)
{
    return j->model.len ? j->model : span_of(d->model);
}

static void add_model(struct strbuf *ret, struct span model)
{
    assert(model.len > 0); // and of model characters only: nothing in it needs an escape
    strbuf_add_str(ret, "\"model\":\"");
    strbuf_add_span(ret, model);
    strbuf_add_char(ret, '"');
}

static void add_max_tokens(struct strbuf *ret, int64_t n)
{
    strbuf_add_str(ret, "\"max_tokens\":");
    strbuf_add_int(ret, n);
}

static void add_field(struct strbuf *ret, const char *name, struct span raw)
{
    if (raw.len == 0)
        return;
    strbuf_add_str(ret, ",\"");
    strbuf_add_str(ret, name);
    strbuf_add_str(ret, "\":");
    strbuf_add_span(ret, raw);
}

static void build_parts(const struct job *j, const struct model_defaults *d, struct strbuf *ret)
{
    bool is_prompt = j->form == JOB_PROMPT;
    strbuf_add_char(ret, '{');
    add_model(ret, model_of(j, d));
    strbuf_add_char(ret, ',');
    add_max_tokens(ret, j->max_tokens > 0 ? j->max_tokens : d->max_tokens);
    strbuf_add_str(ret, ",\"messages\":");
    if (is_prompt)
        strbuf_add_str(ret, "[{\"role\":\"user\",\"content\":");
    strbuf_add_span(ret, j->content);
    if (is_prompt)
        strbuf_add_str(ret, "}]");
#define XX(name) add_field(ret, #name, j->name);
    JOB_API_MAP(XX)
#undef XX
    strbuf_add_char(ret, '}');
}

// build_request passes the producer's bytes through and puts what is missing right after the brace.
static void build_request(const struct job *j, const struct model_defaults *d, struct strbuf *ret)
{
    struct scan_value request = {SCAN_OBJECT, j->content}, given;
    struct span rest = {j->content.at + 1, j->content.len - 1};
    assert(j->content.len >= 2 && j->content.at[0] == '{');
    bool no_model = j->model.len == 0 && !scan_get(request, "model", &given);
    // 0 is what the struct says both for an absent one and for a given 0, which warms the cache.
    bool no_max_tokens = j->max_tokens == 0 && !scan_get(request, "max_tokens", &given);
    strbuf_add_char(ret, '{');
    if (no_model)
        add_model(ret, span_of(d->model));
    if (no_model && no_max_tokens)
        strbuf_add_char(ret, ',');
    if (no_max_tokens)
        add_max_tokens(ret, d->max_tokens);
    size_t blanks = strspn(rest.at, " \t\r\n"); // stops at the closing brace at the latest
    if ((no_model || no_max_tokens) && rest.at[blanks] != '}')
        strbuf_add_char(ret, ',');
    strbuf_add_span(ret, rest);
}

static int build_body(const struct job *j, const struct model_defaults *d, struct strbuf *ret)
{
    size_t fields = 0;
#define XX(name) fields += j->name.len;
    JOB_API_MAP(XX)
#undef XX
    enum { FRAME_BYTES = 128 }; // names, brackets, max_tokens
    size_t model = MAX(j->model.len, strlen(d->model));
    size_t need = j->content.len + fields + model + FRAME_BYTES;
    int err = strbuf_reserve(ret, MIN(need, ret->ceiling));
    if (err)
        return err;
    if (j->form == JOB_REQUEST)
        build_request(j, d, ret);
    else
        build_parts(j, d, ret);
    return ret->err;
}

// ---- read

struct want {
    const char *name;
    size_t len;
};
#define WANT(text)                                                                                 \
    {                                                                                              \
        text, sizeof text - 1                                                                      \
    }

// pick finds several members in one walk; those that are absent keep raw.at NULL.
static void pick(struct scan_value object, const struct want *wants, size_t count,
                 struct scan_value *ret)
{
    struct scan_member m;
    for (size_t pos = 0; scan_members(object, &pos, &m);)
        for (size_t i = 0; i < count; i++)
            if (m.key.len == wants[i].len && memcmp(m.key.at, wants[i].name, m.key.len) == 0) {
                if (!ret[i].raw.at)
                    ret[i] = m.value;
                break;
            }
}

// string_is compares without undoing escapes: the API writes its own words plainly.
static bool string_is(struct scan_value v, const char *text)
{
    struct span s;
    return v.raw.at && scan_str(v, &s) && span_is(s, text);
}

static bool tokens_are(struct scan_value v, int64_t *ret)
{
    return v.raw.at && scan_int(v, ret) && *ret >= 0;
}

// cache_tokens: an absent or null count is the API's way to say 0.
static int64_t cache_tokens(struct scan_value v)
{
    int64_t n;
    if (!v.raw.at || v.type == SCAN_NULL)
        return 0;
    return tokens_are(v, &n) ? n : -1;
}

static const char *read_usage(struct scan_value usage, struct usage *ret)
{
    static const struct want wants[] = {WANT("input_tokens"), WANT("output_tokens"),
                                        WANT("cache_creation_input_tokens"),
                                        WANT("cache_read_input_tokens")};
    struct scan_value got[ARRAY_LEN(wants)] = {0};
    struct usage u;
    if (!usage.raw.at || usage.type != SCAN_OBJECT)
        return "the answer has no usage";
    pick(usage, wants, ARRAY_LEN(wants), got);
    if (!tokens_are(got[0], &u.input))
        return "the answer's usage has no input_tokens";
    if (!tokens_are(got[1], &u.output))
        return "the answer's usage has no output_tokens";
    u.cache_creation = cache_tokens(got[2]);
    u.cache_read = cache_tokens(got[3]);
    *ret = u;
    return NULL;
}

// read_text joins the text blocks as they are written, escapes kept. That is safe: no block can end
// in half an escape, since the scanner refuses half surrogate pairs.
static const char *read_text(struct scan_value content, struct strbuf *text)
{
    static const struct want wants[] = {WANT("type"), WANT("text")};
    struct scan_value block;
    if (!content.raw.at || content.type != SCAN_ARRAY)
        return "the answer has no content";
    (void)!strbuf_reserve(
        text, MIN(content.raw.len, text->ceiling)); // enough for all; a failure shows at the end
    strbuf_add_char(text, '"');
    for (size_t pos = 0; scan_items(content, &pos, &block);) {
        struct scan_value got[ARRAY_LEN(wants)] = {0};
        if (block.type != SCAN_OBJECT)
            return "a block of the answer's content is no object";
        pick(block, wants, ARRAY_LEN(wants), got);
        if (!string_is(got[0], "text"))
            continue;
        if (!got[1].raw.at || got[1].type != SCAN_STRING)
            return "a text block of the answer has no text";
        strbuf_add(text, got[1].raw.at + 1, got[1].raw.len - 2);
    }
    strbuf_add_char(text, '"');
    return NULL;
}

static const char *read_message(struct scan_value root, struct outcome *o, struct strbuf *text)
{
    static const struct want wants[] = {WANT("type"), WANT("content"), WANT("usage"),
                                        WANT("stop_reason"), WANT("model")};
    struct scan_value got[ARRAY_LEN(wants)] = {0};
    struct usage usage;
    if (root.type != SCAN_OBJECT)
        return "the body is no JSON object";
    pick(root, wants, ARRAY_LEN(wants), got);
    if (!string_is(got[0], "message"))
        return "the body is JSON, but no message";
    const char *why = read_usage(got[2], &usage);
    if (!why)
        why = read_text(got[1], text);
    if (why)
        return why;
    o->usage = usage;
    o->stop_reason = got[3].raw.at && got[3].type == SCAN_STRING ? got[3].raw : span_of("null");
    if (got[4].raw.at)
        (void)scan_str(got[4], &o->model);
    o->response = root.raw;
    return NULL;
}

static void read_why_not_json(const struct http_answer *a, const char *phrase, size_t at,
                              struct outcome *o)
{
    char type[64] = "of no type";
    struct span v;
    if (http_header(a, "content-type", &v))
        excerpt_word(v, type, sizeof type);
    if (a->body.len == 0)
        snprintf(o->message, sizeof o->message, "the body is empty");
    else
        snprintf(o->message, sizeof o->message, "the body is not JSON (%s): %s at byte %zu", type,
                 phrase, at);
}

// read_good reads a 2xx. False, and broken set, where it is none after all.
static bool read_good(const struct http_answer *a, struct outcome *o)
{
    struct strbuf none, *text = o->text ? o->text : &none;
    const char *why = NULL;
    size_t at = 0;
    strbuf_init(&none, a->body.len + 2);
    if (scan_check(strbuf_span(&a->body).at, a->body.len, ANSWER_DEPTH_MAX, &why, &at)) {
        o->broken = true;
        read_why_not_json(a, why, at, o);
        return false;
    }
    struct scan_value root = scan_root(a->body.at, a->body.len), error;
    why = read_message(root, o, text);
    int err = text->err;
    strbuf_fini(&none);
    if (!why && !err)
        return true;
    o->broken = why != NULL;
    o->error = why ? 0 : err;
    if (o->text)
        strbuf_clear(o->text);
    if (why && scan_get(root, "error", &error))
        apierror_json(root, o);
    if (!o->message[0])
        snprintf(o->message, sizeof o->message, "%s", why ? why : err_text(err));
    return false;
}

static void read_request_id(const struct http_answer *a, struct outcome *o)
{
    struct span v;
    if (http_header(a, "request-id", &v) || http_header(a, "x-request-id", &v))
        excerpt_word(v, o->request_id, sizeof o->request_id);
}

// read_wishes takes what the headers ask of us: only answers that are no good results ask anything.
static void read_wishes(const struct http_answer *a, int64_t now_ms, struct outcome *o)
{
    struct span v;
    if (http_header(a, "x-should-retry", &v))
        o->should_retry = span_is(v, "true") ? 1 : span_is(v, "false") ? 0 : -1;
    o->retry_after_ms = rate_retry_after_ms(a, now_ms);
}

// read_resume looks for the time that a spend limit's message names.
static void read_resume(const struct http_answer *a, int64_t now_ms, struct outcome *o)
{
    int64_t date_ms = rate_date_ms(a, now_ms), ms;
    bool may_be_money = o->http_status == 400 || o->http_status == 402 || o->http_status == 429;
    if (may_be_money && when_in_text(span_of(o->message), date_ms, &ms))
        o->resume_in_ms = MIN(ms - date_ms, RATE_WAIT_MAX_MS);
}

static void read_redirect(const struct http_answer *a, struct outcome *o)
{
    char where[160] = "";
    struct span v;
    if (http_header(a, "location", &v)) {
        const char *query = memchr(v.at, '?', v.len); // it may hold secrets
        excerpt_word((struct span){v.at, query ? (size_t)(query - v.at) : v.len}, where,
                     sizeof where);
    }
    snprintf(o->message, sizeof o->message,
             "HTTP %d%s%s: redirects are not followed; check the base URL", o->http_status,
             where[0] ? " to " : "", where);
}

static void read_transport(const struct http_answer *a, struct outcome *o)
{
    if (!o->error)
        o->error = ERR_TRANSPORT; // an answer without a status is none
    snprintf(o->message, sizeof o->message, "%s",
             a->error_text[0] ? a->error_text : err_text(o->error));
    excerpt_hide(o->message);
}

static void read_answer(const struct http_answer *a, int64_t now_ms, struct outcome *o)
{
    *o = (struct outcome){.error = a->error,
                          .http_status = a->status,
                          .should_retry = -1,
                          .retry_after_ms = -1,
                          .resume_in_ms = -1,
                          .usage = {-1, -1, -1, -1},
                          .text = o->text};
    bool is_good = a->status >= 200 && a->status <= 299, came_whole = !a->error && a->status;
    read_request_id(a, o);
    if (came_whole && is_good && read_good(a, o))
        return;
    read_wishes(a, now_ms, o);
    if (!came_whole)
        read_transport(a, o);
    else if (a->status >= 300 && a->status <= 399)
        read_redirect(a, o);
    else if (!is_good)
        apierror_read(strbuf_span(&a->body), o);
    if (came_whole)
        read_resume(a, now_ms, o);
}

const struct provider provider_anthropic = {
    .name = "anthropic",
    .path = "/v1/messages",
    .headers = write_headers,
    .build = build_body,
    .read = read_answer,
};
