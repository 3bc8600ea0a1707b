#include "tests/sim/phase.h"

#include "common/base/err.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX_BYTES = 1 << 20 };

// These say when, and are no settings.
static bool is_timing(struct span key)
{
    return span_is(key, "for_ms") || span_is(key, "after_ms") || span_is(key, "refuse");
}

static void drop(struct phases *p, int i)
{
    free(p->at[i].json);
    memmove(&p->at[i], &p->at[i + 1], (size_t)(p->count - i - 1) * sizeof p->at[0]);
    p->count--;
}

void phases_clear(struct phases *p)
{
    while (p->count)
        drop(p, p->count - 1);
}

// add_value writes a value as its flag would be written: an object is a list of NAME=VALUE.
static void add_value(struct strbuf *out, struct scan_value v)
{
    struct scan_member m;
    const char *comma = "";
    size_t pos = 0;
    if (v.type == SCAN_STRING)
        scan_unescape(v, out);
    else if (v.type != SCAN_OBJECT)
        strbuf_add_span(out, v.raw);
    while (v.type == SCAN_OBJECT && scan_members(v, &pos, &m)) {
        strbuf_add_str(out, comma);
        strbuf_add_span(out, m.key);
        strbuf_add_char(out, '=');
        add_value(out, m.value);
        comma = ",";
    }
}

// set_one applies one value, or each of an array in turn (for what is repeatable).
static int set_one(struct settings *s, const char *name, struct scan_value v, char *why)
{
    struct scan_value item;
    struct strbuf text;
    size_t pos = 0;
    int err = 0;
    if (v.type == SCAN_ARRAY) {
        while (!err && scan_items(v, &pos, &item))
            err = set_one(s, name, item, why);
        return err;
    }
    strbuf_init(&text, TEXT_MAX_BYTES);
    add_value(&text, v);
    err = settings_set(s, name, text.at ? text.at : "", why);
    strbuf_fini(&text);
    return err;
}

static int set_all(struct settings *s, struct scan_value object, char *why)
{
    struct scan_member m;
    size_t pos = 0;
    while (scan_members(object, &pos, &m)) {
        char name[32];
        if (is_timing(m.key))
            continue;
        snprintf(name, sizeof name, "%.*s", (int)MIN(m.key.len, sizeof name - 1), m.key.at);
        if (!settings_can_change(name)) {
            snprintf(why, WHY_MAX_BYTES, "%s is nothing that can be set at run time", name);
            return ERR_BAD_CONF;
        }
        int err = set_one(s, name, m.value, why);
        if (err)
            return err;
    }
    return 0;
}

// remember writes the present values of what the object names, as an object of the same kind.
static char *remember(const struct settings *s, struct scan_value object)
{
    struct strbuf json, text;
    struct scan_member m;
    size_t pos = 0;
    const char *comma = "";
    strbuf_init(&json, TEXT_MAX_BYTES);
    strbuf_init(&text, TEXT_MAX_BYTES);
    strbuf_add_char(&json, '{');
    while (scan_members(object, &pos, &m)) {
        char name[32];
        snprintf(name, sizeof name, "%.*s", (int)MIN(m.key.len, sizeof name - 1), m.key.at);
        strbuf_clear(&text);
        if (is_timing(m.key) || span_is(m.key, "key") || !settings_get(s, name, &text))
            continue;
        strbuf_add_fmt(&json, "%s\"%s\":", comma, name);
        strbuf_add_json(&json, text.at ? text.at : "", text.len);
        comma = ",";
    }
    strbuf_add_char(&json, '}');
    strbuf_fini(&text);
    return strbuf_take(&json);
}

static int add(struct phases *p, char *json, uint64_t due_us, uint64_t for_us, char *why)
{
    if (!json || p->count == PHASES_MAX) {
        free(json);
        snprintf(why, WHY_MAX_BYTES, "too many phases are waiting");
        return ERR_TOO_BIG;
    }
    p->at[p->count++] = (struct phase){due_us, json, for_us};
    return 0;
}

int phase_apply(struct phases *p, struct settings *s, struct scan_value object, uint64_t for_us,
                uint64_t now_us, char why[WHY_MAX_BYTES])
{
    struct settings *changed = malloc(sizeof *changed);
    if (!changed)
        return ERR_NOMEM;
    *changed = *s;
    int err = set_all(changed, object, why);
    if (!err && for_us)
        err = add(p, remember(s, object), now_us + for_us, 0, why);
    if (!err)
        *s = *changed;
    free(changed);
    return err;
}

int phase_later(struct phases *p, const struct settings *s, struct scan_value object,
                uint64_t due_us, uint64_t for_us, char why[WHY_MAX_BYTES])
{
    struct settings *tried = malloc(sizeof *tried);
    if (!tried)
        return ERR_NOMEM;
    *tried = *s;
    int err = set_all(tried, object, why);
    free(tried);
    return err ? err : add(p, strndup(object.raw.at, object.raw.len), due_us, for_us, why);
}

uint64_t phases_next(const struct phases *p)
{
    uint64_t next_us = UINT64_MAX;
    for (int i = 0; i < p->count; i++)
        next_us = MIN(next_us, p->at[i].due_us);
    return next_us;
}

bool phases_run(struct phases *p, struct settings *s, uint64_t now_us)
{
    bool changed = false;
    for (int i = 0; i < p->count;) {
        if (p->at[i].due_us > now_us) {
            i++;
            continue;
        }
        struct phase one = p->at[i];
        char why[WHY_MAX_BYTES];
        p->at[i].json = NULL;
        drop(p, i);
        struct scan_value object = scan_root(one.json, strlen(one.json));
        if (phase_apply(p, s, object, one.for_us, now_us, why) == 0)
            changed = true;
        free(one.json);
    }
    return changed;
}
