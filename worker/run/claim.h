// claim: what a queue gives is leased to this worker.
#ifndef PENSTOCK_RUN_CLAIM_H
#define PENSTOCK_RUN_CLAIM_H

#include "common/base/list.h"
#include "common/job/ulid.h"

#include <stddef.h>
#include <stdint.h>

struct pool;
struct wqueue;

struct claim {
    struct list_link link; // in queue->to_repeat
    struct wqueue *queue;
    struct pool *pool; // whose grants are promised to it
    size_t want;
    uint64_t sent_ms;
    char token[ULID_LEN + 1];
};

void claim_jobs(struct wqueue *q, struct pool *p, size_t want); // p may be NULL with want 0
void claim_repeat(struct wqueue *q);                            // those that were not confirmed

#endif
