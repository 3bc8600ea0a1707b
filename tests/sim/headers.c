#include "tests/sim/headers.h"

#include <math.h>
#include <string.h>
#include <time.h>

enum { SECOND_MS = 1000, WINDOW_S = 60 };

int64_t headers_round_1000(double tokens)
{
    return tokens <= 0 ? 0 : (int64_t)floor(tokens / 1000 + 0.5) * 1000;
}

void snapshot_take(struct snapshot *s, const struct limiter *l, int64_t wall_ms)
{
    s->wall_ms = wall_ms;
    for (int d = 0; d < DIM_COUNT; d++) {
        const struct bucket *b = &l->shown[d];
        s->dim[d].limit = b->per_min > 0 ? MAX(1, (int64_t)b->per_min) : 0;
        s->dim[d].remaining = d == DIM_REQUESTS ? (int64_t)MAX(0.0, floor(b->level + 1e-6))
                                                : headers_round_1000(b->level);
        s->dim[d].full_ms = (int64_t)((bucket_full_us(b) + 999) / 1000);
    }
}

static int64_t ceil_s(int64_t ms)
{
    return (ms + SECOND_MS - 1) / SECOND_MS;
}

static void add_2_digits(char **at, int n)
{
    *(*at)++ = (char)('0' + n / 10 % 10);
    *(*at)++ = (char)('0' + n % 10);
}

// tm_of keeps the last day's calendar: answers of one second differ by the time of day at most.
static void tm_of(int64_t wall_s, struct tm *ret)
{
    static int64_t day = -1;
    static struct tm kept;
    int64_t today = wall_s / 86400, left = wall_s % 86400;
    if (today != day) {
        time_t midnight = (time_t)(today * 86400);
        gmtime_r(&midnight, &kept);
        day = today;
    }
    *ret = kept;
    ret->tm_hour = (int)(left / 3600);
    ret->tm_min = (int)(left / 60 % 60);
    ret->tm_sec = (int)(left % 60);
}

void headers_add_rfc3339(struct strbuf *out, int64_t wall_ms)
{
    struct tm tm;
    char text[20], *at = text;
    tm_of(wall_ms / SECOND_MS, &tm);
    int year = tm.tm_year + 1900;
    add_2_digits(&at, year / 100);
    add_2_digits(&at, year);
    *at++ = '-';
    add_2_digits(&at, tm.tm_mon + 1);
    *at++ = '-';
    add_2_digits(&at, tm.tm_mday);
    *at++ = 'T';
    add_2_digits(&at, tm.tm_hour);
    *at++ = ':';
    add_2_digits(&at, tm.tm_min);
    *at++ = ':';
    add_2_digits(&at, tm.tm_sec);
    *at++ = 'Z';
    strbuf_add(out, text, sizeof text);
}

void headers_add_http_date(struct strbuf *out, int64_t wall_ms)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm;
    char text[29], *at = text;
    tm_of(wall_ms / SECOND_MS, &tm);
    memcpy(at, days + 3 * tm.tm_wday, 3);
    memcpy(at + 3, ", ", 2);
    at += 5;
    add_2_digits(&at, tm.tm_mday);
    *at++ = ' ';
    memcpy(at, months + 3 * tm.tm_mon, 3);
    at += 3;
    *at++ = ' ';
    add_2_digits(&at, (tm.tm_year + 1900) / 100);
    add_2_digits(&at, tm.tm_year + 1900);
    *at++ = ' ';
    add_2_digits(&at, tm.tm_hour);
    *at++ = ':';
    add_2_digits(&at, tm.tm_min);
    *at++ = ':';
    add_2_digits(&at, tm.tm_sec);
    memcpy(at, " GMT", 4);
    strbuf_add(out, text, sizeof text);
}

void headers_add_go_duration(struct strbuf *out, int64_t ms)
{
    if (ms > 0 && ms < SECOND_MS) {
        strbuf_add_fmt(out, "%dms", (int)ms);
        return;
    }
    int64_t hours = ms / 3600000, minutes = ms / 60000 % 60, rest_ms = ms % 60000;
    if (hours)
        strbuf_add_fmt(out, "%lldh", (long long)hours);
    if (hours || minutes)
        strbuf_add_fmt(out, "%lldm", (long long)minutes);
    strbuf_add_int(out, rest_ms / SECOND_MS);
    int part = (int)(rest_ms % SECOND_MS), digits = 3;
    for (; part && part % 10 == 0; digits--)
        part /= 10;
    if (part)
        strbuf_add_fmt(out, ".%0*d", digits, part);
    strbuf_add_char(out, 's');
}

static void add_line_int(struct strbuf *out, const char *name, int64_t value)
{
    strbuf_add_str(out, name);
    strbuf_add_str(out, ": ");
    strbuf_add_int(out, value);
    strbuf_add_str(out, "\r\n");
}

static void add_triple(struct strbuf *out, const char *kind, int64_t limit, int64_t remaining,
                       int64_t reset_ms)
{
    static const char prefix[] = "anthropic-ratelimit-";
    strbuf_add(out, prefix, sizeof prefix - 1);
    strbuf_add_str(out, kind);
    add_line_int(out, "-limit", limit);
    strbuf_add(out, prefix, sizeof prefix - 1);
    strbuf_add_str(out, kind);
    add_line_int(out, "-remaining", remaining);
    strbuf_add(out, prefix, sizeof prefix - 1);
    strbuf_add_str(out, kind);
    strbuf_add_str(out, "-reset: ");
    headers_add_rfc3339(out, reset_ms);
    strbuf_add_str(out, "\r\n");
}

// tokens-*: the sums of input and output; reset is the earlier of the two (seen in real answers).
static void add_anthropic(struct strbuf *out, const struct snapshot *s)
{
    static const char *const kinds[] = {"requests", "input-tokens", "output-tokens"};
    int64_t limit = 0, remaining = 0, full_ms = INT64_MAX;
    for (int d = 0; d < DIM_COUNT; d++) {
        if (s->dim[d].limit == 0)
            continue;
        int64_t reset_ms = ceil_s(s->wall_ms + s->dim[d].full_ms) * SECOND_MS;
        if (s->dim[d].full_ms == 0)
            reset_ms = s->wall_ms;
        add_triple(out, kinds[d], s->dim[d].limit, s->dim[d].remaining, reset_ms);
        if (d == DIM_REQUESTS)
            continue;
        limit += s->dim[d].limit;
        remaining += s->dim[d].remaining;
        full_ms = MIN(full_ms, reset_ms);
    }
    if (limit > 0)
        add_triple(out, "tokens", limit, remaining, full_ms);
}

static void add_openai(struct strbuf *out, const struct snapshot *s)
{
    static const char *const kinds[] = {"requests", "tokens"};
    for (int d = DIM_REQUESTS; d <= DIM_INPUT; d++) {
        if (s->dim[d].limit == 0)
            continue;
        strbuf_add_fmt(out, "x-ratelimit-limit-%s: %lld\r\n", kinds[d], (long long)s->dim[d].limit);
        strbuf_add_fmt(out, "x-ratelimit-remaining-%s: %lld\r\n", kinds[d],
                       (long long)s->dim[d].remaining);
        strbuf_add_fmt(out, "x-ratelimit-reset-%s: ", kinds[d]);
        headers_add_go_duration(out, s->dim[d].full_ms);
        strbuf_add_str(out, "\r\n");
    }
}

static void add_generic(struct strbuf *out, const struct snapshot *s)
{
    if (s->dim[DIM_REQUESTS].limit == 0)
        return;
    add_line_int(out, "X-RateLimit-Limit", s->dim[DIM_REQUESTS].limit);
    add_line_int(out, "X-RateLimit-Remaining", s->dim[DIM_REQUESTS].remaining);
    add_line_int(out, "X-RateLimit-Reset", ceil_s(s->wall_ms + s->dim[DIM_REQUESTS].full_ms));
}

static void add_ietf(struct strbuf *out, const struct snapshot *s)
{
    static const char *const kinds[] = {"requests", "input-tokens", "output-tokens"};
    struct strbuf now;
    const char *comma = "";
    strbuf_init(&now, 512);
    strbuf_add_str(out, "RateLimit-Policy: ");
    for (int d = 0; d < DIM_COUNT; d++) {
        if (s->dim[d].limit == 0)
            continue;
        strbuf_add_fmt(out, "%s\"%s\";q=%lld;w=%d", comma, kinds[d], (long long)s->dim[d].limit,
                       WINDOW_S);
        strbuf_add_fmt(&now, "%s\"%s\";r=%lld;t=%lld", comma, kinds[d],
                       (long long)s->dim[d].remaining, (long long)ceil_s(s->dim[d].full_ms));
        comma = ", ";
    }
    strbuf_add_str(out, "\r\nRateLimit: ");
    strbuf_add_span(out, strbuf_span(&now));
    strbuf_add_str(out, "\r\n");
    strbuf_fini(&now);
}

static bool is_limited(const struct snapshot *s)
{
    return s->dim[DIM_REQUESTS].limit || s->dim[DIM_INPUT].limit || s->dim[DIM_OUTPUT].limit;
}

void headers_add_quota(struct strbuf *out, enum header_family family, const struct snapshot *s)
{
    if (!is_limited(s))
        return;
    switch (family) {
    case HEADERS_ANTHROPIC:
        add_anthropic(out, s);
        break;
    case HEADERS_OPENAI:
        add_openai(out, s);
        break;
    case HEADERS_GENERIC:
        add_generic(out, s);
        break;
    case HEADERS_IETF:
        add_ietf(out, s);
        break;
    case HEADERS_NONE:
        break;
    }
}

int64_t headers_add_retry(struct strbuf *out, enum retry_form form, int64_t wait_ms,
                          int64_t wall_ms)
{
    int64_t whole_s = MAX(1, ceil_s(wait_ms));
    int64_t at_s = MAX(ceil_s(wall_ms + wait_ms), wall_ms / SECOND_MS + 1);
    switch (form) {
    case RETRY_SECONDS:
        add_line_int(out, "retry-after", whole_s);
        return whole_s * SECOND_MS;
    case RETRY_MS:
        add_line_int(out, "retry-after-ms", MAX(1, wait_ms));
        add_line_int(out, "retry-after", whole_s);
        return MAX(1, wait_ms);
    case RETRY_DATE:
        strbuf_add_str(out, "retry-after: ");
        headers_add_http_date(out, at_s * SECOND_MS);
        strbuf_add_str(out, "\r\n");
        return at_s * SECOND_MS - wall_ms;
    case RETRY_RESET:
        add_line_int(out, "X-Ratelimit-Reset", at_s);
        return at_s * SECOND_MS - wall_ms;
    case RETRY_NONE:
        break;
    }
    return 0;
}
