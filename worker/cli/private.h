// private: a redis-server and a worker of our own, for `penstock run` where nobody has set up any.
// Their data is in the user's state folder, so that a run can be resumed; the processes end with
// us, however we end.
#ifndef PENSTOCK_CLI_PRIVATE_H
#define PENSTOCK_CLI_PRIVATE_H

#include "worker/cli/cli.h"

struct private;

// private_start starts them, with the simulator in the API's place if that is wanted, and makes
// c->conf name that Redis. An exit code, the reason told, where it cannot.
int private_start(struct cli *c, bool simulate, struct private **ret) MUST_CHECK;
// private_trouble says what ended that should not have; NULL = all is well.
const char *private_trouble(struct private *p);
// private_stop lets calls under way end for a few seconds, and waits until all is gone.
void private_stop(struct private *p);

#endif
