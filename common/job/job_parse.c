// job_parse: one walk over a payload's fields. A fault is noted and the reading goes on, so that
// the id and the reply list of a bad job are known all the same.
#include "common/base/err.h"
#include "common/job/job.h"
#include "common/job/job_int.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Over its ceiling a payload is refused, but up to here its id and reply list are still looked for.
enum { READABLE_BYTES_MAX = 32 << 20, KEY_BYTES_MAX = 48 };

static_assert(JOB_FIELDS <= 32, "`seen` has a bit for each field");

struct reading {
    struct job *job;
    struct job_fault *fault; // filled in where refused
    bool refused;
    uint32_t seen, twice; // bits of enum job_field_no
    size_t own_fields;    // those that begin with x_
};

static void refuse(struct reading *r, const char *field, const char *fmt, ...) PRINTF(3, 4);
static void refuse(struct reading *r, const char *field, const char *fmt, ...)
{
    if (r->refused)
        return;
    r->refused = true;
    *r->fault = (struct job_fault){0};
    snprintf(r->fault->field, sizeof r->fault->field, "%s", field);
    va_list args;
    va_start(args, fmt);
    vsnprintf(r->fault->why, sizeof r->fault->why, fmt, args);
    va_end(args);
}

static void refuse_value(struct reading *r, const char *prefix, const struct job_field *f,
                         const char *wrong)
{
    char name[KEY_BYTES_MAX];
    snprintf(name, sizeof name, "%s%s", prefix, f->name);
    if (f->kind->allowed)
        refuse(r, name, "%s %s; it must be %s", name, wrong, f->kind->allowed);
    else
        refuse(r, name, "%s %s; it must be an integer from %lld to %lld", name, wrong,
               (long long)f->least, (long long)f->most);
}

// key_text gives a key with its escapes undone; of one longer than room, only the first bytes.
static struct span key_text(const struct scan_member *m, char *room, size_t room_bytes)
{
    if (!m->key_escaped)
        return m->key;
    struct scan_value quoted = {SCAN_STRING, {m->key.at - 1, m->key.len + 2}};
    size_t len = scan_copy(quoted, room, room_bytes);
    return (struct span){room, MIN(len, room_bytes)};
}

static const struct job_field *find_field(const struct job_field *rows, size_t count,
                                          struct span key)
{
    for (const struct job_field *f = rows; f < rows + count; f++)
        if (f->len == key.len && memcmp(f->name, key.at, key.len) == 0)
            return f;
    return NULL;
}

// printable writes a key so that a person can read it and no log or terminal trips over it.
static void printable(struct span key, char ret[KEY_BYTES_MAX + 1])
{
    size_t len = MIN(key.len, (size_t)KEY_BYTES_MAX);
    for (size_t i = 0; i < len; i++)
        ret[i] = key.at[i] > ' ' && key.at[i] < 0x7F ? key.at[i] : '?';
    ret[len] = '\0';
}

static void refuse_unknown(struct reading *r, struct span key)
{
    char name[KEY_BYTES_MAX + 1];
    bool first = !r->refused;
    printable(key, name);
    if (span_is(key, "stream"))
        refuse(r, name,
               "stream is not a field of a job; streaming is not available in this version");
    else
        refuse(r, name, "%s is not a field of a job; only names that begin with x_ are free",
               key.len ? name : "an empty name");
    r->fault->stranger |= first;
}

static bool is_own(struct span key)
{
    return key.len >= 2 && key.at[0] == 'x' && key.at[1] == '_';
}

static void refuse_twice(struct reading *r, const char *name)
{
    refuse(r, name, "%s is there twice; each name may be there once", name);
}

static void read_member(struct reading *r, const struct scan_member *m)
{
    char room[KEY_BYTES_MAX];
    struct span key = key_text(m, room, sizeof room);
    const struct job_field *f = find_field(job_fields, JOB_FIELDS, key);
    if (!f && is_own(key)) {
        r->own_fields++;
        return;
    }
    if (!f) {
        refuse_unknown(r, key);
        return;
    }
    uint32_t bit = BIT(f - job_fields);
    if (r->seen & bit) {
        r->twice |= bit;
        refuse_twice(r, f->name);
        return;
    }
    r->seen |= bit;
    const char *wrong = f->kind->read(f, &m->value, r->job);
    if (wrong)
        refuse_value(r, "", f, wrong);
}

static void read_inner_member(struct reading *r, const struct scan_member *m, uint32_t *seen)
{
    char room[KEY_BYTES_MAX];
    struct span key = key_text(m, room, sizeof room);
    const struct job_field *f = find_field(job_inner_fields, JOB_INNER_FIELDS, key);
    if (!f)
        return;
    uint32_t bit = BIT(f - job_inner_fields);
    if (*seen & bit) {
        char name[KEY_BYTES_MAX];
        snprintf(name, sizeof name, "request.%s", f->name);
        refuse_twice(r, name);
        return;
    }
    *seen |= bit;
    const char *wrong = f->kind->read(f, &m->value, r->job);
    if (wrong)
        refuse_value(r, "request.", f, wrong);
}

static void read_inside_request(struct reading *r)
{
    struct scan_value request = {SCAN_OBJECT, r->job->content};
    struct scan_member m;
    uint32_t seen = 0;
    for (size_t pos = 0; scan_members(request, &pos, &m);)
        read_inner_member(r, &m, &seen);
    if (!(seen & BIT(JOB_IN_messages)))
        refuse_value(r, "request.", &job_inner_fields[JOB_IN_messages], "is missing");
}

// ---- what concerns more than one field ----

static int compare_spans(const void *a, const void *b)
{
    return scan_text_cmp(*(const struct span *)a, *(const struct span *)b);
}

// Duplicates among names that no table knows: sorted, twins are neighbours.
static void check_own_fields(struct reading *r, struct scan_value root)
{
    struct span keys[JOB_OWN_FIELDS_MAX];
    struct scan_member m;
    size_t count = 0;
    if (r->own_fields > JOB_OWN_FIELDS_MAX) {
        refuse(r, "", "%zu fields begin with x_; at most %d are allowed", r->own_fields,
               JOB_OWN_FIELDS_MAX);
        return;
    }
    for (size_t pos = 0; scan_members(root, &pos, &m);) {
        char room[2];
        if (is_own(key_text(&m, room, sizeof room)))
            keys[count++] = m.key;
    }
    assert(count == r->own_fields);
    qsort(keys, count, sizeof keys[0], compare_spans);
    for (size_t i = 1; i < count; i++) {
        char name[KEY_BYTES_MAX + 1];
        if (compare_spans(&keys[i - 1], &keys[i]) != 0)
            continue;
        printable(keys[i], name);
        bool first = !r->refused;
        refuse_twice(r, name);
        r->fault->stranger |= first;
        return;
    }
}

static void check_form(struct reading *r)
{
    static const enum job_field_no forms[] = {JOB_F_prompt, JOB_F_messages, JOB_F_request};
    const char *first = NULL;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        const char *name = job_fields[forms[i]].name;
        if (!(r->seen & BIT(forms[i])))
            continue;
        if (first)
            refuse(r, name,
                   "%s cannot stand beside %s; a job has one of prompt, messages and request", name,
                   first);
        first = name;
    }
    if (!first)
        refuse(r, "", "none of prompt, messages and request is there; a job has exactly one");
}

static void check_beside_request(struct reading *r)
{
    for (const struct job_field *f = job_fields; f < job_fields + JOB_FIELDS; f++)
        if (r->seen & BIT(f - job_fields) && !f->joins_request)
            refuse(r, f->name, "%s cannot stand beside request; write it inside request", f->name);
}

static void check_pair(struct reading *r, enum job_field_no a, enum job_field_no b)
{
    uint32_t both = BIT(a) | BIT(b);
    if ((r->seen & both) == both)
        refuse(r, job_fields[b].name, "%s cannot stand beside %s; give one of them",
               job_fields[b].name, job_fields[a].name);
}

static void read_root(struct reading *r, struct scan_value root)
{
    struct scan_member m;
    if (root.type != SCAN_OBJECT) {
        refuse(r, "", "the payload %s; a job is an object", job_wrong_type(&root));
        return;
    }
    for (size_t pos = 0; scan_members(root, &pos, &m);)
        read_member(r, &m);
    if (r->own_fields > 1)
        check_own_fields(r, root);
    check_form(r);
    check_pair(r, JOB_F_run_at, JOB_F_delay_ms);
    check_pair(r, JOB_F_expires_at, JOB_F_ttl_ms);
    if (r->seen & BIT(JOB_F_request))
        check_beside_request(r);
    if (r->seen & BIT(JOB_F_request) && !r->refused)
        read_inside_request(r);
}

// ---- the whole ----

const struct job job_unread = {.pushed_at = -1, .max_attempts = -1, .max_throttles = -1};

static void job_init(struct job *j, const char *payload, size_t len)
{
    memset(j, 0, offsetof(struct job, undone));
    j->payload = (struct span){payload, len};
    j->pushed_at = j->run_at = j->delay_ms = j->expires_at = j->ttl_ms = -1;
    j->timeout_ms = j->max_attempts = j->max_throttles = -1;
}

// keep hands a value over to the fault, which may outlive the job: only one that the payload holds.
static struct span keep(const struct reading *r, enum job_field_no field, struct span value)
{
    struct span payload = r->job->payload;
    bool inside = value.at >= payload.at && value.at < payload.at + payload.len;
    return inside && !(r->twice & BIT(field)) ? value : (struct span){0};
}

static void keep_readable(struct reading *r)
{
    const struct job *j = r->job;
    r->fault->id = keep(r, JOB_F_id, j->id);
    r->fault->reply_to = keep(r, JOB_F_reply_to, j->reply_to);
    r->fault->run = keep(r, JOB_F_run, j->run);
    r->fault->meta = keep(r, JOB_F_meta, j->meta);
}

// move_back lets what was read in a copy point into the payload, which has it at the same place.
static void move_back(struct span *s, const struct strbuf *copy, const char *payload)
{
    if (s->at >= copy->at && s->at < copy->at + copy->len)
        s->at = payload + (s->at - copy->at);
}

// read_before reads what stands before the byte at which a payload stops being JSON, and names the
// field in which that is.
static void read_before(struct reading *r, size_t end, const char *why)
{
    struct job *j = r->job;
    struct strbuf copy;
    strbuf_init(&copy, end + 1);
    struct span name = job_prefix(j->payload, end, &copy);
    const struct job_field *f = find_field(job_fields, JOB_FIELDS, name);
    if (f)
        refuse(r, f->name, "%s is not strict JSON: %s at byte %zu", f->name, why, end);
    else
        refuse(r, "", "the payload is not strict JSON: %s at byte %zu", why, end);
    const char *ignored;
    size_t at;
    if (copy.len && !strbuf_failed(&copy) &&
        scan_check(copy.at, copy.len, SCAN_DEPTH_MAX, &ignored, &at) == 0)
        read_root(r, scan_root(copy.at, copy.len));
    move_back(&j->id, &copy, j->payload.at);
    move_back(&j->reply_to, &copy, j->payload.at);
    move_back(&j->run, &copy, j->payload.at);
    move_back(&j->meta, &copy, j->payload.at);
    strbuf_fini(&copy);
}

// read_deep reads a payload that is JSON but for its depth, and names the field that is too deep.
static void read_deep(struct reading *r, size_t deep)
{
    struct job *j = r->job;
    struct strbuf copy;
    const char *why;
    size_t at;
    strbuf_init(&copy, deep + 1);
    struct span name = job_prefix(j->payload, deep, &copy);
    const struct job_field *f = find_field(job_fields, JOB_FIELDS, name);
    strbuf_fini(&copy);
    refuse(r, f ? f->name : "",
           "%s nests too deeply at byte %zu; %d levels of arrays and objects are allowed",
           f ? f->name : "the payload", deep, JOB_DEPTH_MAX);
    int err = scan_check(j->payload.at, j->payload.len, SCAN_DEPTH_MAX, &why, &at);
    if (!err)
        read_root(r, scan_root(j->payload.at, j->payload.len));
    else
        read_before(r, at, why);
}

int job_parse(const char *payload, size_t len, size_t bytes_max, struct job *ret,
              struct job_fault *ret_why)
{
    struct reading r = {.job = ret, .fault = ret_why};
    const char *why;
    size_t at;
    job_init(ret, payload, len);
    if (len > bytes_max)
        refuse(&r, "", "the payload has %zu bytes; at most %zu are allowed", len, bytes_max);
    if (r.refused && len > READABLE_BYTES_MAX)
        return ERR_BAD_JOB;
    int err = scan_check(payload, len, JOB_DEPTH_MAX, &why, &at);
    if (err == ERR_TOO_BIG)
        read_deep(&r, at);
    else if (err)
        read_before(&r, at, why);
    else
        read_root(&r, scan_root(payload, len));
    if (!r.refused)
        return 0;
    keep_readable(&r);
    return ERR_BAD_JOB;
}
