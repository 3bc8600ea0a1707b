// look: reads many keys at once for those who watch (lua/look.lua). Where Redis is a cluster, the
// items go to their nodes, a call a slot, and come back as one answer all the same.
#ifndef PENSTOCK_QUEUE_LOOK_H
#define PENSTOCK_QUEUE_LOOK_H

#include "common/queue/script.h"

enum { LOOK_MAX = 48 };

// look_call asks for items of four arguments each (NULL counts as ""): what, key or stem, and two
// more. If it returns 0, cb runs once with {time, answer...}; the first error is the whole's.
int look_call(struct rlink *link, const char *const items[][4], size_t count, rlink_cb cb,
              void *arg) MUST_CHECK;

#endif
