// fetch: many results by their ids, in one go.
#ifndef PENSTOCK_CLI_FETCH_H
#define PENSTOCK_CLI_FETCH_H

#include "common/job/name.h"
#include "worker/cli/cli.h"

enum { FETCH_MAX = 64 };

struct fetch {
    char ids[FETCH_MAX][ID_BYTES_MAX + 1];
    size_t count;
    void (*take)(struct span result, void *arg); // in the ids' order; what is gone is left out
    void *arg;
};

// fetch_add notes an id (what is none is left out). True: it is full, and to be run.
bool fetch_add(struct fetch *f, struct span id);
// fetch_run gets them and is empty again. 0, or an exit code with the reason told.
int fetch_run(struct cli *c, struct fetch *f) MUST_CHECK;

// fetch_field_is says whether a result has this text in a field of its own ("status", "run").
bool fetch_field_is(struct span result, const char *field, const char *text);

#endif
