// admission: what the scripts are told of a payload that has been read; and the payload that the
// blocking wait has shown before it is claimed, so that one script can claim and admit it.
#ifndef PENSTOCK_RUN_ADMISSION_H
#define PENSTOCK_RUN_ADMISSION_H

#include "common/job/job.h"
#include "common/job/name.h"
#include "common/queue/script.h"

// admission_args adds the eight arguments that common/queue/lua/admit_lib.lua names.
void admission_args(struct args *args, const char *id, const struct job *job);

// admission_id writes the job's own id, or a new one where it names none. now_ms: Redis time.
void admission_id(const struct job *job, int64_t now_ms, char ret[ID_BYTES_MAX + 1]);

// preview: a payload that has been seen at the right end of `jobs`. It is not ours yet.
struct preview {
    struct job job; // borrows from payload
    char id[ID_BYTES_MAX + 1];
    size_t payload_len;
    char payload[];
};

// preview_new reads a payload. now_ms (Redis time) is for the id of a job that names none. NULL
// where it is no job, is large (it is better not sent twice), or where memory is short: it is
// claimed unread then. The caller frees it with free.
struct preview *preview_new(struct span payload, size_t bytes_max, int64_t now_ms);

// preview_args adds the payload and the eight of its admission.
void preview_args(struct args *args, const struct preview *p);

#endif
