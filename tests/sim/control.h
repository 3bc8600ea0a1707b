// control: the /sim/... paths, by which a test reads and steers the simulator (docs/simulator.md).
#ifndef PENSTOCK_SIM_CONTROL_H
#define PENSTOCK_SIM_CONTROL_H

#include "tests/sim/api.h"

struct next control_begin(struct sim *s, const struct http_head *h, struct span body,
                          struct call *call);

#endif
