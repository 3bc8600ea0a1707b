#include "worker/cli/compose.h"

#include "common/base/err.h"
#include "common/base/utf8.h"
#include "common/job/model.h"
#include "common/job/prices.h"

#include <stdio.h>
#include <string.h>

enum { BYTES_A_TOKEN = 4, ROW_MAX = 64 << 20 };

// found: the members of a record that matter here.
struct found {
    struct scan_value id, custom_id, inner, request, run, reply_to, pushed_at;
    bool has_id, has_custom_id, has_inner, has_request, has_pushed_at, has_run, has_reply;
    bool has_model, has_max_tokens, has_system, has_temperature, any;
};

static void note(const struct scan_member *m, struct found *f)
{
    const struct {
        const char *name;
        bool *has;
        struct scan_value *value;
    } all[] = {{"id", &f->has_id, &f->id},
               {"custom_id", &f->has_custom_id, &f->custom_id},
               {"body", &f->has_inner, &f->inner},
               {"params", &f->has_inner, &f->inner},
               {"request", &f->has_request, &f->request},
               {"run", &f->has_run, &f->run},
               {"reply_to", &f->has_reply, &f->reply_to},
               {"pushed_at", &f->has_pushed_at, &f->pushed_at},
               {"model", &f->has_model, NULL},
               {"max_tokens", &f->has_max_tokens, NULL},
               {"system", &f->has_system, NULL},
               {"temperature", &f->has_temperature, NULL}};
    f->any = true;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (!scan_key_is(m, all[i].name))
            continue;
        *all[i].has = true;
        if (all[i].value)
            *all[i].value = m->value;
    }
}

static int fail(char *ret_why, const char *why)
{
    snprintf(ret_why, COMPOSE_WHY_MAX, "%s", why);
    return ERR_BAD_JOB;
}

static struct hash128 content_hash(const struct compose *c, struct span record)
{
    struct hash128 h;
    hash_init(&h);
    const char *const all[] = {c->run, c->model, c->system, c->max_tokens, c->temperature};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        hash_add(&h, all[i] ? span_of(all[i]) : (struct span){"", 0});
    hash_add(&h, record);
    return hash_end(&h);
}

// write_id spells 125 bits in 25 characters, and the number among equal records behind them.
static void write_id(struct hash128 h, uint32_t ordinal, char *ret)
{
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    char text[26];
    for (int i = 0; i < 25; i++) {
        uint64_t *half = i < 12 ? &h.a : &h.b;
        text[i] = digits[*half & 31];
        *half >>= 5;
    }
    text[25] = '\0';
    if (ordinal > 1)
        snprintf(ret, ID_BYTES_MAX + 1, "%s-%u", text, ordinal);
    else
        snprintf(ret, ID_BYTES_MAX + 1, "%s", text);
}

static int name_it(const struct compose *c, struct span record, struct idset *ordinals,
                   uint32_t ordinal, struct composed *ret)
{
    struct hash128 h = content_hash(c, record);
    if (ordinals)
        ordinal = tally_add(ordinals, h.a);
    if (ordinal == 0)
        return ERR_NOMEM;
    ret->ordinal = ordinal;
    write_id(h, ordinal, ret->id);
    return 0;
}

static void add_defaults(const struct compose *c, const struct found *f, struct strbuf *job)
{
    if (c->model && !f->has_model) {
        strbuf_add_str(job, ",\"model\":");
        strbuf_add_json_str(job, c->model);
    }
    if (c->system && !f->has_system) {
        strbuf_add_str(job, ",\"system\":");
        strbuf_add_json_str(job, c->system);
    }
    if (c->max_tokens && !f->has_max_tokens)
        strbuf_add_fmt(job, ",\"max_tokens\":%s", c->max_tokens);
    if (c->temperature && !f->has_temperature)
        strbuf_add_fmt(job, ",\"temperature\":%s", c->temperature);
}

// begin writes what every job of a run has; its closing brace is the caller's.
static void begin(const struct compose *c, const char *id, bool has_pushed_at, int64_t now_ms,
                  struct strbuf *job)
{
    strbuf_add_char(job, '{');
    if (id)
        strbuf_add_fmt(job, "\"id\":\"%s\",", id);
    strbuf_add_fmt(job, "\"run\":\"%s\",\"reply_to\":\"%s\"", c->run, c->reply);
    if (!has_pushed_at)
        strbuf_add_fmt(job, ",\"pushed_at\":%lld", (long long)now_ms);
}

// lift_system moves a leading message of the role system to where the Messages API has it.
static bool lift_system(struct scan_value messages, struct span *ret_system, struct span *ret_rest)
{
    struct scan_value first, role, content;
    size_t pos = 0;
    if (!scan_items(messages, &pos, &first) || !scan_get(first, "role", &role) ||
        !(span_is(role.raw, "\"system\"") || span_is(role.raw, "\"developer\"")) ||
        !scan_get(first, "content", &content))
        return false;
    const char *end = messages.raw.at + messages.raw.len, *at = first.raw.at + first.raw.len;
    while (at < end && *at != ',' && *at != ']')
        at++;
    at += at < end && *at == ',';
    *ret_system = content.raw;
    *ret_rest = (struct span){at, (size_t)(end - at)};
    return true;
}

static void add_request(struct scan_value inner, struct strbuf *job)
{
    struct scan_member m;
    struct span system, rest;
    size_t pos = 0;
    bool some = false;
    strbuf_add_str(job, ",\"request\":{");
    while (scan_members(inner, &pos, &m)) {
        if (some)
            strbuf_add_char(job, ',');
        some = true;
        if (scan_key_is(&m, "messages") && lift_system(m.value, &system, &rest)) {
            strbuf_add_str(job, "\"system\":");
            strbuf_add_span(job, system);
            strbuf_add_str(job, ",\"messages\":[");
            strbuf_add_span(job, rest);
        } else if (scan_key_is(&m, "max_completion_tokens")) {
            strbuf_add_str(job, "\"max_tokens\":");
            strbuf_add_span(job, m.value.raw);
        } else {
            strbuf_add_char(job, '"');
            strbuf_add_span(job, m.key);
            strbuf_add_str(job, "\":");
            strbuf_add_span(job, m.value.raw);
        }
    }
    strbuf_add_char(job, '}');
}

static int compose_json(struct compose *c, struct span record, struct idset *ordinals,
                        uint32_t ordinal, int64_t now_ms, struct strbuf *job, struct composed *ret,
                        char *ret_why)
{
    struct found f = {0};
    struct scan_member m;
    size_t pos = 0;
    const char *why;
    if (scan_check(record.at, record.len, JOB_DEPTH_MAX, &why, &pos)) {
        snprintf(ret_why, COMPOSE_WHY_MAX, "no JSON: %s, at byte %zu", why, pos);
        return ERR_BAD_JOB;
    }
    struct scan_value root = scan_root(record.at, record.len);
    if (root.type != SCAN_OBJECT)
        return fail(ret_why, "a record must be a JSON object; plain prompts need --text");
    for (pos = 0; scan_members(root, &pos, &m);)
        note(&m, &f);
    if (!f.any || f.has_run || f.has_reply)
        return fail(ret_why, f.any ? "run and reply_to are set by penstock run; leave them out"
                                   : "an empty object is no job");
    bool batch = f.has_custom_id && f.has_inner;
    if (f.has_id && !batch) {
        ret->own_id = true;
        ret->ordinal = 0;
        ret->id[MIN(scan_copy(f.id, ret->id, ID_BYTES_MAX), (size_t)ID_BYTES_MAX)] = '\0';
    } else if (name_it(c, record, ordinals, ordinal, ret)) {
        return ERR_NOMEM;
    }
    begin(c, ret->own_id ? NULL : ret->id, f.has_pushed_at && !batch, now_ms, job);
    if (batch) {
        add_request(f.inner, job);
        strbuf_add_str(job, ",\"meta\":{\"custom_id\":");
        strbuf_add_span(job, f.custom_id.raw);
        strbuf_add_str(job, "}}");
        return 0;
    }
    if (!f.has_request)
        add_defaults(c, &f, job);
    strbuf_add_char(job, ',');
    strbuf_add(job, root.raw.at + 1, root.raw.len - 1);
    return 0;
}

static int compose_prompt(struct compose *c, struct span prompt, struct idset *ordinals,
                          uint32_t ordinal, int64_t now_ms, struct strbuf *job,
                          struct composed *ret, char *ret_why)
{
    static const struct found none;
    size_t good = utf8_good(prompt.at, prompt.len);
    if (good < prompt.len) {
        snprintf(ret_why, COMPOSE_WHY_MAX,
                 "byte %zu of the prompt is no UTF-8; convert the file, as with iconv", good);
        return ERR_BAD_JOB;
    }
    if (name_it(c, prompt, ordinals, ordinal, ret))
        return ERR_NOMEM;
    begin(c, ret->id, false, now_ms, job);
    add_defaults(c, &none, job);
    strbuf_add_str(job, ",\"prompt\":");
    strbuf_add_json(job, prompt.at, prompt.len);
    strbuf_add_char(job, '}');
    return 0;
}

// next_cell takes a cell off a row and adds its text; false at the end of the row.
static bool next_cell(struct span *row, struct strbuf *out)
{
    if (!row->at)
        return false;
    const char *at = row->at, *end = row->at + row->len;
    bool quoted = at < end && *at == '"';
    at += quoted;
    while (at < end && (quoted || *at != ',')) {
        if (quoted && *at == '"') {
            if (at + 1 == end || at[1] != '"') {
                quoted = false;
                at++;
                continue;
            }
            at++;
        }
        strbuf_add_char(out, *at++);
    }
    *row = at < end ? (struct span){at + 1, (size_t)(end - at - 1)} : (struct span){NULL, 0};
    return true;
}

struct cells {
    struct strbuf text;
    size_t at[CSV_COLUMNS_MAX + 1];
    size_t count;
};

static void split(struct span row, struct cells *ret)
{
    strbuf_init(&ret->text, ROW_MAX);
    ret->count = 0;
    ret->at[0] = 0;
    if (!row.at)
        row.at = "";
    while (ret->count < CSV_COLUMNS_MAX && next_cell(&row, &ret->text))
        ret->at[++ret->count] = ret->text.len;
}

static struct span cell(const struct cells *cells, size_t i)
{
    if (i >= cells->count || !cells->text.at)
        return (struct span){"", 0};
    return (struct span){cells->text.at + cells->at[i], cells->at[i + 1] - cells->at[i]};
}

static bool column_of(const struct compose *c, struct span name, size_t *ret)
{
    for (*ret = 0; *ret < c->column_count; ++*ret)
        if (c->columns[*ret].len == name.len && memcmp(c->columns[*ret].at, name.at, name.len) == 0)
            return true;
    return false;
}

// fill puts a row into the template: {column}; {{ and }} stand for braces.
static int fill(struct compose *c, const struct cells *cells, struct strbuf *out, char *ret_why)
{
    size_t column;
    for (const char *t = c->template; *t; t++) {
        const char *end = *t == '{' ? strchr(t, '}') : NULL;
        if ((*t == '{' || *t == '}') && t[1] == *t) {
            strbuf_add_char(out, *t++);
        } else if (end) {
            struct span name = {t + 1, (size_t)(end - t - 1)};
            if (!column_of(c, name, &column)) {
                snprintf(ret_why, COMPOSE_WHY_MAX,
                         "the template names a column {%.*s} that the "
                         "CSV file does not have",
                         (int)MIN(name.len, 60u), name.at);
                return ERR_BAD_CONF;
            }
            strbuf_add_span(out, cell(cells, column));
            t = end;
        } else if (*t == '{') {
            snprintf(ret_why, COMPOSE_WHY_MAX,
                     "the template has a { without its }; {{ stands for a brace");
            return ERR_BAD_CONF;
        } else {
            strbuf_add_char(out, *t);
        }
    }
    return 0;
}

int compose_header(struct compose *c, struct span row, char ret_why[COMPOSE_WHY_MAX])
{
    struct cells cells;
    split(row, &cells);
    strbuf_fini(&c->header);
    c->header = cells.text;
    c->column_count = cells.count;
    for (size_t i = 0; i < cells.count; i++)
        c->columns[i] = cell(&cells, i);
    strbuf_clear(&c->prompt);
    return fill(c, &(struct cells){.count = 0}, &c->prompt, ret_why);
}

static int compose_row(struct compose *c, struct span row, char *ret_why)
{
    struct cells cells;
    split(row, &cells);
    strbuf_clear(&c->prompt);
    int err = 0;
    if (cells.count != c->column_count) {
        snprintf(ret_why, COMPOSE_WHY_MAX, "the row has %zu cells, the header %zu", cells.count,
                 c->column_count);
        err = ERR_BAD_JOB;
    } else if (fill(c, &cells, &c->prompt, ret_why)) {
        err = ERR_BAD_JOB;
    }
    strbuf_fini(&cells.text);
    return err;
}

// guess says how many tokens a job may take and what they may cost at most. The input is a guess by
// its bytes, doubled where it stands for a ceiling.
static void guess(const struct compose *c, const struct job *j, struct composed *ret)
{
    ret->tokens_in = (int64_t)((j->content.len + j->system.len + j->tools.len) / BYTES_A_TOKEN) + 8;
    ret->tokens_out = j->max_tokens > 0 ? j->max_tokens : c->conf_max_tokens;
    struct usage most = {2 * ret->tokens_in, ret->tokens_out, 0, 0};
    struct span model = j->model.len ? j->model : span_of(c->conf_model);
    ret->model = model_undated(model);
    if (!price_usd(model, &most, &ret->nano_usd))
        ret->nano_usd = -1;
}

int compose_job(struct compose *c, struct span record, struct idset *ordinals, uint32_t ordinal,
                int64_t now_ms, struct strbuf *job, struct composed *ret,
                char ret_why[COMPOSE_WHY_MAX])
{
    struct job parsed;
    struct job_fault fault;
    size_t head = job->len;
    *ret = (struct composed){0};
    int err = 0;
    if (c->form == COMPOSE_CSV)
        err = compose_row(c, record, ret_why);
    if (!err && c->form == COMPOSE_JSON)
        err = compose_json(c, record, ordinals, ordinal, now_ms, job, ret, ret_why);
    else if (!err)
        err = compose_prompt(c, c->form == COMPOSE_CSV ? strbuf_span(&c->prompt) : record, ordinals,
                             ordinal, now_ms, job, ret, ret_why);
    if (!err && strbuf_failed(job))
        err = ERR_NOMEM;
    if (err)
        return err;
    if (job_parse(job->at + head, job->len - head, c->job_max, &parsed, &fault))
        return fail(ret_why, fault.why);
    guess(c, &parsed, ret);
    return 0;
}

void compose_fini(struct compose *c)
{
    strbuf_fini(&c->header);
    strbuf_fini(&c->prompt);
}
