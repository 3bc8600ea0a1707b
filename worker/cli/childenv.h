// childenv: the environment of a worker that `penstock run` starts: the settings that we have been
// given, by whatever way, and nothing that is secret.
#ifndef PENSTOCK_CLI_CHILDENV_H
#define PENSTOCK_CLI_CHILDENV_H

#include "common/conf/conf.h"

struct childenv {
    char *at[256]; // "NAME=value", then NULL
    size_t count;
};

// childenv_make takes what concerns a worker out of our own environment, and what a flag of ours
// has said; but neither keys nor what the caller sets: where Redis and the API are, queues, the
// window.
void childenv_make(struct childenv *e, const struct conf *conf);
void childenv_fini(struct childenv *e);
// childenv_set puts a value in the place of what the name had. NULL leaves that as it is.
void childenv_set(struct childenv *e, const char *name, const char *value);
void childenv_set_int(struct childenv *e, const char *name, int64_t n);

#endif
