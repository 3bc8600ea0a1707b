#include "tests/sim/faults.h"

#include "common/base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const words[] = {
#define XX(name, word, text) word,
    FAULT_MAP(XX)
#undef XX
};

// The troubles of an account, and the refusals that no bucket explains. Messages are the real
// ones where public reports show them.
static const struct trouble presets[] = {
    {"spend_limit", 429, "rate_limit_error", "enforced_spend_limit_reached",
     "You have reached the monthly spend limit of your usage tier. Access returns on 2026-12-01 at "
     "00:00 UTC.",
     "x-should-retry: false\r\n"},
    {"contract_limit", 429, "rate_limit_error", "contract_spend_limit_reached",
     "Your organization has reached the spend limit of its contract.", "x-should-retry: false\r\n"},
    {"usage_limit", 400, "invalid_request_error", NULL,
     "You have reached your specified API usage limits. You will regain access on 2026-12-01 at "
     "00:00 UTC.",
     ""},
    {"credit_low", 400, "invalid_request_error", NULL,
     "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to "
     "upgrade or purchase credits.",
     ""},
    {"auth", 401, "authentication_error", NULL, "invalid x-api-key", "x-should-retry: false\r\n"},
    {"billing", 402, "billing_error", NULL,
     "There is an issue with your billing or payment information.", ""},
    {"permission", 403, "permission_error", NULL,
     "Your API key does not have permission to use the specified resource.", ""},
    {"ramp", 429, "rate_limit_error", "ramp_limit_exceeded",
     "This request would exceed your organization's rate limit: usage is growing too fast. Please "
     "ramp up gradually.",
     "x-should-retry: true\r\nretry-after: 2\r\n"},
    {"bare_429", 429, "rate_limit_error", NULL, "Rate limited", ""},
    {"overloaded", 529, "overloaded_error", NULL, "Overloaded", "x-should-retry: true\r\n"},
};

const char *fault_word(enum fault f)
{
    return words[f];
}

bool fault_is_before(enum fault f)
{
    return f == FAULT_STATUS || f == FAULT_RESET || f == FAULT_CLOSE || f == FAULT_HTML;
}

static int read_kind(const char *word, struct fault_rate *r)
{
    char *end;
    long status = strtol(word, &end, 10);
    if (*word && *end == '\0') {
        r->fault = FAULT_STATUS;
        r->status = (int)status;
        return status >= 400 && status <= 599 ? 0 : ERR_BAD_CONF;
    }
    for (int f = FAULT_TIMEOUT; f < FAULT_COUNT; f++)
        if (strcmp(word, words[f]) == 0) {
            r->fault = (enum fault)f;
            return 0;
        }
    return ERR_BAD_CONF;
}

static int read_rate(char *part, struct fault_rates *r)
{
    char *equals = strchr(part, '='), *end;
    if (!equals || r->count == (int)ARRAY_LEN(r->at))
        return ERR_BAD_CONF;
    *equals = '\0';
    struct fault_rate *one = &r->at[r->count];
    one->rate = strtod(equals + 1, &end);
    if (end == equals + 1 || *end || !(one->rate >= 0 && one->rate <= 1) || read_kind(part, one))
        return ERR_BAD_CONF;
    r->count++;
    return 0;
}

int fault_rates_parse(const char *text, struct fault_rates *ret)
{
    struct fault_rates r = {.count = 0};
    char copy[512], *rest = copy, *part;
    if (strlen(text) >= sizeof copy)
        return ERR_BAD_CONF;
    snprintf(copy, sizeof copy, "%s", strcmp(text, "none") == 0 ? "" : text);
    double sum = 0;
    while ((part = strsep(&rest, ",")))
        if (*part && read_rate(part, &r))
            return ERR_BAD_CONF;
    for (int i = 0; i < r.count; i++)
        sum += r.at[i].rate;
    if (sum > 1 + 1e-9)
        return ERR_BAD_CONF;
    *ret = r;
    return 0;
}

void fault_rates_show(const struct fault_rates *r, struct strbuf *out)
{
    for (int i = 0; i < r->count; i++) {
        strbuf_add_str(out, i ? "," : "");
        if (r->at[i].fault == FAULT_STATUS)
            strbuf_add_int(out, r->at[i].status);
        else
            strbuf_add_str(out, words[r->at[i].fault]);
        strbuf_add_fmt(out, "=%g", r->at[i].rate);
    }
    if (r->count == 0)
        strbuf_add_str(out, "none");
}

const struct fault_rate *fault_rates_pick(const struct fault_rates *r, double roll)
{
    for (int i = 0; i < r->count; i++) {
        if (roll < r->at[i].rate)
            return &r->at[i];
        roll -= r->at[i].rate;
    }
    return NULL;
}

const struct trouble *trouble_at(size_t i)
{
    return i < ARRAY_LEN(presets) ? &presets[i] : NULL;
}

const struct trouble *trouble_find(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(presets); i++)
        if (strcmp(presets[i].word, word) == 0)
            return &presets[i];
    return NULL;
}

struct trouble trouble_of_status(int status)
{
    static const struct trouble known[] = {
        {"", 400, "invalid_request_error", NULL, "Bad request", ""},
        {"", 401, "authentication_error", NULL, "invalid x-api-key", ""},
        {"", 402, "billing_error", NULL, "Payment required", ""},
        {"", 403, "permission_error", NULL, "Forbidden", ""},
        {"", 404, "not_found_error", NULL, "Not Found", ""},
        {"", 408, "timeout_error", NULL, "Request timed out", ""},
        {"", 409, "conflict_error", NULL, "Conflict", ""},
        {"", 413, "request_too_large", NULL, "Request exceeds the maximum size", ""},
        {"", 429, "rate_limit_error", NULL,
         "This request would exceed your account's rate limit. Please try again later.", ""},
        {"", 500, "api_error", NULL, "Internal server error", "x-should-retry: true\r\n"},
        {"", 503, "api_error", NULL, "Service Unavailable", "x-should-retry: true\r\n"},
        {"", 504, "timeout_error", NULL, "Request timed out", "x-should-retry: true\r\n"},
        {"", 529, "overloaded_error", NULL, "Overloaded", "x-should-retry: true\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (known[i].status == status)
            return known[i];
    const char *type = status >= 500 ? "api_error" : "invalid_request_error";
    return (struct trouble){"", status, type, NULL, status_reason(status), ""};
}

void trouble_add_body(struct strbuf *out, const struct trouble *t, const char *message,
                      const char *request_id)
{
    strbuf_add_str(out, "{\"type\":\"error\",\"error\":{\"type\":");
    strbuf_add_json_str(out, t->type);
    strbuf_add_str(out, ",\"message\":");
    strbuf_add_json_str(out, message ? message : t->message);
    if (t->code) {
        strbuf_add_str(out, ",\"details\":{\"error_code\":");
        strbuf_add_json_str(out, t->code);
        strbuf_add_char(out, '}');
    }
    strbuf_add_str(out, "},\"request_id\":");
    strbuf_add_json_str(out, request_id);
    strbuf_add_char(out, '}');
}

const char *status_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } known[] = {{200, "OK"},
                 {400, "Bad Request"},
                 {401, "Unauthorized"},
                 {402, "Payment Required"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {408, "Request Timeout"},
                 {409, "Conflict"},
                 {413, "Payload Too Large"},
                 {415, "Unsupported Media Type"},
                 {422, "Unprocessable Entity"},
                 {429, "Too Many Requests"},
                 {431, "Request Header Fields Too Large"},
                 {500, "Internal Server Error"},
                 {501, "Not Implemented"},
                 {502, "Bad Gateway"},
                 {503, "Service Unavailable"},
                 {504, "Gateway Timeout"},
                 {529, "Overloaded"}};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (known[i].status == status)
            return known[i].reason;
    return "Unknown";
}
