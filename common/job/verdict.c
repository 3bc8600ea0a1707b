// verdict: what an outcome means for its job and its pool. One table of statuses, and around it the
// few things that overrule a status: money, the words of a transport, and x-should-retry.
#include "common/base/err.h"
#include "common/job/outcome.h"

#include <assert.h>
#include <string.h>

// The codes that mean "no money" (Anthropic's error_code; OpenAI's code or type). They come with a
// 429, or with whatever a gateway makes of it, and no wait named in seconds helps.
static const char *const spend_codes[] = {
    "enforced_spend_limit_reached",
    "contract_spend_limit_reached",
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "billing_hard_limit_reached",
};

// The same as a 400 without a code. Messages are no promise of the API's, but it gives nothing
// else.
static const char *const spend_texts[] = {
    "specified API usage limits",
    "specified workspace API usage limits",
    "credit balance is too low",
};

// 400s that every job of the account would get, so that none may be buried for them.
static const char *const hold_codes[] = {"organization_on_hold", "cmek_key_disabled"};

static const struct row {
    int from, to;
    enum verdict verdict;
    enum failure failure;
    enum cause shut;
} rows[] = {
    // The first row that fits counts.
    {401, 401, VERDICT_PAUSE_POOL, FAILURE_NONE, CAUSE_AUTH},
    {402, 402, VERDICT_PAUSE_POOL, FAILURE_NONE, CAUSE_BILLING},
    {403, 403, VERDICT_PAUSE_POOL, FAILURE_NONE, CAUSE_PERMISSION},
    {404, 404, VERDICT_BURY, FAILURE_NOT_FOUND, CAUSE_NONE},
    {407, 407, VERDICT_PAUSE_POOL, FAILURE_NONE, CAUSE_AUTH}, // the proxy's, still not the job's
    {408, 409, VERDICT_RETRY, FAILURE_API_ERROR, CAUSE_NONE},
    {410, 410, VERDICT_BURY, FAILURE_NOT_FOUND, CAUSE_NONE},
    {421, 421, VERDICT_RETRY, FAILURE_API_ERROR, CAUSE_NONE}, // wrong connection, says RFC 9110
    {425, 425, VERDICT_RETRY, FAILURE_API_ERROR, CAUSE_NONE}, // too early, says RFC 8470
    {429, 429, VERDICT_THROTTLE, FAILURE_RATE_LIMITED, CAUSE_QUOTA},
    {300, 499, VERDICT_BURY, FAILURE_INVALID_REQUEST, CAUSE_NONE},
    {529, 529, VERDICT_RETRY, FAILURE_OVERLOADED, CAUSE_NONE},
    {500, 999, VERDICT_RETRY, FAILURE_API_ERROR, CAUSE_NONE},
};

// The status an error type stands for, where it came inside a 200.
static const struct {
    const char *type;
    int status;
} types[] = {
    {"invalid_request_error", 400}, {"authentication_error", 401}, {"billing_error", 402},
    {"permission_error", 403},      {"not_found_error", 404},      {"conflict_error", 409},
    {"request_too_large", 413},     {"rate_limit_error", 429},     {"api_error", 500},
    {"timeout_error", 504},         {"overloaded_error", 529},     {"insufficient_quota", 429},
};

const char *verdict_word(enum verdict v)
{
    static const char *const words[] = {
#define XX(name, word, text) word,
        VERDICT_MAP(XX)
#undef XX
    };
    return (size_t)v < ARRAY_LEN(words) ? words[v] : "?";
}

static const char *const cause_words[] = {
#define XX(name, word) word,
    CAUSE_MAP(XX)
#undef XX
};

const char *cause_word(enum cause c)
{
    return (size_t)c < ARRAY_LEN(cause_words) ? cause_words[c] : "?";
}

enum cause cause_parse(struct span word)
{
    for (size_t i = 0; i < ARRAY_LEN(cause_words); i++)
        if (span_is(word, cause_words[i]))
            return (enum cause)i;
    return CAUSE_NONE;
}

const char *failure_word(enum failure f)
{
    static const char *const words[] = {
#define XX(name, word) word,
        FAILURE_MAP(XX)
#undef XX
    };
    return (size_t)f < ARRAY_LEN(words) ? words[f] : "?";
}

static bool is_one_of(const char *word, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, list[i]) == 0)
            return true;
    return false;
}

static bool is_spend(const struct outcome *o, int status)
{
    if (status < 400 || status > 499)
        return false;
    if (is_one_of(o->error_code, spend_codes, ARRAY_LEN(spend_codes)) ||
        is_one_of(o->error_type, spend_codes, ARRAY_LEN(spend_codes)))
        return true;
    if (status != 400 && status != 429)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(spend_texts); i++)
        if (strcasestr(o->message, spend_texts[i]))
            return true;
    return false;
}

// never_fits sees OpenAI's 429 for one request that is larger than the whole minute's quota: it is
// this job's trouble, and no wait will help.
static bool never_fits(const struct outcome *o)
{
    static const char start[] = "Request too large for ";
    return strncmp(o->message, start, sizeof start - 1) == 0;
}

static struct decision bury(enum failure f)
{
    return (struct decision){.verdict = VERDICT_BURY, .floor_ms = -1, .failure = f};
}

static struct decision retry(const struct outcome *o, const struct tries *t, enum failure f)
{
    if (t->attempts + 1 >= t->max_attempts)
        return bury(f);
    return (struct decision){.verdict = VERDICT_RETRY, .floor_ms = o->retry_after_ms, .failure = f};
}

static struct decision pause_pool(const struct outcome *o, enum cause c)
{
    return (struct decision){.verdict = VERDICT_PAUSE_POOL,
                             .floor_ms = o->resume_in_ms >= 0 ? o->resume_in_ms : o->retry_after_ms,
                             .shut = c};
}

// throttle: the pool shuts for the time named even where the job itself has had enough.
static struct decision throttle(const struct outcome *o, const struct tries *t)
{
    bool last = t->max_throttles > 0 && t->throttles + 1 >= t->max_throttles;
    return (struct decision){.verdict = last ? VERDICT_BURY : VERDICT_THROTTLE,
                             .floor_ms = o->retry_after_ms,
                             .failure = FAILURE_RATE_LIMITED,
                             .shut = CAUSE_QUOTA};
}

static struct decision of_error(const struct outcome *o, const struct tries *t)
{
    switch (o->error) {
    case ERR_TIMEOUT:
        return retry(o, t, FAILURE_TIMEOUT);
    case ERR_TRUNCATED:
        return retry(o, t, FAILURE_BAD_ANSWER);
    case ERR_TOO_BIG: // it was paid for, and the next one would be as long
        return bury(FAILURE_BAD_ANSWER);
    default:
        return retry(o, t, FAILURE_CONNECTION);
    }
}

static struct decision of_row(const struct row *r, const struct outcome *o, const struct tries *t)
{
    switch (r->verdict) {
    case VERDICT_PAUSE_POOL:
        return pause_pool(o, r->shut);
    case VERDICT_THROTTLE:
        // x-should-retry: false makes no difference here. A 429 speaks of the account's quota and
        // never of the job, so that burying it would lose work for no fault of its own; and
        // protocol.md has it wait, with max_throttles and its expiry as the ends.
        return throttle(o, t);
    case VERDICT_RETRY:
        return o->should_retry == 0 ? bury(r->failure) : retry(o, t, r->failure);
    default:
        return o->should_retry == 1 ? retry(o, t, r->failure) : bury(r->failure);
    }
}

static struct decision of_status(int status, const struct outcome *o, const struct tries *t)
{
    if (is_spend(o, status))
        return pause_pool(o, CAUSE_SPEND);
    if (status == 400 && is_one_of(o->error_code, hold_codes, ARRAY_LEN(hold_codes)))
        return pause_pool(o, CAUSE_PERMISSION);
    if (status == 429 && never_fits(o))
        return bury(FAILURE_INVALID_REQUEST);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (status >= rows[i].from && status <= rows[i].to)
            return of_row(&rows[i], o, t);
    return retry(o, t, FAILURE_BAD_ANSWER);
}

// status_meant is the answer's status, or for an error inside a 200 the one its type stands for.
static int status_meant(const struct outcome *o)
{
    bool good = o->http_status >= 200 && o->http_status <= 299;
    for (size_t i = 0; good && o->broken && i < ARRAY_LEN(types); i++)
        if (strcmp(o->error_type, types[i].type) == 0)
            return types[i].status;
    return o->http_status;
}

struct decision verdict_of(const struct outcome *o, const struct tries *t)
{
    assert(o->error != ERR_CANCELLED); // our own doing: no outcome at all
    assert(t->max_attempts >= 1);
    int status = status_meant(o);
    // An answer that broke off still had its status, which tells enough where the body adds
    // nothing. Not so a 400: the body would have said whether it was about the job or about money.
    bool enough = status >= 300 && status != 400;
    if (o->error && !enough)
        return of_error(o, t);
    if (status >= 200 && status <= 299 && !o->broken)
        return (struct decision){.verdict = VERDICT_DONE, .floor_ms = -1};
    return of_status(status, o, t);
}
