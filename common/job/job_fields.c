// job_fields: each kind of field has a function that reads a value into the job, and the words for
// what is allowed; one table says which field is of which kind.
#include "common/job/job_int.h"
#include "common/job/name.h"

#include <math.h>
#include <string.h>

const char *job_wrong_type(const struct scan_value *v)
{
    static const char *const words[] = {
        [SCAN_NULL] = "is null",        [SCAN_FALSE] = "is false",     [SCAN_TRUE] = "is true",
        [SCAN_NUMBER] = "is a number",  [SCAN_STRING] = "is a string", [SCAN_ARRAY] = "is an array",
        [SCAN_OBJECT] = "is an object",
    };
    return words[v->type];
}

static struct span *span_at(const struct job_field *f, struct job *j)
{
    return (struct span *)((char *)j + f->at);
}

static const char *read_raw(const struct job_field *f, const struct scan_value *v, struct job *j)
{
    *span_at(f, j) = v->raw;
    return NULL;
}

static const char *read_array(const struct job_field *f, const struct scan_value *v, struct job *j)
{
    return v->type == SCAN_ARRAY ? read_raw(f, v, j) : job_wrong_type(v);
}

static const char *read_object(const struct job_field *f, const struct scan_value *v, struct job *j)
{
    return v->type == SCAN_OBJECT ? read_raw(f, v, j) : job_wrong_type(v);
}

static const char *read_system(const struct job_field *f, const struct scan_value *v, struct job *j)
{
    return v->type == SCAN_STRING ? read_raw(f, v, j) : read_array(f, v, j);
}

static const char *read_number(const struct job_field *f, const struct scan_value *v, struct job *j)
{
    double unused;
    if (v->type != SCAN_NUMBER)
        return job_wrong_type(v);
    return scan_num(*v, &unused) ? read_raw(f, v, j) : "is out of range";
}

static const char *read_int(const struct job_field *f, const struct scan_value *v, int64_t *ret)
{
    int64_t n;
    double size;
    if (v->type != SCAN_NUMBER)
        return job_wrong_type(v);
    if (!scan_int(*v, &n))
        return scan_num(*v, &size) && size != floor(size) ? "is not a whole number"
                                                          : "is out of range";
    if (n < f->least || n > f->most)
        return "is out of range";
    *ret = n;
    return NULL;
}

static const char *read_integer(const struct job_field *f, const struct scan_value *v,
                                struct job *j)
{
    return read_int(f, v, (int64_t *)((char *)j + f->at));
}

static const char *read_max_tokens(const struct job_field *f, const struct scan_value *v,
                                   struct job *j)
{
    const char *wrong = read_int(f, v, &j->max_tokens);
    j->has_max_tokens = !wrong;
    return wrong;
}

static const char *read_raw_integer(const struct job_field *f, const struct scan_value *v,
                                    struct job *j)
{
    int64_t unused;
    const char *wrong = read_int(f, v, &unused);
    return wrong ? wrong : read_raw(f, v, j);
}

static bool is_empty_array(struct span raw)
{
    size_t at = 1;
    while (strchr(" \t\r\n", raw.at[at]))
        at++;
    return raw.at[at] == ']';
}

static const char *read_messages(const struct job_field *f, const struct scan_value *v,
                                 struct job *j)
{
    const char *wrong = read_array(f, v, j);
    return wrong || !is_empty_array(v->raw) ? wrong : "is empty";
}

static const char *read_job_messages(const struct job_field *f, const struct scan_value *v,
                                     struct job *j)
{
    j->form = JOB_MESSAGES;
    return read_messages(f, v, j);
}

static const char *read_prompt(const struct job_field *f, const struct scan_value *v, struct job *j)
{
    j->form = JOB_PROMPT;
    if (v->type != SCAN_STRING)
        return job_wrong_type(v);
    return v->raw.len > strlen("\"\"") ? read_raw(f, v, j) : "is empty";
}

static const char *read_request(const struct job_field *f, const struct scan_value *v,
                                struct job *j)
{
    j->form = JOB_REQUEST;
    return read_object(f, v, j);
}

static const char *read_no_stream(const struct job_field *f, const struct scan_value *v,
                                  struct job *j)
{
    (void)f;
    (void)j;
    return v->type == SCAN_FALSE ? NULL : job_wrong_type(v);
}

// read_chars reads a string of a closed set of characters; room is where it goes if it is escaped.
static const char *read_chars(const struct scan_value *v, bool (*is_valid)(const char *, size_t),
                              char *room, size_t room_bytes, struct span *ret)
{
    struct span s;
    if (v->type != SCAN_STRING)
        return job_wrong_type(v);
    if (!scan_str(*v, &s))
        s = (struct span){room, scan_copy(*v, room, room_bytes)};
    if (s.len == 0)
        return "is empty";
    if (s.len > room_bytes)
        return "is too long";
    if (!is_valid(s.at, s.len))
        return "has a character that is not allowed";
    *ret = s;
    return NULL;
}

static const char *read_id(const struct job_field *f, const struct scan_value *v, struct job *j)
{
    (void)f;
    return read_chars(v, id_is_valid, j->undone.id, sizeof j->undone.id, &j->id);
}

static const char *read_model(const struct job_field *f, const struct scan_value *v, struct job *j)
{
    (void)f;
    return read_chars(v, model_is_valid, j->undone.model, sizeof j->undone.model, &j->model);
}

static const char *read_reply_to(const struct job_field *f, const struct scan_value *v,
                                 struct job *j)
{
    (void)f;
    return read_chars(v, name_is_valid, j->undone.reply_to, sizeof j->undone.reply_to,
                      &j->reply_to);
}

static const char *read_run(const struct job_field *f, const struct scan_value *v, struct job *j)
{
    (void)f;
    return read_chars(v, name_is_valid, j->undone.run, sizeof j->undone.run, &j->run);
}

static const char name_allowed[] = "a string of 1 to 64 characters of A-Z a-z 0-9 . _ -";
static const char messages_allowed[] = "an array of at least one message";

// clang-format off
static const struct job_kind
    anything       = {"any JSON", read_raw},
    a_number       = {"a number", read_number},
    an_array       = {"an array", read_array},
    an_object      = {"an object", read_object},
    an_integer     = {NULL, read_integer},
    raw_integer    = {NULL, read_raw_integer},
    tokens         = {NULL, read_max_tokens},
    an_id          = {"a string of 1 to 128 characters of A-Z a-z 0-9 . _ : -", read_id},
    a_model        = {"a string of 1 to 128 characters of A-Z a-z 0-9 . _ : / @ -", read_model},
    a_reply_to     = {name_allowed, read_reply_to},
    a_run          = {name_allowed, read_run},
    a_prompt       = {"a string that is not empty", read_prompt},
    a_system       = {"a string or an array of text blocks", read_system},
    job_messages   = {messages_allowed, read_job_messages},
    inner_messages = {messages_allowed, read_messages},
    a_request      = {"an object", read_request},
    no_stream      = {"false or absent, as streaming is not available in this version",
                      read_no_stream};
// clang-format on

#define ROW(name, kind, member, least, most, joins)                                                \
    {#name, sizeof #name - 1, &kind, offsetof(struct job, member), least, most, joins},

const struct job_field job_fields[] = {JOB_FIELD_MAP(ROW)};
const struct job_field job_inner_fields[] = {JOB_INNER_MAP(ROW)};
