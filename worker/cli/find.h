// find: which queues, pools, workers and runs there are. Workers say what they serve, so that this
// needs no walk through all keys; where no worker is there to tell, a walk is made, up to a bound.
#ifndef PENSTOCK_CLI_FIND_H
#define PENSTOCK_CLI_FIND_H

#include "worker/cli/cli.h"

enum { FIND_NAME_MAX = 260, FIND_MAX = 1000 };

struct names {
    char (*at)[FIND_NAME_MAX];
    size_t count;
    bool cut; // there may be more
};

void names_add(struct names *n, struct span name); // unless it is there
bool names_have(const struct names *n, struct span name);
// names_next cuts the next word off a list that is parted by blanks or commas. False at its end.
bool names_next(struct span *rest, struct span *ret);
void names_sort(struct names *n);
void names_fini(struct names *n);

// Each adds to *ret (zeroed before the first). 0, or an exit code with the reason told.
int find_workers(struct cli *c, struct names *ret) MUST_CHECK;
int find_queues(struct cli *c, struct names *ret) MUST_CHECK; // --queue alone, where it is given
int find_pools(struct cli *c, struct names *ret) MUST_CHECK;
int find_runs(struct cli *c, const char *queue, struct names *ret) MUST_CHECK; // all, by a walk
// find_latest_runs adds what workers have had jobs of lately, each as "queue/run".
int find_latest_runs(struct cli *c, const struct names *queues, struct names *ret) MUST_CHECK;

#endif
