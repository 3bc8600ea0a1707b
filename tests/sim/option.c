#include "tests/sim/option.h"

#include "common/base/err.h"

#include <stdlib.h>
#include <string.h>

static void *field(const struct settings *s, const struct option *o)
{
    return (char *)s + o->at;
}

int option_set_number(struct settings *s, const struct option *o, const char *value)
{
    char *end;
    double x = strtod(value, &end);
    if (end == value || *end || !(x >= o->min && x <= o->max))
        return ERR_BAD_CONF;
    memcpy(field(s, o), &x, sizeof x);
    return 0;
}

void option_show_number(const struct settings *s, const struct option *o, struct strbuf *out)
{
    double x;
    memcpy(&x, field(s, o), sizeof x);
    strbuf_add_fmt(out, "%.15g", x);
}

int option_set_flag(struct settings *s, const struct option *o, const char *value)
{
    bool on = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
    if (!on && strcmp(value, "false") != 0 && strcmp(value, "0") != 0)
        return ERR_BAD_CONF;
    *(bool *)field(s, o) = on;
    return 0;
}

void option_show_flag(const struct settings *s, const struct option *o, struct strbuf *out)
{
    strbuf_add_str(out, *(bool *)field(s, o) ? "true" : "false");
}

int option_set_text(struct settings *s, const struct option *o, const char *value)
{
    if (strlen(value) >= o->room)
        return ERR_BAD_CONF;
    snprintf(field(s, o), o->room, "%s", value);
    return 0;
}

void option_show_text(const struct settings *s, const struct option *o, struct strbuf *out)
{
    strbuf_add_str(out, field(s, o));
}

// A choice is an enum, which is kept as an int.
int option_set_choice(struct settings *s, const struct option *o, const char *value)
{
    for (int i = 0; o->words[i]; i++)
        if (strcmp(o->words[i], value) == 0) {
            memcpy(field(s, o), &i, sizeof i);
            return 0;
        }
    return ERR_BAD_CONF;
}

void option_show_choice(const struct settings *s, const struct option *o, struct strbuf *out)
{
    int i;
    memcpy(&i, field(s, o), sizeof i);
    strbuf_add_str(out, o->words[i]);
}

int option_set_spread(struct settings *s, const struct option *o, const char *value)
{
    return spread_parse(value, field(s, o));
}

void option_show_spread(const struct settings *s, const struct option *o, struct strbuf *out)
{
    spread_show(field(s, o), out);
}

int option_set_fail(struct settings *s, const struct option *o, const char *value)
{
    return fault_rates_parse(value, field(s, o));
}

void option_show_fail(const struct settings *s, const struct option *o, struct strbuf *out)
{
    fault_rates_show(field(s, o), out);
}

// "spend_limit" or "spend_limit@ACCOUNT"
int option_set_trouble(struct settings *s, const struct option *o, const char *value)
{
    char word[sizeof s->trouble] = "";
    size_t len = strcspn(value, "@");
    const char *account = value[len] ? value + len + 1 : "";
    (void)o;
    if (len >= sizeof word || strlen(account) > NAME_MAX_BYTES)
        return ERR_BAD_CONF;
    memcpy(word, value, len);
    if (strcmp(word, "none") != 0 && !trouble_find(word))
        return ERR_BAD_CONF;
    snprintf(s->trouble, sizeof s->trouble, "%s", word);
    snprintf(s->trouble_account, sizeof s->trouble_account, "%s", account);
    return 0;
}

void option_show_trouble(const struct settings *s, const struct option *o, struct strbuf *out)
{
    (void)o;
    strbuf_add_str(out, s->trouble);
    if (s->trouble_account[0])
        strbuf_add_fmt(out, "@%s", s->trouble_account);
}

// NAME=VALUE[,org=ORG]
int option_set_key(struct settings *s, const struct option *o, const char *value)
{
    (void)o;
    struct known_key k = {.name = ""};
    if (strcmp(value, "none") == 0) {
        s->key_count = 0;
        return 0;
    }
    int got = sscanf(value, "%64[^=,]=%192[^,],org=%64s", k.name, k.secret, k.org);
    if (got < 2 || s->key_count == KEYS_MAX)
        return ERR_BAD_CONF;
    if (got == 2)
        memcpy(k.org, k.name, sizeof k.org);
    s->keys[s->key_count++] = k;
    return 0;
}

void option_show_key(const struct settings *s, const struct option *o, struct strbuf *out)
{
    (void)o;
    for (int i = 0; i < s->key_count; i++)
        strbuf_add_fmt(out, "%s%s", i ? "," : "", s->keys[i].name);
}

static const char *const dim_words[] = {"rpm", "itpm", "otpm"};

static int read_limit_part(char *part, struct model_limit *m)
{
    char *equals = strchr(part, '='), *end;
    if (!equals)
        return ERR_BAD_CONF;
    *equals = '\0';
    double x = strtod(equals + 1, &end);
    if (end == equals + 1 || *end || !(x >= 0 && x < 1e15))
        return ERR_BAD_CONF;
    for (int d = 0; d < DIM_COUNT; d++)
        if (strcmp(part, dim_words[d]) == 0) {
            m->per_min[d] = x;
            return 0;
        }
    return ERR_BAD_CONF;
}

// MODEL:rpm=..,itpm=..,otpm=.. ; the model's name may hold colons, so the last one counts.
static int read_limit(struct settings *s, char *text)
{
    struct model_limit m = {.per_min = {-1, -1, -1}};
    char *colon = strrchr(text, ':'), *rest, *part;
    if (!colon || colon == text || colon - text > MODEL_MAX_BYTES)
        return ERR_BAD_CONF;
    memcpy(m.model, text, (size_t)(colon - text));
    rest = colon + 1;
    while ((part = strsep(&rest, ",")))
        if (read_limit_part(part, &m))
            return ERR_BAD_CONF;
    int i = 0;
    while (i < s->limit_count && strcmp(s->limits[i].model, m.model) != 0)
        i++;
    if (i == LIMITS_MAX)
        return ERR_BAD_CONF;
    s->limits[i] = m;
    s->limit_count = MAX(s->limit_count, i + 1);
    return 0;
}

int option_set_limit(struct settings *s, const struct option *o, const char *value)
{
    (void)o;
    char copy[4096], *rest = copy, *part;
    if (strlen(value) >= sizeof copy)
        return ERR_BAD_CONF;
    snprintf(copy, sizeof copy, "%s", value);
    while ((part = strsep(&rest, ";"))) {
        if (strcmp(part, "none") == 0)
            s->limit_count = 0;
        else if (read_limit(s, part))
            return ERR_BAD_CONF;
    }
    return 0;
}

// It starts with "none;", so that reading it back leaves exactly these.
void option_show_limit(const struct settings *s, const struct option *o, struct strbuf *out)
{
    (void)o;
    strbuf_add_str(out, "none");
    for (int i = 0; i < s->limit_count; i++) {
        const char *comma = ":";
        strbuf_add_fmt(out, ";%s", s->limits[i].model);
        for (int d = 0; d < DIM_COUNT; d++) {
            if (s->limits[i].per_min[d] < 0)
                continue;
            strbuf_add_fmt(out, "%s%s=%.15g", comma, dim_words[d], s->limits[i].per_min[d]);
            comma = ",";
        }
    }
}

// RAMP is BASE:FACTOR or "none".
int option_set_ramp(struct settings *s, const struct option *o, const char *value)
{
    (void)o;
    double base = 0, factor = 0;
    int end = 0;
    if (strcmp(value, "none") != 0 && (sscanf(value, "%lf:%lf%n", &base, &factor, &end) != 2 ||
                                       value[end] || !(base > 0) || !(factor >= 0)))
        return ERR_BAD_CONF;
    s->quota.ramp_base = base;
    s->quota.ramp_factor = factor;
    return 0;
}

void option_show_ramp(const struct settings *s, const struct option *o, struct strbuf *out)
{
    (void)o;
    if (s->quota.ramp_base > 0)
        strbuf_add_fmt(out, "%g:%g", s->quota.ramp_base, s->quota.ramp_factor);
    else
        strbuf_add_str(out, "none");
}
