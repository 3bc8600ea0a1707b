#include "worker/provider/ratehdr.h"

#include "worker/provider/hdrline.h"
#include "worker/provider/ietf.h"
#include "worker/provider/when.h"

enum field { FIELD_LIMIT, FIELD_REMAINING, FIELD_RESET, FIELDS };
static const char *const field_names[FIELDS] = {"limit", "remaining", "reset"};

struct reading {
    struct rate_headers *h;
    struct rate_limit project; // OpenAI's second limit of tokens
    int64_t date_ms;
    bool has_ietf;
};

static const struct rate_limit unsaid = {-1, -1, -1, -1};

const char *rate_family_word(enum rate_family f)
{
    static const char *const words[] = {"none", "generic", "ietf", "openai", "anthropic"};
    return (size_t)f < ARRAY_LEN(words) ? words[f] : "?";
}

int64_t rate_date_ms(const struct http_answer *a, int64_t now_ms)
{
    struct span v;
    int64_t ms;
    return http_header(a, "date", &v) && when_http_date(v, now_ms, &ms) ? ms : now_ms;
}

// reset_read takes a reset in any of the forms in use: seconds from now, Unix seconds or
// milliseconds (told apart by their size), a duration, or a date. ret is from date_ms on, below 0
// where it is past.
static bool reset_read(struct span v, int64_t date_ms, int64_t *ret_ms)
{
    static const int64_t unix_s_least = INT64_C(1000000000), unix_ms_least = INT64_C(1000000000000);
    int64_t n, ms;
    if (when_decimal(v, 1, &n)) {
        bool is_unix = n > unix_s_least;
        if (n <= unix_ms_least && when_decimal(v, 1000, &ms))
            n = ms;
        *ret_ms = is_unix ? n - date_ms : n;
        return true;
    }
    if (when_duration(v, ret_ms))
        return true;
    if (!when_rfc3339(v, &ms) && !when_http_date(v, date_ms, &ms))
        return false;
    *ret_ms = ms - date_ms;
    return true;
}

// count_read takes a whole number at the start of a value ("100" or "100, 100;w=60"). Negative ones
// are Azure's way of saying that it does not know.
static bool count_read(struct span v, int64_t *ret)
{
    size_t len = 0;
    while (len < v.len && v.at[len] >= '0' && v.at[len] <= '9')
        len++;
    if (len < v.len && !strchr(",;. ", v.at[len]))
        return false;
    return when_decimal((struct span){v.at, len}, 1, ret);
}

// family_is says whether headers of a family still count; a better one sets aside what was read.
static bool family_is(struct reading *r, enum rate_family f)
{
    if (f < r->h->family)
        return false;
    if (f > r->h->family)
        *r->h = (struct rate_headers){f, unsaid, unsaid, unsaid, unsaid};
    return true;
}

static void put(struct reading *r, enum rate_family f, struct rate_limit *limit, enum field field,
                struct span v)
{
    int64_t n;
    bool read = field == FIELD_RESET ? reset_read(v, r->date_ms, &n) : count_read(v, &n);
    if (!limit || field == FIELDS || !read || !family_is(r, f))
        return;
    int64_t *slot = field == FIELD_LIMIT       ? &limit->limit
                    : field == FIELD_REMAINING ? &limit->remaining
                                               : &limit->reset_ms;
    if (*slot < 0) // of repeated headers the first counts
        *slot = MAX(n, 0);
}

static enum field field_find(struct span name)
{
    int f = 0;
    while (f < FIELDS && !hdrline_is(name, field_names[f]))
        f++;
    return (enum field)f;
}

static struct rate_limit *limit_find(struct reading *r, struct span name)
{
    if (hdrline_is(name, "requests"))
        return &r->h->requests;
    if (hdrline_is(name, "tokens"))
        return &r->h->tokens;
    if (hdrline_is(name, "input-tokens"))
        return &r->h->input;
    return hdrline_is(name, "output-tokens") ? &r->h->output : NULL;
}

// anthropic_line takes <what>-<field>: "input-tokens-remaining".
static void anthropic_line(struct reading *r, struct span name, struct span v)
{
    const char *mark = name.len ? memrchr(name.at, '-', name.len) : NULL;
    if (!mark)
        return;
    struct span what = {name.at, (size_t)(mark - name.at)};
    struct span field = {mark + 1, name.len - what.len - 1};
    put(r, RATE_ANTHROPIC, limit_find(r, what), field_find(field), v);
}

// x_line takes <field>, which is generic, or <field>-<what>, which is OpenAI's.
static void x_line(struct reading *r, struct span name, struct span v)
{
    const char *mark = name.len ? memchr(name.at, '-', name.len) : NULL;
    if (!mark) {
        put(r, RATE_GENERIC, &r->h->requests, field_find(name), v);
        return;
    }
    struct span field = {name.at, (size_t)(mark - name.at)};
    struct span what = {mark + 1, name.len - field.len - 1};
    struct rate_limit *limit =
        hdrline_is(what, "project-tokens") ? &r->project : limit_find(r, what);
    put(r, RATE_OPENAI, limit, field_find(field), v);
}

static void line_read(struct reading *r, struct span name, struct span v)
{
    switch (name.len ? name.at[0] | 0x20 : 0) {
    case 'a':
        if (hdrline_cut(&name, "anthropic-ratelimit-"))
            anthropic_line(r, name, v);
        break;
    case 'x':
        if (hdrline_cut(&name, "x-ratelimit-") || hdrline_cut(&name, "x-rate-limit-"))
            x_line(r, name, v);
        break;
    case 'r':
        r->has_ietf = r->has_ietf || hdrline_cut(&name, "ratelimit");
        break;
    }
}

// openai_settle: Azure writes 0 for a limit that it does not know, and then 0 is left of it.
static void openai_settle(struct rate_limit *l)
{
    if (l->limit != 0)
        return;
    l->limit = -1;
    if (l->remaining == 0)
        l->remaining = -1;
}

static void settle(struct reading *r)
{
    struct rate_limit *all[] = {&r->h->requests, &r->h->input, &r->h->output, &r->h->tokens,
                                &r->project};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (r->h->family == RATE_OPENAI)
            openai_settle(all[i]);
        if (r->h->family == RATE_ANTHROPIC && all[i]->limit >= 0)
            all[i]->window_ms = 60000; // documented as limits a minute
    }
    struct rate_limit *tokens = &r->h->tokens;
    if (r->h->family == RATE_OPENAI && r->project.remaining >= 0 &&
        (tokens->remaining < 0 || r->project.remaining < tokens->remaining))
        *tokens = r->project;
}

void rate_headers_read(const struct http_answer *a, int64_t now_ms, struct rate_headers *ret)
{
    struct reading r = {.h = ret, .project = unsaid, .date_ms = rate_date_ms(a, now_ms)};
    struct span name, value, rest = strbuf_span(&a->headers);
    struct rate_limit ietf;
    *ret = (struct rate_headers){RATE_NONE, unsaid, unsaid, unsaid, unsaid};
    while (hdrline_next(&rest, &name, &value))
        line_read(&r, name, value);
    if (r.has_ietf && ietf_read(a, &ietf) && family_is(&r, RATE_IETF))
        ret->requests = ietf;
    settle(&r);
}

static int64_t believed(int64_t ms)
{
    return ms > 0 ? MIN(ms, RATE_WAIT_MAX_MS) : -1;
}

int64_t rate_retry_after_ms(const struct http_answer *a, int64_t now_ms)
{
    struct rate_limit ietf;
    struct span v;
    int64_t ms;
    if (http_header(a, "retry-after-ms", &v) && when_decimal(v, 1, &ms) && ms > 0)
        return believed(ms);
    if (http_header(a, "retry-after", &v)) {
        if (when_decimal(v, 1000, &ms) && ms > 0)
            return believed(ms);
        int64_t date_ms = rate_date_ms(a, now_ms);
        if (when_http_date(v, date_ms, &ms) && ms > date_ms)
            return believed(ms - date_ms);
    }
    if (a->status != 429)
        return -1;
    if (http_header(a, "x-ratelimit-reset", &v) && reset_read(v, rate_date_ms(a, now_ms), &ms) &&
        ms > 0)
        return believed(ms);
    return ietf_read(a, &ietf) && ietf.remaining == 0 ? believed(ietf.reset_ms) : -1;
}
