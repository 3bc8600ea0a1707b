// rcall: the commands that wait for their answer, in the order they were sent. Each is answered
// exactly once: by Redis, or late, from the loop, with ERR_LINK_DOWN. hiredis is never given a
// pointer to one of them, so a context that dies can do them no harm.
#ifndef PENSTOCK_REDIS_RCALL_H
#define PENSTOCK_REDIS_RCALL_H

#include "common/base/list.h"
#include "common/redis/rlink.h"

#include <stddef.h>
#include <stdint.h>

struct rcall {
    struct list_link link;
    rlink_cb cb;
    void *arg;
    uint64_t sent_ms;
    int64_t patience_ms; // longest silence while this one is the oldest
};

struct rcalls {
    struct list waiting; // oldest first
    struct list late;    // their socket is gone; to be answered from the loop
    struct list spare;   // free memory, at most RCALLS_SPARE_MAX
};

enum { RCALLS_WAITING_MAX = 65536, RCALLS_SPARE_MAX = 1024 };

void rcalls_init(struct rcalls *c);
void rcalls_fini(struct rcalls *c); // nothing may be waiting or late any more

// rcalls_add appends one; *ret stays in the list. ERR_TOO_BIG at the ceiling, or ERR_NOMEM.
int rcalls_add(struct rcalls *c, const struct rcall *what, struct rcall **ret) MUST_CHECK;
void rcalls_forget(struct rcalls *c, struct rcall *call);  // takes back an add; never answered
const struct rcall *rcalls_oldest(const struct rcalls *c); // NULL where none waits
// rcalls_answer answers the oldest. Its callback may call any function of the link.
void rcalls_answer(struct rcalls *c, int err, const struct reply *reply);
void rcalls_give_up(struct rcalls *c);     // all that wait become late
void rcalls_answer_late(struct rcalls *c); // ERR_LINK_DOWN to those late now, not to newcomers

#endif
