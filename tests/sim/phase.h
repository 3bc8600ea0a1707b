// phase: settings that hold for a time only, or from a time on ("529 at 70 % for 20 s", "half the
// limit in 8 s"). What was changed is kept as text and set back when the phase is over.
#ifndef PENSTOCK_SIM_PHASE_H
#define PENSTOCK_SIM_PHASE_H

#include "common/base/attrs.h"
#include "common/base/scan.h"
#include "tests/sim/settings.h"

#include <stdbool.h>
#include <stdint.h>

enum { PHASES_MAX = 64 };

struct phases {
    struct phase {
        uint64_t due_us;
        char *json;      // the settings to apply when due
        uint64_t for_us; // and for how long; 0 = for good
    } at[PHASES_MAX];
    int count;
};

void phases_clear(struct phases *p);

// phase_apply sets what the object names: {"rpm":600,"fail":{"529":0.7}}. All or nothing. With
// for_us, a phase that sets it back is added.
int phase_apply(struct phases *p, struct settings *s, struct scan_value object, uint64_t for_us,
                uint64_t now_us, char why[WHY_MAX_BYTES]) MUST_CHECK;
// phase_later keeps the object's settings for due_us.
int phase_later(struct phases *p, const struct settings *s, struct scan_value object,
                uint64_t due_us, uint64_t for_us, char why[WHY_MAX_BYTES]) MUST_CHECK;
// phases_run applies what is due; true if settings have changed.
bool phases_run(struct phases *p, struct settings *s, uint64_t now_us);
// phases_next gives the time of the next one, UINT64_MAX where there is none.
uint64_t phases_next(const struct phases *p);

#endif
