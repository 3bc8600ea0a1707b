// fuzz_job: any bytes as a payload. Whatever comes of it borrows from the payload or the struct, a
// fault can be shown to a person, and a job that parses is what it says.
#include "common/base/err.h"
#include "common/job/job.h"
#include "common/job/name.h"
#include "tests/fuzz/fuzz_target.h"

#include <assert.h>
#include <string.h>

enum { BYTES_MAX = 2000 };

static bool is_inside(struct span s, const void *start, size_t len)
{
    const char *from = start;
    return s.at >= from && s.at <= from + len && s.len <= (size_t)(from + len - s.at);
}

static void assert_name(struct span s, struct span payload, const struct job_texts *undone,
                        bool (*is_name)(const char *, size_t))
{
    if (s.len == 0)
        return;
    assert(is_inside(s, payload.at, payload.len) ||
           (undone && is_inside(s, undone, sizeof *undone)));
    assert(is_name(s.at, s.len));
}

static void assert_json(struct span raw, struct span payload, const char *first)
{
    const char *why;
    size_t at;
    if (raw.len == 0)
        return;
    assert(is_inside(raw, payload.at, payload.len));
    assert(scan_check(raw.at, raw.len, JOB_DEPTH_MAX, &why, &at) == 0);
    assert(strchr(first, raw.at[0]));
}

static void assert_between(int64_t n, int64_t least, int64_t most)
{
    assert(n == -1 || (n >= least && n <= most));
}

static void check_job(const struct job *j, struct span payload)
{
    static const char any[] = "{[\"-0123456789tfn", number[] = "-0123456789";
    assert(j->payload.at == payload.at && j->payload.len == payload.len);
    assert_name(j->id, payload, &j->undone, id_is_valid);
    assert_name(j->model, payload, &j->undone, model_is_valid);
    assert_name(j->reply_to, payload, &j->undone, name_is_valid);
    assert_name(j->run, payload, &j->undone, name_is_valid);
    assert(j->content.len > 0);
    assert_json(j->content, payload,
                j->form == JOB_PROMPT     ? "\""
                : j->form == JOB_MESSAGES ? "["
                                          : "{");
    assert((j->form == JOB_REQUEST) == (j->messages.len > 0));
    assert_json(j->messages, payload, "[");
    assert_json(j->meta, payload, any);
    assert_json(j->system, payload, "\"[");
    assert_json(j->temperature, payload, number);
    assert_json(j->top_p, payload, number);
    assert_json(j->top_k, payload, number);
    assert_json(j->stop_sequences, payload, "[");
    assert_json(j->tools, payload, "[");
    assert_json(j->tool_choice, payload, "{");
    assert_json(j->thinking, payload, "{");
    assert_json(j->metadata, payload, "{");
    assert(j->max_tokens >= (j->form != JOB_REQUEST && j->has_max_tokens));
    assert(j->max_tokens <= JOB_TOKENS_MAX && (j->has_max_tokens || j->max_tokens == 0));
    assert_between(j->pushed_at, 0, JOB_TIME_MAX_MS);
    assert_between(j->run_at, 0, JOB_TIME_MAX_MS);
    assert_between(j->expires_at, 0, JOB_TIME_MAX_MS);
    assert_between(j->delay_ms, 0, JOB_DELAY_MAX_MS);
    assert_between(j->ttl_ms, 0, JOB_DELAY_MAX_MS);
    assert_between(j->timeout_ms, 1, JOB_TIMEOUT_MAX_MS);
    assert_between(j->max_attempts, 1, JOB_TRIES_MAX);
    assert_between(j->max_throttles, 0, JOB_TRIES_MAX);
    assert(j->run_at == -1 || j->delay_ms == -1);
    assert(j->expires_at == -1 || j->ttl_ms == -1);
}

static void assert_printable(const char *text, size_t room)
{
    assert(memchr(text, '\0', room));
    for (; *text; text++)
        assert(*text >= ' ' && *text < 0x7F);
}

static void check_fault(const struct job_fault *f, struct span payload)
{
    assert_printable(f->field, sizeof f->field);
    assert_printable(f->why, sizeof f->why);
    assert(f->why[0] && strlen(f->why) < sizeof f->why - 1);
    assert(strncmp(f->why, f->field, strlen(f->field)) == 0);
    assert_name(f->id, payload, NULL, id_is_valid);
    assert_name(f->reply_to, payload, NULL, name_is_valid);
    assert_name(f->run, payload, NULL, name_is_valid);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct job job, again;
    static struct job_fault fault;
    const char *why;
    size_t at;
    struct span payload = {(const char *)data, size};
    memset(&job, 0xA5, sizeof job);
    memset(&fault, 0xA5, sizeof fault);
    int err = job_parse(payload.at, size, BYTES_MAX, &job, &fault);
    if (err) {
        assert(err == ERR_BAD_JOB);
        check_fault(&fault, payload);
        return 0;
    }
    assert(size <= BYTES_MAX);
    assert(scan_check(payload.at, size, JOB_DEPTH_MAX, &why, &at) == 0);
    check_job(&job, payload);
    assert(job_parse(payload.at, size, BYTES_MAX, &again, &fault) == 0);
    assert(again.content.at == job.content.at && again.id.len == job.id.len);
    return 0;
}
