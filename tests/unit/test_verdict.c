// test_verdict: what an outcome means, one row a case, and the words that others read.
#include "common/base/err.h"
#include "common/job/outcome.h"
#include "tests/support/tap.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DAY INT64_C(86400000)

// A case: what came, and what must follow. Fields left out are those of a fresh job (first attempt
// of five, no limit of throttles) and of an answer that wishes nothing; `again` 0 = no
// x-should-retry header, 1 = true, -1 = false; times 0 = none.
struct row {
    const char *what;
    int error, status;
    bool broken;
    int again;
    int64_t after_ms, resume_ms;
    const char *type, *code, *message;
    struct tries tries;
    // ---- what must follow
    enum verdict verdict;
    enum failure failure;
    enum cause shut;
    int64_t floor_ms; // 0 = none
};

#define DONE .verdict = VERDICT_DONE
#define RETRY(why) .verdict = VERDICT_RETRY, .failure = FAILURE_##why
#define BURY(why) .verdict = VERDICT_BURY, .failure = FAILURE_##why
#define THROTTLE .verdict = VERDICT_THROTTLE, .failure = FAILURE_RATE_LIMITED, .shut = CAUSE_QUOTA
#define PAUSE(cause) .verdict = VERDICT_PAUSE_POOL, .shut = CAUSE_##cause
#define LAST .tries = {.attempts = 4, .max_attempts = 5}

// clang-format off
static const struct row rows[] = {
    // Good answers. Stop reasons are no part of an outcome's meaning.
    {"200", .status = 200, DONE},
    {"200 on the last attempt", .status = 200, LAST, DONE},
    {"200 after more attempts than allowed (a limit lowered meanwhile)", .status = 200,
     .tries = {.attempts = 9, .max_attempts = 5}, DONE},
    {"200 with wishes in its headers", .status = 200, .again = -1, .after_ms = 5000, DONE},
    {"201", .status = 201, DONE},
    {"299", .status = 299, DONE},

    // Broken answers.
    {"200 broken", .status = 200, .broken = true, RETRY(BAD_ANSWER)},
    {"200 broken, last attempt", .status = 200, .broken = true, LAST, BURY(BAD_ANSWER)},
    {"200 broken, only attempt", .status = 200, .broken = true, .tries = {.max_attempts = 1}, BURY(BAD_ANSWER)},
    {"200 broken with a time named", .status = 200, .broken = true, .after_ms = 3000, RETRY(BAD_ANSWER), .floor_ms = 3000},
    {"204", .status = 204, .broken = true, RETRY(BAD_ANSWER)},
    {"200 with an error of an unknown type", .status = 200, .broken = true, .type = "new_error", RETRY(BAD_ANSWER)},
    {"200 with overloaded_error", .status = 200, .broken = true, .type = "overloaded_error", RETRY(OVERLOADED)},
    {"200 with overloaded_error, last attempt", .status = 200, .broken = true, .type = "overloaded_error", LAST, BURY(OVERLOADED)},
    {"299 with overloaded_error", .status = 299, .broken = true, .type = "overloaded_error", RETRY(OVERLOADED)},
    {"200 with api_error", .status = 200, .broken = true, .type = "api_error", RETRY(API_ERROR)},
    {"200 with timeout_error", .status = 200, .broken = true, .type = "timeout_error", RETRY(API_ERROR)},
    {"200 with conflict_error", .status = 200, .broken = true, .type = "conflict_error", RETRY(API_ERROR)},
    {"200 with rate_limit_error", .status = 200, .broken = true, .type = "rate_limit_error", .after_ms = 9000, THROTTLE, .floor_ms = 9000},
    {"200 with rate_limit_error and no money", .status = 200, .broken = true, .type = "rate_limit_error", .code = "enforced_spend_limit_reached", PAUSE(SPEND)},
    {"200 with insufficient_quota", .status = 200, .broken = true, .type = "insufficient_quota", PAUSE(SPEND)},
    {"200 with invalid_request_error", .status = 200, .broken = true, .type = "invalid_request_error", BURY(INVALID_REQUEST)},
    {"200 with not_found_error", .status = 200, .broken = true, .type = "not_found_error", BURY(NOT_FOUND)},
    {"200 with request_too_large", .status = 200, .broken = true, .type = "request_too_large", BURY(INVALID_REQUEST)},
    {"200 with authentication_error", .status = 200, .broken = true, .type = "authentication_error", PAUSE(AUTH)},
    {"200 with billing_error", .status = 200, .broken = true, .type = "billing_error", PAUSE(BILLING)},
    {"200 with permission_error", .status = 200, .broken = true, .type = "permission_error", PAUSE(PERMISSION)},
    {"the type matters inside a 200 alone", .status = 500, .type = "invalid_request_error", RETRY(API_ERROR)},

    // Quotas: never an attempt, and the gate shuts.
    {"429", .status = 429, .type = "rate_limit_error", THROTTLE},
    {"429 with retry-after", .status = 429, .after_ms = 16000, THROTTLE, .floor_ms = 16000},
    {"429 with its attempts used up: 429s are not failures", .status = 429, LAST, THROTTLE},
    {"429 growing too fast", .status = 429, .code = "ramp_limit_exceeded", .after_ms = 20000, THROTTLE, .floor_ms = 20000},
    {"429 with an unknown code", .status = 429, .code = "new_code", THROTTLE},
    {"429 without end", .status = 429, .tries = {.throttles = 1000000, .max_attempts = 5}, THROTTLE},
    {"429, the second of three", .status = 429, .tries = {.throttles = 1, .max_attempts = 5, .max_throttles = 3}, THROTTLE},
    {"429, the third of three: dead, but the gate shuts all the same", .status = 429, .after_ms = 5000,
     .tries = {.throttles = 2, .max_attempts = 5, .max_throttles = 3}, BURY(RATE_LIMITED), .shut = CAUSE_QUOTA, .floor_ms = 5000},
    {"429, the first of one", .status = 429, .tries = {.max_attempts = 5, .max_throttles = 1}, BURY(RATE_LIMITED), .shut = CAUSE_QUOTA},
    {"429 with x-should-retry: true", .status = 429, .again = 1, THROTTLE},
    {"429 with x-should-retry: false and a time", .status = 429, .again = -1, .after_ms = 30000, THROTTLE, .floor_ms = 30000},
    {"429 with x-should-retry: false and no time: still no fault of the job's", .status = 429, .again = -1, THROTTLE},
    {"429 for a request that never fits", .status = 429, .code = "rate_limit_exceeded", .message = "Request too large for gpt-6 on TPM", BURY(INVALID_REQUEST)},
    {"429 whose message only mentions it", .status = 429, .message = "Not the Request too large for one", THROTTLE},

    // Money.
    {"429 enforced_spend_limit_reached", .status = 429, .code = "enforced_spend_limit_reached", PAUSE(SPEND)},
    {"... and the message names a time", .status = 429, .code = "enforced_spend_limit_reached", .resume_ms = 3 * DAY, PAUSE(SPEND), .floor_ms = 3 * DAY},
    {"... which goes before retry-after", .status = 429, .code = "enforced_spend_limit_reached", .resume_ms = 3 * DAY, .after_ms = 5000, PAUSE(SPEND), .floor_ms = 3 * DAY},
    {"... which is better than nothing", .status = 429, .code = "enforced_spend_limit_reached", .after_ms = 5000, PAUSE(SPEND), .floor_ms = 5000},
    {"... on the last throttle: nothing is charged to the job", .status = 429, .code = "enforced_spend_limit_reached", .tries = {.max_attempts = 1, .max_throttles = 1}, PAUSE(SPEND)},
    {"429 contract_spend_limit_reached", .status = 429, .code = "contract_spend_limit_reached", PAUSE(SPEND)},
    {"... with x-should-retry: true", .status = 429, .again = 1, .code = "contract_spend_limit_reached", PAUSE(SPEND)},
    {"429 insufficient_quota as code", .status = 429, .code = "insufficient_quota", PAUSE(SPEND)},
    {"429 insufficient_quota as type", .status = 429, .type = "insufficient_quota", PAUSE(SPEND)},
    {"429 credit_balance_exhausted", .status = 429, .code = "credit_balance_exhausted", PAUSE(SPEND)},
    {"429 organization_spend_limit_exceeded", .status = 429, .code = "organization_spend_limit_exceeded", PAUSE(SPEND)},
    {"429 project_spend_limit_exceeded", .status = 429, .code = "project_spend_limit_exceeded", PAUSE(SPEND)},
    {"429 organization_usage_limit_exceeded", .status = 429, .code = "organization_usage_limit_exceeded", PAUSE(SPEND)},
    {"429 billing_hard_limit_reached", .status = 429, .type = "billing_hard_limit_reached", PAUSE(SPEND)},
    {"429 that says usage limits", .status = 429, .message = "You have reached your specified API usage limits.", PAUSE(SPEND)},
    {"402 with a gateway's insufficient_quota", .status = 402, .code = "insufficient_quota", PAUSE(SPEND)},
    {"400 specified API usage limits", .status = 400, .message = "You have reached your specified API usage limits. You will ...", .resume_ms = DAY, PAUSE(SPEND), .floor_ms = DAY},
    {"400 specified workspace API usage limits", .status = 400, .message = "You have reached your specified workspace API usage limits.", PAUSE(SPEND)},
    {"400 credit balance is too low", .status = 400, .message = "Your credit balance is too low to access the Anthropic API.", PAUSE(SPEND)},
    {"400 of money, last attempt, x-should-retry: false", .status = 400, .again = -1, .message = "Your credit balance is too low", LAST, PAUSE(SPEND)},
    {"404 that says so is a 404", .status = 404, .message = "credit balance is too low", BURY(NOT_FOUND)},
    {"500 with a code of money is a 500", .status = 500, .code = "insufficient_quota", RETRY(API_ERROR)},

    // The account.
    {"401", .status = 401, PAUSE(AUTH)},
    {"401 on the last attempt", .status = 401, LAST, PAUSE(AUTH)},
    {"401 with x-should-retry: true", .status = 401, .again = 1, PAUSE(AUTH)},
    {"402", .status = 402, PAUSE(BILLING)},
    {"403", .status = 403, PAUSE(PERMISSION)},
    {"403 with a time", .status = 403, .after_ms = 60000, PAUSE(PERMISSION), .floor_ms = 60000},
    {"407", .status = 407, PAUSE(AUTH)},
    {"400 organization_on_hold", .status = 400, .code = "organization_on_hold", PAUSE(PERMISSION)},
    {"400 cmek_key_disabled", .status = 400, .code = "cmek_key_disabled", PAUSE(PERMISSION)},

    // The job.
    {"400", .status = 400, .type = "invalid_request_error", BURY(INVALID_REQUEST)},
    {"400 with an unknown code", .status = 400, .code = "thread_not_found", BURY(INVALID_REQUEST)},
    {"400 with x-should-retry: true", .status = 400, .again = 1, RETRY(INVALID_REQUEST)},
    {"... on the last attempt", .status = 400, .again = 1, LAST, BURY(INVALID_REQUEST)},
    {"404", .status = 404, BURY(NOT_FOUND)},
    {"405", .status = 405, BURY(INVALID_REQUEST)},
    {"410", .status = 410, BURY(NOT_FOUND)},
    {"412", .status = 412, BURY(INVALID_REQUEST)},
    {"413", .status = 413, BURY(INVALID_REQUEST)},
    {"422", .status = 422, BURY(INVALID_REQUEST)},
    {"431", .status = 431, BURY(INVALID_REQUEST)},
    {"499", .status = 499, BURY(INVALID_REQUEST)},
    {"301", .status = 301, BURY(INVALID_REQUEST)},
    {"308", .status = 308, BURY(INVALID_REQUEST)},

    // Their trouble.
    {"408", .status = 408, RETRY(API_ERROR)},
    {"409", .status = 409, RETRY(API_ERROR)},
    {"409 on the last attempt", .status = 409, LAST, BURY(API_ERROR)},
    {"421", .status = 421, RETRY(API_ERROR)},
    {"425", .status = 425, RETRY(API_ERROR)},
    {"500", .status = 500, RETRY(API_ERROR)},
    {"500 on the last attempt", .status = 500, LAST, BURY(API_ERROR)},
    {"500 with x-should-retry: false", .status = 500, .again = -1, BURY(API_ERROR)},
    {"501", .status = 501, RETRY(API_ERROR)},
    {"502", .status = 502, RETRY(API_ERROR)},
    {"503 with retry-after", .status = 503, .after_ms = 120000, RETRY(API_ERROR), .floor_ms = 120000},
    {"503 with retry-after, last attempt: no time for the dead", .status = 503, .after_ms = 120000, LAST, BURY(API_ERROR)},
    {"504", .status = 504, RETRY(API_ERROR)},
    {"520", .status = 520, RETRY(API_ERROR)},
    {"529", .status = 529, .type = "overloaded_error", RETRY(OVERLOADED)},
    {"529 with retry-after", .status = 529, .after_ms = 7000, RETRY(OVERLOADED), .floor_ms = 7000},
    {"529 on the last attempt", .status = 529, LAST, BURY(OVERLOADED)},
    {"529 with x-should-retry: false", .status = 529, .again = -1, BURY(OVERLOADED)},
    {"999", .status = 999, RETRY(API_ERROR)},
    {"101", .status = 101, RETRY(BAD_ANSWER)},

    // The transport.
    {"no connection", .error = ERR_CONNECT, RETRY(CONNECTION)},
    {"no connection, last attempt", .error = ERR_CONNECT, LAST, BURY(CONNECTION)},
    {"the connection broke", .error = ERR_TRANSPORT, RETRY(CONNECTION)},
    {"no answer in time", .error = ERR_TIMEOUT, RETRY(TIMEOUT)},
    {"no answer in time, last attempt", .error = ERR_TIMEOUT, LAST, BURY(TIMEOUT)},
    {"half a good answer", .error = ERR_TRUNCATED, .status = 200, RETRY(BAD_ANSWER)},
    {"half a good answer, last attempt", .error = ERR_TRUNCATED, .status = 200, LAST, BURY(BAD_ANSWER)},
    {"a good answer that stalled", .error = ERR_TIMEOUT, .status = 200, RETRY(TIMEOUT)},
    {"an answer beyond the ceiling", .error = ERR_TOO_BIG, .status = 200, BURY(BAD_ANSWER)},
    {"no memory", .error = ERR_NOMEM, RETRY(CONNECTION)},
    {"half a 429", .error = ERR_TRUNCATED, .status = 429, .after_ms = 5000, THROTTLE, .floor_ms = 5000},
    {"half a 401", .error = ERR_TRANSPORT, .status = 401, PAUSE(AUTH)},
    {"half a 413", .error = ERR_TRANSPORT, .status = 413, BURY(INVALID_REQUEST)},
    {"half a 400: it may have been about money", .error = ERR_TRUNCATED, .status = 400, RETRY(BAD_ANSWER)},
    {"a 502 beyond the ceiling", .error = ERR_TOO_BIG, .status = 502, RETRY(API_ERROR)},
};
// clang-format on

static struct outcome outcome_of(const struct row *r)
{
    struct outcome o = {
        .error = r->error,
        .http_status = r->status,
        .broken = r->broken,
        .should_retry = r->again == 0 ? -1 : r->again == 1,
        .retry_after_ms = r->after_ms ? r->after_ms : -1,
        .resume_in_ms = r->resume_ms ? r->resume_ms : -1,
    };
    snprintf(o.error_type, sizeof o.error_type, "%s", r->type ? r->type : "");
    snprintf(o.error_code, sizeof o.error_code, "%s", r->code ? r->code : "");
    snprintf(o.message, sizeof o.message, "%s", r->message ? r->message : "");
    return o;
}

static void every_outcome_means_what_its_row_says(void **state)
{
    (void)state;
    int bad = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        struct tries tries = r->tries.max_attempts ? r->tries : (struct tries){.max_attempts = 5};
        struct outcome o = outcome_of(r);
        struct decision d = verdict_of(&o, &tries);
        int64_t floor_ms = r->floor_ms ? r->floor_ms : -1;
        if (d.verdict == r->verdict && d.failure == r->failure && d.shut == r->shut &&
            d.floor_ms == floor_ms)
            continue;
        print_error("%s: %s %s [%s] %lld, expected %s %s [%s] %lld\n", r->what,
                    verdict_word(d.verdict), failure_word(d.failure), cause_word(d.shut),
                    (long long)d.floor_ms, verdict_word(r->verdict), failure_word(r->failure),
                    cause_word(r->shut), (long long)floor_ms);
        bad++;
    }
    assert_int_equal(bad, 0);
}

static void every_error_of_a_transport_has_a_meaning_but_our_own_cancel(void **state)
{
    (void)state;
    struct tries tries = {.max_attempts = 5};
#define XX(name, text) ERR_##name,
    static const int all[] = {ERR_MAP(XX)};
#undef XX
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct outcome o = {.error = all[i], .should_retry = -1, .retry_after_ms = -1};
        if (all[i] != ERR_CANCELLED)
            assert_int_not_equal(verdict_of(&o, &tries).verdict, VERDICT_DONE);
    }
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct outcome o = {.error = ERR_CANCELLED};
        close(STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        verdict_of(&o, &tries);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void words_are_distinct_and_causes_read_back(void **state)
{
    (void)state;
    assert_string_equal(verdict_word(VERDICT_PAUSE_POOL), "pause_pool");
    assert_string_equal(failure_word(FAILURE_BAD_ANSWER), "bad_answer");
    assert_string_equal(failure_word(FAILURE_NONE), "");
    for (enum cause c = CAUSE_NONE; c <= CAUSE_PAUSED; c++)
        assert_int_equal(cause_parse(span_of(cause_word(c))), c);
    assert_int_equal(cause_parse(span_of("quot")), CAUSE_NONE);
    assert_int_equal(cause_parse(span_of("quotas")), CAUSE_NONE);
    assert_int_equal(cause_parse((struct span){NULL, 0}), CAUSE_NONE);
    assert_string_equal(cause_word((enum cause)99), "?");
    assert_string_equal(verdict_word((enum verdict)99), "?");
    assert_string_equal(failure_word((enum failure)99), "?");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TAP("every outcome means what its row says", every_outcome_means_what_its_row_says),
        TAP("every error of a transport has a meaning but our own cancel",
            every_error_of_a_transport_has_a_meaning_but_our_own_cancel),
        TAP("words are distinct and causes read back", words_are_distinct_and_causes_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
