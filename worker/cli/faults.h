// faults: what is wrong with the settings, all of it and not the first alone.
#ifndef PENSTOCK_CLI_FAULTS_H
#define PENSTOCK_CLI_FAULTS_H

#include "common/conf/conf.h"

enum { FAULTS_MAX = 16 };

struct faults {
    char at[FAULTS_MAX][CONF_WHY_MAX];
    size_t count;
};

// faults_load loads the settings as conf_load does; each one that makes no sense is noted, left
// out, and the rest tried again. *ret is loaded in any case but the failure: ERR_BAD_CONF (what is
// wrong cannot be left out), ERR_NOMEM.
int faults_load(enum conf_program who, int argc, char **argv, char **envp, struct conf *ret,
                struct faults *f) MUST_CHECK;

#endif
