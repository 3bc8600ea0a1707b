#include "common/base/fault.h"

#ifdef PENSTOCK_FAULTS

#include <signal.h>
#include <stdlib.h>
#include <string.h>

void fault_point(const char *name)
{
    static int visits;
    const char *want = getenv("PENSTOCK_FAULT");
    size_t len = strlen(name);
    if (!want || strncmp(want, name, len) != 0 || (want[len] != '\0' && want[len] != ':'))
        return;
    int nth = want[len] == ':' ? atoi(want + len + 1) : 1;
    if (++visits == nth)
        raise(SIGKILL);
}

#else
typedef int fault_unused; // ISO C wants something in every file
#endif
