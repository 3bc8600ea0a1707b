#include "worker/run/admission.h"

#include "common/job/ulid.h"
#include "worker/run/run_int.h"

#include <stdlib.h>
#include <string.h>

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

struct preview *preview_new(struct span payload, size_t bytes_max, int64_t now_ms)
{
    struct job_fault fault;
    if (payload.len == 0 || payload.len > LARGE_BYTES)
        return NULL;
    struct preview *p = malloc(sizeof *p + payload.len + 1);
    if (!p)
        return NULL;
    memcpy(p->payload, payload.at, payload.len);
    p->payload[payload.len] = '\0';
    p->payload_len = payload.len;
    if (job_parse(p->payload, p->payload_len, bytes_max, &p->job, &fault)) {
        free(p);
        return NULL;
    }
    admission_id(&p->job, now_ms, p->id);
    return p;
}

void preview_args(struct args *args, const struct preview *p)
{
    args_add(args, (struct span){p->payload, p->payload_len});
    admission_args(args, p->id, &p->job);
}
