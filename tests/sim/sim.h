// sim: the simulator's parts in one place. One thread, one loop.
#ifndef PENSTOCK_SIM_SIM_H
#define PENSTOCK_SIM_SIM_H

#include "common/base/clock.h"
#include "tests/sim/ledger.h"
#include "tests/sim/phase.h"
#include "tests/sim/script.h"
#include "tests/sim/settings.h"
#include "tests/sim/stats.h"

struct server;

struct sim {
    struct settings set;
    struct ledger ledger;
    struct stats stats;
    struct script script;
    struct phases phases;
    struct server *server;
    uint64_t born_us; // clock_mono_us at the start; all times of ours count from it
    int64_t born_wall_ms;
};

static inline uint64_t sim_now_us(const struct sim *s)
{
    return clock_mono_us() - s->born_us;
}

// sim_wall_ms turns a time of ours into Unix time.
static inline int64_t sim_wall_ms(const struct sim *s, uint64_t at_us)
{
    return s->born_wall_ms + (int64_t)(at_us / 1000);
}

#endif
