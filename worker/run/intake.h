// intake: from the queue to an admitted attempt.
#ifndef PENSTOCK_RUN_INTAKE_H
#define PENSTOCK_RUN_INTAKE_H

#include "common/base/list.h"
#include "common/job/ulid.h"

#include <stdbool.h>
#include <stddef.h>

struct pool;
struct preview;
struct wqueue;

struct claim {
    struct list_link link; // in queue->to_repeat
    struct wqueue *queue;
    struct pool *pool; // whose grants are promised to it
    size_t want;
    struct preview *seen; // owned; the payload that it may find and admit. Its first sending only
    char token[ULID_LEN + 1];
};

void intake_claim(struct wqueue *q, struct pool *p, size_t want); // p may be NULL with want 0
bool intake_may_fetch(const struct wqueue *q);                    // the next large payload fits
void intake_send(struct wqueue *q); // fetches, admissions, rejections and repeats that are due

#endif
