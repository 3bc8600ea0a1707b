// admission: what the script `admit` is told of a payload that has been read.
#ifndef PENSTOCK_RUN_ADMISSION_H
#define PENSTOCK_RUN_ADMISSION_H

#include "common/job/job.h"
#include "common/job/name.h"
#include "common/queue/script.h"

// admission_args adds what common/queue/lua/admit.lua wants after the claim id.
void admission_args(struct args *args, const char *id, const struct job *job);

// admission_id writes the job's own id, or a new one where it names none. now_ms: Redis time.
void admission_id(const struct job *job, int64_t now_ms, char ret[ID_BYTES_MAX + 1]);

#endif
