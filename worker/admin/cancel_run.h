// cancel_run: cancels all jobs of a run that have not ended, in steps of one question each, so that
// neither the loop nor Redis is held up, however many there are. One run at a time.
#ifndef PENSTOCK_ADMIN_CANCEL_RUN_H
#define PENSTOCK_ADMIN_CANCEL_RUN_H

#include "common/base/attrs.h"
#include "common/job/name.h"

#include <stdbool.h>
#include <stddef.h>

struct admin;

// What is done to cancel a run, or was to the one before.
struct canceller {
    struct admin *admin;
    const char *stem;                                                  // of its queue
    char queue[NAME_BYTES_MAX + 1], run[NAME_BYTES_MAX + 1], who[160]; // run "" = there was none
    bool under_way;
    int err;
    size_t place, at;              // where it looks: in which of five, and how far in jobs
    char cursor[24];               // in delayed or active
    char (*ids)[ID_BYTES_MAX + 1]; // what the last look has found, of which so many have been told
    size_t found, told, room;
    size_t looked, asked, unnamed; // jobs; unnamed: without an id as yet, so that none can be told
};

// cancel_run_start: 0 where it has begun; ERR_TOO_BIG where another is under way. The queue is one
// of the worker's.
int cancel_run_start(struct admin *a, const char *queue, const char *run,
                     const char *who) MUST_CHECK;

#endif
