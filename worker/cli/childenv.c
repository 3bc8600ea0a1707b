#include "worker/cli/childenv.h"

#include "common/base/attrs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static void add(struct childenv *e, char *text)
{
    if (text && e->count + 1 < ARRAY_LEN(e->at)) {
        e->at[e->count++] = text;
        e->at[e->count] = NULL;
    } else {
        free(text);
    }
}

void childenv_set(struct childenv *e, const char *name, const char *value)
{
    size_t len = strlen(name);
    char *text;
    if (!value)
        return;
    for (size_t i = 0; i < e->count; i++)
        if (strncmp(e->at[i], name, len) == 0 && e->at[i][len] == '=') {
            free(e->at[i]);
            e->at[i] = e->at[--e->count];
            e->at[e->count] = NULL;
            break;
        }
    if (asprintf(&text, "%s=%s", name, value) >= 0)
        add(e, text);
}

void childenv_set_int(struct childenv *e, const char *name, int64_t n)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)n);
    childenv_set(e, name, text);
}

void childenv_fini(struct childenv *e)
{
    while (e->count)
        free(e->at[--e->count]);
}

static bool begins_with_any(const char *var, const char *const *all, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strncmp(var, all[i], strlen(all[i])) == 0)
            return true;
    return false;
}

static bool is_wanted(const char *var)
{
    static const char *const theirs[] = {
        "PENSTOCK_", "ANTHROPIC_", "PATH=", "HOME=", "TMPDIR=", "LD_LIBRARY_PATH="};
    static const char *const others[] = {
        "PENSTOCK_REDIS_URL=", "PENSTOCK_QUEUES=",         "PENSTOCK_HTTP=",
        "ANTHROPIC_BASE_URL=", "ANTHROPIC_API_KEY=",       "ANTHROPIC_API_KEY_FILE=",
        "PENSTOCK_DRAIN_MS=",  "ANTHROPIC_API_KEYS_FILE=", "PENSTOCK_HTTP_TOKEN="};
    if (begins_with_any(var, others, ARRAY_LEN(others)))
        return false;
    return begins_with_any(var, theirs, ARRAY_LEN(theirs)) || strstr(var, "SAN_OPTIONS=");
}

void childenv_make(struct childenv *e, const struct conf *conf)
{
    *e = (struct childenv){0};
    for (char **v = environ; *v; v++)
        if (is_wanted(*v))
            add(e, strdup(*v));
    childenv_set(e, "PENSTOCK_SETTINGS_FILE", conf->settings_file);
    childenv_set(e, "PENSTOCK_PREFIX", conf->prefix);
    childenv_set(e, "PENSTOCK_MODEL", conf->model);
    childenv_set_int(e, "PENSTOCK_MAX_TOKENS", conf->max_tokens);
    childenv_set_int(e, "PENSTOCK_MAX_JOB_BYTES", conf->max_job_bytes);
    childenv_set(e, "PENSTOCK_MODEL_GROUPS", conf->model_groups);
    childenv_set(e, "PENSTOCK_PRICES_FILE", conf->prices_file);
    childenv_set(e, "PENSTOCK_ANTHROPIC_VERSION", conf->api_version);
    childenv_set(e, "PENSTOCK_AUTH", conf->auth);
    childenv_set(e, "PENSTOCK_CA_FILE", conf->ca_file);
    childenv_set(e, "PENSTOCK_PROXY", conf->proxy);
}
