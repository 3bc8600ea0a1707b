#include "worker/provider/ietf.h"

#include "worker/provider/hdrline.h"
#include "worker/provider/when.h"

enum { POLICIES_MAX = 16 }; // of one answer; those that follow are not looked at

struct policy {
    struct span name; // as written, quotes included; draft 7 and before: the quota itself
    int64_t quota, window_ms;
    bool counts_requests;
};

struct seen {
    struct rate_limit best;
    struct policy policies[POLICIES_MAX];
    size_t policy_count;
    bool found;
};

// part_next takes what stands before the next separator off *rest. Quoted text is one piece.
static bool part_next(struct span *rest, char separator, struct span *ret)
{
    size_t i = 0;
    bool quoted = false;
    if (rest->len == 0)
        return false;
    for (; i < rest->len && (quoted || rest->at[i] != separator); i++) {
        if (quoted && rest->at[i] == '\\')
            i++;
        else if (rest->at[i] == '"')
            quoted = !quoted;
    }
    i = MIN(i, rest->len);
    *ret = hdrline_trim((struct span){rest->at, i});
    i += i < rest->len;
    rest->at += i;
    rest->len -= i;
    return true;
}

static bool whole(struct span s, int64_t *ret)
{
    return when_decimal(s, 1, ret); // milliseconds of one millisecond: a number rounded up
}

// pair_is reads "key=number".
static bool pair_is(struct span part, const char *key, int64_t *ret)
{
    struct span value = part;
    return hdrline_cut(&value, key) && hdrline_cut(&value, "=") && whole(value, ret);
}

// param finds ;key=number among an item's parameters.
static int64_t param(struct span item, const char *key)
{
    struct span part;
    int64_t n;
    part_next(&item, ';', &part);
    while (part_next(&item, ';', &part))
        if (pair_is(part, key, &n))
            return n;
    return -1;
}

static int64_t seconds(int64_t s)
{
    return s < 0 ? -1 : MIN(s, RATE_WAIT_MAX_MS / 1000) * 1000;
}

static bool unit_is_requests(struct span item)
{
    struct span part;
    part_next(&item, ';', &part);
    while (part_next(&item, ';', &part))
        if (hdrline_cut(&part, "qu="))
            return span_is(part, "\"requests\"");
    return true;
}

static void policies_read(struct seen *s, struct span list)
{
    struct span item, rest;
    while (s->policy_count < POLICIES_MAX && part_next(&list, ',', &item)) {
        struct policy *p = &s->policies[s->policy_count];
        rest = item;
        if (!part_next(&rest, ';', &p->name))
            continue;
        p->quota = param(item, "q");
        if (p->quota < 0 && !whole(p->name, &p->quota))
            continue;
        p->window_ms = seconds(param(item, "w"));
        p->counts_requests = unit_is_requests(item);
        s->policy_count++;
    }
}

static const struct policy *policy_find(const struct seen *s, struct span name)
{
    for (size_t i = 0; i < s->policy_count; i++) {
        const struct policy *p = &s->policies[i];
        if (p->name.len == name.len && memcmp(p->name.at, name.at, name.len) == 0)
            return p;
    }
    return NULL;
}

// item_read takes one item of a RateLimit list, if it binds more than what was seen.
static void item_read(struct seen *s, struct span item)
{
    struct span name, rest = item;
    struct rate_limit now = {-1, param(item, "r"), seconds(param(item, "t")), -1};
    if (now.remaining < 0 || !part_next(&rest, ';', &name))
        return;
    const struct policy *p = policy_find(s, name);
    if (p && !p->counts_requests)
        return;
    if (p) {
        now.limit = p->quota;
        now.window_ms = p->window_ms;
    }
    bool binds = !s->found || now.remaining < s->best.remaining ||
                 (now.remaining == s->best.remaining && now.reset_ms > s->best.reset_ms);
    if (binds)
        s->best = now;
    s->found = true;
}

static void limit_read(struct seen *s, struct span list)
{
    struct span part;
    int64_t n;
    for (int i = 0; i < POLICIES_MAX && part_next(&list, ',', &part); i++) {
        if (pair_is(part, "limit", &n))
            s->best.limit = n;
        else if (pair_is(part, "remaining", &n))
            s->best.remaining = n;
        else if (pair_is(part, "reset", &n))
            s->best.reset_ms = seconds(n);
        else {
            item_read(s, part);
            continue;
        }
        s->found = true; // draft 7
    }
}

// old_read takes one of the headers of draft 6 and before.
static void old_read(struct seen *s, struct span field, struct span value)
{
    struct span list = value, first;
    int64_t n;
    if (!part_next(&list, ',', &first) || !whole(first, &n))
        return;
    if (hdrline_is(field, "limit")) {
        s->best.limit = n;
        policies_read(s, list);
    } else if (hdrline_is(field, "remaining")) {
        s->best.remaining = n;
    } else if (hdrline_is(field, "reset")) {
        s->best.reset_ms = seconds(n);
    } else {
        return;
    }
    s->found = true;
}

static void window_settle(struct seen *s)
{
    for (size_t i = 0; i < s->policy_count && s->best.window_ms < 0; i++)
        if (s->policies[i].quota == s->best.limit)
            s->best.window_ms = s->policies[i].window_ms;
    if (!s->found && s->policy_count && s->policies[0].counts_requests) {
        s->best.limit = s->policies[0].quota;
        s->best.window_ms = s->policies[0].window_ms;
        s->found = true;
    }
}

bool ietf_read(const struct http_answer *a, struct rate_limit *ret)
{
    struct seen s = {.best = {-1, -1, -1, -1}};
    struct span name, value, rest = strbuf_span(&a->headers);
    while (hdrline_next(&rest, &name, &value)) // policies first: the limits refer to them
        if (hdrline_is(name, "ratelimit-policy"))
            policies_read(&s, value);
    rest = strbuf_span(&a->headers);
    while (hdrline_next(&rest, &name, &value)) {
        if (hdrline_is(name, "ratelimit"))
            limit_read(&s, value);
        else if (hdrline_cut(&name, "ratelimit-"))
            old_read(&s, name, value);
    }
    window_settle(&s);
    if (s.found)
        *ret = s.best;
    return s.found;
}
