// link: the connections to Redis.
#ifndef PENSTOCK_RUN_LINK_H
#define PENSTOCK_RUN_LINK_H

struct rlink;
struct run;
struct wqueue;

// link_open opens the run's link (waiter NULL), or the one that waits for a queue.
int link_open(struct run *r, struct rlink **ret, const struct wqueue *waiter);

#endif
