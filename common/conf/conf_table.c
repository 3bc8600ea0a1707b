// conf_table: every setting of the programs, one row each. A row here and a field in struct conf
// are all a new one takes; scripts/optscan.py then asks for it in the docs and the sample file.
#include "common/base/attrs.h"
#include "common/conf/conf_int.h"

#include <string.h>
#include <strings.h>

enum {
    BOTH = CONF_WORKER | CONF_CLI,
    HOUR_MS = 3600 * 1000,
    DAY_MS = 24 * HOUR_MS,
    YEAR_S = 366 * 86400,
    MIB = 1024 * 1024,
};

// clang-format off
#define TEXT(field, shape) .type = CONF_TEXT, .at = offsetof(struct conf, field), .kind = shape
#define SECRET(field)      .type = CONF_SECRET, .at = offsetof(struct conf, field), .hidden = true
#define WORD(field, list)  .type = CONF_WORD, .at = offsetof(struct conf, field), .kind = "WORD",  \
                           .words = list
#define INT(field, lo, hi) .type = CONF_INT, .at = offsetof(struct conf, field), .kind = "N",      \
                           .least = lo, .most = hi
#define COUNT(of)          .unit = "", .write = of
#define MS                 .unit = "ms", .write = "milliseconds"
#define SECONDS            .unit = "s", .write = "seconds"
#define BYTES              .unit = "bytes", .write = "bytes"

const struct conf_row conf_rows[] = {
    // The first row is the file that the others may come from (conf_load.c).
    {.name = "PENSTOCK_SETTINGS_FILE", .flag = "settings-file", TEXT(settings_file, "FILE"),
     .group = "Where settings come from", .who = BOTH,
     .help = "File of NAME=value lines, read before the environment and again on SIGHUP"},

    {.name = "PENSTOCK_REDIS_URL", .flag = "redis-url", TEXT(redis_url, "URL"), .group = "Redis",
     .initial = "redis://127.0.0.1:6379", .check = conf_check_redis_url, .hidden = true,
     .who = BOTH,
     .help = "Redis: redis://, rediss://, redis+sentinel:// or unix://"},
    {.name = "PENSTOCK_PREFIX", .flag = "prefix", TEXT(prefix, "TEXT"), .initial = "penstock",
     .check = conf_check_prefix, .who = BOTH, .help = "What every key's name begins with"},
    {.name = "PENSTOCK_QUEUES", .flag = "queues", TEXT(queues, "LIST"), .initial = "default",
     .check = conf_check_queues, .who = BOTH,
     .help = "Queues to serve, each with a weight: interactive:10,bulk:1"},
    {.name = "PENSTOCK_RESULT_TTL", .flag = "result-ttl", INT(result_ttl_s, 1, YEAR_S), SECONDS,
     .initial = "86400", .who = CONF_WORKER, .help = "How long results and reply lists are kept"},

    {.name = "PENSTOCK_PROVIDER", .flag = "provider", WORD(provider, "anthropic"),
     .group = "The API and its key", .initial = "anthropic", .who = BOTH,
     .help = "Which API is called"},
    {.name = "ANTHROPIC_API_KEY", SECRET(api_key), .who = BOTH, .reload = true,
     .help = "The API key. This, or a file"},
    {.name = "ANTHROPIC_API_KEY_FILE", .flag = "api-key-file", TEXT(api_key_file, "FILE"),
     .who = BOTH, .reload = true, .help = "File that holds the API key, read again on SIGHUP"},
    {.name = "ANTHROPIC_API_KEYS_FILE", .flag = "api-keys-file", TEXT(api_keys_file, "FILE"),
     .who = BOTH, .reload = true,
     .help = "File of several keys, \"NAME KEY [org=ORG]\" a line, read again on SIGHUP"},
    {.name = "ANTHROPIC_BASE_URL", .flag = "base-url", TEXT(base_url, "URL"),
     .initial = "https://api.anthropic.com", .check = conf_check_base_url, .who = BOTH,
     .help = "Where the API is, without /v1. http:// is allowed"},
    {.name = "PENSTOCK_ANTHROPIC_VERSION", .flag = "anthropic-version", TEXT(api_version, "DATE"),
     .initial = "2023-06-01", .check = conf_check_version, .who = BOTH,
     .help = "The anthropic-version header"},
    {.name = "PENSTOCK_AUTH", .flag = "auth", WORD(auth, "x-api-key bearer"),
     .initial = "x-api-key", .who = BOTH, .help = "The header that carries the key"},
    {.name = "PENSTOCK_CA_FILE", .flag = "ca-file", TEXT(ca_file, "FILE"), .who = BOTH,
     .help = "Certificates to trust for the API instead of the system's"},
    {.name = "PENSTOCK_PROXY", .flag = "proxy", TEXT(proxy, "URL"), .check = conf_check_proxy,
     .hidden = true, .who = BOTH,
     .help = "Proxy to the API: http://, https:// or socks5h://. http_proxy and its kin are not "
             "read"},

    {.name = "PENSTOCK_MODEL", .flag = "model", TEXT(model, "MODEL"), .group = "Jobs",
     .initial = "claude-sonnet-5", .check = conf_check_model, .who = BOTH, .reload = true,
     .help = "Model of jobs that name none"},
    {.name = "PENSTOCK_MAX_TOKENS", .flag = "max-tokens", INT(max_tokens, 1, 1000000),
     COUNT("the most tokens an answer may have"), .initial = "1024", .who = BOTH, .reload = true,
     .help = "max_tokens of jobs that name none"},
    {.name = "PENSTOCK_MAX_ATTEMPTS", .flag = "max-attempts", INT(max_attempts, 1, 1000),
     COUNT("how many failed calls a job may have"), .initial = "5", .who = CONF_WORKER,
     .reload = true, .help = "Failed calls (5xx, time-out, broken answer) before a job is failed"},
    {.name = "PENSTOCK_MAX_THROTTLES", .flag = "max-throttles", INT(max_throttles, 0, 1000000),
     COUNT("how many 429s a job may meet, or 0 for no limit"), .initial = "0",
     .who = CONF_WORKER, .reload = true, .help = "429s before a job is failed; 0 = no limit"},
    {.name = "PENSTOCK_MAX_RECOVERIES", .flag = "max-recoveries", INT(max_recoveries, 0, 1000),
     COUNT("how many leases may run out under a job, or 0 for no limit"), .initial = "5",
     .who = CONF_WORKER, .reload = true,
     .help = "Leases that ran out under a job before it is dead; 0 = no limit"},
    {.name = "PENSTOCK_MAX_DEAD", .flag = "max-dead", INT(max_dead, 0, 1000000000),
     COUNT("how many dead jobs a queue keeps, or 0 for no limit"), .initial = "100000",
     .who = CONF_WORKER, .reload = true,
     .help = "Dead jobs that a queue keeps: beyond, the oldest are dropped; 0 = no limit"},
    {.name = "PENSTOCK_MAX_JOB_BYTES", .flag = "max-job-bytes",
     INT(max_job_bytes, 1024, 32 * MIB), BYTES, .initial = "4194304", .who = BOTH,
     .reload = true, .help = "Largest payload taken for a job"},
    {.name = "PENSTOCK_MAX_ANSWER_BYTES", .flag = "max-answer-bytes",
     INT(max_answer_bytes, 1024, 256 * MIB), BYTES, .initial = "33554432", .who = CONF_WORKER,
     .reload = true, .help = "Largest answer of the API that is read"},
    {.name = "PENSTOCK_MAX_INFLIGHT_BYTES", .flag = "max-inflight-bytes",
     INT(max_inflight_bytes, MIB, INT64_C(65536) * MIB), BYTES, .initial = "134217728",
     .who = CONF_WORKER, .reload = true,
     .help = "Payloads in memory, together; a worker takes up to four times that, and the answers"},

    {.name = "PENSTOCK_BACKOFF_BASE_MS", .flag = "backoff-base-ms",
     INT(backoff_base_ms, 1, HOUR_MS), MS, .group = "Retries", .initial = "1000",
     .who = CONF_WORKER, .reload = true, .help = "Wait after the first failed call; doubles"},
    {.name = "PENSTOCK_BACKOFF_CAP_MS", .flag = "backoff-cap-ms",
     INT(backoff_cap_ms, 1, DAY_MS), MS, .initial = "60000", .who = CONF_WORKER, .reload = true,
     .help = "Longest wait; at least the base"},
    {.name = "PENSTOCK_BACKOFF_JITTER", .flag = "backoff-jitter",
     WORD(backoff_jitter, "full equal additive"), .initial = "full", .who = CONF_WORKER,
     .reload = true,
     .help = "How the wait is spread: U(0, w); w/2 + U(0, w/2); or w + U(0, base)"},

    {.name = "PENSTOCK_GOVERNOR", .flag = "governor", WORD(governor, "on off"), .initial = "on",
     .group = "Quota", .who = CONF_WORKER, .reload = true,
     .help = "Share the API's quota in the fleet; off = only a 429 holds calls back"},
    {.name = "PENSTOCK_MODEL_GROUPS", .flag = "model-groups", TEXT(model_groups, "LIST"),
     .check = conf_check_groups, .who = BOTH,
     .help = "Models that share a quota: claude-opus-4*=opus-4,claude-sonnet-4*=sonnet-4"},
    {.name = "PENSTOCK_OUTPUT_CHARGE", .flag = "output-charge",
     WORD(output_charge, "produced reserved"), .initial = "produced", .who = CONF_WORKER,
     .reload = true, .help = "Whether the API charges output as it comes or by max_tokens"},
    {.name = "PENSTOCK_PRICES_FILE", .flag = "prices-file", TEXT(prices_file, "FILE"),
     .who = BOTH, .reload = true,
     .help = "Prices of models in place of the built-in ones, read again on SIGHUP"},
    {.name = "PENSTOCK_BUDGET_USD", .flag = "budget-usd", TEXT(budget_usd, "USD"), .initial = "0",
     .check = conf_check_usd, .who = CONF_WORKER, .reload = true,
     .help = "Dollars that a pool may cost in a day (UTC); 0 = no limit"},
    {.name = "PENSTOCK_BUDGET_TOKENS", .flag = "budget-tokens",
     INT(budget_tokens, 0, INT64_C(1000000000000)),
     COUNT("the tokens of a pool and day, or 0 for no limit"), .initial = "0",
     .who = CONF_WORKER, .reload = true,
     .help = "Tokens, in and out, that a pool may use in a day (UTC); 0 = no limit"},

    {.name = "PENSTOCK_CONCURRENCY", .flag = "concurrency", INT(concurrency, 1, 20000),
     COUNT("the number of calls in flight at once"), .group = "This worker", .initial = "64",
     .who = CONF_WORKER, .reload = true, .help = "Most calls in flight at once"},
    {.name = "PENSTOCK_LEASE_MS", .flag = "lease-ms", INT(lease_ms, 1000, HOUR_MS), MS,
     .initial = "30000", .who = CONF_WORKER,
     .help = "After so long without a sign of life a worker's jobs go to others"},
    {.name = "PENSTOCK_DRAIN_MS", .flag = "drain-ms", INT(drain_ms, 0, HOUR_MS), MS,
     .initial = "25000", .who = CONF_WORKER,
     .help = "How long SIGTERM waits for running calls before they are handed back"},
    {.name = "PENSTOCK_HTTP", .flag = "http", TEXT(http, "ADDR:PORT"),
     .initial = "127.0.0.1:9470", .check = conf_check_http, .who = CONF_WORKER,
     .help = "Where metrics, health and the admin API are served; off = nowhere"},
    {.name = "PENSTOCK_HTTP_TOKEN", SECRET(http_token), .who = CONF_WORKER,
     .help = "Bearer token that the admin pages then ask for"},
    {.name = "PENSTOCK_HTTP_READONLY", .flag = "http-readonly", WORD(http_readonly, "no yes"),
     .initial = "no", .who = CONF_WORKER,
     .help = "yes: the pages show everything and refuse every action"},

    {.name = "PENSTOCK_CONNECT_TIMEOUT_MS", .flag = "connect-timeout-ms",
     INT(connect_timeout_ms, 1, HOUR_MS), MS, .group = "Time limits of an API call",
     .initial = "10000", .who = CONF_WORKER, .help = "Until connected, TLS included"},
    {.name = "PENSTOCK_FIRST_BYTE_TIMEOUT_MS", .flag = "first-byte-timeout-ms",
     INT(first_byte_timeout_ms, 0, DAY_MS), MS, .initial = "600000", .who = CONF_WORKER,
     .help = "Until the answer begins, which is when the API is done; 0 = only the total counts"},
    {.name = "PENSTOCK_IDLE_TIMEOUT_MS", .flag = "idle-timeout-ms",
     INT(idle_timeout_ms, 1, DAY_MS), MS, .initial = "60000", .who = CONF_WORKER,
     .help = "Silence within an answer that has begun"},
    {.name = "PENSTOCK_TIMEOUT_MS", .flag = "timeout-ms", INT(timeout_ms, 1, DAY_MS), MS,
     .initial = "660000", .who = CONF_WORKER,
     .help = "The whole call, for jobs that name no timeout_ms"},

    {.name = "PENSTOCK_LOG_LEVEL", .flag = "log-level", WORD(log_level, "debug info warn error"),
     .group = "Log", .initial = "info", .who = CONF_WORKER, .reload = true,
     .help = "Least level of a line"},
    {.name = "PENSTOCK_LOG_FORMAT", .flag = "log-format", WORD(log_format, "json text"),
     .initial = "json", .who = CONF_WORKER, .reload = true, .help = "Shape of a line"},
};
// clang-format on

const size_t conf_rows_len = ARRAY_LEN(conf_rows);
_Static_assert(ARRAY_LEN(conf_rows) <= CONF_ROWS_MAX, "raise CONF_ROWS_MAX");

static bool same(const char *known, const char *at, size_t len)
{
    return known && strlen(known) == len && memcmp(known, at, len) == 0;
}

const struct conf_row *conf_row_by_name(const char *name, size_t len)
{
    for (size_t i = 0; i < conf_rows_len; i++)
        if (same(conf_rows[i].name, name, len))
            return &conf_rows[i];
    return NULL;
}

const struct conf_row *conf_row_by_flag(const char *flag, size_t len)
{
    for (size_t i = 0; i < conf_rows_len; i++)
        if (same(conf_rows[i].flag, flag, len))
            return &conf_rows[i];
    return NULL;
}

// distance counts the insertions, deletions and replacements that lead from a to b.
static size_t distance(const char *a, size_t a_len, const char *b)
{
    enum { LONGEST = 64 };
    size_t row[LONGEST + 1], b_len = strlen(b);
    if (a_len > LONGEST || b_len > LONGEST)
        return LONGEST;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t swap = corner + (a[i - 1] != b[j - 1]);
            corner = row[j];
            row[j] = MIN(swap, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_len];
}

// nearness is 0 for the start of a known word ("redis" of "redis-url"), the distance where that is
// small, and SIZE_MAX for a stranger.
static size_t nearness(const char *at, size_t len, const char *known)
{
    if (len >= 3 && strncasecmp(known, at, len) == 0)
        return 0;
    size_t steps = distance(at, len, known);
    return steps <= 1 + len / 6 ? steps : SIZE_MAX;
}

const char *conf_near_name(const char *name, size_t len)
{
    const char *best = NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < conf_rows_len; i++) {
        size_t near = nearness(name, len, conf_rows[i].name);
        if (near < least) {
            least = near;
            best = conf_rows[i].name;
        }
    }
    return best;
}

const char *conf_near_flag(enum conf_program who, const char *flag, size_t len)
{
    const char *best = NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < conf_rows_len; i++) {
        const struct conf_row *row = &conf_rows[i];
        size_t near = row->flag && row->who & who ? nearness(flag, len, row->flag) : SIZE_MAX;
        if (near < least) {
            least = near;
            best = row->flag;
        }
    }
    return best;
}
