// keeper: a process that outlives us, to end what we have started in the right order. When we die,
// however we die, it lets the worker's calls come to their end, and only then ends the Redis that
// their results go to. So a kill -9 loses no answer, and no prompt is called again for it.
//
// It learns of a process from that process itself, before it becomes another program, and notices
// our end by the pipe between us.
#ifndef PENSTOCK_CLI_KEEPER_H
#define PENSTOCK_CLI_KEEPER_H

#include "common/base/attrs.h"

#include <stdbool.h>
#include <sys/types.h>

struct keeper {
    pid_t pid; // 0 = none
    int fd;    // what is written here it reads; its end is our end
};

// keeper_start forks it. mark: a file that is there while it waits for calls to end; copied.
// 0, or ERR_IO.
int keeper_start(struct keeper *k, const char *mark) MUST_CHECK;
// keeper_know tells it of the calling process, a child of ours. Those of the lowest rank end first.
void keeper_know(const struct keeper *k, int rank);
// keeper_end waits until it has seen everything end.
void keeper_end(struct keeper *k);

#endif
