#include "tests/sim/settings.h"

#include "common/base/err.h"
#include "tests/sim/option.h"

#include <string.h>

static const char *const header_words[] = {"anthropic", "openai", "generic", "ietf", "none", NULL};
static const char *const retry_words[] = {"seconds", "date", "ms", "reset", "none", NULL};

// clang-format off
#define KIND(k) .set = option_set_##k, .show = option_show_##k
#define AT(f) .at = offsetof(struct settings, f)
#define NUMBER(f, lo, hi) KIND(number), AT(f), .min = lo, .max = hi
#define FLAG(f) KIND(flag), AT(f)
#define TEXT(f) KIND(text), AT(f), .room = sizeof(((struct settings *)0)->f)
#define CHOICE(f, w) KIND(choice), AT(f), .words = w
#define MORE(kind, f) KIND(kind), AT(f)

static const struct option options[] = {
    {"listen", "ADDR:PORT", "where the API is served; port 0 = any free one",
     TEXT(listen), .at_start = true},
    {"control", "ADDR:PORT", "a second address for /sim/... that an outage leaves open",
     TEXT(control), .at_start = true},
    {"key", "NAME=KEY[,org=ORG]", "an account; keys of one org share its quota; repeatable",
     MORE(key, keys)},
    {"require-key", NULL, "a key that --key does not know gets 401",
     FLAG(require_key)},
    {"strict-models", NULL, "a model that /v1/models does not list gets 404",
     FLAG(strict_models)},
    {"rpm", "N", "requests a minute, per account and model group; 0 = no limit",
     NUMBER(quota.per_min[DIM_REQUESTS], 0, 1e12)},
    {"itpm", "N", "input tokens a minute",
     NUMBER(quota.per_min[DIM_INPUT], 0, 1e12)},
    {"otpm", "N", "output tokens a minute",
     NUMBER(quota.per_min[DIM_OUTPUT], 0, 1e12)},
    {"limit", "MODEL:rpm=N,...", "other limits for one model; repeatable; none = forget them",
     MORE(limit, limits)},
    {"group-by-model", NULL, "every model has a quota of its own (else as the API pools them)",
     FLAG(group_by_model)},
    {"burst-s", "S", "a bucket holds this many seconds of its limit",
     NUMBER(quota.burst_s, 0.001, 86400)},
    {"hidden-burst-s", "S", "a second, smaller bucket that no header shows; 0 = none",
     NUMBER(quota.hidden_burst_s, 0, 86400)},
    {"fill", "0..1", "how full a new bucket is",
     NUMBER(quota.fill, 0, 1)},
    {"other-user", "0..0.95", "a stranger on the same key takes this part of the refill",
     NUMBER(quota.stranger, 0, 0.95)},
    {"ramp", "BASE:FACTOR", "growth limit: BASE + FACTOR x the mean rate a second; none",
     MORE(ramp, quota.ramp_base)},
    {"otpm-precharge", NULL, "output is reserved by max_tokens, settled at the end",
     FLAG(quota.precharge)},
    {"charge-refused", NULL, "a refused request costs one request all the same",
     FLAG(quota.charge_refused)},
    {"headers", "FAMILY", "quota headers: anthropic, openai, generic, ietf or none",
     CHOICE(headers, header_words)},
    {"headers-at-answer", NULL, "... as it is when the answer is sent, not when it was admitted",
     FLAG(headers_at_answer)},
    {"retry-after", "FORM", "how a 429 names its time: seconds, date, ms, reset or none",
     CHOICE(retry_form, retry_words)},
    {"latency", "MS|SPREAD", "N, uniform:A-B, lognormal:MEDIAN:SIGMA[:MIN:MAX], tokens:FIRST:EACH",
     MORE(spread, latency)},
    {"first-byte-ms", "MS", "of a stream: when its first event comes",
     NUMBER(first_byte_ms, 0, 3600000)},
    {"error-latency", "MS", "how long a refusal or an error takes",
     NUMBER(error_latency_ms, 0, 3600000)},
    {"slow-ms", "MS", "how long slow-headers dribble",
     NUMBER(slow_ms, 0, 3600000)},
    {"answer-tokens", "N", "output tokens of each answer; 0 = drawn by the next two",
     NUMBER(answer_tokens, 0, 1e6)},
    {"out-median", "N", "median of output tokens",
     NUMBER(out_median, 1, 1e6)},
    {"out-sigma", "X", "spread of output tokens (sigma of the lognormal)",
     NUMBER(out_sigma, 0, 5)},
    {"answer-bytes", "N", "fill the answer's text up to this size",
     NUMBER(answer_bytes, 0, 16777216)},
    {"bytes-per-token", "X", "prompt bytes that make an input token",
     NUMBER(bytes_per_token, 0.1, 1000)},
    {"cache-read", "0..1", "part of the input reported as read from the cache, and free",
     NUMBER(cache_read, 0, 1)},
    {"estimate-sigma", "X", "error of the input estimate that is charged at the start",
     NUMBER(estimate_sigma, 0, 2)},
    {"fail", "KIND=RATE,...", "what goes wrong, and how often; none",
     MORE(fail, fail)},
    {"trouble", "PRESET[@ACCOUNT]", "every request gets this account error; none",
     MORE(trouble, trouble)},
    {"cloudflare-413", NULL, "too large a body is refused by a gateway's HTML",
     FLAG(cloudflare_413)},
    {"body-max-bytes", "N", "the largest body",
     NUMBER(body_max_bytes, 1024, 268435456)},
    {"log-size", "N", "how many requests /sim/log remembers",
     NUMBER(log_size, 16, 1000000), .at_start = true},
    {"seed", "N", "of the random numbers; 0 = another one each time",
     NUMBER(seed, 0, 9e15), .at_start = true},
    {"quiet", NULL, "print nothing but the line that says where it listens",
     FLAG(quiet), .at_start = true},
};
// clang-format on

void settings_init(struct settings *s)
{
    *s = (struct settings){.listen = "127.0.0.1:4010",
                           .quota = {.burst_s = 60, .fill = 1},
                           .out_median = 250,
                           .out_sigma = 0.6,
                           .slow_ms = 2000,
                           .bytes_per_token = 3.5,
                           .trouble = "none",
                           .body_max_bytes = 32 << 20,
                           .log_size = 200000};
}

// A name may be written with - or with _.
static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (*a != *b && !(*a == '-' && *b == '_'))
            return false;
    return *a == *b;
}

static const struct option *find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (same_name(options[i].name, name))
            return &options[i];
    return NULL;
}

int settings_set(struct settings *s, const char *name, const char *value, char why[WHY_MAX_BYTES])
{
    const struct option *o = find(name);
    if (!o) {
        snprintf(why, WHY_MAX_BYTES, "there is no option %.60s", name);
        return ERR_BAD_CONF;
    }
    int err = o->set(s, o, value);
    if (err)
        snprintf(why, WHY_MAX_BYTES, "%s cannot be \"%.80s\"; it takes %s: %s", o->name, value,
                 o->arg ? o->arg : "true or false", o->help);
    return err;
}

bool settings_can_change(const char *name)
{
    const struct option *o = find(name);
    return o && !o->at_start;
}

bool settings_get(const struct settings *s, const char *name, struct strbuf *out)
{
    const struct option *o = find(name);
    if (o)
        o->show(s, o, out);
    return o != NULL;
}

void settings_show(const struct settings *s, struct strbuf *out)
{
    struct strbuf text;
    strbuf_init(&text, 8192);
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        const struct option *o = &options[i];
        strbuf_clear(&text);
        o->show(s, o, &text);
        strbuf_add_fmt(out, "%c\"%s\":", i ? ',' : '{', o->name);
        if (o->set == option_set_number || o->set == option_set_flag)
            strbuf_add_span(out, strbuf_span(&text));
        else
            strbuf_add_json(out, text.at ? text.at : "", text.len);
    }
    strbuf_add_char(out, '}');
    strbuf_fini(&text);
}

void settings_help(FILE *out)
{
    struct settings s;
    struct strbuf usual;
    settings_init(&s);
    strbuf_init(&usual, 8192);
    fputs("penstock-sim: a simulator of the Messages API, for tests (docs/simulator.md)\n\n", out);
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        const struct option *o = &options[i];
        char left[64];
        strbuf_clear(&usual);
        o->show(&s, o, &usual);
        snprintf(left, sizeof left, "--%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        fprintf(out, "  %-32s %s", left, o->help);
        if (o->arg && usual.len)
            fprintf(out, " [%s]", usual.at);
        fputc('\n', out);
    }
    fputs("\nKinds for --fail: an HTTP status, or one of\n", out);
    for (int f = FAULT_TIMEOUT; f < FAULT_COUNT; f++)
        fprintf(out, "  %s", fault_word((enum fault)f));
    fputs("\nPresets for --trouble:\n", out);
    for (size_t i = 0; trouble_at(i); i++)
        fprintf(out, "  %s", trouble_at(i)->word);
    fputc('\n', out);
    strbuf_fini(&usual);
}

int settings_args(struct settings *s, int argc, char **argv, char why[WHY_MAX_BYTES])
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            settings_help(stdout);
            return 1;
        }
        if (strcmp(argv[i], "--version") == 0) {
            puts("penstock-sim " PENSTOCK_VERSION);
            return 1;
        }
        char name[32] = "";
        const char *equals = strchr(argv[i], '=');
        size_t len = equals ? (size_t)(equals - argv[i]) : strlen(argv[i]);
        if (len < 3 || len - 2 >= sizeof name || strncmp(argv[i], "--", 2) != 0) {
            snprintf(why, WHY_MAX_BYTES, "%.60s is no option; see --help", argv[i]);
            return ERR_BAD_CONF;
        }
        memcpy(name, argv[i] + 2, len - 2);
        const struct option *o = find(name);
        const char *value = equals ? equals + 1 : "true";
        if (o && o->arg && !equals && i + 1 < argc)
            value = argv[++i];
        if (settings_set(s, name, value, why))
            return ERR_BAD_CONF;
    }
    return 0;
}
