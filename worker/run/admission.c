#include "worker/run/admission.h"

#include "common/job/ulid.h"

static void add_time(struct args *args, int64_t at_ms, int64_t in_ms)
{
    args_add_int(args, at_ms >= 0 ? at_ms : in_ms);
    args_add_str(args, at_ms >= 0 ? "at" : in_ms >= 0 ? "in" : "at");
}

void admission_args(struct args *args, const char *id, const struct job *job)
{
    args_add_str(args, id);
    args_add_int(args, job->pushed_at);
    add_time(args, job->run_at, job->delay_ms);
    add_time(args, job->expires_at, job->ttl_ms);
    args_add(args, job->reply_to);
    args_add(args, job->run);
}

void admission_id(const struct job *job, int64_t now_ms, char ret[ID_BYTES_MAX + 1])
{
    if (job->id.len)
        span_copy(ret, ID_BYTES_MAX + 1, job->id);
    else
        ulid_make(now_ms, ret);
}
