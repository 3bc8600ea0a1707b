#include "tests/sim/script.h"

#include "common/base/err.h"
#include "tests/sim/faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX_BYTES = 64 << 20 };

static int wrong(char why[SCRIPT_WHY_BYTES], const char *what)
{
    snprintf(why, SCRIPT_WHY_BYTES, "%s", what);
    return ERR_BAD_CONF;
}

static void step_fini(struct step *s)
{
    free(s->contains);
    free(s->model);
    free(s->account);
    free(s->path);
    free(s->headers);
    free(s->body);
    free(s->raw);
}

void script_clear(struct script *s)
{
    for (size_t i = 0; i < s->count; i++)
        step_fini(&s->steps[i]);
    free(s->steps);
    *s = (struct script){.steps = NULL};
}

// text_of takes a string's text, or any other value's own JSON.
static char *text_of(struct scan_value v, size_t *ret_len)
{
    struct strbuf text;
    strbuf_init(&text, TEXT_MAX_BYTES);
    if (v.type == SCAN_STRING)
        scan_unescape(v, &text);
    else
        strbuf_add_span(&text, v.raw);
    if (ret_len)
        *ret_len = text.len;
    return strbuf_take(&text);
}

static void replace(char **at, char *text)
{
    free(*at);
    *at = text;
}

static bool take_number(struct scan_value v, int64_t min, int64_t max, int64_t *ret)
{
    return scan_int(v, ret) && *ret >= min && *ret <= max;
}

static int read_match(struct scan_value v, struct step *s, char why[SCRIPT_WHY_BYTES])
{
    struct scan_member m;
    size_t pos = 0;
    int64_t n = 0;
    if (v.type != SCAN_OBJECT)
        return wrong(why, "match is an object");
    while (scan_members(v, &pos, &m)) {
        if (span_is(m.key, "contains"))
            replace(&s->contains, text_of(m.value, NULL));
        else if (span_is(m.key, "model"))
            replace(&s->model, text_of(m.value, NULL));
        else if (span_is(m.key, "account"))
            replace(&s->account, text_of(m.value, NULL));
        else if (span_is(m.key, "path"))
            replace(&s->path, text_of(m.value, NULL));
        else if (span_is(m.key, "nth") && take_number(m.value, 1, INT64_MAX, &n))
            s->nth = (uint64_t)n;
        else
            return wrong(why, "match takes contains, model, account, path and nth (>= 1)");
    }
    return 0;
}

static int read_headers(struct scan_value v, struct step *s, char why[SCRIPT_WHY_BYTES])
{
    struct strbuf lines;
    struct scan_member m;
    size_t pos = 0;
    if (v.type != SCAN_OBJECT)
        return wrong(why, "headers is an object of name and value");
    strbuf_init(&lines, TEXT_MAX_BYTES);
    if (s->headers)
        strbuf_add_str(&lines, s->headers);
    while (scan_members(v, &pos, &m)) {
        char *value = text_of(m.value, NULL);
        strbuf_add_span(&lines, m.key);
        strbuf_add_str(&lines, ": ");
        strbuf_add_str(&lines, value);
        strbuf_add_str(&lines, "\r\n");
        free(value);
    }
    replace(&s->headers, strbuf_take(&lines));
    return 0;
}

static int read_then(struct scan_value v, struct step *s, char why[SCRIPT_WHY_BYTES])
{
    static const char *const words[] = {"keep", "close", "reset", "hang"};
    struct span text;
    if (scan_str(v, &text))
        for (size_t i = 0; i < ARRAY_LEN(words); i++)
            if (span_is(text, words[i])) {
                s->then = (enum step_then)i;
                return 0;
            }
    return wrong(why, "then is keep, close, reset or hang");
}

// read_preset fills in the real answer of a named trouble.
static int read_preset(struct scan_value v, struct step *s, char why[SCRIPT_WHY_BYTES])
{
    char *word = text_of(v, NULL);
    const struct trouble *t = trouble_find(word);
    free(word);
    if (!t)
        return wrong(why, "there is no such preset");
    struct strbuf body;
    strbuf_init(&body, 4096);
    trouble_add_body(&body, t, NULL, "req_sim_script");
    s->status = t->status;
    s->body_len = body.len;
    replace(&s->body, strbuf_take(&body));
    replace(&s->headers, strdup(t->headers));
    return 0;
}

static int read_number(const struct scan_member *m, struct step *s, char why[SCRIPT_WHY_BYTES])
{
    int64_t n;
    if (!take_number(m->value, 0, INT64_MAX, &n))
        return wrong(why, "a number of a step is out of range");
    if (span_is(m->key, "status") && n <= 599)
        s->status = (int)n;
    else if (span_is(m->key, "delay_ms"))
        s->delay_ms = (uint64_t)n;
    else if (span_is(m->key, "times"))
        s->times = (uint64_t)n;
    else if (span_is(m->key, "cut_bytes"))
        s->cut_bytes = n;
    else
        return wrong(why, "a step takes match, preset, status, headers, body, raw, chunked, "
                          "delay_ms, cut_bytes, times and then");
    return 0;
}

static int read_member(const struct scan_member *m, struct step *s, char why[SCRIPT_WHY_BYTES])
{
    if (span_is(m->key, "match"))
        return read_match(m->value, s, why);
    if (span_is(m->key, "headers"))
        return read_headers(m->value, s, why);
    if (span_is(m->key, "then"))
        return read_then(m->value, s, why);
    if (span_is(m->key, "preset"))
        return read_preset(m->value, s, why);
    if (span_is(m->key, "body")) {
        replace(&s->body, text_of(m->value, &s->body_len));
        return 0;
    }
    if (span_is(m->key, "raw")) {
        replace(&s->raw, text_of(m->value, &s->raw_len));
        return 0;
    }
    if (span_is(m->key, "chunked")) {
        s->chunked = m->value.type == SCAN_TRUE;
        return 0;
    }
    return read_number(m, s, why);
}

static int read_step(struct scan_value v, struct step *s, char why[SCRIPT_WHY_BYTES])
{
    struct scan_member m;
    size_t pos = 0;
    *s = (struct step){.times = 1, .cut_bytes = -1};
    if (v.type != SCAN_OBJECT)
        return wrong(why, "a step is an object");
    while (scan_members(v, &pos, &m)) {
        int err = read_member(&m, s, why);
        if (err) {
            step_fini(s);
            return err;
        }
    }
    return 0;
}

static int push(struct script *s, const struct step *one)
{
    if (s->count == STEPS_MAX)
        return ERR_TOO_BIG;
    if (s->count == s->room) {
        size_t room = s->room ? s->room * 2 : 16;
        struct step *steps = realloc(s->steps, room * sizeof *steps);
        if (!steps)
            return ERR_NOMEM;
        s->steps = steps;
        s->room = room;
    }
    s->steps[s->count++] = *one;
    return 0;
}

static int add_one(struct script *s, struct scan_value v, char why[SCRIPT_WHY_BYTES])
{
    struct step one;
    int err = read_step(v, &one, why);
    if (err)
        return err;
    err = push(s, &one);
    if (err) {
        step_fini(&one);
        return wrong(why, "too many steps");
    }
    return 0;
}

int script_add(struct script *s, struct scan_value v, char ret_why[SCRIPT_WHY_BYTES])
{
    struct scan_value list, item;
    size_t pos = 0, before = s->count;
    if (!scan_get(v, "steps", &list))
        return add_one(s, v, ret_why);
    if (list.type != SCAN_ARRAY)
        return wrong(ret_why, "steps is a list");
    while (scan_items(list, &pos, &item)) {
        int err = add_one(s, item, ret_why);
        if (err) {
            while (s->count > before)
                step_fini(&s->steps[--s->count]);
            return err;
        }
    }
    return 0;
}

static bool matches(const struct step *s, struct span body, struct span model, const char *account,
                    struct span path)
{
    if (s->model && !span_is(model, s->model))
        return false;
    if (s->account && strcmp(s->account, account) != 0)
        return false;
    if (s->path && !span_is(path, s->path))
        return false;
    return !s->contains ||
           (body.len && memmem(body.at, body.len, s->contains, strlen(s->contains)));
}

int64_t script_match(struct script *s, struct span body, struct span model, const char *account,
                     struct span path)
{
    for (size_t i = 0; i < s->count; i++) {
        struct step *one = &s->steps[i];
        if ((one->times && one->used >= one->times) || !matches(one, body, model, account, path))
            continue;
        one->met++;
        if (one->nth && one->met != one->nth)
            continue;
        one->used++;
        return (int64_t)i;
    }
    return -1;
}

void script_show(const struct script *s, struct strbuf *out)
{
    strbuf_add_str(out, "{\"steps\":[");
    for (size_t i = 0; i < s->count; i++) {
        const struct step *one = &s->steps[i];
        strbuf_add_fmt(out, "%s{\"contains\":", i ? "," : "");
        strbuf_add_json_str(out, one->contains);
        strbuf_add_fmt(out, ",\"status\":%d,\"times\":%llu,\"met\":%llu,\"used\":%llu}",
                       one->status, (unsigned long long)one->times, (unsigned long long)one->met,
                       (unsigned long long)one->used);
    }
    strbuf_add_str(out, "]}");
}
